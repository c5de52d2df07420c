"""The trips of a day as drivers need them: with names, addresses and phones."""

from __future__ import annotations

from datetime import datetime

from sqlite_utils import Database

from appliance.storage import times
from appliance.storage.db import Row, rows


def trips(db: Database, start: datetime, end: datetime) -> list[Row]:
    """The trips with their pickup in [start, end) that were not cancelled or missed, in the order of the pickup, with
    patient, vehicle and the driver's code: the trip's own, else of whoever has a shift with its vehicle then."""
    return rows(
        db,
        """SELECT trips.id, trips.ref, trips.state, trips.level, pickup_at, appointment_at, pickup_address,
             dropoff_address, notes, outbound_trip_id, patients.name AS patient, patients.phone AS phone,
             patients.uid AS patient_uid, vehicles.code AS vehicle, coalesce(own.code, shared.code) AS driver,
             EXISTS (SELECT 1 FROM trips AS back WHERE back.outbound_trip_id = trips.id
               AND back.state NOT IN ('cancelled', 'missed')) AS has_return,
             EXISTS (SELECT 1 FROM trips AS back WHERE back.outbound_trip_id = trips.id
               AND back.state = 'will_call') AS on_call
           FROM trips LEFT JOIN patients ON patients.id = patient_id LEFT JOIN vehicles ON vehicles.id = vehicle_id
           LEFT JOIN drivers AS own ON own.id = trips.driver_id
           LEFT JOIN drivers AS shared ON trips.driver_id IS NULL AND shared.id = (
             SELECT driver_id FROM shifts WHERE shifts.vehicle_id = trips.vehicle_id AND starts_at <= pickup_at
               AND ends_at > pickup_at ORDER BY starts_at DESC, shifts.id DESC LIMIT 1)
           WHERE pickup_at >= ? AND pickup_at < ? AND state NOT IN ('cancelled', 'missed')
           ORDER BY pickup_at, trips.id""",
        times.text(start),
        times.text(end),
    )
