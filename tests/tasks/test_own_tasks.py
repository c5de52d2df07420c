"""A task of the depot's own, as docs/operations.md has it."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.servers import wait_for
from tests.tasks.guide import DEPOTBOX, OPERATIONS, Guide, depot_with_redis

EXAMPLE = OPERATIONS.partition("### A periodic task of the depot's own")[2].partition("\n### ")[0]
WORKER = "celery -A tasks worker --loglevel=info --concurrency=1"


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", EXAMPLE, re.DOTALL)
    assert found
    return found[1]


def test_the_documented_example_runs_as_a_job_by_crontab_and_by_interval(tmp_path: Path) -> None:
    (tmp_path / "night.py").write_text(block("python"))
    (tmp_path / "broken.py").write_text("patient = 'Zyxquilla'\nimport no_such_module")
    with depot_with_redis() as guide:
        guide.environ |= {"DEPOTBOX_TASKS__FOLDER": str(tmp_path)}
        lines = block("sh").splitlines()
        for line in lines:
            guide.says(line, program=DEPOTBOX)
        listed = json.loads(guide.says("depotbox schedule list --json", program=DEPOTBOX))["items"]
        entries = {one["name"]: one for one in listed}
        assert (entries["night"]["crontab"], entries["often"]["every_s"]) == ("0 2 * * *", 900)
        with guide.running(WORKER, " ready.") as log, guide.running("celery -A tasks beat", ""):
            assert "tasks.file_failed" in log.read_text()
            assert "no_such_module" in log.read_text()
            assert "Zyxquilla" not in log.read_text()
            assert "night.count_vehicles" in str(guide.asks("celery -A tasks inspect registered"))
            guide.says("depotbox schedule set often --every 1", program=DEPOTBOX)
            wait_for(lambda: results(guide), "beat has asked for it and the worker has done it")
        assert results(guide)[0] == 7


def results(guide: Guide) -> list[object]:
    found = guide.db.conn.execute("SELECT result FROM jobs WHERE name = 'night.count_vehicles' AND state = 'done'")
    return [json.loads(result) for (result,) in found]
