"""`/api/v1/notifications`: the caller's own inbox. A person's, so no token may ask."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from litestar import get, post
from litestar.params import FromPath
from msgspec import Struct

from appliance.errors import NotFound
from appliance.storage import notifications
from appliance.storage.db import write_tx
from web.api.answers import make
from web.api.trips import Limit, Offset
from web.parts import Given, Parts


class Notification(Struct, frozen=True, kw_only=True):
    """A message to the user; `read_at` is null while it is unread."""

    id: int
    type: str
    message: str
    created_at: datetime
    read_at: datetime | None


class Inbox(Struct, frozen=True, kw_only=True):
    """A page of the inbox, the newest first; how many messages there are in all, and how many are unread."""

    items: list[Notification]
    total: int
    unread: int


@get("/notifications", sync_to_thread=True, summary="The user's own messages, newest first")
def list_notifications(parts: Given, limit: Limit = 100, offset: Offset = 0) -> Inbox:
    with parts.db() as db:
        found, total = notifications.page(db, user_of(parts), limit, offset)
        unread = notifications.unread(db, user_of(parts))
    return Inbox(items=[make(Notification, one) for one in found], total=total, unread=unread)


@post("/notifications/read", sync_to_thread=True, status_code=204, summary="Mark all messages as read")
def read_notifications(parts: Given) -> None:
    mark(parts, None)


@post("/notifications/{notification_id:int}/read", sync_to_thread=True, status_code=204, summary="Mark one as read")
def read_notification(parts: Given, notification_id: FromPath[int]) -> None:
    mark(parts, notification_id)


def mark(parts: Parts, notification_id: int | None) -> None:
    """Marks one of the caller's messages as read, or all. Raises NotFound for one that is not the caller's."""
    with parts.db() as db, write_tx(db) as tx:
        if not notifications.mark_read(tx, user_of(parts), notification_id, parts.now()):
            raise NotFound("no such message in this inbox", subject=f"notification {notification_id}")


def user_of(parts: Parts) -> int:
    """The caller's id."""
    if parts.caller is None:
        raise RuntimeError("nobody is logged in here")
    return parts.caller.user.id


HANDLERS: list[Any] = [list_notifications, read_notifications, read_notification]
