"""The frozen program: what is in it, and that it brings all it needs (`make test-binary`)."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import httpx
import psutil
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "packaging"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

import frozen
import native_bundle
from PyInstaller.archive.readers import CArchiveReader
from running_box import DEPOTBOX, RunningBox, wait_for

from appliance.cli.main import COMMANDS
from appliance.roles import ROLES
from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.binary, pytest.mark.timeout(240)]

BINARY = ROOT / "dist" / "depotbox"
BILL = ROOT / "dist" / "depotbox.cdx.json"
LARGEST_MB = 40
USER = 1000


@pytest.fixture(scope="module")
def files() -> set[str]:
    return set(CArchiveReader(str(BINARY)).toc)


@pytest.fixture(scope="module")
def modules() -> set[str]:
    return set(CArchiveReader(str(BINARY)).open_embedded_archive("PYZ.pyz").toc)


@pytest.fixture(scope="module")
def components() -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(BILL.read_text())["components"]
    return found


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> RunningBox:
    return RunningBox(tmp_path_factory.mktemp("box") / "data")


def status(port: int) -> int:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/", timeout=1).status_code
    except httpx.HTTPError:
        return 0


def test_every_module_of_the_project_is_inside(modules: set[str]) -> None:
    sources = {
        ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for package in ("appliance", "mqtt_bridge", "tasks", "web")
        for file in (ROOT / package).rglob("*.py")
    }
    assert sources - modules == {"appliance.__main__"}  # that is the program's entry


def test_every_command_and_every_role_is_inside(modules: set[str]) -> None:
    entries = [entry for entry, _ in COMMANDS.values()] + [role.entry for role in ROLES if isinstance(role.entry, str)]
    assert {entry.partition(":")[0] for entry in entries} <= modules


def test_nothing_of_the_developers_packages_is_inside(modules: set[str]) -> None:
    box = set(frozen.box_distributions())
    homes = packages_distributions()
    foreign = {
        name
        for name in {module.partition(".")[0] for module in modules}
        if name in homes and not box & {frozen.canonical(one) for one in homes[name]}
    }
    assert foreign == {"appliance", "mqtt_bridge", "tasks", "web"}


def test_pages_servers_and_licences_are_inside(files: set[str]) -> None:
    assert {f"native/bin/{name}" for name in native_bundle.PACKAGES} <= files
    for folder in ("templates", "static", "vendor"):
        there = {f"web/{folder}/{file.name}" for file in (ROOT / "web" / folder).iterdir() if file.is_file()}
        assert there <= files
    assert any(name.startswith("native/copyright/mosquitto") for name in files)
    assert any(re.match(r"celery-.*\.dist-info/.*LICENSE", name) for name in files)


def test_it_is_small() -> None:
    assert BINARY.stat().st_size < LARGEST_MB * 1e6


def test_the_bill_is_cyclonedx() -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(BILL.read_text()) is None


def test_the_bill_names_every_part_with_a_licence(files: set[str], components: list[dict[str, object]]) -> None:
    names = {str(one["name"]) for one in components}
    assert set(frozen.box_distributions()) <= names
    locked = native_bundle.read_lock(native_bundle.lock_file(native_bundle.machine()))
    assert {package.name for package in locked} <= names
    assert all(one["licenses"] for one in components)
    described = {
        frozen.canonical(found[1]) for name in files if (found := re.match(r"([^/]+)-[^-/]+\.dist-info/", name))
    }
    assert described <= names


def test_the_version_tells_of_all_parts(box: RunningBox, components: list[dict[str, object]]) -> None:
    told = box.json("version", "--all")["parts"]
    assert {(part["name"], part["version"]) for part in told} == {(one["name"], one["version"]) for one in components}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_starts(box: RunningBox, command: str) -> None:
    done = box.run(command, "--help")
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout


@pytest.mark.parametrize("words", [("worker", "--detach"), ("beat", "--detach"), ("multi", "start", "w1")])
def test_what_detaches_is_refused_with_a_hint(box: RunningBox, words: tuple[str, ...]) -> None:
    done = box.run("celery", *words)
    assert done.returncode != 0
    assert "not supported" in done.stderr
    assert "`depotbox run` and systemd keep the box's own workers alive" in " ".join(done.stderr.split())


def test_the_box_runs_on_its_own_servers_and_ends_clean(box: RunningBox) -> None:
    """As an ordinary user; its roles, Celery's commands and Flower answer; nothing is left of it."""
    with box:
        for role, program in (("redis", "redis-server"), ("mosquitto", "mosquitto")):
            process = psutil.Process(box.roles()[role]["pid"])
            assert process.exe().endswith(f"/native/bin/{program}")
            assert process.uids().real == USER
        pages = httpx.get(f"http://127.0.0.1:{box.web_port}/", timeout=10)
        assert (pages.status_code, pages.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert box.run("celery", "inspect", "ping").stdout.count("pong") == 3
        port = free_port()
        flower = subprocess.Popen(
            [*DEPOTBOX, "flower", f"--port={port}"], env=box.environment, stdout=subprocess.DEVNULL
        )
        wait_for(lambda: status(port) == 401, "Flower asks for its password", 30)
        flower.terminate()
        flower.wait(20)
        unpacked = Path(process.exe()).parents[2]
        assert (unpacked / "web").is_dir()
        assert box.stop() == 0
    wait_for(lambda: not box.processes(), "no process of the box is left", 5)
    assert not unpacked.exists()


def test_the_box_ends_when_what_unpacked_it_is_killed(tmp_path: Path) -> None:
    with RunningBox(tmp_path / "data") as box:
        box.supervisor.send_signal(signal.SIGKILL)
        wait_for(lambda: not box.processes(), "no process of the box is left", 40)
