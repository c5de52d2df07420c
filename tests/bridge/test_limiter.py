"""A broken tracker is held to its limit; one that empties its buffer is not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlite_utils import Database

from appliance.config import Limits, Settings
from appliance.domain.fix import Reason
from appliance.storage.gps import Store
from mqtt_bridge import bridge as bridge_module
from mqtt_bridge import ingest as ingest_module
from mqtt_bridge import topics
from mqtt_bridge.ingest import Ingest, Stored
from mqtt_bridge.limiter import REPORT_S, Limiter, Overrun
from tests import cast as play
from tests.bridge.workbench import fix, ingest_of, message
from tests.cast import OTHER_VAN, VAN, Cast, SetClock


def passed(limiter: Limiter[str], key: str, times: list[float]) -> int:
    count = 0
    for now in times:
        if limiter.allows(key, now):
            limiter.charge(key, 1)
            count += 1
    return count


def test_a_burst_passes_and_after_it_only_the_rate() -> None:
    limiter: Limiter[str] = Limiter(2.0, 100.0)
    assert passed(limiter, "a", [0.0] * 500) == 100
    assert passed(limiter, "a", [n / 100 for n in range(1, 1001)]) == pytest.approx(20, abs=1)


def test_who_rests_has_the_whole_burst_again_and_no_more() -> None:
    limiter: Limiter[str] = Limiter(2.0, 100.0)
    passed(limiter, "a", [0.0] * 500)
    assert passed(limiter, "a", [10_000.0] * 500) == 100


def test_the_rate_alone_never_uses_up_the_burst() -> None:
    limiter: Limiter[str] = Limiter(10.0, 20.0)
    assert passed(limiter, "a", [n / 10 for n in range(10_000)]) == 10_000


def test_one_sender_takes_nothing_from_another() -> None:
    limiter: Limiter[str] = Limiter(1.0, 10.0)
    passed(limiter, "a", [0.0] * 500)
    assert passed(limiter, "b", [0.0] * 10) == 10


def test_a_large_array_is_paid_for_afterwards() -> None:
    limiter: Limiter[str] = Limiter(1.0, 10.0)
    assert limiter.allows("a", 0.0)
    limiter.charge("a", 30)
    assert not limiter.allows("a", 19.0)
    assert limiter.allows("a", 21.0)


def test_what_was_dropped_is_said_once_a_minute_and_then_counted_anew() -> None:
    limiter: Limiter[str] = Limiter(1.0, 10.0)
    passed(limiter, "a", [0.0] * 510)
    assert limiter.overruns(30.0) == []
    assert limiter.overruns(REPORT_S) == [Overrun("a", 500, REPORT_S)]
    assert limiter.overruns(2 * REPORT_S) == []


def test_those_at_rest_take_no_memory() -> None:
    limiter: Limiter[int] = Limiter(1.0, 10.0)
    for key in range(1000):
        limiter.allows(key, 0.0)
        limiter.charge(key, 1)
    limiter.overruns(100.0)
    assert len(limiter._buckets) == 0


class Seconds:
    """The monotonic clock of the module under test."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> Seconds:
    made = Seconds()
    monkeypatch.setattr(ingest_module, "time", made)
    return made


@pytest.fixture
def depot(depot_dir: Path) -> Settings:
    """A depot that takes 1 fix a second from each device, and 50 at once."""
    return play.depot(depot_dir, DEPOTBOX_LIMITS__FIXES_PER_S="1", DEPOTBOX_LIMITS__FIXES_BURST="50")


@pytest.fixture
def ingest(depot: Settings, depot_db: Database, cast: Cast, set_clock: SetClock, seconds: Seconds) -> Iterator[Ingest]:
    made, writer = ingest_of(depot, depot_db)
    yield made
    writer.close()


def take(ingest: Ingest, *payloads: object, vehicle: str = VAN) -> Stored:
    for payload in payloads:
        one = message(payload, topics.gps(vehicle))
        ingest.add(one, topics.address(one.topic))
    return ingest.commit()


def test_above_the_limit_nothing_is_stored_or_acknowledged_to_the_device_but_all_to_the_broker(
    ingest: Ingest, gps_store: Store
) -> None:
    stored = take(ingest, *(fix(n, seq=n + 1) for n in range(80)))
    assert len(stored.messages) == 80
    assert stored.numbering == {(VAN, f"{VAN}-1"): [(0, 50)]}
    assert gps_store.count() == 50


def test_a_device_that_sends_again_loses_nothing(ingest: Ingest, gps_store: Store, seconds: Seconds) -> None:
    take(ingest, *(fix(n, seq=n + 1) for n in range(80)))
    seconds.now += 40
    again = take(ingest, *(fix(n, seq=n + 1) for n in range(50, 80)))
    assert again.numbering == {(VAN, f"{VAN}-1"): [(0, 80)]}
    assert gps_store.count() == 80


def test_the_others_are_not_touched(ingest: Ingest) -> None:
    take(ingest, *(fix(n) for n in range(80)))
    assert take(ingest, fix(0, seq=1), vehicle=OTHER_VAN).new_rows == 1


def test_one_message_of_thousands_of_elements_counts_as_thousands(ingest: Ingest) -> None:
    take(ingest, [0] * 5000)
    assert take(ingest, fix(0)).new_rows == 0


def test_what_was_dropped_is_one_rejected_row_a_minute_with_its_count(
    ingest: Ingest, gps_store: Store, seconds: Seconds, set_clock: SetClock
) -> None:
    for _minute in range(2):
        take(ingest, *(fix(n, seq=n + 1) for n in range(200)))
        seconds.now += REPORT_S
        set_clock.move(REPORT_S)
        take(ingest)
    rows, _ = gps_store.rejected()
    assert [row["reason"] for row in rows] == [Reason.rate_limited] * 2
    assert rows[-1]["value"] == "150 messages dropped in 60 s"
    assert rows[-1]["bound"] == "1 fixes a second, 50 at once"


def test_a_days_buffer_of_a_tracker_that_was_away_is_within_the_default_burst() -> None:
    """Ten hours at one fix a second, and a whole day of it."""
    assert Limits().fixes_burst >= 86_400


def test_buttons_have_a_limit_that_no_driver_reaches() -> None:
    limiter: Limiter[str] = Limiter(bridge_module.EVENTS_PER_S, bridge_module.EVENTS_BURST)
    assert passed(limiter, VAN, [0.0] * 100) == 100
    assert passed(limiter, VAN, [0.0] * 1000) < 200
