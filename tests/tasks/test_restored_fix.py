"""A rejected fix that a person restores, from its message to the adjustment of the invoice: real files throughout."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlite_utils import Database

from appliance import billing, completion, fix_desk
from appliance.domain.fix import Fix
from appliance.storage import gps_rejected, trips
from appliance.storage import jobs as job_rows
from appliance.storage.db import Row, rows, write_tx
from mqtt_bridge import topics
from mqtt_bridge.ingest import Ingest
from tasks.box import Box
from tasks.sweeper import Sweeper
from tests.bridge.workbench import ingest_of, message
from tests.cast import NOON, OTHER_VAN, VAN, Cast, eastward, new_trip, ride

END = NOON + timedelta(minutes=10)
LATER = NOON + timedelta(hours=3)


@pytest.fixture
def ingest(box: Box, hired: Cast) -> Iterator[Ingest]:
    made, writer = ingest_of(box.settings, box.db)
    yield made
    writer.close()


def native(fix: Fix, **more: Any) -> dict[str, Any]:
    return {"lat": fix.lat, "lon": fix.lon, "t": fix.at.isoformat(), "speed_kmh": fix.speed_kmh} | more


def detour(way: list[Fix], **more: Any) -> list[dict[str, Any]]:
    """The way as it was sent, but for its 31st fix, half a kilometre off, and whatever else is said of that one."""
    bodies = [native(fix) for fix in way]
    bodies[30] |= {"lat": way[30].lat + 0.0045} | more
    return bodies


def receive(ingest: Ingest, bodies: list[dict[str, Any]], topic: str = topics.gps(VAN)) -> None:
    ingest.add(message(bodies, topic, received=END), topics.address(topic))
    ingest.commit()


def close(box: Box, trip: int) -> Row:
    """What the job of the trip's closing does."""
    measured = completion.measure(box.db, box.fixes, trip, box.settings)
    assert measured is not None
    with write_tx(box.db) as tx:
        completion.close(tx, trip, measured, box.settings, LATER)
        found = trips.get(tx, trip)
    assert found is not None
    return found


@pytest.fixture
def trip(box: Box, hired: Cast) -> int:
    with write_tx(box.db) as tx:
        id = new_trip(tx)
        ride(tx, id, NOON, END)
    return id


def billed(box: Box, trip: int) -> Row:
    found = close(box, trip)
    swept(box)  # the batch came late itself
    with write_tx(box.db) as tx:
        assert "number" in billing.generate(tx, trip, box.settings, LATER)[0]
        tx.conn.execute("UPDATE jobs SET state = 'done'")
    return found


def rejected_name(box: Box) -> str:
    (found,), total = box.fixes.rejected()
    assert total == 1
    return str(found["id"])


def restore(box: Box, name: str, **more: Any) -> bool:
    return fix_desk.restore(box.db, box.settings, name, "test", LATER, **more)


def swept(box: Box) -> list[int]:
    """The trips that the sweeper asks to be closed again."""
    Sweeper(box.settings, box.db, box.sender, box.fixes).recompute_changed_trips(LATER)
    found = rows(box.db, "SELECT * FROM jobs WHERE name LIKE '%completion' AND state = 'pending'")
    return [job_rows.arguments(row)["trip_id"] for row in found]


def open_adjustments(db: Database) -> list[Row]:
    return rows(db, "SELECT old_distance_m, new_distance_m FROM adjustments WHERE state = 'open'")


def test_a_restored_fix_changes_the_distance_and_raises_an_adjustment(box: Box, ingest: Ingest, trip: int) -> None:
    receive(ingest, detour(eastward(NOON, 61), accuracy_m=500))
    before = billed(box, trip)
    assert (before["fixes"], before["distance_m"]) == (60, pytest.approx(6000, rel=0.01))
    assert swept(box) == []

    assert restore(box, rejected_name(box))
    assert swept(box) == [trip]
    after = close(box, trip)
    assert (after["fixes"], after["distance_m"]) == (61, pytest.approx(6820, rel=0.01))
    (adjustment,) = open_adjustments(box.db)
    assert (adjustment["old_distance_m"], adjustment["new_distance_m"]) == (before["distance_m"], after["distance_m"])


def test_restoring_twice_changes_nothing_more(box: Box, ingest: Ingest, trip: int, hired: Cast) -> None:
    receive(ingest, detour(eastward(NOON, 61), accuracy_m=500))
    name = rejected_name(box)
    assert [restore(box, name) for _ in range(3)] == [True, False, False]
    assert box.fixes.count() == 61
    assert len(box.fixes.changes(NOON.date(), 0)) == 2  # the buffered batch, and the restored one
    assert box.fixes.rejected()[0][0]["restored_at"] == "2026-01-26T15:00:00.000Z"
    (line,) = rows(box.db, "SELECT who, action, subject_uid, detail FROM audit_log WHERE action = 'fix.restored'")
    assert line["subject_uid"] == name
    assert line["detail"] == f"{VAN} inaccurate 2026-01-26T12:05:00.000Z"


@pytest.mark.parametrize("after", ["audit", "store"])
def test_a_crash_in_between_loses_nothing_and_doubles_nothing(
    box: Box, ingest: Ingest, trip: int, monkeypatch: pytest.MonkeyPatch, after: str
) -> None:
    """Before the fix is stored, and between that and the mark: asking again completes it."""
    receive(ingest, detour(eastward(NOON, 61), accuracy_m=500))
    name = rejected_name(box)
    with monkeypatch.context() as patch:
        if after == "audit":
            patch.setattr(gps_rejected, "restore", lambda *_: 1 / 0)
        else:
            patch.setattr(gps_rejected.times, "text", Once(gps_rejected.times.text, calls=2))
        with pytest.raises(ZeroDivisionError):
            restore(box, name)
    assert box.fixes.count() == (60 if after == "audit" else 61)
    assert box.fixes.rejected()[0][0]["restored_at"] is None
    assert restore(box, name)
    assert box.fixes.count() == 61
    assert len(box.fixes.changes(NOON.date(), 0)) == 2
    assert len(rows(box.db, "SELECT 1 FROM audit_log WHERE action = 'fix.restored'")) == 1
    assert box.fixes.rejected()[0][0]["restored_at"]


class Once:
    """A function that fails after so many calls."""

    def __init__(self, real: Any, calls: int) -> None:
        self._real, self._left = real, calls

    def __call__(self, *args: Any) -> Any:
        self._left -= 1
        return self._real(*args) if self._left >= 0 else 1 / 0


def test_a_fix_of_nobodys_is_restored_for_the_vehicle_that_is_named(
    box: Box, ingest: Ingest, trip: int, hired: Cast
) -> None:
    way = detour(eastward(NOON, 61))
    receive(ingest, way[:30] + way[31:])
    receive(ingest, way[30:31], topics.gps("VAN-O1"))
    billed(box, trip)
    assert restore(box, rejected_name(box), vehicle=VAN)
    assert len(box.fixes.trail(hired.van, hired.tracker, NOON, END)) == 61
    assert swept(box) == [trip]
    assert close(box, trip)["fixes"] == 61
    assert open_adjustments(box.db)


def test_a_fix_on_a_foreign_topic_goes_to_the_vehicle_that_is_named(box: Box, ingest: Ingest, hired: Cast) -> None:
    receive(ingest, [native(eastward(NOON, 1)[0])], f"{topics.gps(VAN)}/{OTHER_VAN}-1")
    assert restore(box, rejected_name(box), vehicle=OTHER_VAN)
    assert len(box.fixes.trail(hired.other_van, hired.other_tracker, NOON, END)) == 1
