"""`/inbox`: a user's notifications, which the bell in the strip counts."""

from __future__ import annotations

from typing import Any

from litestar import get, post
from litestar.params import FromPath
from litestar.response import Template

from appliance.storage import notifications, times
from web import cards
from web.api.inbox import mark, user_of
from web.lists import ROWS, Listing, PageNumber, offset
from web.pages import shell
from web.parts import Given, Parts


@get("/inbox", sync_to_thread=True, include_in_schema=False)
def inbox_page(parts: Given, page: PageNumber = 1) -> Template:
    return _page(parts, page=page)


@post("/inbox/read", sync_to_thread=True, status_code=200, include_in_schema=False)
def inbox_read(parts: Given) -> Template:
    mark(parts, None)
    return _page(parts, done="All messages are marked as read.")


@post("/inbox/{notification_id:int}/read", sync_to_thread=True, status_code=200, include_in_schema=False)
def inbox_read_one(parts: Given, notification_id: FromPath[int]) -> Template:
    mark(parts, notification_id)
    return _page(parts)


def _page(parts: Parts, *, page: int = 1, done: str = "") -> Template:
    with parts.db() as db:
        found, total = notifications.page(db, user_of(parts), ROWS, offset(page))
        unread = notifications.unread(db, user_of(parts))
    now, zone = parts.now(), parts.settings.zone
    items = [{**one, "at": cards.moment(times.parse(one["created_at"]), now, zone)} for one in found]
    listing = Listing("/inbox", items, total, page)
    return shell.page(parts, "inbox.html", here="/inbox", done=done, listing=listing, unread=unread)


HANDLERS: list[Any] = [inbox_page, inbox_read, inbox_read_one]
