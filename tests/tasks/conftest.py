"""What the tests of the tasks share: this process as a worker of a depot of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from appliance import jobs
from appliance.config import Settings
from tasks import box as boxes
from tasks.box import Box
from tasks.celery import app
from tests import cast as play
from tests.cast import Cast
from tests.tasks import probe as tests_probe
from tests.tasks.probe import PROBE, Probe


@pytest.fixture
def box(depot: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Box]:
    """The parts of this process, which is a worker of the depot. Nobody listens where its Redis should be, unless the
    test starts one."""
    for name, value in play.environ(depot).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(boxes, "_boxes", {})
    made = boxes.box()
    yield made
    made.db.conn.close()
    os.close(made.lock._fd)


@pytest.fixture
def hired(box: Box) -> Cast:
    return play.hire(box.db)


@pytest.fixture
def probe(box: Box, monkeypatch: pytest.MonkeyPatch) -> Probe:
    monkeypatch.setitem(jobs.TASKS, PROBE, "normal")
    monkeypatch.setattr(tests_probe, "current", Probe())
    return tests_probe.current


@pytest.fixture
def eager() -> Iterator[None]:
    """As the operators' guide says for tests."""
    app.conf.task_always_eager = True
    yield
    app.conf.task_always_eager = False
