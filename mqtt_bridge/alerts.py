"""One alert for each outage of a vehicle at work: opened with its jobs, kept up to date, closed when it is well.

The open row in the database is the memory, so a restart or a second bridge tells nobody twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from sqlite_utils import Database

from appliance import alerts, clock, log
from appliance.config import Settings
from appliance.domain import presence
from appliance.errors import Busy
from appliance.events import Event
from appliance.jobs import Ask
from appliance.storage import alerts as rows
from appliance.storage import shifts, times
from appliance.storage.db import Row, write_tx
from mqtt_bridge.presence import Look

FORGOTTEN = timedelta(hours=8)
"""An outage that nobody's work depended on for so long is over for the dispatchers: the next duty is told anew. Shorter
breaks, as between two trips, are not: the same outage is told once."""

_log = log.get(__name__)


class Alerts:
    """Compares, once a second, how the vehicles are with the open alerts."""

    def __init__(
        self,
        db: Database,
        settings: Settings,
        say: Callable[[list[Event], list[Ask]], None],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._db = db
        self._settings = settings
        self._say = say
        self._monotonic = monotonic
        self._began: dict[str, float] = {}

    def pause(self) -> None:
        """Nothing can be heard now, for the broker is away: what follows is not the vehicles' fault."""
        self._began.clear()

    def step(self, looks: Mapping[str, Look]) -> None:
        """Opens, updates and closes alerts. A database that is busy is asked again at the next step."""
        now = clock.now()
        duties = shifts.at_work(self._db, now if clock.trusted(self._settings) else None)
        open_ones = rows.open_ones(self._db)
        try:
            for code, alert in open_ones.items():
                self._follow(alert, looks.get(code), duties.get(code), now)
            due = self._due(looks, duties)
            for code in due - open_ones.keys():
                self._open(duties[code], looks.get(code), now)
        except Busy:
            return

    def _due(self, looks: Mapping[str, Look], duties: Mapping[str, Row]) -> set[str]:
        """The vehicles at work whose outage, and the quiet since their newest fix, have lasted for `alert_s`; and those
        without any fix, once they have been at work for `silent_s`."""
        instant = self._monotonic()
        out = {code for code in duties if code not in looks or looks[code].outage}
        self._began = {code: self._began.get(code, instant) for code in out}
        return {code for code, began in self._began.items() if instant >= self._due_at(looks.get(code), began)}

    def _due_at(self, look: Look | None, began: float) -> float:
        limits = self._settings.limits
        return began + limits.silent_s if look is None else max(began, look.heard or began) + limits.alert_s

    def _open(self, duty: Row, look: Look | None, now: datetime) -> None:
        state, since = presence.VehicleState.silent, times.parse(duty["since"])
        if look is not None:
            state = look.state
            since = (state is presence.VehicleState.offline and look.signs.offline_at) or look.signs.fix_at
        with write_tx(self._db) as tx:
            asks = alerts.open_alert(tx, duty, state, since, self._settings, now)
        if asks is not None:
            _log.warning("alert.opened", vehicle=duty["code"], state=state.value, trip=duty["trip_id"])
            self._say([_event(duty["code"], state.value)], asks)

    def _follow(self, alert: Row, look: Look | None, duty: Row | None, now: datetime) -> None:
        # A state that stands only on fixes from before the start of this process is no sign that it is well again.
        well = look is not None and look.state in presence.WELL and look.heard is not None
        off_duty_at = None if duty else alert["off_duty_at"] or times.text(now)
        if well or (off_duty_at and now - times.parse(off_duty_at) > FORGOTTEN):
            with write_tx(self._db) as tx:
                closed = rows.close(tx, alert["id"], now)
            if closed:
                _log.info("alert.closed", vehicle=alert["vehicle"], well=well)
                self._say([_event(alert["vehicle"], None)], [])
            return
        state = look.state.value if look and look.outage else alert["state"]
        trip, driver = (duty["trip_id"], duty["driver_id"]) if duty else (alert["trip_id"], alert["driver_id"])
        is_now = (state, trip, driver, off_duty_at)
        if is_now != (alert["state"], alert["trip_id"], alert["driver_id"], alert["off_duty_at"]):
            with write_tx(self._db) as tx:
                rows.change(tx, alert["id"], *is_now)
            self._say([_event(alert["vehicle"], state if duty else None)], [])


def _event(code: str, state: str | None) -> Event:
    """`state` is that of the alert that is open now; null where there is none that needs somebody."""
    return Event("alert", code, {"code": code, "state": state})
