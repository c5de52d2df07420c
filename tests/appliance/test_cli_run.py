"""`depotbox run` and `depotbox status` from outside: one clear line before the start, and the truth about what runs."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from appliance import config
from appliance.cli.run import welcome
from appliance.cli.status import duration
from appliance.errors import Unavailable
from appliance.paths import Paths
from appliance.supervisor import lock, statusfile

FAKEBOX = Path(__file__).with_name("fakebox.py")


@pytest.fixture
def ports(free_port: Callable[[], int]) -> None:
    os.environ["DEPOTBOX_WEB__PORT"] = str(free_port())
    os.environ["DEPOTBOX_WEB__TLS_PORT"] = str(free_port())
    os.environ["DEPOTBOX_MQTT__PORT"] = str(free_port())
    os.environ["DEPOTBOX_MQTT__TLS_PORT"] = str(free_port())
    os.environ["DEPOTBOX_MQTT__CERTIFICATE_PORT"] = str(free_port())


def depotbox(*args: str | Path) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "appliance", *map(str, args)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


@contextmanager
def listening(port: int) -> Iterator[None]:
    with socket.create_server(("127.0.0.1", port)):
        yield


def only_line(ended: subprocess.CompletedProcess[str]) -> str:
    assert ended.stdout == ""
    assert ended.stderr.count("\n") == 1, ended.stderr
    return ended.stderr.strip()


@pytest.mark.usefixtures("ports")
def test_a_second_box_on_a_data_folder_is_refused(data_dir: Path) -> None:
    paths = Paths(data_dir)
    paths.prepare()
    with lock.hold(paths):
        ended = depotbox("run", "--data-dir", data_dir)
    assert ended.returncode == 75
    assert only_line(ended).startswith(f"depotbox: {data_dir}: a box already runs on this data folder")


@pytest.mark.usefixtures("ports")
@pytest.mark.parametrize("key", ["web.port", "mqtt.port", "mqtt.tls_port", "mqtt.certificate_port"])
def test_a_taken_port_names_its_key_address_and_number(data_dir: Path, key: str) -> None:
    port = int(os.environ[f"DEPOTBOX_{key.replace('.', '__').upper()}"])
    with listening(port):
        ended = depotbox("run", "--data-dir", data_dir)
    assert ended.returncode == 69
    assert only_line(ended) == (
        f"depotbox: {key} = {port}: port {port} of 127.0.0.1 is taken by another program (end it, or change {key})"
    )


@pytest.mark.usefixtures("ports")
def test_one_port_for_both_listeners_is_refused(data_dir: Path) -> None:
    os.environ["DEPOTBOX_MQTT__PORT"] = os.environ["DEPOTBOX_WEB__PORT"]
    ended = depotbox("run", "--data-dir", data_dir)
    assert ended.returncode == 78
    assert "web.port and mqtt.port" in only_line(ended)


@pytest.mark.usefixtures("ports")
def test_a_data_folder_that_cannot_be_written_is_named(data_dir: Path) -> None:
    data_dir.touch()
    ended = depotbox("run", "--data-dir", data_dir)
    assert ended.returncode == 78
    assert only_line(ended).startswith(f"depotbox: storage.data_dir = {data_dir}: the data folder cannot be written")


@pytest.mark.usefixtures("ports")
def test_a_missing_server_is_named(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With no program in sight: neither bundled, nor unpacked, nor of the system."""
    code = (
        "import shutil; from pathlib import Path\n"
        "from appliance import paths; from appliance.cli.main import main\n"
        "paths.PROJECT_ROOT = Path('/nowhere'); shutil.which = lambda *a, **k: None\n"
        f"main(['run', '--data-dir', {str(data_dir)!r}])"
    )
    argv = [sys.executable, "-c", code]
    ended = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 69
    assert only_line(ended) == "depotbox: redis-server: program not found (run `make setup`, or install it)"


@pytest.mark.usefixtures("ports")
def test_on_a_terminal_the_start_ends_with_the_welcome_and_ctrl_c_with_0(data_dir: Path, start: Any) -> None:
    script = "import signal; from appliance.notify import notify; notify('READY=1'); signal.pause()"
    code = (
        "import sys; from appliance import roles; from appliance.cli.main import main\n"
        f"table = (roles.Role('web', lambda: [sys.executable, '-c', {script!r}]),)\n"
        f"roles.table = lambda demo: table\nmain(['run', '--data-dir', {str(data_dir)!r}])"
    )
    terminal, far_end = pty.openpty()
    box = start([sys.executable, "-c", code], stdout=far_end)
    os.close(far_end)
    said = ""
    while "Ctrl-C" not in said:
        said += os.read(terminal, 4096).decode()
    assert f"http://127.0.0.1:{os.environ['DEPOTBOX_WEB__PORT']}/" in said
    assert str(data_dir) in said
    box.send_signal(signal.SIGINT)
    assert box.wait(timeout=30) == 0
    os.close(terminal)


