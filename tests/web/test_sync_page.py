"""The line to the central office by page and by API: who may do what, and what a person reads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from sqlite_utils import Database

from appliance import clock, health, uplink, uplink_desk
from appliance.config import Settings
from appliance.storage import identity, sync_log
from appliance.storage.db import row, write_tx
from appliance.supervisor import checkup
from tests.uplink.fake_centre import CODE, FakeCentre
from tests.web import world
from tests.web.conftest import NOON, Client, sign_in


@pytest.fixture
def centre() -> Iterator[FakeCentre]:
    made = FakeCentre()
    made.codes = {"DEPOT": CODE, "DEMO": CODE, "LIV": CODE}
    yield made
    made.close()


@pytest.fixture
def depot(data_dir: Path, centre: FakeCentre, monkeypatch: pytest.MonkeyPatch) -> world.World:
    """The invented depot, whose central office it does not know yet."""
    made = world.make(data_dir, NOON)
    upstream = msgspec.structs.replace(made.settings.upstream, url=centre.url)
    centre.codes[made.settings.depot.code] = CODE
    settings = msgspec.structs.replace(made.settings, upstream=upstream)
    monkeypatch.setattr(clock, "now", lambda: NOON)
    return world.World(settings, made.now, made.vehicles, made.trips, made.live)


def codes(settings: Settings) -> set[str]:
    return {one.code for one in health.issues(checkup.collect(settings, redis=True, now=NOON))}


def test_an_administrator_enrols_the_box_and_reads_what_is_there(
    client: Client, depot: world.World, depot_db: Database, centre: FakeCentre
) -> None:
    assert "does not know this box yet" in client.get("/sync").text
    assert "uplink_unknown" in codes(depot.settings)
    assert client.post("/sync/enrol", data={"code": "guess"}).status_code == 422
    assert "Central knows this box now" in client.post("/sync/enrol", data={"code": CODE}).text
    uplink.push(depot.settings, depot_db)
    said = client.get("/sync").text
    assert "Everything up to Monday, 26 January 2026, 12:00 is at the central office" in said
    assert "nothing differs" in said
    assert "Everything up to Monday" in client.get("/system").text
    found = client.get("/api/v1/sync").json()
    assert (found["backlog"], found["complete_through"]) == (0, "2026-01-26T12:00:00Z")
    (receipt,) = client.get("/api/v1/sync/receipts").json()["items"]
    assert receipt["whole"] is True
    assert not codes(depot.settings) & {"uplink_unknown", "receipt_differs", "rows_parked", "uplink_refused"}


def test_rows_that_are_not_taken_stand_there_with_their_reason_and_a_button(
    client: Client, depot: world.World, depot_db: Database, centre: FakeCentre
) -> None:
    uplink.enrol(depot.settings, depot_db, CODE, who="ann")
    centre.reject = lambda found: "number is taken" if '"code":"D3"' in found.snapshot else None
    uplink.push(depot.settings, depot_db)
    assert "rows_parked" in codes(depot.settings)
    (parked,) = client.get("/api/v1/sync/parked").json()["items"]
    said = client.get("/sync").text
    assert parked["row"] in said
    assert "number is taken" in said
    sign_in(client, depot, "biller")
    assert "1 row waits to be sent again" in client.post("/sync/retry", data={"row": parked["row"]}).text
    assert sync_log.count_parked(depot_db) == 0
    assert client.post("/api/v1/sync/retry", json={"rows": ["x"]}).status_code == 400


def test_send_now_asks_for_a_job_that_does_not_wait(
    client: Client, depot: world.World, depot_db: Database, centre: FakeCentre
) -> None:
    assert client.post("/sync/now").status_code == 422
    uplink.enrol(depot.settings, depot_db, CODE, who="ann")
    with write_tx(depot_db) as tx:
        tx.conn.execute("UPDATE uplink SET retry_at = '2026-01-26T12:30:00.000Z'")
    assert "is sent now" in client.post("/sync/now").text
    assert row(depot_db, "SELECT retry_at FROM uplink") == {"retry_at": None}
    assert row(depot_db, "SELECT name FROM jobs WHERE key = 'sync-now'") == {"name": "sync.tasks.push_upstream"}


def test_nobody_but_an_administrator_changes_the_line(client: Client, depot: world.World) -> None:
    sign_in(client, depot, "biller")
    for path in ("/sync/enrol", "/sync/key", "/sync/resend", "/sync/bill-anyway"):
        assert client.post(path).status_code == 403
    sign_in(client, depot, "viewer")
    assert client.get("/sync").status_code == 200
    for path in ("/sync/now", "/sync/retry", "/api/v1/sync/now"):
        assert client.post(path).status_code == 403


def test_days_are_sent_again_by_page_and_by_api(
    client: Client, depot: world.World, depot_db: Database, centre: FakeCentre
) -> None:
    uplink.enrol(depot.settings, depot_db, CODE, who="ann")
    uplink.push(depot.settings, depot_db)
    days = {"first": "2026-01-26", "last": "2026-01-26"}
    said = client.post("/api/v1/sync/resend", json={**days, "streams": ["trips"]}).json()
    assert said["rows"] == len(centre.rows[1, "trips"])
    assert "wait to be sent again" in client.post("/sync/resend", data=days).text
    assert client.post("/sync/resend", data={"first": "x"}).status_code == 422


def test_a_restored_box_bills_what_was_in_the_backup_only_when_an_administrator_says_so(
    client: Client, depot: world.World, depot_db: Database
) -> None:
    assert client.post("/api/v1/sync/bill-anyway").status_code == 409
    with write_tx(depot_db) as tx:
        identity.put(tx, "epoch", "2")
    assert "not_recovered" in codes(depot.settings)
    assert "Bill trips from before the restore" in client.get("/sync").text
    assert "are billed within 15 minutes" in client.post("/sync/bill-anyway").text
    assert row(depot_db, "SELECT freed_epoch FROM uplink") == {"freed_epoch": 2}
    assert not uplink_desk.is_well(uplink_desk.status(depot_db, depot.settings, NOON))
