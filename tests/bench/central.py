"""`make bench-central`: how many rows a second the centre takes and applies, and with how many workers.

    .venv/bin/python -m tests.bench.central [ROWS] [WORKERS ...]

The functions themselves, without HTTP and signatures: batches of 500 trips, each of its own depot.
"""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from appliance.central import apply, db, enrol, migrate, receive
from appliance.central.config import load
from tests.central import postgres
from tests.central.box import Box, trip

NOW = datetime(2026, 1, 27, tzinfo=UTC)
BATCH = 500


@contextmanager
def databases(folder: Path) -> Iterator[dict[str, str]]:
    with postgres.running("fsync=on", within=None) as url:
        yield {"SQLite": f"sqlite:///{folder / 'central.db'}", "PostgreSQL": url}


def bodies(depot: str, rows: int) -> list[bytes]:
    box = Box(None, depot)  # type: ignore[arg-type]
    one = trip()
    for number in range(rows):
        box.tell("trips", "trip", one | {"uid": f"{number:026}", "ref": f"R{number}"})
    return [box.packed("trips", first, first + BATCH - 1) for first in range(1, rows + 1, BATCH)]


def take(url: str, depot: str, rows: int, ready: object, go: object) -> None:
    """One depot's rows, one batch after another, as a depot sends them."""
    engine = db.connect(url)
    sent = bodies(depot, rows)
    with db.read(engine) as connection:
        depot_id = enrol.by_code(connection, depot)["id"]
    ready.release()  # type: ignore[attr-defined]
    go.wait()  # type: ignore[attr-defined]
    for number, body in enumerate(sent):
        opened = receive.opened(body, depot)
        with db.write_tx(engine) as tx:
            receive.take(tx, depot_id, str(number), opened, NOW)
    engine.dispose()


def apply_all(url: str, _depot: str, _rows: int, ready: object, go: object) -> None:
    engine = db.connect(url)
    ready.release()  # type: ignore[attr-defined]
    go.wait()  # type: ignore[attr-defined]
    while apply.apply_waiting(engine, NOW):
        pass
    engine.dispose()


def timed(work: object, url: str, workers: int, rows: int, start: int) -> float:
    context = multiprocessing.get_context("spawn")
    ready, go = context.Semaphore(0), context.Event()
    made = [
        context.Process(target=work, args=(url, f"D{start + number}", rows // workers, ready, go))  # type: ignore[arg-type]
        for number in range(workers)
    ]
    for one in made:
        one.start()
    for _ in made:
        ready.acquire()
    began = time.perf_counter()
    go.set()
    for one in made:
        one.join()
        assert one.exitcode == 0
    return time.perf_counter() - began


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    counts = [int(one) for one in sys.argv[2:]] or [1, 2, 4]
    settings = load(environ={})
    with tempfile.TemporaryDirectory() as folder, databases(Path(folder)) as urls:
        for name, url in urls.items():
            engine = db.connect(url)
            migrate.migrate(engine, NOW)
            start = 10
            for workers in counts:
                with db.write_tx(engine) as tx:
                    for number in range(workers):
                        enrol.add(tx, f"D{start + number}", "Depot", settings, who="bench", now=NOW)
                taken = timed(take, url, workers, rows, start)
                applied = timed(apply_all, url, workers, rows, start)
                print(
                    f"{name}, {workers} workers: {rows / taken:,.0f} rows/s taken, {rows / applied:,.0f} rows/s applied"
                )
                start += workers
            engine.dispose()


if __name__ == "__main__":
    main()
