"""What the checks of day files see, and what becomes of a damaged one: at the start, at night, in a trail."""

from __future__ import annotations

import os
import random
import sqlite3
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest

from appliance.domain.fix import Fix
from appliance.errors import Permanent
from appliance.storage import gps_checks, gps_days
from appliance.storage.gps import Store
from appliance.storage.gps_writer import Arrival, Batch, Writer
from tests.cast import NOON

TODAY = NOON.date()
DAY = timedelta(days=1)
YESTERDAY = TODAY - DAY
COUNT = 3000
PAGE = 4096

Harm = Callable[[Path], None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two days with some 30 pages each, closed."""
    writer = Writer(tmp_path, late_s=1e9)
    for day in (NOON - DAY, NOON):
        fixes = [Fix(day + timedelta(seconds=n), 53.4 + n * 1e-6, -2.9, speed_kmh=31.0) for n in range(COUNT)]
        writer.commit(Batch([Arrival(1, 1, fix, fix.at) for fix in fixes]), day)
    writer.close()
    return tmp_path


def file_of(folder: Path, day: date) -> Path:
    return folder / f"{day}.db"


def overwrite(file: Path, at: int, content: bytes) -> None:
    """As a dying disk does it: the length and the times stay."""
    status = file.stat()
    with file.open("r+b") as target:
        target.seek(at)
        target.write(content)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


def truncated(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2 // PAGE * PAGE)


def torn(file: Path) -> None:
    os.truncate(file, file.stat().st_size - 100)


def emptied(file: Path) -> None:
    os.truncate(file, 0)


def garbage_header(file: Path) -> None:
    overwrite(file, 0, b"\xa5" * 100)


def garbage_pages(file: Path) -> None:
    overwrite(file, file.stat().st_size // 2 // PAGE * PAGE, random.Random(1).randbytes(2 * PAGE))


def flipped_value(file: Path) -> None:
    """One bit of one latitude."""
    conn = sqlite3.connect(file)
    (lat,) = conn.execute("SELECT lat FROM fixes LIMIT 1 OFFSET 1500").fetchone()
    conn.close()
    content = file.read_bytes()
    at = content.index(lat.to_bytes(4, "big"))
    overwrite(file, at + 1, bytes([content[at + 1] ^ 1]))


AT_A_GLANCE: list[Harm] = [truncated, torn, emptied, garbage_header]


def aside(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.glob("*.damaged-*"))


@pytest.mark.parametrize("day", [YESTERDAY, TODAY])
@pytest.mark.parametrize("harm", AT_A_GLANCE)
def test_a_file_that_cannot_be_opened_is_set_aside_at_the_start_and_the_day_goes_on(
    folder: Path, day: date, harm: Harm
) -> None:
    harm(file_of(folder, day))
    assert gps_checks.at_start(folder, TODAY) == [day]
    assert aside(folder) == [f"{day}.db.damaged-1"]
    assert gps_checks.damaged_days(folder) == [day]
    store = Store(folder)
    assert store.count() == COUNT
    writer = Writer(folder, late_s=1e9)
    at = NOON + (day - TODAY) + timedelta(hours=2)
    assert writer.commit(Batch([Arrival(1, 1, Fix(at, 53.4, -2.9), at)]), NOON) == 1
    writer.close()
    assert store.count() == COUNT + 1
    assert gps_checks.at_start(folder, TODAY) == []


def test_broken_pages_of_today_are_found_at_the_start(folder: Path) -> None:
    garbage_pages(file_of(folder, TODAY))
    assert gps_checks.at_start(folder, TODAY) == [TODAY]


def test_broken_pages_of_a_closed_day_are_found_at_night_and_set_aside_at_the_next_start(folder: Path) -> None:
    """The night may not touch a file that the bridge may have open."""
    garbage_pages(file_of(folder, YESTERDAY))
    assert gps_checks.at_start(folder, TODAY) == []
    assert gps_checks.at_night(folder, TODAY) == [YESTERDAY]
    assert gps_checks.damaged_days(folder) == [YESTERDAY]
    assert gps_checks.at_night(folder, TODAY) == []  # said once
    assert aside(folder) == []
    assert gps_checks.at_start(folder, TODAY) == [YESTERDAY]
    assert gps_checks.damaged_days(folder) == [YESTERDAY]
    assert not gps_days.seal_file(folder, YESTERDAY).exists()


def test_a_flipped_bit_in_a_value_is_found_once_the_day_was_sealed_and_the_day_stays_readable(folder: Path) -> None:
    """SQLite alone cannot see it."""
    assert gps_checks.at_night(folder, TODAY) == []
    flipped_value(file_of(folder, YESTERDAY))
    assert gps_checks.at_start(folder, TODAY) == []
    assert gps_checks.at_night(folder, TODAY) == [YESTERDAY]
    assert gps_checks.damaged_days(folder) == [YESTERDAY]
    assert gps_checks.at_start(folder, TODAY) == []
    assert len(Store(folder).trail(1, 1, NOON - DAY, NOON)) == COUNT + 1


def test_before_a_day_was_sealed_a_flipped_bit_in_a_value_is_not_seen(folder: Path) -> None:
    flipped_value(file_of(folder, YESTERDAY))
    assert gps_checks.at_night(folder, TODAY) == []


def test_a_late_fix_is_no_damage(folder: Path) -> None:
    assert gps_checks.at_night(folder, TODAY) == []
    before = gps_days.seal_file(folder, YESTERDAY).read_bytes()
    writer = Writer(folder, late_s=10.0)
    for close in (writer.close, lambda: None):  # first of a closed file, then of one that is open in the bridge
        at = NOON - DAY + timedelta(hours=2, seconds=len(before))
        writer.commit(Batch([Arrival(1, 1, Fix(at, 53.4, -2.9), NOON)]), NOON)
        close()
        assert gps_checks.at_night(folder, TODAY) == []
        assert gps_days.seal_file(folder, YESTERDAY).read_bytes() != before
        before = gps_days.seal_file(folder, YESTERDAY).read_bytes()
    writer.close()
    assert gps_checks.at_night(folder, TODAY) == []


def test_today_is_not_sealed(folder: Path) -> None:
    gps_checks.at_night(folder, TODAY)
    assert not gps_days.seal_file(folder, TODAY).exists()


def test_the_start_waits_no_longer_than_it_may(folder: Path) -> None:
    """What could not be finished is no damage; it is the night's."""
    garbage_pages(file_of(folder, TODAY))
    assert gps_checks.at_start(folder, TODAY, limit_s=0.0) == []
    assert gps_checks._quick_check(folder, YESTERDAY, 0.0) == ""
    assert gps_checks.at_night(folder, TODAY + DAY) == [TODAY]


def test_a_file_left_open_by_a_crash_is_gone_through_at_the_start(folder: Path) -> None:
    garbage_pages(file_of(folder, YESTERDAY))
    gps_days.log_file(folder, YESTERDAY).touch()
    assert gps_checks.at_start(folder, TODAY) == [YESTERDAY]


def test_a_seal_that_cannot_be_read_is_made_anew(folder: Path) -> None:
    gps_days.seal_file(folder, YESTERDAY).write_bytes(b"{")
    assert gps_checks.at_night(folder, TODAY) == []
    assert gps_days.seal_file(folder, YESTERDAY).read_bytes() != b"{"


def test_a_whole_folder_and_an_empty_one_pass(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    for each in (folder, tmp_path_factory.mktemp("empty")):
        assert gps_checks.at_start(each, TODAY) == []
        assert gps_checks.at_night(each, TODAY) == []
        assert gps_checks.damaged_days(each) == []


def test_a_trip_whose_fixes_were_set_aside_is_not_measured_by_what_is_left(folder: Path) -> None:
    """A shorter trail would be billed. What was driven after the damage is whole."""
    garbage_header(file_of(folder, TODAY))
    os.utime(file_of(folder, TODAY), (NOON.timestamp() + COUNT, NOON.timestamp() + COUNT))
    gps_checks.at_start(folder, TODAY)
    writer, store = Writer(folder, late_s=1e9), Store(folder)
    later = NOON + timedelta(hours=3)
    writer.commit(Batch([Arrival(1, 1, Fix(at, 53.4, -2.9), at) for at in (NOON, later)]), later)
    writer.close()
    with pytest.raises(Permanent, match="fixes of this day are damaged"):
        store.trail(1, 1, NOON, later)
    assert len(store.trail(1, 1, NOON, later, whole=False)) == 2
    assert len(store.trail(1, 1, later, later)) == 1
    for file in folder.glob("*.damaged-*"):  # a person decides to go on without it
        file.unlink()
    assert len(store.trail(1, 1, NOON, later)) == 2
    assert gps_checks.damaged_days(folder) == []


def test_numbering_is_carried_over_and_late_fixes_are_still_noticed_after_a_file_was_set_aside(folder: Path) -> None:
    """Else a device would wait for ever for an acknowledgement, and the watermark would hide the first changes."""
    writer, store = Writer(folder, late_s=10.0), Store(folder)
    late = [Arrival(1, 1, Fix(NOON - timedelta(hours=n), 53.4, -2.9), NOON) for n in (1, 2)]
    for each in late:
        writer.commit(Batch([each], sequences={(1, 7): 900}), NOON)
    watermark = store.changes(TODAY, 0)[-1].id
    writer.close()
    garbage_pages(file_of(folder, TODAY))
    assert gps_checks.at_start(folder, TODAY) == [TODAY]
    assert store.sequences() == {(1, 7): 900}
    writer.commit(Batch(late), NOON)
    writer.close()
    assert [change.vehicle for change in store.changes(TODAY, watermark)][-1] == 1


def test_retention_takes_seals_and_what_was_set_aside_along(folder: Path) -> None:
    gps_checks.at_night(folder, TODAY)
    garbage_header(file_of(folder, TODAY))
    gps_checks.at_start(folder, TODAY)
    Store(folder).delete_before(TODAY + DAY)
    assert list(folder.iterdir()) == []
