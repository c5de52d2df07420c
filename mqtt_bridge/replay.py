"""Publishing a recording over MQTT as its vehicles: in fix order, moved in time, with the drivers' events."""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec
from sqlite_utils import Database

from appliance import clock
from appliance.config import Settings
from appliance.errors import InputError, Unavailable
from appliance.sender import Sender
from appliance.storage import devices, gps, invoices, replays, trips, vehicles
from appliance.storage.db import write_tx
from mqtt_bridge import recorded_trips
from mqtt_bridge.recorded_trips import RecordedTrip
from mqtt_bridge.recording import Recording
from mqtt_bridge.tracker import Fleet

STEP_S = 0.02
UNANSWERED_S = 60.0
BILLED_S = 120.0

Progress = Callable[[str, int, int], None]
"""Called with what is going on, how much of it is done, and how much there is."""


class Report(msgspec.Struct, kw_only=True):
    """What became of a replay. `stored` and `rejected` are what it added to the box; a second replay adds nothing."""

    positions: int
    sent: int = 0
    acknowledged: int = 0
    unanswered: int = 0
    stored: int = 0
    rejected: int = 0
    bad_rows: int = 0
    trips: int = 0
    trips_completed: int = 0
    invoices: int = 0
    mails: int = 0
    refused_events: list[str] = []


def run(
    db: Database,
    settings: Settings,
    recording: Recording,
    *,
    speed: float,
    create_trips: bool,
    at: datetime | None,
    progress: Progress,
) -> Report:
    """Replays a recording into the running box and returns what became of it.

    All times are moved by one amount, chosen at the first replay (its last fix falls on the present, or on `at`) and
    remembered for the file. Each fix is sent until the box says that it is on disk, each event until it is replied
    to. With `create_trips` it also waits until the trips are settled, invoiced and mailed. Raises InputError for
    vehicles that the depot does not know, Unavailable when the broker does not answer.
    """
    now = clock.now()
    with write_tx(db) as tx:
        proposed = (at or now) - recording.positions[-1].at
        shift = replays.shift(tx, recording.digest, proposed, now, force=at is not None)
    unknown = [] if create_trips else recorded_trips.unknown_vehicles(db, recording.positions)
    if unknown:
        raise InputError(
            f"no such vehicle: {', '.join(unknown)}", subject="replay", hint="add them, or use --create-trips"
        )
    recorded = recorded_trips.create(db, settings, Sender(settings), recording, shift, now) if create_trips else []
    store = gps.Store(settings.paths.gps_dir)
    stored, rejected = store.count(), store.rejected(1)[1]
    fleet = Fleet(settings.paths, f"replay-{recording.digest[:8]}-{os.getpid()}")
    # One epoch a file and shift: replayed again, each number names the same fix.
    epoch = zlib.crc32(f"{recording.digest}:{shift}".encode()) + 1
    for code in {position.vehicle for position in recording.positions}:
        fleet.add(code, epoch, _source(db, code))
    if not fleet.start():
        raise Unavailable("the broker does not answer", subject=str(settings.paths.mqtt_socket), hint="depotbox status")
    try:
        _drive(fleet, recording, recorded, shift, speed, progress)
        _drain(fleet, progress)
    finally:
        fleet.stop()
    report = Report(
        positions=len(recording.positions),
        sent=fleet.sent,
        acknowledged=fleet.acknowledged,
        unanswered=fleet.waiting(),
        stored=store.count() - stored,
        rejected=store.rejected(1)[1] - rejected,
        bad_rows=len(recording.bad),
        trips=len(recorded),
        refused_events=[reason for _id, reason in fleet.refused],
    )
    if recorded:
        _bill(db, settings, recorded, report, progress)
    return report


def _source(db: Database, code: str) -> str | None:
    vehicle = vehicles.by_code(db, code)
    source = vehicle and devices.position_source(db, vehicle["id"])
    return source["username"] if source else None


def _drive(
    fleet: Fleet,
    recording: Recording,
    recorded: list[RecordedTrip],
    shift: timedelta,
    speed: float,
    progress: Progress,
) -> None:
    starts = {trip.first: trip for trip in recorded}
    ends = {trip.last: trip for trip in recorded}
    began, first_at = time.monotonic(), recording.positions[0].at
    for index, position in enumerate(recording.positions):
        due = began + (position.at - first_at).total_seconds() / speed
        while True:
            fleet.step()
            wait = due - time.monotonic()
            if wait <= 0:
                break
            time.sleep(min(wait, STEP_S))  # the recording's own pace, not a wait for the box
        moved = position.at + shift
        if index in starts:
            fleet.press(position.vehicle, _button(starts[index], "on_board", moved))
        body = {"lat": position.lat, "lon": position.lon, "t": moved.isoformat()}
        if position.bearing_deg is not None:
            body["heading"] = position.bearing_deg
        fleet.fix(position.vehicle, body)
        if index in ends:
            fleet.press(position.vehicle, _button(ends[index], "completed", moved))
        progress("publishing", index + 1, len(recording.positions))


def _button(trip: RecordedTrip, event: str, at: datetime) -> dict[str, object]:
    return {"event_id": trip.event_id(event), "trip_id": trip.id, "event": event, "at": at.isoformat()}


def _drain(fleet: Fleet, progress: Progress) -> None:
    """Goes on until everything is answered, or nothing has been for UNANSWERED_S."""
    total = fleet.waiting()
    left, since = total, time.monotonic()
    while left and time.monotonic() - since < UNANSWERED_S:
        fleet.step()
        time.sleep(STEP_S)
        now_left = fleet.waiting()
        if now_left < left:
            left, since = now_left, time.monotonic()
        progress("waiting for acknowledgements", total - left, total)


def _bill(db: Database, settings: Settings, recorded: list[RecordedTrip], report: Report, progress: Progress) -> None:
    """Waits until each trip has an invoice that was sent (or a reason for none), as long as that makes progress."""
    patience = settings.billing.settle_s + BILLED_S
    done, since = -1, time.monotonic()
    while time.monotonic() - since < patience:
        found = [(trips.get(db, trip.id), invoices.live_of_trip(db, trip.id)) for trip in recorded]
        report.trips_completed = sum(1 for trip, _ in found if trip and trip["state"] == "completed")
        report.invoices = sum(1 for _, invoice in found if invoice)
        report.mails = sum(1 for _, invoice in found if invoice and invoice["sent_at"])
        settled = sum(
            1
            for trip, invoice in found
            if (invoice and (invoice["sent_at"] or invoice["print_listed_at"])) or (trip and trip["unbilled_reason"])
        )
        if settled > done:
            done, since = settled, time.monotonic()
        progress(f"settling ({settings.billing.settle_s:g} s), then invoices and mail", settled, len(recorded))
        if settled == len(recorded):
            return
        time.sleep(STEP_S * 10)
