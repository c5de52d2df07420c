"""One alert for each outage, only of a vehicle at work, told once with whom to call, and over when it is well again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from sqlite_utils import Database

from appliance.config import Settings
from appliance.domain.fix import Fix
from appliance.domain.trip import Event
from appliance.events import Event as LiveEvent
from appliance.jobs import Ask
from appliance.storage import alerts as rows
from appliance.storage import shifts, users
from appliance.storage.db import Row, write_tx
from appliance.storage.db import rows as query
from mqtt_bridge.alerts import Alerts
from mqtt_bridge.presence import Presence
from tests.cast import DRIVER, NOON, PATIENT, VAN, Cast, SetClock, new_trip, ride, say

PHONE = "+44 151 496 0123"


@dataclass
class Depot:
    """The van's tracker, the clock, and a bridge that looks once a second."""

    settings: Settings
    db: Database
    cast: Cast
    clock: SetClock
    instant: float = 1000.0
    said: list[LiveEvent] = field(default_factory=list)
    sent: list[Ask] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.presence = Presence(self.settings, {}, monotonic=lambda: self.instant)
        self.alerts = self.bridge()

    def bridge(self) -> Alerts:
        return Alerts(self.db, self.settings, self.say, monotonic=lambda: self.instant)

    def say(self, events: list[LiveEvent], asks: list[Ask]) -> None:
        self.said += events
        self.sent += asks

    def restart(self) -> None:
        """The bridge, with what is stored."""
        known = {VAN: [Fix(self.presence.look()[VAN].signs.fix_at, 53.4, -2.9)]}
        self.presence = Presence(self.settings, known, monotonic=lambda: self.instant)
        self.alerts = self.bridge()

    def fix(self, ago_s: float = 0.0, **more: Any) -> None:
        self.presence.see({VAN: (self.cast.van, Fix(self.clock.at - timedelta(seconds=ago_s), 53.4, -2.9, **more))})

    def offline(self) -> None:
        self.presence.status(VAN, f"{VAN}-1", b"offline", retained=False)

    def go(self, seconds: int, step: int = 10) -> None:
        for _ in range(seconds // step):
            self.clock.move(step)
            self.instant += step
            self.alerts.step(self.presence.look())

    @property
    def open(self) -> list[Row]:
        return rows.shown(self.db)

    @property
    def told(self) -> list[str]:
        found = query(self.db, "SELECT arguments FROM jobs WHERE name = 'users.tasks.send_notification'")
        return [json.loads(row["arguments"])["message"] for row in found]


@pytest.fixture
def depot_of(depot: Settings, depot_db: Database, cast: Cast, set_clock: SetClock) -> Depot:
    with write_tx(depot_db) as tx:
        tx.conn.execute("UPDATE drivers SET phone = ?", (PHONE,))
        users.add(tx, "anna@depot.example", "Anna", "dispatcher", NOON)
        users.add(tx, "ben@depot.example", "Ben", "biller", NOON)
    return Depot(depot, depot_db, cast, set_clock)


@pytest.fixture
def trip(depot_of: Depot) -> int:
    """Under way with the van."""
    with write_tx(depot_of.db) as tx:
        made = new_trip(tx)
        assert say(tx, made, Event.on_board, NOON).accepted
        return made


def test_a_silent_van_on_a_trip_is_told_once_with_the_drivers_phone_and_no_patient(depot_of: Depot, trip: int) -> None:
    depot_of.fix()
    depot_of.go(590)
    assert depot_of.open == []
    depot_of.go(2000)
    (alert,) = depot_of.open
    assert (alert["vehicle"], alert["state"], alert["trip_id"], alert["driver"]) == (VAN, "silent", trip, DRIVER)
    assert depot_of.told == [
        f"Vehicle VAN-1 is silent, no position since 12:00. It is on trip {trip}. The driver is Dee Frost, {PHONE}."
    ]
    assert PATIENT not in depot_of.told[0]
    assert [ask.due for ask in depot_of.sent] == [True]
    assert [(event.kind, event.data) for event in depot_of.said] == [("alert", {"code": VAN, "state": "silent"})]


def stop_reporting(depot: Depot) -> None:
    depot.fix()


def repeat(depot: Depot) -> None:
    at = depot.clock.at
    for _ in range(40):
        depot.presence.see({VAN: (depot.cast.van, Fix(at, 53.4, -2.9))})
        depot.go(10)


def go_offline(depot: Depot) -> None:
    depot.fix()
    depot.offline()


@pytest.mark.parametrize(
    ("outage", "word"),
    [(stop_reporting, "silent"), (repeat, "stuck"), (go_offline, "offline")],
    ids=["silent", "stuck", "offline"],
)
def test_each_outage_is_told_on_a_shift_too(depot_of: Depot, outage: Callable[[Depot], None], word: str) -> None:
    with write_tx(depot_of.db) as tx:
        shifts.add(tx, depot_of.cast.van, depot_of.cast.driver, NOON, NOON + timedelta(hours=8), "test", NOON)
    outage(depot_of)
    depot_of.go(700)
    (alert,) = depot_of.open
    assert alert["driver_phone"] == PHONE
    assert f"Vehicle VAN-1 is {word}, " in depot_of.told[0]
    assert len(depot_of.told) == 1


def test_a_van_at_work_of_which_nothing_was_ever_heard_is_told_once_until_it_reports(depot_of: Depot) -> None:
    with write_tx(depot_of.db) as tx:
        shifts.add(tx, depot_of.cast.van, depot_of.cast.driver, NOON, NOON + timedelta(hours=8), "test", NOON)
    depot_of.go(590)
    assert depot_of.open == []
    depot_of.go(2000)
    (alert,) = depot_of.open
    assert (alert["state"], alert["driver_phone"]) == ("silent", PHONE)
    assert depot_of.told == [
        f"Vehicle VAN-1 is silent, no position since 12:00. The driver is Dee Frost, {PHONE}.",
    ]
    depot_of.fix()
    depot_of.go(10)
    assert rows.open_ones(depot_of.db) == {}
    assert len(depot_of.told) == 1


def test_a_van_on_a_trip_of_which_nothing_was_ever_heard_is_told_by_its_trip(depot_of: Depot, trip: int) -> None:
    depot_of.go(2000)
    assert [alert["trip_id"] for alert in depot_of.open] == [trip]
    assert "no position since 12:00" in depot_of.told[0]


def test_a_van_without_work_of_which_nothing_was_ever_heard_is_no_alarm(depot_of: Depot) -> None:
    depot_of.go(3600, step=60)
    with write_tx(depot_of.db) as tx:
        say(tx, new_trip(tx, depot_of.clock.at), Event.on_board, depot_of.clock.at)
    depot_of.go(590)  # its time begins with the trip
    assert rows.open_ones(depot_of.db) == {}
    depot_of.go(20)
    assert "no position since 13:00" in depot_of.told[0]


def test_what_sleeps_in_the_yard_is_no_alarm(depot_of: Depot) -> None:
    with write_tx(depot_of.db) as tx:
        new_trip(tx)  # given to it, not begun
        shifts.add(tx, depot_of.cast.van, depot_of.cast.driver, NOON - timedelta(hours=9), NOON, "test", NOON)
    depot_of.fix()
    depot_of.offline()
    depot_of.go(3000)
    assert rows.open_ones(depot_of.db) == {}


def test_stale_parked_and_asleep_are_no_alarm(depot_of: Depot, trip: int) -> None:
    for _ in range(6):
        depot_of.fix()
        depot_of.go(590)  # as in a tunnel
    depot_of.fix(ignition=False)
    depot_of.offline()
    depot_of.go(7000)
    assert rows.open_ones(depot_of.db) == {}
    depot_of.go(400)
    assert len(depot_of.open) == 1


def test_a_short_offline_is_no_alarm(depot_of: Depot, trip: int) -> None:
    for _ in range(5):
        depot_of.fix()
        depot_of.offline()
        depot_of.go(50)
    assert rows.open_ones(depot_of.db) == {}


def test_a_tracker_that_wakes_up_as_the_trip_begins_has_a_minute_for_it(depot_of: Depot) -> None:
    depot_of.fix()
    depot_of.go(3000)
    with write_tx(depot_of.db) as tx:
        say(tx, new_trip(tx), Event.on_board, depot_of.clock.at)
    depot_of.go(50)
    depot_of.fix()
    depot_of.go(500)
    assert rows.open_ones(depot_of.db) == {}


def test_it_is_closed_when_it_is_well_again_and_nobody_gets_a_mail_for_that(depot_of: Depot, trip: int) -> None:
    depot_of.fix()
    depot_of.go(700)
    depot_of.fix(ago_s=100)  # an old one first: on its way back
    depot_of.go(10)
    assert len(depot_of.open) == 1
    depot_of.fix()
    depot_of.go(10)
    assert depot_of.open == []
    assert len(depot_of.told) == 1
    assert depot_of.said[-1].data == {"code": VAN, "state": None}
    depot_of.go(700)
    assert len(depot_of.open) == 1
    assert len(depot_of.told) == 2
    assert rows.page(depot_of.db, False, 10, 0)[1] == 2


def test_one_outage_that_turns_is_one_alert(depot_of: Depot, trip: int) -> None:
    depot_of.fix()
    depot_of.offline()
    depot_of.go(1000)
    assert depot_of.open[0]["state"] == "offline"
    depot_of.presence.status(VAN, f"{VAN}-1", b"online", retained=False)
    depot_of.go(10)
    assert depot_of.open[0]["state"] == "silent"
    assert len(depot_of.told) == 1


def test_a_restart_tells_nobody_again_and_closes_nothing_on_what_is_stored(depot_of: Depot, trip: int) -> None:
    depot_of.fix()
    depot_of.offline()
    depot_of.go(70)
    assert len(depot_of.open) == 1
    depot_of.clock.move(-65)  # the stored fix is fresh, and the retained word has not come yet
    depot_of.restart()
    depot_of.go(30)
    assert len(depot_of.open) == 1
    depot_of.offline()
    depot_of.go(3000)
    assert len(depot_of.open) == 1
    assert len(depot_of.told) == 1
    depot_of.fix()
    depot_of.go(10)
    assert depot_of.open == []


def test_two_bridges_at_once_tell_once(depot_of: Depot, trip: int, monkeypatch: pytest.MonkeyPatch) -> None:
    depot_of.fix()
    depot_of.go(590)
    both = [depot_of.bridge(), depot_of.bridge()]
    monkeypatch.setattr(rows, "open_ones", lambda db: {})  # each looked before the other wrote
    for _ in range(20):
        depot_of.clock.move(10)
        depot_of.instant += 10
        for one in both:
            one.step(depot_of.presence.look())
    assert len(depot_of.open) == 1
    assert len(depot_of.told) == 1


def test_between_two_trips_it_is_off_the_list_and_the_same_outage_is_not_told_again(depot_of: Depot, trip: int) -> None:
    depot_of.fix()
    depot_of.go(700)
    with write_tx(depot_of.db) as tx:
        assert say(tx, trip, Event.completed, depot_of.clock.at).accepted
    depot_of.go(3600, step=60)
    assert depot_of.open == []
    with write_tx(depot_of.db) as tx:
        following = new_trip(tx, depot_of.clock.at)
        say(tx, following, Event.on_board, depot_of.clock.at)
    depot_of.go(200)
    assert [alert["trip_id"] for alert in depot_of.open] == [following]
    assert len(depot_of.told) == 1


def test_the_next_morning_it_is_told_anew(depot_of: Depot, trip: int) -> None:
    depot_of.fix()
    depot_of.go(700)
    with write_tx(depot_of.db) as tx:
        say(tx, trip, Event.completed, depot_of.clock.at)
    depot_of.go(9 * 3600, step=60)
    with write_tx(depot_of.db) as tx:
        ride(tx, new_trip(tx, depot_of.clock.at), depot_of.clock.at, depot_of.clock.at)
        say(tx, new_trip(tx, depot_of.clock.at), Event.on_board, depot_of.clock.at)
    depot_of.go(200)
    assert len(depot_of.open) == 1
    assert len(depot_of.told) == 2


def test_while_the_broker_is_away_nobody_is_blamed(depot_of: Depot, trip: int) -> None:
    depot_of.fix()
    depot_of.go(650)
    depot_of.alerts.pause()
    depot_of.go(50)
    assert depot_of.open == []
    depot_of.go(20)
    assert len(depot_of.open) == 1
