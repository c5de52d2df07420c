"""The trip tasks. Wire names are those that producers already use; import them from here."""

from __future__ import annotations

from datetime import timedelta

from appliance import clock, completion, jobs, log
from appliance.events import Event
from appliance.storage import gps_checks, gps_rows, times, trips, users, watermarks
from appliance.storage.db import write_tx
from tasks.box import box
from tasks.celery import app
from tasks.durable import Durable, finishing
from tasks.ephemeral import Ephemeral

_log = log.get(__name__)


@app.task(base=Ephemeral, name="trips.tasks.broadcast_gps_update")
def broadcast_gps_update(
    trip_id: int, latitude: float, longitude: float, speed: float | None = None, heading: float | None = None
) -> str:
    """Pushes a position to everybody who tracks the trip: the web channel and `depot/v1/trips/<id>/position`."""
    data = {"trip_id": trip_id, "lat": latitude, "lon": longitude, "speed_kmh": speed, "heading_deg": heading}
    box().publisher.publish(Event("trip_position", str(trip_id), data))
    return f"GPS update broadcast for trip {trip_id}"


@app.task(base=Ephemeral, name="trips.tasks.broadcast_trip_status")
def broadcast_trip_status(trip_id: int, status: str, message: str = "") -> str:
    """Pushes a status to everybody who tracks the trip: the web channel and `depot/v1/trips/<id>/status`."""
    data = {"trip_id": trip_id, "status": status, "message": message}
    box().publisher.publish(Event("trip_status", str(trip_id), data))
    return f"Trip status broadcast for trip {trip_id}"


@app.task(base=Durable, name="trips.tasks.process_trip_completion")
def process_trip_completion(trip_id: int) -> dict[str, float | int] | None:
    """Closes the trip's trail (distance, duration, stops) and asks for its invoice. Safe to repeat: a trip that
    changed since is measured anew. A trip that is not completed (any more) is left alone."""
    parts = box()
    measured = completion.measure(parts.db, parts.fixes, trip_id, parts.settings)
    if measured is None:
        return None
    with finishing() as step:
        closed = completion.close(step.tx, trip_id, measured, parts.settings, step.now)
        step.asks, step.events = closed.asks, closed.events
        result = {"distance_m": round(measured.distance_m, 1), "fixes": measured.fixes}
        step.result = result
    return result


@app.task(base=Durable, name="trips.tasks.check_trip_timeouts")
def check_trip_timeouts() -> int:
    """Flags trips that run longer than `limits.trip_h`, once each, tells the dispatchers, and returns how many."""
    with finishing() as step:
        limit_h = box().settings.limits.trip_h
        late = trips.running_since_before(step.tx, step.now - timedelta(hours=limit_h))
        for trip in late:
            trips.change(step.tx, trip["id"], step.now, flagged_at=times.text(step.now))
            step.events.append(Event("trip", str(trip["id"]), {"id": trip["id"], "state": "in_progress"}))
            for user in users.of_role(step.tx, "dispatcher"):
                said = f"Trip {trip['id']} has been under way for more than {limit_h:g} hours."
                step.asks.append(
                    jobs.enqueue(
                        step.tx,
                        "users.tasks.send_notification",
                        now=step.now,
                        user_id=user["id"],
                        notification_type="trip_overdue",
                        message=said,
                    )
                )
        step.result = len(late)
    return len(late)


@app.task(base=Durable, name="trips.tasks.check_gps_days")
def check_gps_days() -> int:
    """Goes through the day files of fixes before today, and returns how many were newly found damaged."""
    return len(gps_checks.at_night(box().settings.paths.gps_dir, gps_rows.day_of(clock.now())))


@app.task(base=Durable, name="trips.tasks.cleanup_old_gps_data")
def cleanup_old_gps_data() -> int:
    """Deletes the day files older than `retention.gps_days`, and returns how many. A clock that is not trusted deletes
    nothing: it may be years ahead."""
    parts = box()
    if not clock.trusted(parts.settings):
        return 0
    oldest = (clock.now() - timedelta(days=parts.settings.retention.gps_days)).date()
    deleted = parts.fixes.delete_before(oldest)
    with write_tx(parts.db) as tx:
        watermarks.forget_before(tx, oldest)
    if deleted:
        _log.info("gps.days_deleted", days=len(deleted))
    return len(deleted)