def test_status_of_a_folder_without_a_box_is_not_running(data_dir: Path) -> None:
    ended = depotbox("status", "--data-dir", data_dir)
    assert (ended.returncode, ended.stdout) == (3, f"not running ({data_dir})\n")
    ended = depotbox("status", "--json", "--data-dir", data_dir)
    assert (ended.returncode, json.loads(ended.stdout)) == (
        3,
        {"running": False, "roles": [], "memory_bytes": 0, "damaged_days": []},
    )
    assert not data_dir.exists()


def test_status_tells_of_each_role_with_uptime_and_memory(data_dir: Path, start: Any, wait_for: Any) -> None:
    table = [{"name": "redis", "script": "spawn(); until_told()"}, {"name": "web", "script": "sys.exit(7)"}]
    box = start([sys.executable, str(FAKEBOX), str(data_dir), json.dumps(table)])

    def found() -> Any:
        status = statusfile.read(Paths(data_dir))
        return status if status and status.roles[0].state == "ready" and status.roles[1].last_exit else None

    pid = wait_for(found).roles[0].pid
    child = wait_for(lambda: psutil.Process(pid).children())[0]
    ended = depotbox("status", "--json", "--data-dir", data_dir)
    report = json.loads(ended.stdout)
    redis, web = report["roles"]
    assert (ended.returncode, report["running"]) == (0, True)
    assert (redis["name"], redis["state"], redis["pid"], redis["restarts"]) == ("redis", "ready", pid, 0)
    assert 0 < redis["uptime_s"] < 60
    assert redis["memory_bytes"] > 1_000_000
    assert report["memory_bytes"] > redis["memory_bytes"]
    assert web["last_exit"] == "exit 7"
    child.kill()
    table_text = depotbox("status", "--data-dir", data_dir).stdout
    assert "redis" in table_text
    assert "exit 7" in table_text
    box.terminate()
    assert box.wait(timeout=30) == 0
    assert depotbox("status", "--data-dir", data_dir).returncode == 3


def test_a_status_file_of_a_run_that_is_over_does_not_count(data_dir: Path) -> None:
    paths = Paths(data_dir)
    paths.prepare()
    status = statusfile.RunStatus(
        supervisor_pid=os.getpid(), started_at="", started_monotonic_s=0.0, demo=False, roles=[]
    )
    statusfile.write(paths.status_file, status)
    assert statusfile.read(paths) is None
    with lock.hold(paths):
        assert statusfile.read(paths) == status
        paths.status_file.write_text("{")
        assert statusfile.read(paths) is None


def test_who_may_not_look_is_not_told_that_nothing_runs(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(Unavailable, match=r"status.json: this user may not read it"):
        statusfile.read(Paths(data_dir))


def test_an_end_of_a_role_writes_its_traceback_to_the_log(data_dir: Path) -> None:
    """A fault inside a role: JSON with the traceback for the log, one line for a person, exit code 70."""
    code = (
        "from appliance import roles; from appliance.cli.main import main\n"
        "roles.ROLES = (roles.Role('web', 'operator:truediv', (0,)),)\n"
        f"main(['role', 'web', '--data-dir', {str(data_dir)!r}])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    logged, line = ended.stderr.splitlines()
    assert ended.returncode == 70
    assert json.loads(logged)["event"] == "role.failed"
    assert "Traceback" in json.loads(logged)["exception"]
    assert line.startswith("depotbox: TypeError: ")


def test_the_welcome_names_the_page_the_folder_and_the_way_out() -> None:
    settings = config.load(environ={"DEPOTBOX_WEB__PORT": "8090", "DEPOTBOX_STORAGE__DATA_DIR": "/srv/depot"})
    text = welcome(settings, [])
    for part in ("http://127.0.0.1:8090/", "mqtt://127.0.0.1:1883", "/srv/depot", "Ctrl-C"):
        assert part in text
    assert "Not running  beat" in welcome(settings, ["beat"])


def test_an_address_of_ip_version_6_is_bracketed() -> None:
    settings = config.load(environ={"DEPOTBOX_WEB__HOST": "::1"})
    assert "http://[::1]:8080/" in welcome(settings, [])


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (59.9, "59 s"), (60, "1 min"), (3599, "59 min"), (3600, "1 h 0 min"), (90000, "1 d 1 h")],
)
def test_a_duration_has_two_units_at_most(seconds: float, said: str) -> None:
    assert duration(seconds) == said
