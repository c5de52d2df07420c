"""The day files as files: read beside the writer and without it, deleted by age, damaged one at a time."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from appliance.domain.fix import Fix, Reason, Rejection
from appliance.errors import DiskFull, Permanent
from appliance.storage import gps_days
from appliance.storage.gps import Store
from appliance.storage.gps_days import EPOCHS
from appliance.storage.gps_writer import Arrival, Batch, Refused, Writer
from tests.cast import NOON

TODAY = NOON.date()
YESTERDAY = TODAY - timedelta(days=1)
DAY = timedelta(days=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With every character that means something in the name of an SQLite URI."""
    made = tmp_path / "a depot? no#1 100%41"
    made.mkdir()
    return made


@pytest.fixture
def writer(folder: Path) -> Iterator[Writer]:
    made = Writer(folder, late_s=10.0)
    yield made
    made.close()


@pytest.fixture
def store(folder: Path) -> Store:
    return Store(folder)


def batch(*times: datetime, seq: int = 0) -> Batch:
    arrivals = [Arrival(1, 1, Fix(at, 53.4, -2.9), at) for at in times]
    return Batch(arrivals, sequences={(1, 1): seq} if seq else {})


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_reader_sees_each_commit_while_the_writer_has_the_file_open(writer: Writer, store: Store) -> None:
    for count in (1, 2, 3):
        writer.commit(batch(NOON + timedelta(seconds=count)), NOON)
        assert store.count() == count


