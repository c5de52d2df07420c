"""The trip and billing tasks, as a worker runs them: thin, safe to repeat, once."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from appliance import clock
from appliance.domain.trip import Event
from appliance.errors import Permanent
from appliance.storage import jobs as job_rows
from appliance.storage import trips, watermarks
from appliance.storage.db import row, rows, value, write_tx
from appliance.storage.gps_writer import Batch, Writer
from tasks import box as boxes
from tasks.billing import generate_invoice
from tasks.box import Box
from tasks.trips import (
    broadcast_gps_update,
    broadcast_trip_status,
    check_gps_days,
    check_trip_timeouts,
    cleanup_old_gps_data,
    process_trip_completion,
)
from tests.cast import NOON, Cast, SetClock, arrivals, eastward, new_trip, ride, say

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


def store(box: Box, *batches: Batch) -> None:
    writer = Writer(box.settings.paths.gps_dir, late_s=10.0)
    for batch in batches:
        writer.commit(batch, clock.now())
    writer.close()


@pytest.fixture
def trip(box: Box, hired: Cast, set_clock: SetClock) -> int:
    """Six kilometres from noon to ten past, completed, with its closing asked for."""
    with write_tx(box.db) as tx:
        id = new_trip(tx)
        ride(tx, id, NOON, NOON + 10 * MINUTE, settle_s=60.0)
    store(box, Batch(arrivals(hired, eastward(NOON, 61))))
    set_clock.at = NOON + 11 * MINUTE
    return id


def test_a_broadcast_answers_as_the_guide_says(box: Box) -> None:
    """Also where nobody listens: the next one says more."""
    result = broadcast_gps_update.apply(args=[123, 40.7128, -74.0060], kwargs={"speed": 45.5})
    assert "GPS update broadcast" in result.result
    assert "123" in broadcast_trip_status.apply(args=[123, "in_progress"]).result
    assert job_rows.listed(box.db, None, 10) == []


def test_always_eager_works_for_a_durable_task(box: Box, trip: int, eager: None) -> None:
    assert process_trip_completion.delay(trip_id=trip).get()["fixes"] == 61
    assert generate_invoice.delay(trip_id=trip).get() == {
        "invoice_id": 1, "number": "LIV-2026-A000001", "total_cents": 2700, "currency": "GBP",
    }  # fmt: skip


def test_a_completed_trip_is_measured_and_its_invoice_asked_for(box: Box, trip: int) -> None:
    result = process_trip_completion.apply(kwargs={"trip_id": trip}).get()
    assert result["fixes"] == 61
    assert result["distance_m"] == pytest.approx(6000, rel=0.01)
    found = trips.get(box.db, trip)
    assert found is not None
    assert found["distance_m"] == result["distance_m"]
    waiting = rows(box.db, "SELECT name FROM jobs WHERE state = 'pending' AND name LIKE 'billing.%'")
    assert waiting == [{"name": "billing.tasks.generate_invoice"}]


def test_measured_twice_it_is_billed_once(box: Box, trip: int) -> None:
    for _ in range(2):
        process_trip_completion.apply(kwargs={"trip_id": trip})
        generate_invoice.apply(kwargs={"trip_id": trip})
    assert value(box.db, "SELECT count(*) FROM invoices") == 1
    assert value(box.db, "SELECT count(*) FROM adjustments") == 0


def test_a_trip_that_is_not_completed_any_more_is_left_alone(box: Box, trip: int) -> None:
    with write_tx(box.db) as tx:
        say(tx, trip, Event.reopen, NOON + 10 * MINUTE)
    before = trips.get(box.db, trip)
    assert process_trip_completion.apply(kwargs={"trip_id": trip}).get() is None
    assert trips.get(box.db, trip) == before
    assert generate_invoice.apply(kwargs={"trip_id": trip}).get() == {"blocked": "not_finished"}


def test_a_trip_of_more_than_six_hours_is_flagged_once(box: Box, hired: Cast, set_clock: SetClock) -> None:
    with write_tx(box.db) as tx:
        for hours in (5, 7):
            id = new_trip(tx)
            say(tx, id, Event.en_route, NOON - timedelta(hours=hours))
            say(tx, id, Event.on_board, NOON - timedelta(hours=1))
    assert check_trip_timeouts.apply().get() == 1
    assert check_trip_timeouts.apply().get() == 0
    assert [one["id"] for one in rows(box.db, "SELECT id FROM trips WHERE flagged_at IS NOT NULL")] == [id]
    set_clock.move(3700)
    assert check_trip_timeouts.apply().get() == 1


def test_a_damaged_day_is_found_and_its_trip_is_parked_and_not_measured_by_what_is_left(
    box: Box, trip: int, set_clock: SetClock
) -> None:
    """A shorter trail would be a smaller bill."""
    set_clock.move(DAY.total_seconds())
    file = box.settings.paths.gps_dir / f"{NOON.date()}.db"
    content = file.read_bytes()
    file.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    assert check_gps_days.apply().get() == 1
    assert box.fixes.damaged_days() == [NOON.date()]
    with pytest.raises(Permanent, match="fixes of this day are damaged"):
        process_trip_completion.apply((trip,)).get()
    assert value(box.db, "SELECT trail_closed_at FROM trips WHERE id = ?", trip) is None


class TestRetention:
    def cleaned(self, box: Box, hired: Cast, set_clock: SetClock) -> int:
        """Four days with their fixes and watermarks; then the task."""
        for n in (0, 1, 30, 31):
            set_clock.at = NOON - n * DAY
            store(box, Batch(arrivals(hired, eastward(set_clock.at, 1))))
            with write_tx(box.db) as tx:
                watermarks.move(tx, set_clock.at.date(), 5)
        set_clock.at = NOON
        return int(cleanup_old_gps_data.apply().get())

    def test_days_older_than_thirty_are_deleted_with_their_watermarks(
        self, box: Box, hired: Cast, set_clock: SetClock
    ) -> None:
        assert self.cleaned(box, hired, set_clock) == 1
        days = box.fixes.days()
        assert days == [(NOON - n * DAY).date() for n in (30, 1, 0)]
        assert sorted(watermarks.every(box.db)) == days
        assert cleanup_old_gps_data.apply().get() == 0

    def test_a_watermark_that_a_crash_left_behind_goes_at_the_next_run(
        self, box: Box, hired: Cast, set_clock: SetClock
    ) -> None:
        """Else it would hide the first changes of the day, should its file ever be made anew."""
        with write_tx(box.db) as tx:
            watermarks.move(tx, (NOON - 90 * DAY).date(), 9)
        self.cleaned(box, hired, set_clock)
        assert (NOON - 90 * DAY).date() not in watermarks.every(box.db)

    def test_a_clock_that_is_not_trusted_deletes_nothing(
        self, box: Box, hired: Cast, set_clock: SetClock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """It may be years ahead."""
        monkeypatch.setattr(clock, "SYNCHRONIZED", tmp_path / "not there")
        trust = msgspec.structs.replace(box.settings.clock, trust="synchronized")
        careful = msgspec.structs.replace(box.settings, clock=trust)
        parts = Box(careful, box.db, box.fixes, box.sender, box.publisher, box.lock)
        monkeypatch.setattr(boxes, "_boxes", dict.fromkeys(boxes._boxes, parts))
        assert self.cleaned(box, hired, set_clock) == 0
        assert len(box.fixes.days()) == 4


def test_what_a_task_returns_and_keeps_names_nobody(box: Box, trip: int) -> None:
    process_trip_completion.apply(kwargs={"trip_id": trip})
    generate_invoice.apply(kwargs={"trip_id": trip})
    kept = str(rows(box.db, "SELECT arguments, result, error, key FROM jobs"))
    for personal in ("Ada Marsh", "Utting", "County Care", "Dee Frost"):
        assert personal not in kept
    assert row(box.db, "SELECT document FROM invoices") is not None
