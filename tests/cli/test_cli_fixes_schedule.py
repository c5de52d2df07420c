"""`depotbox fixes` and `depotbox schedule`: what is stored, what was rejected, what runs by itself."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlite_utils import Database

from appliance import clock
from appliance.cli.fixes import shortened
from appliance.cli.schedule import rhythm
from appliance.config import Settings
from appliance.domain.fix import Fix, Reason, Rejection
from appliance.storage import devices, times, trips, vehicles
from appliance.storage.db import value, write_tx
from appliance.storage.gps_writer import Arrival, Batch, Refused, Writer

NOW = datetime(2026, 7, 26, 9, 30, tzinfo=UTC)


@pytest.fixture
def stored(settings: Settings) -> None:
    """Two fixes on two days, and two rejected ones."""
    fixes = [Fix(at=at, lat=53.4, lon=-2.9) for at in (NOW, NOW.replace(day=25))]
    refused = [
        Refused("V1", 1, Rejection(Reason.out_of_range, "lat 95", "-90 to 90"), payload, NOW)
        for payload in (b'{"lat": 95, "pad": "' + b"x" * 500 + b'"}', b"\x1b[2J\xff not\nJSON")
    ]
    writer = Writer(settings.paths.gps_dir, late_s=1e9)
    writer.commit(Batch([Arrival(1, 1, fix, NOW) for fix in fixes], refused), NOW)
    writer.close()


def test_fixes_are_counted_over_all_days(box: Any, stored: None) -> None:
    assert box("fixes", "count").out == "2\n"
    assert box("fixes", "count", "--json").json == {"count": 2}


def test_no_fixes_are_none(box: Any) -> None:
    assert box("fixes", "count").out == "0\n"
    assert box("fixes", "rejected").out == "no rejected fixes\n"


def test_rejected_fixes_are_listed_with_reason_and_the_beginning_of_the_payload(box: Any, stored: None) -> None:
    items = box("fixes", "rejected", "--json").items
    assert len(items) == 2
    assert all(item["vehicle"] == "V1" and item["value"] == "lat 95" for item in items)
    assert max(len(item["payload"]) for item in items) == 80
    assert "10:30:00" in box("fixes", "rejected").out
    assert box("fixes", "rejected", "--limit", "1", "--json").json["total"] == 2


def test_rejected_fixes_are_chosen_by_vehicle_and_reason(box: Any, stored: None) -> None:
    assert box("fixes", "rejected", "--vehicle", "V1", "--reason", "out_of_range", "--json").json["total"] == 2
    assert box("fixes", "rejected", "--vehicle", "V2").out == "no rejected fixes\n"
    assert "out_of_range" in box("fixes", "rejected", "--reason", "ugly").err


def test_rejected_fixes_are_restored_by_their_ids(box: Any, settings: Settings, db: Database, stored: None) -> None:
    """Good ones among bad ones; a second time changes nothing; who did it is written down."""
    assert box("vehicle", "add", "V1", "--json").json["username"] == "V1-1"
    payload = json.dumps({"lat": 53.4, "lon": -2.9, "t": clock.now().timestamp()}).encode()
    refused = Refused("V1", 1, Rejection(Reason.inaccurate, "900 m", "200 m"), payload, NOW)
    stray = Refused("V9", None, Rejection(Reason.unknown_vehicle, "V9", "a device"), payload, NOW)
    writer = Writer(settings.paths.gps_dir, late_s=1e9)
    writer.commit(Batch(refused=[refused, stray]), NOW)
    writer.close()

    said = box("fixes", "restore", "2026-07-26:3", "2026-07-26:1", "2026-07-26:9")
    assert (said.code, said.out) == (65, "2026-07-26:3 is restored.\n")
    assert [line.partition(" (")[0] for line in said.err.splitlines()] == [
        "depotbox: 2026-07-26:1: it cannot be used: unparsable: t is missing",
        "depotbox: 2026-07-26:9: no such rejected fix",
    ]
    again = box("fixes", "restore", "2026-07-26:3")
    assert (again.code, again.out) == (0, "2026-07-26:3 was restored before.\n")
    assert box("fixes", "restore", "2026-07-26:4", "--vehicle", "V1").code == 0
    assert box("fixes", "count", "--json").json == {"count": 3}
    restored = [one["id"] for one in box("fixes", "rejected", "--json").items if one["restored_at"]]
    assert restored == ["2026-07-26:4", "2026-07-26:3"]
    assert value(db, "SELECT count(*) FROM audit_log WHERE action = 'fix.restored' AND who LIKE 'cli:%'") == 2


def test_a_payload_cannot_steer_the_terminal(box: Any, stored: None) -> None:
    assert shortened(b"\x1b[2J\xff not\nJSON") == "\ufffd[2J\ufffd not JSON"
    assert "\x1b" not in box("fixes", "rejected").out


SPAN = ("--vehicle", "V1", "--start", "2026-07-25T00:00:00Z", "--end", "2026-07-26T23:00:00Z")


@pytest.fixture
def van(db: Database, stored: None) -> None:
    with write_tx(db) as tx:
        assert vehicles.add(tx, "V1", NOW) == 1
        devices.add(tx, 1, "V1", "no password", NOW)


def test_a_trail_is_printed_in_each_format(box: Any, van: None) -> None:
    head, *lines = box("fixes", "export", *SPAN).out.splitlines()
    assert head.startswith("at,lat,lon,speed_kmh")
    assert [line.split(",")[:3] for line in lines] == [
        ["2026-07-25T09:30:00.000Z", "53.4000000", "-2.9000000"],
        ["2026-07-26T09:30:00.000Z", "53.4000000", "-2.9000000"],
    ]
    assert len(box("fixes", "export", *SPAN, "--format", "geojson").json["features"]) == 3
    assert box("fixes", "export", *SPAN, "--format", "gpx").out.count("<trkpt ") == 2
    assert box("fixes", "stops", *SPAN, "--json").items[0]["duration_s"] == 86400


def test_outliers_of_a_trip_are_listed_and_overruled_by_their_times(
    box: Any, db: Database, settings: Settings, van: None
) -> None:
    with write_tx(db) as tx:
        trip = {"vehicle_id": 1, "state": "completed", "pickup_address": "a", "dropoff_address": "b"}
        stamps = {"on_board_at": times.text(NOW), "completed_at": times.text(NOW.replace(hour=10))}
        id = str(trips.add(tx, NOW, pickup_at=times.text(NOW), **trip, **stamps))
    way = [Fix(NOW.replace(second=second), 53.4 + (second == 20), -2.9) for second in range(10, 40, 10)]
    writer = Writer(settings.paths.gps_dir, late_s=1e9)
    writer.commit(Batch([Arrival(1, 1, fix, NOW) for fix in way]), NOW)
    writer.close()

    (found,) = box("fixes", "outliers", "--trip", id, "--json").items
    assert (found["at"], found["lat"], found["reason"]) == ("2026-07-26T09:30:20.000Z", 54.4, "implied_speed")
    overrule = ("fixes", "overrule", "--trip", id, found["at"])
    assert box(*overrule).out == f"{found['at']} is kept.\n"
    assert box(*overrule).out == f"{found['at']} was kept before.\n"
    assert "54.4000000" in box("fixes", "export", "--trip", id).out
    assert "cli:" in box("fixes", "outliers", "--trip", id).out
    assert box(*overrule, "--undo").out == f"{found['at']} is left out.\n"
    wrong = box(*overrule[:-1], "2026-07-26T09:30:10Z")
    assert wrong.code == 66
    assert "2026-07-26T09:30:10+00:00: the trip has no outlier of that time" in wrong.err
    assert value(db, "SELECT count(*) FROM jobs WHERE name = 'trips.tasks.process_trip_completion'") == 1


@pytest.mark.parametrize(
    ("said", "code", "expected"),
    [
        (SPAN[:2], 2, "expected --vehicle with --start"),
        (("--trip", "7", *SPAN[:2]), 2, "expected --vehicle with --start"),
        ((*SPAN[:3], "yesterday"), 2, "'yesterday': expected a time with a zone"),
        ((*SPAN[:5], "2026-07-24T00:00:00Z"), 65, "expected an end that is not before the start"),
        (("--trip", "7"), 66, "trip 7: no such trip"),
        (("--vehicle", "V9", *SPAN[2:]), 66, "V9: no such vehicle"),
    ],
)
def test_what_cannot_be_exported_is_said_in_one_line(
    box: Any, settings: Settings, said: tuple[str, ...], code: int, expected: str
) -> None:
    answer = box("fixes", "export", *said)
    assert (answer.code, answer.out) == (code, "")
    assert expected in answer.err


def test_a_damaged_day_is_said_and_the_rest_is_exported(box: Any, van: None, settings: Settings) -> None:
    (settings.paths.gps_dir / "2026-07-25.db").write_bytes(b"no database" * 1000)
    answer = box("fixes", "export", *SPAN)
    assert answer.code == 0
    assert len(answer.out.splitlines()) == 2
    assert "2026-07-25: a part of this day's fixes is damaged" in answer.err


def test_the_schedule_is_listed(box: Any, db: Database) -> None:
    items = {item["name"]: item for item in box("schedule", "list", "--json").items}
    assert items["check-trip-timeouts"]["every_s"] == 300
    assert items["check-trip-timeouts"]["enabled"] is True
    said = box("schedule", "list").out
    assert "every 5 min" in said
    assert "every 1 h" in said


def test_an_entry_is_set_paused_resumed_and_deleted(box: Any, db: Database) -> None:
    assert box("schedule", "set", "mine", "--task", "night.count", "--every", "nan").code == 2
    assert box("schedule", "set", "mine", "--task", "night.count", "--every", "60").code == 0
    with write_tx(db) as tx:
        tx.conn.execute("UPDATE schedules SET missed = 17 WHERE name = 'mine'")
    assert box("schedule", "pause", "mine").code == 0
    assert "17" in next(line for line in box("schedule", "list").out.splitlines() if line.startswith("mine"))
    assert value(db, "SELECT enabled FROM schedules WHERE name = 'mine'") == 0
    assert box("schedule", "resume", "mine").code == 0
    assert value(db, "SELECT enabled FROM schedules WHERE name = 'mine'") == 1
    assert box("schedule", "delete", "mine").code == 0
    assert value(db, "SELECT count(*) FROM schedules WHERE name = 'mine'") == 0
    assert value(db, "SELECT count(*) FROM audit_log WHERE subject_uid = 'mine' AND who LIKE 'cli:%'") == 4


@pytest.mark.parametrize(
    ("every_s", "crontab", "expected"),
    [
        (300.0, None, "every 5 min"),
        (86400.0, None, "every 1 d"),
        (90.0, None, "every 90 s"),
        (None, "0 2 * * *", "0 2 * * * (Europe/London)"),
    ],
)
def test_a_rhythm_reads_as_people_say_it(every_s: float | None, crontab: str | None, expected: str) -> None:
    assert rhythm(every_s, crontab, "Europe/London") == expected


@pytest.mark.parametrize("command", [("vehicle", "list"), ("trip", "list"), ("jobs", "list"), ("schedule", "list")])
def test_before_the_first_start_there_is_one_line(box: Any, settings: Settings, command: tuple[str, str]) -> None:
    settings.paths.depot_db.unlink()
    said = box(*command)
    assert said.code == 78
    assert said.err.endswith("no depot database here (start the box once: depotbox run)\n")
    assert len(said.err.splitlines()) == 1
