"""Bad input gets one clear line, loses nothing that was good, and crashes nothing."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from running_box import DEPOTBOX, RunningBox, wait_for

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBox]:
    with RunningBox(tmp_path_factory.mktemp("bad") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def vans(box: RunningBox) -> dict[str, dict[str, str]]:
    """Two vans' credentials, as the command prints them once."""
    return {code: box.json("vehicle", "add", code) for code in ("VAN-A", "VAN-B")}


def publish(credentials: dict[str, str], topic: str, *payloads: bytes) -> None:
    """Publishes as the device and waits for the broker's acknowledgements."""
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=credentials["client_id"], protocol=paho.MQTTv5)
    client.username_pw_set(credentials["username"], credentials["password"])
    client.connect(credentials["host"], int(credentials["port"]))
    client.loop_start()
    for payload in payloads:
        client.publish(topic, payload, qos=1).wait_for_publish(10)
    client.disconnect()
    client.loop_stop()


def fix(at: datetime, lat: float = 53.41, lon: float = -2.93) -> bytes:
    return json.dumps({"lat": lat, "lon": lon, "t": at.isoformat()}).encode()


def test_bad_fixes_are_kept_with_their_reason_and_good_ones_stored(
    box: RunningBox, vans: dict[str, dict[str, str]]
) -> None:
    """Broken JSON, 0/0 and a future time among good fixes: three named rejections, every good fix stored."""
    now = datetime.now(UTC)
    before = box.json("fixes", "count")["count"]
    van = vans["VAN-A"]
    publish(
        van,
        van["topic"],
        fix(now - timedelta(seconds=3)),
        b'{"lat": 53.4, "lon": ',
        fix(now - timedelta(seconds=2)),
        fix(now, 0, 0),
        fix(now + timedelta(hours=1)),
        fix(now - timedelta(seconds=1)),
    )
    wait_for(lambda: box.json("fixes", "count")["count"] == before + 3, "three good fixes are stored", 10)
    found = {row["reason"] for row in box.json("fixes", "rejected")["items"]}
    assert {"unparsable", "null_island", "future"} <= found
    assert box.is_ready()


def test_a_device_cannot_publish_on_another_vehicles_topic(box: RunningBox, vans: dict[str, dict[str, str]]) -> None:
    """The broker drops it: nothing is stored for the other vehicle, and the device's own fixes still are."""
    now = datetime.now(UTC)
    before = box.json("fixes", "count")["count"]
    own, foreign = vans["VAN-B"], vans["VAN-A"]
    publish(own, foreign["topic"], fix(now, 53.42))
    publish(own, own["topic"], fix(now, 53.43))
    wait_for(lambda: box.json("fixes", "count")["count"] == before + 1, "the device's own fix is stored", 10)
    assert box.is_ready()


def run(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*DEPOTBOX, *arguments], env=os.environ | environment, capture_output=True, text=True, timeout=60, check=False
    )


def one_line(done: subprocess.CompletedProcess[str], code: int) -> str:
    """The command's complaint: exactly one line, no traceback."""
    assert done.returncode == code, done
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    return lines[0]


def test_an_unknown_config_key_is_one_line_with_exit_78(tmp_path: Path) -> None:
    """File, key, value and what was expected."""
    file = tmp_path / "depotbox.toml"
    file.write_text("[web]\nprot = 8080\n")
    for command in (("config", "check"), ("run",)):
        line = one_line(run({"DEPOTBOX_STORAGE__DATA_DIR": str(tmp_path / "d")}, *command, "--config", str(file)), 78)
        assert all(part in line for part in (str(file), "web.prot", "8080", "port"))


def test_a_port_that_is_taken_is_one_line(tmp_path: Path) -> None:
    """It names the key, the address and the port; nothing is started."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        line = one_line(run({"DEPOTBOX_STORAGE__DATA_DIR": str(tmp_path / "d"), "DEPOTBOX_WEB__PORT": port}, "run"), 69)
    assert "web.port" in line
    assert port in line


def test_a_data_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    """Also for root, who may write nearly everywhere."""
    (tmp_path / "file").write_text("")
    line = one_line(run({"DEPOTBOX_STORAGE__DATA_DIR": str(tmp_path / "file" / "data")}, "run"), 78)
    assert "storage.data_dir" in line


def test_bad_rows_of_a_recording_are_named_and_the_good_ones_replayed(box: RunningBox, tmp_path: Path) -> None:
    """One line a bad row on stderr; the others become a trip."""
    file = tmp_path / "day.csv"
    file.write_text(
        "vehicle_id,trip_id,timestamp,latitude,longitude\n"
        "V9,1,2026-01-26 10:00:00,53.40,-2.90\n"
        "V9,1,yesterday,53.41,-2.90\n"
        "V9,1,2026-01-26 10:01:00,abc,-2.90\n"
        "V9,1,2026-01-26 10:02:00,53.42,-2.90\n"
    )
    done = box.run("replay", str(file), "--speed", "1000", "--create-trips", "--json", timeout_s=100)
    assert done.returncode == 0, done
    complaints = done.stderr.strip().splitlines()
    assert len(complaints) == 2
    assert "line 3" in complaints[0]
    assert "line 4" in complaints[1]
    report = json.loads(done.stdout)
    assert (report["stored"], report["bad_rows"], report["trips_completed"], report["invoices"]) == (2, 2, 1, 1)


def test_a_file_that_is_no_recording_is_one_line(box: RunningBox, tmp_path: Path) -> None:
    """It names the file and the columns that were expected."""
    file = tmp_path / "list.csv"
    file.write_text("a,b\n1,2\n")
    done = box.run("replay", str(file))
    assert "vehicle_id" in one_line(done, 65)
