"""`depotbox trip`: a manifest from a file or a pipe, and the list of trips."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import redis
from sqlite_utils import Database

from appliance import events
from appliance.config import Settings
from appliance.errors import InputError

MANIFEST = (
    "ref;pickup_at;pickup_address;dropoff_address;patient;vehicle\n"
    "A-1;2026-07-26T15:57;12 Acacia Avenue;Royal Hospital;Margaret O'Neill;V1\n"
    "A-2;2026-07-26T16:57;12 Acacia Avenue;Royal Hospital;;\n"
)
BAD = "A-3;tomorrow;12 Acacia Avenue;Royal Hospital;;\n"


def test_a_manifest_is_imported_once(box: Any, tmp_path: Path) -> None:
    box("vehicle", "add", "V1")
    file = tmp_path / "day.csv"
    file.write_text(MANIFEST, encoding="utf-8-sig")
    said = box("trip", "import", str(file), "--json")
    assert (said.code, said.json) == (0, {"added": 2, "unchanged": 0, "bad": []})
    assert box("trip", "import", str(file)).out == "0 added, 2 known already, 0 left out\n"


def test_bad_rows_are_listed_and_the_exit_code_says_so(box: Any) -> None:
    box("vehicle", "add", "V1")
    said = box("trip", "import", "-", stdin=(MANIFEST + BAD).encode())
    assert said.code == InputError.exit_code
    assert said.out.startswith("2 added, 0 known already, 1 left out\n")
    assert said.out.splitlines()[2].split()[:3] == ["4", "pickup_at", "tomorrow"]
    report = box("trip", "import", "-", "--json", stdin=BAD.encode()).err
    assert len(report.splitlines()) == 1


def test_what_is_no_manifest_is_one_line(box: Any) -> None:
    said = box("trip", "import", "-", stdin=b"\x00\xff")
    assert said.code == InputError.exit_code
    assert said.err == ("depotbox: manifest, byte 1: expected text in UTF-8 (in a spreadsheet, save as CSV UTF-8)\n")


def test_a_file_that_is_not_there_is_a_usage_error(box: Any) -> None:
    said = box("trip", "import", "nowhere.csv")
    assert said.code == 2
    assert "nowhere.csv" in said.err


def test_a_running_box_hears_of_new_trips(box: Any, settings: Settings, role: Any, wait_for: Any) -> None:
    role("redis")
    box("vehicle", "add", "V1")
    heard = redis.Redis(unix_socket_path=str(settings.paths.redis_socket), db=events.LIVE_DB).pubsub()
    heard.subscribe(events.CHANNEL)
    wait_for(lambda: heard.get_message(timeout=1))
    box("trip", "import", "-", stdin=MANIFEST.encode())
    said = [wait_for(lambda: heard.get_message(timeout=1)) for _ in range(3)]
    heard.close()
    got = [msgspec.json.decode(message["data"], type=events.Event) for message in said]
    assert sorted((event.kind, event.key) for event in got) == [("assignment", "V1"), ("trip", "1"), ("trip", "2")]


def test_the_list_shows_the_latest_pickup_first_in_the_depots_time(box: Any, db: Database) -> None:
    box("vehicle", "add", "V1")
    box("trip", "import", "-", stdin=MANIFEST.encode())
    lines = box("trip", "list").out.splitlines()
    assert [line.split()[1] for line in lines[1:]] == ["A-2", "A-1"]
    assert "2026-07-26 16:57:00" in lines[1]


def test_the_list_names_no_patient_and_no_address(box: Any) -> None:
    box("vehicle", "add", "V1")
    box("trip", "import", "-", stdin=MANIFEST.encode())
    for said in (box("trip", "list"), box("trip", "list", "--json")):
        assert "A-1" in said.out
        assert "Margaret" not in said.out
        assert "Acacia" not in said.out


def test_the_list_can_be_of_one_state_and_counts_what_it_leaves_out(box: Any) -> None:
    box("vehicle", "add", "V1")
    box("trip", "import", "-", stdin=MANIFEST.encode())
    (only,) = box("trip", "list", "--state", "assigned", "--json").items
    assert (only["ref"], only["vehicle"], only["pickup_at"]) == ("A-1", "V1", "2026-07-26T14:57:00.000Z")
    assert box("trip", "list", "--limit", "1", "--json").json["total"] == 2
    assert "1 of 2; --limit shows more" in box("trip", "list", "--limit", "1").out
    assert box("trip", "list", "--state", "flying").code == 2


def test_an_empty_list_says_so(box: Any) -> None:
    assert box("trip", "list").out == "no such trips\n"
    assert box("trip", "list", "--json").json == {"items": [], "total": 0}
