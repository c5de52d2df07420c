"""Tasks for a real worker, by `--include slow_task`: a durable one that waits in its middle until the test lets it go,
and two that fail and say whom they failed for."""

from __future__ import annotations

from appliance import jobs
from appliance.storage.db import insert
from tasks.box import box
from tasks.celery import app
from tasks.durable import Durable, finishing

NAME = "tests.slow"
jobs.TASKS[NAME] = "normal"


@app.task(base=Durable, name=NAME)
def slow(key: str) -> str:
    """Writes `key` once it has read a line from the pipe `slow` of the run folder."""
    with (box().settings.paths.run_dir / "slow").open() as pipe:
        pipe.readline()
    with finishing() as step:
        insert(step.tx, "identity", key=key, value="written")
        step.result = key
    return key


@app.task(base=Durable, name="tests.rude")
def rude(patient: str) -> None:
    raise ValueError(f"bad patient {patient}")


@app.task(name="tests.plain")
def plain(patient: str) -> None:
    raise ValueError(f"bad patient {patient}")
