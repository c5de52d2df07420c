"""Reading a recorded day: the good rows in order, the bad ones named."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from appliance.errors import InputError, NotFound
from mqtt_bridge.recording import Recording, read

HEAD = "vehicle_id,trip_id,timestamp,latitude,longitude,bearing,origin,destination\n"
GOOD = "V1,T1,2026-01-26 10:00:00,53.40,-2.90,270,Lime_Street,The_Hospital\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "day.csv"


def recorded(file: Path, *rows: str, head: str = HEAD) -> Recording:
    file.write_text(head + "".join(rows))
    return read(file)


def test_a_row_is_a_position(file: Path) -> None:
    (position,) = recorded(file, GOOD).positions
    assert position.at == datetime(2026, 1, 26, 10, tzinfo=UTC)
    assert (position.vehicle, position.trip, position.lat, position.lon) == ("V1", "T1", 53.4, -2.9)
    assert (position.bearing_deg, position.origin, position.destination) == (270, "Lime Street", "The Hospital")


def test_rows_come_in_the_order_of_time(file: Path) -> None:
    later, sooner = GOOD.replace("10:00", "11:00"), GOOD.replace("V1", "V2")
    assert [one.vehicle for one in recorded(file, later, sooner).positions] == ["V2", "V1"]


@pytest.mark.parametrize(
    ("written", "hour"), [("2026-01-26T10:00:00Z", 10), ("2026-01-26T10:00:00+02:00", 8), ("2026-01-26T10:00:00", 10)]
)
def test_a_time_without_a_zone_is_utc(file: Path, written: str, hour: int) -> None:
    (position,) = recorded(file, GOOD.replace("2026-01-26 10:00:00", written)).positions
    assert position.at == datetime(2026, 1, 26, hour, tzinfo=UTC)


def test_what_need_not_be_there_may_be_missing(file: Path) -> None:
    head = "vehicle_id,trip_id,timestamp,latitude,longitude\n"
    (position,) = recorded(file, "V1,T1,2026-01-26 10:00:00,53.40,-2.90\n", head=head).positions
    assert (position.bearing_deg, position.origin) == (None, "")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("53.40", "abc", "latitude = 'abc'"),
        ("53.40", "90.1", "latitude = '90.1': expected a number from -90 to 90"),
        ("53.40", "nan", "latitude = 'nan'"),
        ("53.40", "", "latitude = ''"),
        ("-2.90", "-181", "longitude"),
        ("270", "361", "bearing"),
        ("V1", "", "vehicle_id is empty"),
        ("T1", "", "trip_id is empty"),
        ("2026-01-26 10:00:00", "yesterday", "timestamp = 'yesterday'"),
        ("2026-01-26 10:00:00", "0001-01-01T00:00:00+14:00", "timestamp = '0001"),
        (",53.40,-2.90,270,Lime_Street,The_Hospital", "", "latitude = None"),
    ],
)
def test_a_bad_row_is_left_out_and_named_by_its_line(file: Path, old: str, new: str, says: str) -> None:
    found = recorded(file, GOOD, GOOD.replace(old, new), GOOD)
    assert len(found.positions) == 2
    (line,) = found.bad
    assert line.startswith("day.csv: line 3: ")
    assert says in line


def test_the_digest_is_that_of_the_file(file: Path) -> None:
    assert recorded(file, GOOD).digest == hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_file_from_a_spreadsheet_may_begin_with_a_mark(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbf" + (HEAD + GOOD).replace("\n", "\r\n").encode())
    assert len(read(file).positions) == 1


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "expected a CSV file with the columns vehicle_id"),
        (b"a,b\n1,2\n", "expected a CSV file with the columns vehicle_id"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b"x" * 200_000, "line"),
        (HEAD.encode(), "there is no position in it"),
        ((HEAD + GOOD.replace("53.40", "abc")).encode(), "there is no position in it"),
        ((HEAD + '"' + "x" * 200_000).encode(), "line"),
    ],
)
def test_what_is_no_recording_is_one_line(file: Path, content: bytes, says: str) -> None:
    file.write_bytes(content)
    with pytest.raises(InputError, match=says) as caught:
        read(file)
    assert str(file) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_file_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        read(tmp_path / "nothing.csv")
    with pytest.raises(InputError, match="cannot be read"):
        read(tmp_path)