def test_a_reader_in_another_process_sees_what_is_committed(writer: Writer, folder: Path) -> None:
    writer.commit(batch(NOON), NOON)
    script = "import sys; from pathlib import Path; from appliance.storage.gps import Store;"
    script += "print(Store(Path(sys.argv[1])).count())"
    done = subprocess.run([sys.executable, "-c", script, folder], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"


def test_a_closed_file_is_read_and_nothing_is_left_beside_it(writer: Writer, store: Store, folder: Path) -> None:
    writer.commit(batch(NOON), NOON)
    writer.close()
    assert names(folder) == [f"{TODAY}.db"]
    assert store.count() == 1
    assert store.trail(1, 1, NOON, NOON) == [Fix(NOON, 53.4, -2.9)]
    assert names(folder) == [f"{TODAY}.db"]


def test_a_reader_that_ends_does_not_take_the_writers_log_away(writer: Writer, store: Store) -> None:
    writer.commit(batch(NOON), NOON)
    assert store.count() == 1
    writer.commit(batch(NOON + timedelta(seconds=1)), NOON)
    assert store.count() == 2


def test_what_a_killed_writer_had_committed_is_read(folder: Path, store: Store) -> None:
    script = """
import os, sys; from datetime import *; from pathlib import Path
from appliance.domain.fix import Fix; from appliance.storage.gps import *; from appliance.storage.gps_writer import *
at = datetime(2026, 1, 26, 12, tzinfo=UTC); writer = Writer(Path(sys.argv[1]), late_s=10)
for n in range(20):
    writer.commit(Batch([Arrival(1, 1, Fix(at + timedelta(seconds=n), 53.4, -2.9), at)], sequences={(1, 1): n + 1}), at)
os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", script, folder], check=False).returncode == -9
    assert store.count() == 20
    assert store.sequences() == {(1, 1): 20}


def test_a_reader_cannot_write(writer: Writer, folder: Path) -> None:
    writer.commit(batch(NOON), NOON)
    with (
        gps_days.reading(folder, TODAY) as conn,
        pytest.raises(sqlite3.OperationalError, match="readonly"),
    ):
        conn.execute("DELETE FROM fixes")


def test_a_new_day_is_seen_with_its_tables_or_not_at_all(
    writer: Writer, folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last moment before the file has its name: everything is in it already."""
    seen: list[list[str]] = []
    link = os.link

    def watched(source: Path, target: Path) -> None:
        seen.append([path.name for path in folder.glob("*.db*")])
        conn = sqlite3.connect(source)
        seen.append([name for (name,) in conn.execute("SELECT name FROM sqlite_master ORDER BY name")])
        conn.close()
        link(source, target)

    monkeypatch.setattr(os, "link", watched)
    writer.commit(batch(NOON), NOON)
    assert seen[0] == []
    assert {"changes", "fixes", "rejected", "sequences"} <= set(seen[1])
    assert store.count() == 1
    assert [name for name in names(folder) if name.startswith(".")] == []


def test_two_processes_that_make_the_same_day_use_one_file(folder: Path) -> None:
    script = """
import sys; from datetime import *; from pathlib import Path
from appliance.domain.fix import Fix; from appliance.storage.gps import *; from appliance.storage.gps_writer import *
at = datetime(2026, 1, 26, 12, tzinfo=UTC); writer = Writer(Path(sys.argv[1]), late_s=10); me = int(sys.argv[2])
for n in range(30):
    day = at - timedelta(days=n)
    writer.commit(Batch([Arrival(me, me, Fix(day, 53.4, -2.9), day)]), day)
"""
    both = [subprocess.Popen([sys.executable, "-c", script, folder, str(me)]) for me in (1, 2)]
    assert [process.wait(20) for process in both] == [0, 0]
    assert Store(folder).count() == 60


def test_retention_deletes_the_files_of_the_days_before(writer: Writer, store: Store, folder: Path) -> None:
    writer.commit(batch(*(NOON - n * DAY for n in range(4))), NOON)
    writer.close()
    assert store.delete_before(YESTERDAY) == [TODAY - 3 * DAY, TODAY - 2 * DAY]
    assert names(folder) == [f"{YESTERDAY}.db", f"{TODAY}.db"]
    assert store.count() == 2
    assert store.delete_before(YESTERDAY) == []


def test_a_day_may_be_deleted_while_it_is_read_and_while_the_bridge_has_it_open(
    writer: Writer, store: Store, folder: Path
) -> None:
    """The reader reads to its end, a new one finds nothing, and nothing stays behind."""
    many = [NOON - DAY + timedelta(seconds=n) for n in range(2000)]
    writer.commit(batch(*many), NOON)
    with gps_days.reading(folder, YESTERDAY) as conn:
        reading = conn.execute("SELECT key FROM fixes ORDER BY key")
        begun = reading.fetchmany(10)
        assert store.delete_before(TODAY) == [YESTERDAY]
        assert len(begun) + len(reading.fetchall()) == len(many)
        assert store.trail(1, 1, NOON - DAY, NOON) == []
    writer.close()
    assert names(folder) == []


@pytest.mark.parametrize("later", [[], [NOON - DAY], [NOON - DAY, NOON]])
def test_retention_forgets_no_numbering(writer: Writer, store: Store, later: list[datetime]) -> None:
    """A tracker that was away for longer than the retention goes on to count where it had stopped."""
    writer.commit(batch(NOON - 9 * DAY, seq=5000), NOON - 9 * DAY)
    for at in later:
        writer.commit(batch(at), at)
    writer.close()
    store.delete_before(YESTERDAY)
    assert store.sequences() == {(1, 1): 5000}
    store.delete_before(TODAY + 30 * DAY)
    assert store.sequences() == {(1, 1): 5000}
    assert store.count() == 0


def test_a_file_that_goes_while_it_is_read_is_no_error(
    writer: Writer, store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer.commit(batch(NOON, NOON - DAY), NOON)
    writer.close()
    monkeypatch.setattr(gps_days, "listed", lambda _: [date(2025, 1, 1), YESTERDAY, TODAY])
    assert store.count() == 2
    assert len(store.trail(1, 1, NOON - 600 * DAY, NOON)) == 2
    assert store.stamp(date(2025, 1, 1)) == ()
    assert store.changes(date(2025, 1, 1), 0) == []
    assert names(folder) == [f"{YESTERDAY}.db", f"{TODAY}.db"]


def test_the_stamp_moves_with_each_commit_and_not_by_reading(writer: Writer, store: Store) -> None:
    stamps = []
    for n in range(3):
        writer.commit(batch(NOON + timedelta(seconds=n)), NOON)
        stamps.append(store.stamp(TODAY))
        store.count()
        assert store.stamp(TODAY) == stamps[-1]
    assert len(set(stamps)) == 3


def test_the_stamp_moves_also_when_the_clock_went_back(writer: Writer, store: Store, folder: Path) -> None:
    writer.commit(batch(NOON), NOON)
    before = store.stamp(TODAY)
    log = folder / f"{TODAY}.db-wal"
    os.utime(log, ns=(0, log.stat().st_mtime_ns - 3_600 * 10**9))
    assert store.stamp(TODAY) != before


def damage(folder: Path, day: date, content: bytes = b"no database " * 1000) -> None:
    (folder / f"{day}.db").write_bytes(content)


def halves(folder: Path, day: date) -> None:
    """The header is whole, the pages behind it are not."""
    path = folder / f"{day}.db"
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))


