"""What a person decides about a job, through the API."""

from __future__ import annotations

from appliance import jobs
from appliance.storage import jobs as rows
from appliance.storage.db import open_depot, value, write_tx
from tests.web import world
from tests.web.conftest import Client


def test_a_failed_job_is_shown_retried_and_discarded(client: Client, depot: world.World) -> None:
    """Each is written down with who did it; what does not fit the job's state is 409, an unknown id 404."""
    db = open_depot(depot.settings.paths.depot_db)
    now = depot.now
    with write_tx(db) as tx:
        ask = jobs.enqueue(tx, "trips.tasks.check_trip_timeouts", now=now)
        assert rows.claim(tx, ask.id, "w", now)
        assert rows.fail(tx, ask.id, 1, "ValueError: no", "Traceback", now, failures=3)
    assert client.get(f"/api/v1/jobs/{ask.id}").json()["state"] == "failed"
    assert client.post(f"/api/v1/jobs/{ask.id}/retry").json()["state"] == "pending"
    assert client.post(f"/api/v1/jobs/{ask.id}/retry").status_code == 409
    assert client.post(f"/api/v1/jobs/{ask.id}/discard").json()["state"] == "discarded"
    assert client.get("/api/v1/jobs/none").status_code == 404
    assert client.post("/api/v1/jobs/none/retry").status_code == 404
    assert value(db, "SELECT count(*) FROM audit_log WHERE subject_uid = ?", ask.id) == 2
    db.conn.close()
