"""`depotbox doctor`."""

from __future__ import annotations

from appliance import jobs
from appliance.config import Settings
from appliance.storage import jobs as rows
from appliance.storage.db import open_depot, write_tx
from tests.cast import NOON
from tests.cli.conftest import Box


def test_the_doctor_names_what_is_wrong_and_what_to_do(box: Box, settings: Settings) -> None:
    db = open_depot(settings.paths.depot_db)
    with write_tx(db) as tx:
        ask = jobs.enqueue(tx, "upkeep.refresh_broker", now=NOON)
        assert rows.claim(tx, ask.id, "w", NOON)
        assert rows.fail(tx, ask.id, 1, "no", "", NOON, failures=3)
    db.conn.close()
    found = box("doctor", "--json")
    assert found.code == 1
    assert {"redis_away", "jobs_failed"} <= {issue["code"] for issue in found.json["issues"]}
    told = box("doctor")
    assert told.code == 1
    assert "warning: 1 job has failed" in told.out
    assert "  next:   On the page Work" in told.out
