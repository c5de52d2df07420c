"""The log and the diagnostics bundle: on the pages and in the API, without people and secrets."""

from __future__ import annotations

import io
import json
import tarfile
from datetime import timedelta

from litestar.testing import TestClient
from sqlite_utils import Database

from appliance import ca, jobs, keys, log_file
from appliance.servers import certificate
from appliance.storage import people, users
from appliance.storage.db import insert, write_tx
from tests.web import world
from tests.web.conftest import NOON, Client, sign_in
from web.app import create_app

SECRET = "hunter-twothousand"
MARKS = ("zyxquilla", "quorvex", "unmistakable", "vlormund", "496 0999", "zq-mail", SECRET, "PRIVATE KEY", "52.1234")


def write_log(depot: world.World, *events: dict[str, object]) -> None:
    folder = depot.settings.paths.log_dir
    folder.mkdir(exist_ok=True)
    with (folder / log_file.NAME).open("a") as file:
        file.writelines(json.dumps(event) + "\n" for event in events)


def event(name: str, role: str = "web", level: str = "info", **more: object) -> dict[str, object]:
    return {"event": name, "role": role, "level": level, "timestamp": "2026-01-26T11:59:00Z", **more}


def test_the_log_is_read_by_role_and_level_the_newest_first(client: Client, depot: world.World) -> None:
    write_log(depot, event("a.one"), event("b.two", "beat", "warning"), event("c.three", "web", "error", job="x<b>"))
    items = client.get("/api/v1/system/log").json()["items"]
    assert [one["event"] for one in items] == ["c.three", "b.two", "a.one"]
    assert [one["event"] for one in client.get("/api/v1/system/log?level=warning&role=web").json()["items"]] == [
        "c.three"
    ]
    assert len(client.get("/api/v1/system/log?limit=1").json()["items"]) == 1
    page = client.get("/system/log?role=beat").text
    assert "b.two" in page
    assert "a.one" not in page
    assert "x&lt;b&gt;" in client.get("/system/log").text


def test_only_administrators_read_log_and_bundle(client: Client, depot: world.World) -> None:
    sign_in(client, depot, "dispatcher")
    for path in ("log", "diagnostics"):
        assert client.get(f"/system/{path}").status_code == 403
        assert client.get(f"/api/v1/system/{path}").status_code == 403


def plant(depot: world.World, depot_db: Database) -> None:
    """Names and secrets wherever one could stand."""
    paths = depot.settings.paths
    with write_tx(depot_db) as tx:
        patient = people.add_patient(
            tx, "Zyxquilla Quorvex", NOON, address="77 Unmistakable Lane", phone="+44 151 496 0999"
        )
        users.add(tx, "zq-mail@zq-mail.example", "Vlormund Quorvex", "viewer", NOON)
        ask = jobs.enqueue(
            tx, "users.tasks.send_notification", now=NOON, user_id=1, notification_type="note", message="Zyxquilla"
        )
        tx.conn.execute("UPDATE jobs SET state = 'failed', error = 'SMTPError: no Zyxquilla Quorvex',"
                        " traceback = 'Quorvex' WHERE id = ?", (ask.id,))  # fmt: skip
        tx.conn.execute("UPDATE trips SET patient_id = ?, pickup_address = 'Vlormund Clinic' WHERE id = 1", (patient,))
        tx.conn.execute("UPDATE queue_pauses SET paused_by = 'zq-mail@zq-mail.example'")
        insert(
            tx,
            "queue_pauses",
            queue="normal",
            paused_at="2026-01-26T11:00:00.000Z",
            paused_by="zq-mail@zq-mail.example",
        )
    ca.own(paths)
    certificate.renew(depot.settings, NOON)
    for name in ("bridge", "links"):
        keys.own(paths, name)
    write_log(
        depot,
        event("mail.failed", error=f"relay said {SECRET}", to="zq-mail@zq-mail.example", note="for Zyxquilla"),
        event("fix.stored", lat=52.1234, lon=-1.5),
        event(
            "x.y", exception="Traceback (most recent call last):\nKeyError: 'Zyxquilla'", key=keys.own(paths, "links")
        ),
        {"event": "mosquitto said Quorvex to +44 151 496 0999"},
        {"event": ca.public(paths), "more": paths.ca_key.read_text()},
    )


def test_the_bundle_holds_nobody_and_no_secret_wherever_they_stand(
    depot: world.World, depot_db: Database, redis_server: object
) -> None:
    settings = world.settings_for(
        depot.settings.paths.data_dir, DEPOTBOX_MAIL__HOST="relay.example", DEPOTBOX_MAIL__USERNAME="zq-mail",
        DEPOTBOX_MAIL__PASSWORD=SECRET, DEPOTBOX_DEPOT__BANK_DETAILS="Vlormund Bank",
        DEPOTBOX_UPSTREAM__URL="https://centre.example/",
    )  # fmt: skip
    plant(depot, depot_db)
    app = create_app(settings, now=lambda: depot.now + timedelta(minutes=30))
    with TestClient(app, base_url="http://127.0.0.1:8080") as client:
        sign_in(client, depot)
        answer = client.get("/api/v1/system/diagnostics/bundle")
        with tarfile.open(fileobj=io.BytesIO(answer.content)) as archive:
            files = {one.name: archive.extractfile(one).read().decode() for one in archive}  # type: ignore[union-attr]
        shown = client.get("/api/v1/system/diagnostics").json()
        page = client.get("/system/diagnostics").text
        log_text = client.get("/system/log").text + client.get("/api/v1/system/log").text
    everything = "".join(files.values())
    secrets = [file.read_text().strip() for file in settings.paths.secrets_dir.iterdir()]
    assert len(secrets) >= 5
    for text in (everything, json.dumps(shown), log_text):
        for mark in (*MARKS, *secrets):
            assert mark.lower() not in text.lower(), mark
    assert set(files) == {f"depotbox-diagnostics/{name}" for name in shown}
    assert all(name in page for name in shown)
    assert '"SMTPError"' in files["depotbox-diagnostics/work.json"]
    assert '"check": "ok"' in files["depotbox-diagnostics/database.json"]
    assert "mail.failed" in files["depotbox-diagnostics/log.jsonl"]
    assert '"relay.example"' in files["depotbox-diagnostics/configuration.json"]
