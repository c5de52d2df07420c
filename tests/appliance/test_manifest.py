"""A day's manifest: what is made of good rows, what is said of bad ones, and that no file breaks the import."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlite_utils import Database

from appliance import manifest
from appliance.errors import InputError
from appliance.manifest import BadRow, Report
from appliance.storage import payers, people, trips, vehicles
from appliance.storage.db import open_depot, write_tx
from appliance.storage.migrations import migrate

NOW = datetime(2026, 1, 26, 5, 0, tzinfo=UTC)
ZONE = ZoneInfo("Europe/London")
HEADER = "ref,pickup_at,pickup_address,dropoff_address"
ROW = "A-1,2026-01-26T15:57,12 Acacia Avenue,Royal Hospital"


@pytest.fixture(scope="module")
def depot() -> Iterator[Database]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "depot.db"
        migrate(file)
        db = open_depot(file)
        with write_tx(db) as tx:
            vehicles.add(tx, "V1", NOW, levels=("ambulatory", "wheelchair"))
            people.add_driver(tx, "D1", "Alex Rowe", NOW)
            payers.add(tx, "Care Broker", "broker", NOW)
        yield db
        db.conn.close()


@pytest.fixture
def db(depot: Database) -> Iterator[Database]:
    """The same depot without trips."""
    yield depot
    with write_tx(depot) as tx:
        for table in ("trip_events", "trips", "patients"):
            tx.conn.execute(f"DELETE FROM {table}")


def load(db: Database, text: str | bytes) -> Report:
    return manifest.import_csv(db, text, zone=ZONE, now=NOW, who="test")


def refs(db: Database) -> list[str]:
    return [row["ref"] for row in db.query("SELECT ref FROM trips ORDER BY id")]


def only_bad(report: Report) -> BadRow:
    (bad,) = report.bad
    return bad


def test_a_row_becomes_a_trip(db: Database) -> None:
    text = (
        f"{HEADER},level,payer,patient,appointment_at,driver,vehicle,pickup_lat,pickup_lon,dropoff_lat,dropoff_lon\n"
        "A-1,2026-07-26T15:57,12 Acacia Avenue,Royal Hospital,Wheelchair,Care Broker,Margaret O'Neill,"
        "2026-07-26 16:30,D1,V1,53.4084,-2.9916,53.41,-2.97\n"
    )
    report = load(db, text)
    assert (report.added, report.unchanged, report.bad) == (1, 0, [])
    trip = trips.by_ref(db, "A-1")
    assert trip is not None
    assert trip["state"] == "assigned"
    assert trip["pickup_at"] == "2026-07-26T14:57:00.000Z"
    assert trip["appointment_at"] == "2026-07-26T15:30:00.000Z"
    assert (trip["level"], trip["pickup_lat"], trip["dropoff_lon"]) == ("wheelchair", 53.4084, -2.97)
    assert None not in (trip["vehicle_id"], trip["driver_id"], trip["payer_id"], trip["patient_id"])
    assert [(event.kind, event.key) for event in report.events] == [("trip", str(trip["id"])), ("assignment", "V1")]


def test_a_time_with_a_zone_is_kept_as_it_is(db: Database) -> None:
    load(db, f"{HEADER}\nA-1,2026-07-26T15:57+05:00,x,y\n")
    trip = trips.by_ref(db, "A-1")
    assert trip is not None
    assert trip["pickup_at"] == "2026-07-26T10:57:00.000Z"


@pytest.mark.parametrize(
    "content",
    [
        f"{HEADER}\n{ROW}".encode("utf-8-sig"),
        f"{HEADER}\n{ROW}".encode("utf-16"),
        f"{HEADER}\r\n{ROW}\r\n".encode(),
        f"{HEADER}\r{ROW}\r".encode(),
        f"\n\n{HEADER}\n,,,\n{ROW}\n\n".encode(),
        f"{HEADER}\n{ROW}".replace(",", ";"),
        f"{HEADER}\n{ROW}".replace(",", "\t"),
        f'"Ref","Pickup At","PICKUP_ADDRESS"," dropoff_address ","note"\n{ROW},"a, b"\n',
        f"note,more,dropoff_address,pickup_address,pickup_at,ref\n{'x,y,' + ','.join(reversed(ROW.split(',')))}",
    ],
    ids=["BOM", "UTF-16", "CRLF", "CR", "blank lines", "semicolons", "tabs", "quotes and capitals", "other columns"],
)
def test_files_as_spreadsheets_write_them_are_read(db: Database, content: str | bytes) -> None:
    report = load(db, content)
    assert (report.added, report.bad) == (1, [])
    trip = trips.by_ref(db, "A-1")
    assert trip is not None
    assert (trip["pickup_address"], trip["dropoff_address"]) == ("12 Acacia Avenue", "Royal Hospital")


def test_the_same_file_twice_changes_nothing(db: Database) -> None:
    load(db, f"{HEADER}\n{ROW}\n")
    before = list(db.query("SELECT * FROM trips"))
    report = load(db, f"{HEADER}\n{ROW}\n")
    assert (report.added, report.unchanged, report.bad, report.events) == (0, 1, [], [])
    assert list(db.query("SELECT * FROM trips")) == before


def test_a_ref_twice_in_a_file_is_one_trip(db: Database) -> None:
    report = load(db, f"{HEADER}\n{ROW}\n{ROW}\n")
    assert (report.added, report.unchanged) == (1, 1)


def test_good_rows_are_made_and_bad_ones_named_with_their_line(db: Database) -> None:
    report = load(
        db,
        f"{HEADER},vehicle\n"
        "A-1,2026-01-26T15:57,x,y,V1\n"
        "A-2,tomorrow,x,y,\n"
        "A-3,2026-01-26T16:57,x,y,V9\n"
        '\n"A-4",2026-01-26T17:57,"two\nlines",y,\n'
        "A-5,2026-01-26T18:57,,y,\n",
    )
    assert refs(db) == ["A-1", "A-4"]
    assert [(bad.line, bad.column, bad.value) for bad in report.bad] == [
        (3, "pickup_at", "tomorrow"),
        (4, "vehicle", "V9"),
        (8, "pickup_address", ""),
    ]
    assert report.bad[1].expected == "there is no vehicle 'V9'"
    trip = trips.by_ref(db, "A-4")
    assert trip is not None
    assert trip["pickup_address"] == "two lines"


def test_what_a_bad_row_had_written_is_undone(db: Database) -> None:
    load(db, f"{HEADER},patient,vehicle\nA-1,2026-01-26T15:57,x,y,Somebody New,V9\n")
    assert list(db.query("SELECT name FROM patients")) == []
    assert refs(db) == []


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("pickup_at", "26/01/2026 15:57", "2026-01-26T15:57"),
        ("pickup_at", "2026-01-26", "2026-01-26T15:57"),
        ("pickup_at", "1066-01-26T15:57", "2026-01-26T15:57"),
        ("pickup_at", "2026-03-29T01:30", "the clocks change then in Europe/London"),
        ("pickup_at", "2026-10-25T01:30", "the clocks change then in Europe/London"),
        ("appointment_at", "16:30", "2026-01-26T15:57"),
        ("pickup_address", "x" * 501, "at most 500 characters"),
        ("dropoff_address", "a\x00b", "without control characters"),
        ("level", "first class", "ambulatory, wheelchair, stretcher, bariatric"),
        ("payer", "Nobody", "no such payer"),
        ("driver", "D9", "the code of a driver"),
        ("vehicle", "V9", "no vehicle 'V9'"),
        ("pickup_lat", "91", "from -90 to 90"),
        ("pickup_lon", "nan", "from -180 to 180"),
        ("dropoff_lat", "53,4", "like 53.4084"),
    ],
)
def test_a_bad_cell_says_what_was_expected(db: Database, column: str, value: str, expected: str) -> None:
    cells = dict(zip(HEADER.split(","), ROW.split(","), strict=True))
    if column == "driver":
        cells["vehicle"] = "V1"
    if column in ("pickup_lat", "pickup_lon"):
        cells |= {"pickup_lat": "53.4", "pickup_lon": "-2.9"}
    cells[column] = value
    quoted = ",".join(f'"{cell}"' for cell in cells.values())
    bad = only_bad(load(db, f"{','.join(cells)}\n{quoted}\n"))
    assert (bad.line, bad.column) == (2, column)
    assert expected in bad.expected
    assert refs(db) == []


def test_a_vehicle_that_is_not_fitted_is_named(db: Database) -> None:
    bad = only_bad(load(db, f"{HEADER},level,vehicle\n{ROW},stretcher,V1\n"))
    assert (bad.column, bad.expected) == ("vehicle", "vehicle V1 is not fitted for stretcher")


def test_a_driver_without_a_vehicle_is_not_lost_silently(db: Database) -> None:
    assert only_bad(load(db, f"{HEADER},driver\n{ROW},D1\n")).column == "driver"


def test_half_a_position_is_refused(db: Database) -> None:
    assert only_bad(load(db, f"{HEADER},pickup_lat\n{ROW},53.4\n")).column == "pickup_lon"


def test_a_row_with_too_many_cells_is_refused_whole(db: Database) -> None:
    bad = only_bad(load(db, f"{HEADER}\nA-1,2026-01-26T15:57,12 Acacia Avenue, Wirral,Royal Hospital\n"))
    assert (bad.line, bad.value) == (2, "Royal Hospital")
    assert "4 columns" in bad.expected


def test_a_quote_that_never_closes_is_a_bad_row_and_what_came_before_is_made(db: Database) -> None:
    report = load(db, f'{HEADER}\n{ROW}\nA-2,2026-01-26T15:57,"12 Acacia Avenue,y\nA-3,2026-01-26T15:57,x,y\n')
    assert refs(db) == ["A-1"]
    assert only_bad(report).line == 3


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "the file is empty"),
        (" \n\n,,\n", "the file is empty"),
        ("ref,pickup_at\n", "columns pickup_address, dropoff_address missing"),
        ("pickup_at,pickup_address,dropoff_address\n", "column ref missing"),
        (f"{HEADER},ref\n", "column ref: the column is there twice"),
        (f"{HEADER},levl\n", "column levl: did you mean level?"),
        (f"{HEADER}\n{ROW}\n".encode("utf-16-be"), "column"),
        ("réf\n".encode("latin-1"), "byte 1: expected text in UTF-8 (in a spreadsheet, save as CSV UTF-8)"),
        (b"\xff\xfe\x00", "expected text in UTF-8"),
        ('"ref', "not a line of CSV"),
    ],
)
def test_a_file_that_is_no_manifest_is_one_error(db: Database, content: str | bytes, said: str) -> None:
    with pytest.raises(InputError) as caught:
        load(db, content)
    assert said in str(caught.value)
    assert refs(db) == []


def test_an_extra_column_of_the_broker_is_left_alone(db: Database) -> None:
    assert load(db, f"{HEADER},patient_id,vehicle_type\n{ROW},77,van\n").added == 1


def test_an_import_is_in_the_audit_log(db: Database) -> None:
    load(db, f"{HEADER}\n{ROW}\n")
    (last,) = db.query("SELECT who, action, detail FROM audit_log ORDER BY id DESC LIMIT 1")
    assert tuple(last.values()) == ("test", "trips.imported", "1 added")


cell = st.one_of(
    st.text(max_size=30), st.sampled_from(["A-1", "V1", "D1", "2026-01-26T15:57", "0001-01-01T00:00+23:59"])
)
near_csv = st.builds(
    lambda header, rows: "\n".join([header, *(",".join(row) for row in rows)]),
    st.sampled_from([HEADER, f"{HEADER},vehicle,driver,patient", f"{HEADER},level,payer,pickup_lat,pickup_lon"]),
    st.lists(st.lists(cell, max_size=8), max_size=5),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.one_of(st.binary(max_size=300), st.text(max_size=300), near_csv))
def test_no_file_ends_in_a_traceback(db: Database, content: str | bytes) -> None:
    before = len(refs(db))
    try:
        report = load(db, content)
    except InputError:
        assert len(refs(db)) == before
    else:
        assert len(refs(db)) == before + report.added
