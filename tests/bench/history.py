"""`make bench-history`: a day of 7.2 million fixes on disk. Its size, how quickly a vehicle's day is read, the same
with 30 such days, and whether deleting a day is felt by the commits beside it. Takes 10 GB for some minutes."""

from __future__ import annotations

import csv
import json
import math
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from appliance.domain.fix import Fix
from appliance.storage import gps_checks, gps_days
from appliance.storage.gps import Store
from appliance.storage.gps_rows import COLUMNS, DAY_MS, key_of
from appliance.storage.gps_writer import Arrival, Batch, Writer
from tests.domain.test_trail_recording import RECORDING

VEHICLES = 200
SECONDS = int(os.environ.get("BENCH_SECONDS") or 36_000)
DAYS = 30
GROUP = 500
FIRST = date(2026, 1, 1)
READ = 15
DELETED = 28
COPIES = 25
"""The recorded day is 1,533 fixes of 8 buses; so many fleets of them make a file whose empty pages do not count."""

_DELETE = """
import sys, time; from datetime import timedelta; from pathlib import Path
from appliance.storage.gps import Store
store = Store(Path(sys.argv[1]))
for _ in sys.stdin:
    began = time.monotonic()
    store.delete_before(store.days()[0] + timedelta(days=1))
    print(time.monotonic() - began, flush=True)
"""


def main() -> None:
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="depot-") as name:
        folder = Path(name)
        if RECORDING.exists():
            found["recorded_bytes_per_fix"] = bytes_per_fix(folder / "recorded", recorded_arrivals())
            show("bytes a fix, the recorded day", f"{found['recorded_bytes_per_fix']:.1f}")
        began = time.monotonic()
        gps = folder / "gps"
        found["bytes_per_fix"] = bytes_per_fix(gps, simulated_arrivals(SECONDS))
        count = VEHICLES * SECONDS
        found["stored_per_s"] = count / (time.monotonic() - began)
        show("bytes a fix, simulated", f"{found['bytes_per_fix']:.1f}   ({count:,} fixes, {VEHICLES} vehicles at 1 Hz)")
        show("stored in groups of 500", f"{found['stored_per_s']:.0f} /s, the making of the fixes included")
        found |= reads(gps, "1 day")
        found |= checks(gps)
        copies(gps)
        found |= reads(gps, f"{DAYS} days")
        found |= deletions(gps)
    print(json.dumps({key: round(value, 3) for key, value in found.items()}))


def show(what: str, said: str) -> None:
    print(f"{what:34} {said}", flush=True)


def bytes_per_fix(folder: Path, arrivals: Iterator[Arrival]) -> float:
    """The size of the closed file for each row in it, stored in the order of arrival."""
    folder.mkdir()
    writer, group = Writer(folder, late_s=10.0), list[Arrival]()
    for arrival in arrivals:
        group.append(arrival)
        if len(group) == GROUP:
            writer.commit(Batch(group), arrival.received)
            group = []
    writer.commit(Batch(group), arrival.received)
    writer.close()
    return sum(file.stat().st_size for file in folder.iterdir()) / Store(folder).count()


def simulated_arrivals(seconds: int, vehicles: int = VEHICLES) -> Iterator[Arrival]:
    """Vans at 1 Hz with speed, heading, accuracy and altitude, each at its own part of the second."""
    chance = random.Random(7)
    begin = datetime(FIRST.year, FIRST.month, FIRST.day, 6, tzinfo=UTC)
    part_ms = sorted(chance.randrange(1000) for _ in range(vehicles))
    state = [
        (chance.uniform(53.3, 53.5), chance.uniform(-3.0, -2.8), chance.uniform(0, 360), 40.0, 30.0)
        for _ in range(vehicles)
    ]
    for second in range(seconds):
        for number in range(vehicles):
            lat, lon, heading, speed, height = state[number]
            speed = min(110.0, max(0.0, speed + chance.gauss(0, 2)))
            heading = (heading + chance.gauss(0, 5)) % 360
            height = max(0.0, height + chance.gauss(0, 0.3))
            step = speed / 3.6
            lat += step * math.cos(math.radians(heading)) / 111_200
            lon += step * math.sin(math.radians(heading)) / 66_300
            state[number] = lat, lon, heading, speed, height
            at = begin + timedelta(seconds=second, milliseconds=part_ms[number])
            fix = Fix(at, lat, lon, speed, heading, 3.0 + chance.randrange(8), height)
            yield Arrival(number + 1, number + 1, fix, at + timedelta(milliseconds=40 + chance.randrange(100)))


def recorded_arrivals() -> Iterator[Arrival]:
    """`COPIES` fleets that drive the recorded day at the same time, in its order."""
    buses: dict[str, int] = {}
    rows = defaultdict(list)
    with RECORDING.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            rows[row["timestamp"]].append(row)
    for stamp in sorted(rows):
        at = datetime.fromisoformat(stamp).replace(tzinfo=UTC)
        for copy in range(COPIES):
            for row in rows[stamp]:
                bus = buses.setdefault(row["vehicle_id"], len(buses)) * COPIES + copy + 1
                heading = float(row["bearing"]) if row["bearing"] else None
                fix = Fix(at, float(row["latitude"]), float(row["longitude"]), heading_deg=heading)
                yield Arrival(bus, bus, fix, at + timedelta(seconds=1))


