"""Schemathesis against a real web role: whatever the description allows, and what it does not, is answered as it says.

The same cases in each run; `make fuzz-api` tries others, and many more.
"""

from __future__ import annotations

import secrets
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.web import world
from tests.web.serving import running_redis, running_web

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,ignored_auth"


@pytest.mark.timeout(300)
def test_every_operation_answers_as_its_description_says(data_dir: Path, tmp_path: Path) -> None:
    _run(data_dir, tmp_path, "--phases=fuzzing", "--max-examples=4", "--seed=1")


@pytest.mark.chaos
@pytest.mark.timeout(3600)
def test_thousands_of_requests_bring_no_server_error(data_dir: Path, tmp_path: Path) -> None:
    seed = secrets.randbelow(1_000_000)
    _run(data_dir, tmp_path, "--phases=coverage,fuzzing,stateful", "--max-examples=50", f"--seed={seed}")


def _run(data_dir: Path, tmp_path: Path, *options: str) -> None:
    made = world.make(data_dir, datetime.now(UTC))
    person = world.as_user(made.settings)  # what is for people only answers no token
    headers = {"Cookie": f"depot={person.session}", **person.headers}
    log = tmp_path / "web.log"
    with running_redis(made.settings.paths), running_web(data_dir, log) as web:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "run", f"{web.url}/api/schema/openapi.json"),
                "--exclude-path-regex=/live$",  # a stream ends when its reader goes, not before
                *(f"--checks={CHECKS}", "--workers=2", "--request-timeout=20", "--warnings=off", "--no-color"),
                *(f"--header={name}: {text}" for name, text in headers.items()),
                *options,
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
    print("\n".join(done.stdout.splitlines()[-4:]))
    assert done.returncode == 0, done.stdout[-10_000:] + done.stderr[-2000:]
    assert "Traceback" not in log.read_text()
