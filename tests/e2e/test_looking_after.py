"""Looking after a whole box: HTTPS, its log, the restart of a role, a bundle, a backup, and a restore."""

from __future__ import annotations

import ssl
from pathlib import Path

import httpx
from running_box import RunningBox, wait_for

from appliance.paths import Paths


def test_a_box_is_looked_after_over_https_and_restored(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with RunningBox(data_dir) as box:
        trust = ssl.create_default_context(cafile=str(Paths(data_dir).ca_certificate))
        headers = box.token()
        with httpx.Client(base_url=f"https://127.0.0.1:{box.tls_port}", verify=trust, headers=headers) as client:
            said = client.get("/api/v1/system/log?limit=1000").json()["items"]
            assert {"supervisor", "bridge", "web", "beat", "mosquitto"} <= {line["role"] for line in said}
            before = box.roles()["beat"]
            assert client.post("/api/v1/system/roles/beat/restart").status_code == 202
            wait_for(
                lambda: (now := box.roles()["beat"])["state"] == "ready" and now["pid"] != before["pid"],
                "beat is started again",
                60,
            )
            assert box.roles()["web"]["restarts"] == 0
            answer = client.post("/api/v1/system/backup", timeout=60)
            assert answer.status_code == 200
            (tmp_path / "box.tar.gz").write_bytes(answer.content)
        (who,) = box.query("SELECT who FROM audit_log WHERE action = 'role.restarted'")
        assert who == ("administrator@depot.example (token api)",)
        assert box.run("diagnostics", "--into", str(tmp_path)).returncode == 0
        assert list(tmp_path.glob("depotbox-diagnostics-*.tar.gz"))
        assert box.run("restore", str(tmp_path / "box.tar.gz"), "--yes").returncode == 75
    assert box.run("restore", str(tmp_path / "box.tar.gz"), "--yes").returncode == 0
    with RunningBox(data_dir) as box:
        assert {item["queue"] for item in box.json("queues", "list")["items"] if item["paused_at"]} == {
            "normal",
            "low_priority",
        }
