"""What the handlers are given: the settings, the clock, the database, and the ways out of the process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from litestar.di import NamedDependency
from sqlite_utils import Database

from appliance import access
from appliance.access import Caller
from appliance.config import Settings
from appliance.domain.access import Instant, Permission
from appliance.events import Publisher
from appliance.sender import Sender
from appliance.storage.db import open_depot
from appliance.storage.gps import Store
from web.hub import Hub
from web.positions import Positions


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Parts:
    """Built once by `create_app`; every handler that asks for `parts` gets them with the caller of its request, whom
    the gate has let through."""

    settings: Settings
    hub: Hub
    sender: Sender
    publisher: Publisher
    positions: Positions
    store: Store
    now: Callable[[], datetime] = utc_now
    reload: Callable[[], Settings] | None = None
    """Reads the settings again, for this request and all that follow."""
    caller: Caller | None = None
    """None where anybody may ask."""

    @property
    def who(self) -> str:
        """Who asks, for the audit log and the events of a trip."""
        if self.caller is None:
            raise RuntimeError("nobody is logged in here")
        return self.caller.user.who

    def may(self, permission: Permission) -> bool:
        """Whether the caller may do that."""
        return self.caller is not None and self.caller.user.may(permission)

    def reloaded(self) -> Parts:
        """The same with what was entered since."""
        return replace(self, settings=self.reload()) if self.reload else self

    def instant(self) -> Instant:
        """Now, on both clocks."""
        return access.instant(self.now())

    @contextmanager
    def db(self) -> Iterator[Database]:
        """A connection for one request, closed at its end, so that no reader holds the WAL open."""
        db = open_depot(self.settings.paths.depot_db)
        try:
            yield db
        finally:
            db.conn.close()


Given = NamedDependency[Parts]
"""The type of a handler's `parts` argument."""
