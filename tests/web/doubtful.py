"""A trip of the invented depot about which there is something to decide: an outlier, rejected fixes, an odometer."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from appliance.domain.fix import Fix, Reason, Rejection
from appliance.storage import times
from appliance.storage.db import open_depot, row, write_tx
from appliance.storage.gps import Store
from appliance.storage.gps_writer import Arrival, Batch, Refused, Writer
from tests.web import world

REF = "T-1005"
VEHICLE = "V5"


def make(made: world.World) -> int:
    """Gives the completed trip one outlier, one inaccurate fix, one that cannot be read, and readings that do not fit
    its distance. Returns its id."""
    trip_id = made.trips[REF]
    db = open_depot(made.settings.paths.depot_db)
    with write_tx(db) as tx:
        trip = row(tx, "SELECT * FROM trips WHERE id = ?", trip_id)
        assert trip is not None
        for event, km in (("on_board", 45_231.0), ("arrived_dropoff", 45_243.5)):
            tx.conn.execute(
                "UPDATE trip_events SET odometer_km = ? WHERE trip_id = ? AND event = ?", (km, trip_id, event)
            )
    device = row(db, "SELECT id FROM devices WHERE vehicle_id = ?", trip["vehicle_id"])
    assert device is not None
    db.conn.close()
    boarded = times.parse(trip["on_board_at"])
    out = boarded + timedelta(seconds=301)
    way = Store(made.settings.paths.gps_dir).trail(trip["vehicle_id"], None, boarded, boarded + timedelta(minutes=20))
    bad = way[7].at + timedelta(seconds=1)  # where the van was, as far as the others say
    body = msgspec.json.encode({"lat": way[7].lat, "lon": way[7].lon, "t": bad.timestamp(), "accuracy_m": 900})
    writer = Writer(made.settings.paths.gps_dir, late_s=1e9)
    writer.commit(
        Batch(
            [Arrival(trip["vehicle_id"], device["id"], Fix(out, 53.4702, -2.8703), out)],
            refused=[
                Refused(
                    VEHICLE, device["id"], Rejection(Reason.inaccurate, "900 m", "200 m or better"), body,
                    bad + timedelta(hours=3),
                ),
                Refused(
                    VEHICLE, device["id"], Rejection(Reason.unparsable, "truncated", "JSON"), b'{"lat": 5',
                    boarded + timedelta(seconds=60),
                ),
                Refused(
                    VEHICLE, device["id"], Rejection(Reason.unparsable, "of another time", "JSON"), b"{",
                    boarded - timedelta(hours=1),
                ),
            ],
        ),
        made.now,
    )  # fmt: skip
    writer.close()
    return trip_id
