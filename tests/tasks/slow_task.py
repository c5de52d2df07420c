"""A durable task for a real worker that waits in its middle until the test lets it go: `--include slow_task`."""

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
