"""A backup by page and by API."""

from __future__ import annotations

from pathlib import Path

from sqlite_utils import Database

from appliance import backup
from appliance.storage.db import rows
from tests.web import world
from tests.web.conftest import Client, sign_in


def test_a_backup_is_downloaded_whole_and_leaves_nothing_behind(
    client: Client, depot: world.World, depot_db: Database, tmp_path: Path
) -> None:
    for path in ("/system/backup/file", "/api/v1/system/backup"):
        answer = client.post(path)
        assert answer.status_code == 200
        assert f"depotbox-{depot.settings.depot.code}-2026" in answer.headers["content-disposition"]
        assert answer.headers["cache-control"] == "no-store"
        (tmp_path / "a.tar.gz").write_bytes(answer.content)
        assert "depot.db" in backup.check(tmp_path / "a.tar.gz").files
    assert not list(depot.settings.paths.data_dir.glob(f"{backup.HANDED_OUT}*"))
    audited = rows(depot_db, "SELECT who FROM audit_log WHERE action = 'backup.downloaded'")
    assert [row["who"] for row in audited] == [world.address_of("administrator")] * 2


def test_nobody_but_an_administrator_gets_one(client: Client, depot: world.World) -> None:
    sign_in(client, depot, "biller")
    assert client.post("/system/backup/file").status_code == 403
    assert client.post("/api/v1/system/backup").status_code == 403
    assert client.get("/system/backup").status_code == 403