def reads(gps: Path, name: str) -> dict[str, float]:
    """One vehicle's day: out of SQLite, and as fixes; each vehicle is another one, from the disk and from memory."""
    store, day = Store(gps), FIRST
    begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
    end = begin + timedelta(hours=24, milliseconds=-1)
    query = f"SELECT {COLUMNS} FROM fixes WHERE key BETWEEN ? AND ? ORDER BY key"

    def out_of_sqlite(vehicle: int) -> int:
        with gps_days.reading(gps, day) as conn:
            ((source,),) = conn.execute("SELECT id FROM sources WHERE vehicle = ?", (vehicle,))
            return len(conn.execute(query, (key_of(source, 0), key_of(source, DAY_MS))).fetchall())

    def as_fixes(vehicle: int) -> int:
        return len(store.trail(vehicle, vehicle, begin, end))

    found = {}
    for what, read in (("out of SQLite", out_of_sqlite), ("as Fix objects", as_fixes)):
        cold, warm = [], []
        for vehicle in random.Random(3).sample(range(1, VEHICLES + 1), READ):
            assert read(vehicle) == SECONDS
            forget(gps_days.path(gps, day))
            cold.append(taken_ms(lambda vehicle=vehicle, read=read: read(vehicle)))  # type: ignore[misc]
            warm.append(min(taken_ms(lambda vehicle=vehicle, read=read: read(vehicle)) for _ in range(3)))  # type: ignore[misc]
        key = f"{what} {name}".replace(" ", "_")
        found |= {f"{key}_cold_ms": statistics.median(cold), f"{key}_warm_ms": statistics.median(warm)}
        show(
            f"a vehicle's day, {what}, {name}",
            f"from the disk p50 {statistics.median(cold):.0f} ms (most {max(cold):.0f})"
            f"   from memory p50 {statistics.median(warm):.0f} ms (most {max(warm):.0f})",
        )
    sources = {vehicle: vehicle for vehicle in range(1, VEHICLES + 1)}
    newest = taken_ms(lambda: store.newest(sources, begin + timedelta(hours=20)))
    show(f"newest fix of each vehicle, {name}", f"{newest:.1f} ms")
    return found


def checks(gps: Path) -> dict[str, float]:
    """What the start and the night take for this file, read from the disk."""
    today = FIRST + timedelta(days=1)
    found = {}
    for what, check in (
        ("start_closed_day", lambda: gps_checks.at_start(gps, today)),
        ("start_today", lambda: gps_checks.at_start(gps, FIRST)),
        ("night_first", lambda: gps_checks.at_night(gps, today)),
        ("night_again", lambda: gps_checks.at_night(gps, today)),
    ):
        forget(gps_days.path(gps, FIRST))
        found[f"{what}_ms"] = taken_ms(check)
        show(f"check, {what.replace('_', ' ')}", f"{found[f'{what}_ms']:.0f} ms")
    return found


def copies(gps: Path) -> None:
    for number in range(1, DAYS):
        shutil.copyfile(gps_days.path(gps, FIRST), gps_days.path(gps, FIRST + timedelta(days=number)))
    os.sync()
    for number in range(DAYS):  # nobody has read a file of 30 days ago, and its pages need not be taken from the memory
        forget(gps_days.path(gps, FIRST + timedelta(days=number)))


def deletions(gps: Path) -> dict[str, float]:
    """Commits of 25 fixes 20 times a second (500 fixes/s) into today. Every other second another process deletes a day
    at its beginning; the seconds between are the comparison."""
    writer = Writer(gps, late_s=10.0)
    command = [sys.executable, "-c", _DELETE, str(gps)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin
    taken: dict[bool, list[float]] = {True: [], False: []}
    for second in range(-4, 2 * DELETED):  # the first ones warm up
        beside = second >= 0 and second % 2 == 0
        if beside:
            print("next", file=process.stdin, flush=True)
        found = commits(writer, 1.0)
        if second >= 0:
            taken[beside] += found
    out, _ = process.communicate(timeout=120)
    writer.close()
    deleted = [float(line) * 1000 for line in out.split()]
    assert len(deleted) == DELETED
    show("deleting a day", f"p50 {statistics.median(deleted):.0f} ms   most {max(deleted):.0f} ms   ({DELETED} days)")
    for what, each in (("between deletions", taken[False]), ("beside deletions", taken[True])):
        show(f"commit of 25, {what}", f"p50 {p(each, 50):.1f} ms   p99 {p(each, 99):.1f} ms   most {max(each):.1f} ms")
    return {
        "delete_p50_ms": statistics.median(deleted), "delete_most_ms": max(deleted),
        "commit_p50_ms": p(taken[False], 50), "commit_p99_ms": p(taken[False], 99),
        "commit_beside_p50_ms": p(taken[True], 50), "commit_beside_p99_ms": p(taken[True], 99),
    }  # fmt: skip


def commits(writer: Writer, for_s: float) -> list[float]:
    """How long each commit took, ms."""
    taken = []
    began = time.monotonic()
    while (now := time.monotonic()) - began < for_s:
        at = datetime.now(UTC)
        group = [Arrival(n + 1, n + 1, Fix(at, 53.4, -2.9, 30.0, 90.0, 5.0, 23.0), at) for n in range(25)]
        taken.append(taken_ms(lambda group=group, at=at: writer.commit(Batch(group), at)))  # type: ignore[misc]
        time.sleep(max(0.0, 0.05 - (time.monotonic() - now)))
    return taken


def forget(file: Path) -> None:
    """What the kernel holds of the file in memory is dropped; the disk's own cache is not."""
    handle = os.open(file, os.O_RDONLY)
    os.fsync(handle)
    os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(handle)


def taken_ms(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def p(taken: list[float], percent: int) -> float:
    return statistics.quantiles(taken, n=100)[percent - 1]


if __name__ == "__main__":
    main()
