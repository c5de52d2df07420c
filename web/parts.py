"""What the handlers are given: the settings, the clock, the database, and the ways out of the process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from litestar.di import NamedDependency
from sqlite_utils import Database

from appliance.config import Settings
from appliance.events import Publisher
from appliance.sender import Sender
from appliance.storage.db import open_depot
from appliance.storage.gps import Store
from web.hub import Hub
from web.positions import Positions

WHO = "local"
"""Who changed something, while there is no login: whoever sits at this machine."""


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Parts:
    """Built once by `create_app`, handed to every handler that asks for `parts`."""

    settings: Settings
    hub: Hub
    sender: Sender
    publisher: Publisher
    positions: Positions
    store: Store
    now: Callable[[], datetime] = utc_now

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
