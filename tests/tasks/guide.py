"""The operators' guide on a real box: its lines as processes, and what they say."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlite_utils import Database

from appliance import clock, jobs
from appliance.config import Settings
from appliance.paths import PROJECT_ROOT
from appliance.sender import Sender
from appliance.storage import jobs as job_rows
from appliance.storage.db import open_depot, write_tx
from tests import cast as play
from tests.cast import environ
from tests.servers import Redis, running_redis, wait_for

CELERY = (sys.executable, "-m", "celery")
DEPOTBOX = (sys.executable, "-m", "appliance")
OPERATIONS = (PROJECT_ROOT / "docs" / "operations.md").read_text()
SECTION = OPERATIONS.partition("### The Celery guide, line by line\n")[2].partition("And what is not a command line:")[
    0
]
SLOW = "tests.slow"
SLOW_TASK = PROJECT_ROOT / "tests" / "tasks" / "slow_task.py"
TIMEOUTS = "trips.tasks.check_trip_timeouts"

ONE_BY_ONE = """
import json, sys
from celery.bin.celery import celery
for words in json.load(sys.stdin):
    try:
        celery.main(args=words, prog_name="celery", auto_envvar_prefix="CELERY")
    except SystemExit as end:
        print("END", end.code, file=sys.stderr)
"""

Test = Callable[..., None]

CHECKS: dict[str, Test] = {}
"""The test of each line."""
LINES = re.findall(r"^\|[^|]*\| `(celery [^`]+)` \|", SECTION, re.MULTILINE)


def line(*texts: str) -> Callable[[Test], Test]:
    """Marks the test of a line; it gets the line as `text`."""

    def mark(test: Test) -> Test:
        CHECKS.update(dict.fromkeys(texts, test))
        return pytest.mark.parametrize("text", texts)(test)

    return mark


class Guide:
    """A depot with Redis, in which the guide's lines are run."""

    def __init__(self, settings: Settings, redis: Redis, db: Database) -> None:
        self.settings = settings
        self.redis = redis
        self.db = db
        self.sender = Sender(settings)
        self.environ = os.environ | environ(settings) | {"PYTHONWARNINGS": "ignore"}

    def run(self, line: str, *, program: tuple[str, ...] = CELERY, say: str = "") -> subprocess.CompletedProcess[str]:
        """Runs a line that ends by itself."""
        words = [*program, *shlex.split(line)[1:]]
        return subprocess.run(
            words, cwd=PROJECT_ROOT, env=self.environ, input=say, capture_output=True, text=True, timeout=60,
            check=False,
        )  # fmt: skip

    def says(self, line: str, **options: Any) -> str:
        """What a line prints that succeeds."""
        done = self.run(line, **options)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def asks(self, line: str) -> dict[str, Any]:
        """What each worker answers to an `inspect` or `control` line, by worker; of all of these the last word."""
        found = json.loads(self.says(f"{line} --json"))
        return found if isinstance(found, dict) else {name: one[name] for one in found for name in one}

    def refusals(self, *lines: str) -> dict[str, tuple[int, str]]:
        """Exit code and the one line of error of each of these lines, run one after another in one process."""
        done = subprocess.run(
            [sys.executable, "-c", ONE_BY_ONE], input=json.dumps([shlex.split(line)[1:] for line in lines]),
            cwd=PROJECT_ROOT, env=self.environ, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        ends = done.stderr.split("END ")[1:]
        said = [done.stderr.split("END ")[0], *(end.partition("\n")[2] for end in ends)]
        for line, text in zip(lines, said, strict=False):
            assert len(text.strip().splitlines()) == 1, f"{line}: {text}"
        return {line: (int(end.split()[0]), text.strip()) for line, end, text in zip(lines, ends, said, strict=False)}

    @contextmanager
    def running(self, line: str, until: str, *options: str) -> Iterator[Path]:
        """A line that runs until it is told to end; gives its log, in which `until` stands by then."""
        log = self.settings.paths.run_dir / f"line-{len(list(self.settings.paths.run_dir.glob('line-*')))}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [*CELERY, *shlex.split(line)[1:], *options], cwd=PROJECT_ROOT, env=self.environ, stdout=out, stderr=out
            )
        try:
            wait_for(lambda: until in log.read_text() or process.poll() is not None, f"{line}: {until}")
            assert process.poll() is None, log.read_text()
            yield log
            process.send_signal(signal.SIGTERM)
            process.wait(30)
        finally:
            process.kill()
            process.wait()

    def enqueue(self, name: str, *, sent: bool = True, delay_s: float = 0.0, **arguments: Any) -> str:
        """A job, as the box itself asks for it."""
        with write_tx(self.db) as tx:
            ask = jobs.enqueue(tx, name, now=clock.now(), delay_s=delay_s, **arguments)
        if sent:
            self.sender.send([ask])
        return ask.id

    def begin_slow(self, key: str) -> str:
        """A job that runs until the test ends it; `slow_task.py` must be included in the worker."""
        with write_tx(self.db) as tx:
            ask = jobs.enqueue(tx, SLOW, now=clock.now())
            tx.conn.execute("UPDATE jobs SET arguments = ? WHERE id = ?", (json.dumps({"key": key}), ask.id))
        self.sender.send([ask])
        id = ask.id
        wait_for(lambda: self.state(id) == "running", "the worker has it")
        return id

    def state(self, id: str) -> str:
        found = job_rows.get(self.db, id)
        return str(found["state"]) if found else "unknown"

    def park(self, error: str, after_s: float) -> str:
        """A job that has failed for good, so long from now."""
        id = self.enqueue("trips.tasks.check_trip_timeouts", sent=False)
        with write_tx(self.db) as tx:
            claimed = job_rows.claim(tx, id, "a worker", clock.now())
            assert claimed
            at = clock.now() + timedelta(seconds=after_s)
            job_rows.fail(tx, id, claimed["attempts"], error, "", at, failures=3)
        return id


@contextmanager
def depot_with_redis() -> Iterator[Guide]:
    """A depot with Redis and nothing else. `slow` in its run folder is what the slow task reads."""
    with tempfile.TemporaryDirectory(prefix="depot-") as folder:
        settings = play.depot(Path(folder))
        os.mkfifo(settings.paths.run_dir / "slow")
        db = open_depot(settings.paths.depot_db)
        with running_redis(settings) as redis:
            yield Guide(settings, redis, db)
        db.conn.close()
