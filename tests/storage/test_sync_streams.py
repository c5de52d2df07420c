"""What the central office is told: rows of the protocol, of all that is done in a depot, and of no patient."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlite_utils import Database

from appliance import completion, invoice_desk
from appliance.config import Settings
from appliance.storage import adjustments, invoices, payers, people, trips, vehicles
from appliance.storage.db import open_depot, row, rows, value, write_tx
from appliance.storage.gps import Store
from appliance.storage.gps_writer import Batch, Writer
from appliance.wire import snapshots
from tests.cast import NOON, RATE, Cast, arrivals, eastward, issue, new_trip, ride
from tests.web import money_day, world

END = NOON + timedelta(minutes=10)


def told(db: Database, kind: str) -> list[dict[str, Any]]:
    """The snapshots of a kind, each one that the protocol takes."""
    found = rows(db, "SELECT stream, kind, snapshot FROM sync_log WHERE kind = ? ORDER BY stream, seq", kind)
    for one in found:
        snapshots.parse(one["stream"], one["kind"], one["snapshot"])
    return [json.loads(one["snapshot"]) for one in found]


def with_centre(settings: Settings, **upstream: Any) -> Settings:
    named = msgspec.structs.replace(settings.upstream, **{"url": "https://centre.example"} | upstream)
    return msgspec.structs.replace(settings, upstream=named)


def test_all_that_happens_in_a_depot_is_told_in_rows_of_the_protocol(tmp_path: Path) -> None:
    made = world.make(tmp_path, datetime.now(UTC))
    money_day.make(made)
    db = open_depot(made.settings.paths.depot_db)
    found = rows(db, "SELECT stream, kind, snapshot FROM sync_log")
    for one in found:
        snapshots.parse(one["stream"], one["kind"], one["snapshot"])
    kinds = {one["kind"] for one in found}
    assert kinds >= {
        "issued",
        "print_listed",
        "paid",
        "credited",
        "disputed",
        "void",
        "payment",
        "credit",
        "adjustment",
    }
    assert kinds >= {"trip", "vehicle", "driver", "payer", "rate"}
    text = " ".join(one["snapshot"] for one in found)
    names = [one["name"] for one in rows(db, "SELECT name FROM patients UNION SELECT name FROM drivers")]
    streets = [one["pickup_address"] for one in rows(db, "SELECT DISTINCT pickup_address FROM trips")]
    assert len(names) > 20
    assert [personal for personal in (*names, *streets) if personal in text] == []
    db.conn.close()


@pytest.fixture
def trip(depot_db: Database, cast: Cast) -> int:
    with write_tx(depot_db) as tx:
        id = new_trip(tx, ref="R-1")
        ride(tx, id, NOON, END)
    return id


def test_a_trip_names_who_and_what_by_their_uids(depot_db: Database, cast: Cast) -> None:
    with write_tx(depot_db) as tx:
        there = new_trip(tx, ref="R" * 70)
        back = new_trip(tx, outbound_trip_id=there, vehicle=None, driver=None, pickup_at=END)
    *_, first = [one for one in told(depot_db, "trip") if one["uid"] == trips.get(depot_db, there)["uid"]]  # type: ignore[index]
    uids = row(
        depot_db,
        "SELECT (SELECT uid FROM payers) AS payer_uid, (SELECT uid FROM patients) AS patient_uid,"
        " (SELECT uid FROM vehicles WHERE code = 'VAN-1') AS vehicle_uid, (SELECT uid FROM drivers) AS driver_uid",
    )
    assert uids is not None
    assert first | uids == first
    assert first["ref"] == "R" * 64
    assert first["outbound_uid"] is None
    last = [one for one in told(depot_db, "trip") if one["outbound_uid"]]
    assert {(one["uid"], one["outbound_uid"]) for one in last} == {
        (trips.get(depot_db, back)["uid"], first["uid"])  # type: ignore[index]
    }


def test_an_invoice_is_told_with_its_lines_and_without_their_text(depot_db: Database, cast: Cast, trip: int) -> None:
    with write_tx(depot_db) as tx:
        issue(tx, cast, trip)
    (found,) = told(depot_db, "issued")
    assert [(line["kind"], line["amount_cents"]) for line in found["lines"]] == [("base", 1500), ("tax", 300)]
    assert "Base fare" not in json.dumps(found)
    assert found["issued_at"] == "2026-01-26T12:00:00.000Z"


def test_a_payment_is_told_in_its_currency_and_a_dispute_as_resolved(depot_db: Database, cast: Cast, trip: int) -> None:
    with write_tx(depot_db) as tx:
        id = issue(tx, cast, trip)
        invoice_desk.dispute(tx, id, "no ride", "ann", NOON)
        invoice_desk.settle(tx, id, "ann", NOON)
        invoice_desk.pay(tx, id, 1800, date(2026, 1, 26), "bank", "ann", NOON, today=NOON.date())
    assert [(one["amount_cents"], one["currency"]) for one in told(depot_db, "payment")] == [(1800, "GBP")]
    assert [one["state"] for one in told(depot_db, "resolved") + told(depot_db, "paid")] == ["issued", "paid"]


def test_an_adjustment_is_told_when_it_is_raised_changed_decided_and_lapses(
    depot_db: Database, cast: Cast, trip: int
) -> None:
    with write_tx(depot_db) as tx:
        first = issue(tx, cast, trip)
        for cents in (2000, 2000, 2100):
            adjustments.open_for(tx, first, 1000.0, 1200.0, cents, NOON)
        invoice_desk.dismiss_adjustment(tx, 1, 2100, "ann", NOON)
        adjustments.open_for(tx, first, 1000.0, 1300.0, 2300, NOON)
        invoices.void(tx, first, "wrong payer", NOON)
    assert [(one["state"], one["new_total_cents"]) for one in told(depot_db, "adjustment")] == [
        ("open", 2000), ("open", 2100), ("dismissed", 2100), ("open", 2300), ("lapsed", 2300),
    ]  # fmt: skip


def test_vehicles_drivers_payers_and_rates_are_told_whole_each_time(depot_db: Database, cast: Cast) -> None:
    with write_tx(depot_db) as tx:
        vehicles.change(tx, cast.van, NOON, plate="P" * 70)
        people.change_driver(tx, cast.driver, NOON, disabled_at="2026-01-26T12:00:00.000Z")
        payers.change_rate(tx, 1, replace(RATE, base_cents=1600), NOON)
        payers.close_rate(tx, 1, date(2026, 2, 1), NOON)
        patient = people.add_patient(tx, "Ada Marsh", NOON)
        payers.add(tx, "Ada Marsh", "patient", NOON, patient_id=patient)
    payer = value(depot_db, "SELECT uid FROM payers WHERE kind = 'broker'")
    assert [one["plate"] for one in told(depot_db, "vehicle")] == ["", "", "P" * 64]
    assert [one["disabled_at"] for one in told(depot_db, "driver")] == [None, "2026-01-26T12:00:00.000Z"]
    assert [one["name"] for one in told(depot_db, "payer")] == ["County Care", ""]
    assert [(one["payer_uid"], one["base_cents"], one["valid_to"]) for one in told(depot_db, "rate")] == [
        (payer, 1500, None), (payer, 1600, None), (payer, 1600, "2026-02-01"),
    ]  # fmt: skip


@pytest.mark.parametrize(("upstream", "points"), [({}, 2), ({"trail_tolerance_m": 0.0}, 0), ({"url": ""}, 0)])
def test_a_closed_trip_is_told_with_its_thinned_trail_again_when_it_is_measured_again(
    depot_db: Database, cast: Cast, trip: int, depot: Settings, gps_writer: Writer, gps_store: Store,
    upstream: dict[str, Any], points: int,
) -> None:  # fmt: skip
    gps_writer.commit(Batch(arrivals(cast, eastward(NOON, 40))), NOON)
    settings = with_centre(depot, **upstream)
    for _ in range(2):
        measured = completion.measure(depot_db, gps_store, trip, settings)
        assert measured is not None
        with write_tx(depot_db) as tx:
            completion.close(tx, trip, measured, settings, END)
    found = told(depot_db, "trail")
    assert len(found) == (2 if points else 0)
    for one in found:
        assert one["trip_uid"] == trips.get(depot_db, trip)["uid"]  # type: ignore[index]
        assert (len(one["points"]), one["tolerance_m"]) == (points, 50.0)
        assert one["points"][0] == [-2.966, 53.4094, int(NOON.timestamp())]
