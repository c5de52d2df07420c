"""What a build of the single program would take in, without building it."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "packaging"))

import frozen
import native_bundle
import parts
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from setup_steps import ProgressLine, SetupError, Shell

from appliance.cli.main import COMMANDS
from appliance.roles import ROLES
from tasks.celery import app

DIGEST = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # of "abc"


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path / "log", "log", ProgressLine(1, 1, "test", io.StringIO()))


def test_whatever_a_table_names_is_taken() -> None:
    entries = [entry for entry, _ in COMMANDS.values()] + [role.entry for role in ROLES if isinstance(role.entry, str)]
    named = {entry.partition(":")[0] for entry in entries} | set(app.conf.include)
    assert named <= set(frozen.named_in_tables()) <= set(frozen.project_modules())


def test_every_package_of_the_project_is_declared() -> None:
    """setuptools, and the frozen program after it, leave out one that pyproject.toml does not name."""
    folders = {
        ".".join(file.parent.relative_to(frozen.ROOT).parts)
        for package in ("appliance", "mqtt_bridge", "tasks", "web")
        for file in (frozen.ROOT / package).rglob("__init__.py")
    }
    assert folders == set(frozen.project_packages())


def test_developers_packages_stay_out_and_the_boxs_do_not() -> None:
    out = set(frozen.excluded())
    assert {"pytest", "mypy", "PyInstaller", "cyclonedx", "PIL", "pip", "tkinter"} <= out
    assert not out & {"_cffi_backend", "redis", "packaging", "appliance", "tasks", "web", "mqtt_bridge"}


def test_a_depots_own_tasks_may_import_the_standard_library() -> None:
    assert {"csv", "ftplib", "xml.etree.ElementTree", "concurrent.futures.thread"} <= set(frozen.standard_library())


def test_a_library_that_servers_bring_too_is_there_once(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "libssl.so.3").touch()
    found = frozen.shared([("libssl.so.3", "/x", "BINARY"), ("libz.so.1", "/y", "BINARY")], tmp_path)
    assert found == [("libssl.so.3", "native/lib/libssl.so.3", "SYMLINK"), ("libz.so.1", "/y", "BINARY")]


def test_licences_stay_and_what_installers_leave_does_not() -> None:
    names = ["a.dist-info/RECORD", "a.dist-info/licenses/LICENSE", "pytz/zoneinfo/UTC", "web/icons.json"]
    kept = frozen.thinned([(name, "/x", "DATA") for name in names])
    assert [name for name, _, _ in kept] == ["a.dist-info/licenses/LICENSE", "web/icons.json", "pytz/zoneinfo"]


def test_the_servers_packages_are_locked_by_version_and_hash() -> None:
    locked = native_bundle.read_lock(native_bundle.lock_file("amd64"))
    assert {"redis-server", "redis-tools", "mosquitto", "libssl3"} <= {package.name for package in locked}
    assert all(len(package.sha256) == 64 for package in locked)
    assert not {"libc6"} & {package.name for package in locked}


def test_an_architecture_without_a_lock_is_told_in_one_line() -> None:
    with pytest.raises(SetupError, match=r"debian-packages-mips.lock is missing: make lock-servers"):
        native_bundle.read_lock(native_bundle.lock_file("mips"))


def test_a_package_that_is_not_the_locked_one_is_refused(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deb = tmp_path / "redis_1_amd64.deb"
    deb.write_bytes(b"abc")
    monkeypatch.setattr(native_bundle, "download", lambda *_: [deb])
    locked = native_bundle.Package("redis", "1", DIGEST)
    assert native_bundle.fetch(shell, [locked], tmp_path) == [deb]
    deb.write_bytes(b"abd")
    with pytest.raises(SetupError, match=r"redis_1_amd64.deb: not the file that is locked"):
        native_bundle.fetch(shell, [locked], tmp_path)


def test_a_package_may_share_the_licence_of_another(tmp_path: Path) -> None:
    documents = tmp_path / "usr/share/doc"
    (documents / "gcc-12-base").mkdir(parents=True)
    (documents / "libgcc-s1").symlink_to("gcc-12-base")
    assert native_bundle.document_of("libgcc-s1", tmp_path) == documents / "gcc-12-base" / "copyright"


def test_the_bill_of_packages_is_cyclonedx_and_the_same_each_time() -> None:
    bill = parts.document_of([*parts.of_python(), *parts.of_browser()])
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill) is None
    assert bill == parts.document_of([*parts.of_python(), *parts.of_browser()])
