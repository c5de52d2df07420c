"""What systemd says of the units, as the box tells it; a script stands in for systemctl."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from sqlite_utils import Database

from appliance import clock, steward, units
from appliance.config import Settings
from appliance.errors import Unavailable
from appliance.servers import mosquitto
from appliance.storage.db import write_tx
from appliance.supervisor import restart, statusfile, unitstatus
from appliance.supervisor.report import measure

KEYS = ("ActiveState", "SubState", "MainPID", "NRestarts", "ExecMainCode", "ExecMainStatus", "MemoryCurrent")
SAID = {
    "init": ("active", "exited", 0, 0, 1, 0, "[not set]"),
    "redis": ("active", "running", 41, 2, 0, 0, 9_000_000),
    "beat": ("activating", "auto-restart", 0, 7, 1, 70, "[not set]"),
    "worker-low": ("failed", "failed", 0, 1, 2, 9, 2**64 - 1),
    "web": ("activating", "start", 42, 0, 0, 0, 80_000_000),
}


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A systemctl that says SAID; the other units never ran."""
    started = int((time.monotonic() - 100) * 1e6)
    blocks = []
    for role, values in SAID.items():
        pairs = [
            ("Id", units.unit(role)),
            *zip(KEYS, values, strict=True),
            ("ExecMainStartTimestampMonotonic", started),
        ]
        blocks.append("\n".join(f"{key}={value}" for key, value in pairs))
    (tmp_path / "said").write_text("\n\n".join(blocks) + "\n")
    made = tmp_path / "systemctl"
    made.write_text(f"#!/bin/sh\ncat {tmp_path}/said\n")
    made.chmod(0o755)
    monkeypatch.setattr(units, "SYSTEMCTL", made)
    return made


def in_charge(settings: Settings) -> Settings:
    settings.paths.units_marker.touch()
    return settings


def test_the_states_of_the_units_are_those_of_the_roles(systemctl: Path) -> None:
    status = unitstatus.read()
    assert status is not None
    found = {role.name: role for role in status.roles}
    states = {name: found[name].state for name in (*SAID, "bridge")}
    assert states == {
        "init": "done", "redis": "ready", "beat": "backoff", "worker-low": "failed", "web": "starting",
        "bridge": "stopped",
    }  # fmt: skip
    assert (found["redis"].pid, found["redis"].restarts, found["redis"].memory_bytes) == (41, 2, 9_000_000)
    assert (found["beat"].last_exit, found["worker-low"].last_exit) == ("exit 70", "SIGKILL")
    assert found["worker-low"].memory_bytes is None


def test_the_report_counts_the_memory_that_systemd_counts(depot: Settings, systemctl: Path) -> None:
    report = measure(in_charge(depot).paths)
    assert report.running
    assert report.memory_bytes == 89_000_000
    uptime = next(role.uptime_s for role in report.roles if role.name == "redis")
    assert uptime is not None
    assert 100 <= uptime < 130


def test_where_no_unit_runs_or_systemd_does_not_answer_nothing_runs(
    depot: Settings, systemctl: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    systemctl.with_name("said").write_text("")
    assert statusfile.read(in_charge(depot).paths) is None
    monkeypatch.setattr(units, "SYSTEMCTL", Path("/nonexistent"))
    assert statusfile.read(depot.paths) is None


def test_without_its_mark_systemd_is_not_asked(depot: Settings, systemctl: Path) -> None:
    assert statusfile.read(depot.paths) is None


def test_the_broker_is_found_by_its_unit(depot: Settings, systemctl: Path) -> None:
    (depot.paths.mqtt_dir / "mosquitto.pid").write_text("1")
    assert mosquitto.running_pid(in_charge(depot).paths) is None
    said = systemctl.with_name("said")
    said.write_text(said.read_text().replace("depotbox-redis", "depotbox-mosquitto"))
    assert mosquitto.running_pid(depot.paths) == 41


def test_a_restart_is_the_stewards_and_is_not_recorded_when_it_refuses(
    depot: Settings, depot_db: Database, systemctl: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str]] = []
    monkeypatch.setattr(steward, "ask", lambda verb, argument="": asked.append((verb, argument)))
    with write_tx(depot_db) as tx:
        restart.restart(tx, in_charge(depot), "bridge", who="test", now=clock.now())
    assert asked == [("restart", "bridge")]
    monkeypatch.undo()
    with pytest.raises(Unavailable, match="steward"), write_tx(depot_db) as tx:
        restart.restart(tx, depot, "bridge", who="test", now=clock.now())
    recorded = depot_db.execute("SELECT count(*) FROM audit_log WHERE action = 'role.restarted'").fetchone()[0]
    assert recorded == 1