def test_retention_carries_on_the_epochs_that_were_used_last(writer: Writer, store: Store) -> None:
    """Of thousands, and however often days are deleted."""
    for age in (9, 8, 7):
        first = 100_000 - age * EPOCHS
        writer.commit(Batch(sequences={(1, first + n): 3 for n in range(EPOCHS)}), NOON - age * DAY)
    writer.commit(Batch(sequences={(2, 5): 80}), NOON - 9 * DAY)
    writer.commit(Batch(sequences={(1, 1): 60}), NOON)
    writer.close()
    for age in (8, 7, 6, -1):
        store.delete_before(TODAY - age * DAY)
    (day,) = store.days()
    with gps_days.reading(store._folder, day) as conn:
        kept = conn.execute("SELECT device, epoch, seq FROM sequences ORDER BY device, epoch").fetchall()
    assert (kept[0], kept[-1]) == ((1, 1, 60), (2, 5, 80))
    assert len(kept) == EPOCHS + 1
    assert all(epoch >= 100_000 - 7 * EPOCHS and seq == 3 for _device, epoch, seq in kept[1:-1])


@pytest.mark.parametrize("harm", [damage, halves])
def test_one_damaged_day_is_one_damaged_day(writer: Writer, store: Store, folder: Path, harm: object) -> None:
    writer.commit(batch(NOON - DAY, seq=3), NOON - DAY)
    rejection = Rejection(Reason.null_island, "", "")
    today = batch(NOON, seq=4)
    today.refused.append(Refused("VAN-1", 1, rejection, b"{}", NOON))
    writer.commit(today, NOON)
    writer.close()
    harm(folder, YESTERDAY)
    assert store.count() == 1
    assert store.sequences() == {(1, 1): 4}
    assert store.newest({1: 1}, NOON) == {1: Fix(NOON, 53.4, -2.9)}
    assert store.rejected()[1] == 1
    assert store.changes(YESTERDAY, 0) == []
    assert store.trail(1, 1, NOON, NOON) == [Fix(NOON, 53.4, -2.9)]


def test_a_trail_over_a_damaged_day_is_an_error_and_not_a_short_trail(
    writer: Writer, store: Store, folder: Path
) -> None:
    writer.commit(batch(NOON, NOON - DAY), NOON)
    writer.close()
    damage(folder, YESTERDAY)
    with pytest.raises(Permanent, match=f"{YESTERDAY}: fixes of this day are damaged"):
        store.trail(1, 1, NOON - DAY, NOON)
    assert len(store.trail(1, 1, NOON - DAY, NOON, whole=False)) == 1


@pytest.mark.parametrize("harm", [damage, halves])
def test_a_damaged_day_that_is_written_to_is_set_aside_and_goes_on(folder: Path, store: Store, harm: object) -> None:
    """Else one late fix for that day would end the bridge again and again, and nothing would be stored at all."""
    writer = Writer(folder, late_s=10.0)
    writer.commit(batch(NOON - DAY, NOON), NOON)
    writer.close()
    harm(folder, YESTERDAY)
    harm(folder, TODAY)
    again = batch(NOON - DAY + timedelta(seconds=5), NOON + timedelta(seconds=5), seq=9)
    assert writer.commit(again, NOON) == 2
    writer.close()
    assert store.count() == 2
    assert store.sequences() == {(1, 1): 9}
    assert f"{TODAY}.db.damaged-1" in names(folder)
    assert f"{YESTERDAY}.db.damaged-1" in names(folder)
    store.delete_before(TODAY + DAY)
    assert all("damaged" not in name for name in names(folder))


def test_a_full_disk_is_no_damage(writer: Writer, folder: Path) -> None:
    writer.commit(batch(NOON), NOON)
    db = writer._file(TODAY).db
    pages = db.conn.execute("PRAGMA page_count").fetchone()[0]
    db.conn.execute(f"PRAGMA max_page_count={pages}")
    many = [NOON + timedelta(seconds=n) for n in range(1, 2000)]
    with pytest.raises(DiskFull, match="full"):
        writer.commit(batch(*many), NOON)
    assert [name for name in names(folder) if "damaged" in name] == []


def test_an_emptied_file_and_one_that_only_looks_like_a_day_stop_nothing(writer: Writer, folder: Path) -> None:
    writer.commit(batch(NOON), NOON)
    writer.close()
    gps_days.path(folder, TODAY - timedelta(days=1)).touch()
    (folder / "2026-13-45.db").touch()
    store = Store(folder)
    assert store.count() == 1
    assert store.rejected() == ([], 0)
    assert store.changes(TODAY - timedelta(days=1), 0) == []
