"""What `make setup` decides without a network: what is current, what an error says, what is fetched and taken."""

from __future__ import annotations

import io
import json
import re
import sys
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

# packaging/ is no package (it would hide PyPI's): its files are run from their folder, and imported here likewise.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "packaging"))

import browser_libs
import native_servers
from complaints import last_line, telling_line
from setup_steps import SetupError, Shell, Step, digest, perform

ROOT = Path(__file__).resolve().parents[2]
# The oldest Python that the box supports in practice: Debian 12's.
DEBIAN = {"python_version": "3.11", "python_full_version": "3.11.2", "extra": ""}


class Kitchen:
    """A step that copies `order` to `dish`, and counts how often it did."""

    def __init__(self, folder: Path) -> None:
        self.order = folder / "order"
        self.dish = folder / "dish"
        self.state = folder / ".setup"
        self.cooked = 0
        self.order.write_text("soup")
        self.step = Step("cook", "the dish", lambda: digest([self.order]), [self.dish], self.build)

    def build(self, shell: Shell) -> None:
        self.cooked += 1
        shell.run("cp", ["cp", self.order, self.dish])

    def perform(self) -> str:
        shown = io.StringIO()
        perform([self.step], self.state, shown)
        return shown.getvalue()


@pytest.fixture
def kitchen(tmp_path: Path) -> Kitchen:
    return Kitchen(tmp_path)


def test_a_step_shows_one_line_with_its_number_and_seconds(kitchen: Kitchen) -> None:
    assert re.fullmatch(r"\[1/1\] the dish \.\.\. \d+\.\d s\n", kitchen.perform())


def test_a_second_run_does_nothing_and_says_so_in_one_line(kitchen: Kitchen) -> None:
    kitchen.perform()
    assert kitchen.perform() == "setup: everything is in place\n"
    assert kitchen.cooked == 1


def test_a_changed_input_runs_the_step_again(kitchen: Kitchen) -> None:
    kitchen.perform()
    kitchen.order.write_text("salad")
    kitchen.perform()
    assert kitchen.dish.read_text() == "salad"


def test_a_missing_product_runs_the_step_again(kitchen: Kitchen) -> None:
    kitchen.perform()
    kitchen.dish.unlink()
    kitchen.perform()
    assert kitchen.cooked == 2


def test_a_step_that_failed_runs_again(kitchen: Kitchen) -> None:
    kitchen.perform()
    kitchen.order.unlink()
    for _ in range(2):
        with pytest.raises(SetupError):
            kitchen.perform()
    assert kitchen.cooked == 3


def test_a_step_that_does_not_make_its_product_fails(kitchen: Kitchen, tmp_path: Path) -> None:
    step = Step("idle", "nothing", lambda: "", [kitchen.dish], lambda shell: None)
    with pytest.raises(SetupError, match="dish is missing although every command succeeded"):
        perform([step], tmp_path / ".setup", io.StringIO())


def test_a_failing_command_is_one_line_that_names_its_log(kitchen: Kitchen) -> None:
    kitchen.order.unlink()
    with pytest.raises(SetupError) as caught:
        kitchen.perform()
    assert re.fullmatch(r"cp failed: cp: .*No such file.* \(full log: \.setup/log/cook\.log\)", str(caught.value))
    assert "No such file" in (kitchen.state / "log" / "cook.log").read_text()


def test_a_command_that_does_not_exist_is_one_line(kitchen: Kitchen) -> None:
    step = Step("absent", "absent", lambda: "", [], lambda shell: print(shell.run("it", ["/no/such/program"])))
    with pytest.raises(SetupError, match="it: cannot start /no/such/program: No such file or directory"):
        perform([step], kitchen.state, io.StringIO())


@pytest.mark.parametrize(
    ("complaints", "told"),
    [
        ("", ""),
        ("first\nlast\n\n", "last"),
        ("E: Unable to locate package x\nW: old lists\n", "E: Unable to locate package x"),
        ("ERROR: no match for x==1\n\n[notice] A new release of pip\n", "ERROR: no match for x==1"),
        ("ERROR: these are not pinned:\n    x>=4 from y\n", "ERROR: these are not pinned: x>=4 from y"),
        (
            "npm error code E404\nnpm error 404 Not Found\nnpm error A complete log of this run is in: /x\n",
            "npm error 404 Not Found",
        ),
        (
            "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError('<pip.X object at 0x7>: "
            "Failed to connect: [Errno -3] Temporary failure')': /simple/x/\nERROR: no match for x==1\n",
            "ERROR: no match for x==1 [Failed to connect: [Errno -3] Temporary failure]",
        ),
        (
            "WARNING: Retrying after connection broken by 'SSLError(SSLCertVerificationError(1, '[SSL: NO] self-signed "
            "(_ssl.c:992)'))': /simple/x/\nERROR: no match for x==1\n",
            "ERROR: no match for x==1 [[SSL: NO] self-signed (_ssl.c:992)]",
        ),
    ],
)
def test_the_line_told_is_the_one_that_says_why(complaints: str, told: str) -> None:
    assert telling_line(complaints) == told


def test_a_note_is_one_line_without_control_characters() -> None:
    assert last_line("Get:1 a\r\n 50%\r \x1b[1m 70%   [2 b]\r\n") == "[1m 70% [2 b]"


def test_a_digest_depends_on_the_content_and_order_of_its_parts(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    absent = digest([file])
    file.write_text("a")
    assert len({absent, digest([file]), digest(["a", "b"]), digest(["b", "a"]), digest(["ab"])}) == 5


def test_packages_are_those_that_apt_would_install_but_never_glibc() -> None:
    plan = """\
Inst libc6 [2.36-9] (2.36-9+deb12u1 Debian:12 [amd64]) []
Inst libcjson1 (1.7.15-1 Debian:12 [amd64])
Inst mosquitto (2.0.11-1 Debian:12 [amd64])
Conf libcjson1 (1.7.15-1 Debian:12 [amd64])
"""
    assert native_servers.planned_packages(plan) == ["libcjson1", "mosquitto"]


def test_a_library_that_the_loader_does_not_find_is_known_as_missing() -> None:
    listing = """\
	linux-vdso.so.1 (0x00007ffd)
	liblzf.so.1 => /x/lib/liblzf.so.1 (0x00007f1c)
	libjemalloc.so.2 => not found
	/lib64/ld-linux-x86-64.so.2 (0x00007f1c)
"""
    assert native_servers.loaded_libraries(listing) == {
        "liblzf.so.1": Path("/x/lib/liblzf.so.1"),
        "libjemalloc.so.2": None,
    }


def test_every_browser_library_comes_with_its_licence_and_under_its_own_name() -> None:
    names = list(browser_libs.taken_names().values())
    assert len(set(names)) == len(names)
    assert {f"{package}.LICENSE" for package in browser_libs.TAKEN} <= set(names)


def test_the_vendor_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    modules, vendor = tmp_path / "node_modules", tmp_path / "web" / "vendor"
    for source in browser_libs.taken_names():
        (modules / source).parent.mkdir(parents=True, exist_ok=True)
        (modules / source).write_text(source)
    vendor.mkdir(parents=True)
    (vendor / "of-an-older-version.js").write_text("")
    browser_libs.take_files(modules, tmp_path / "staging", vendor)
    assert {path.name for path in vendor.iterdir()} == set(browser_libs.taken_names().values())


def test_the_browser_libraries_taken_are_the_ones_locked_at_exact_versions() -> None:
    wanted = json.loads((ROOT / "package.json").read_text())["dependencies"]
    assert wanted.keys() == browser_libs.TAKEN.keys()
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in wanted.values())


def test_the_lock_files_name_no_registry_and_no_folder_of_a_machine() -> None:
    locked = json.loads((ROOT / "package-lock.json").read_text())["packages"].values()
    assert all("resolved" not in package for package in locked)
    for requirements in (*ROOT.glob("requirements*.txt"), ROOT / "packaging" / "requirements-node.txt"):
        assert not re.search(r"^-|://", requirements.read_text(), flags=re.MULTILINE), requirements.name


def locked_names() -> set[str]:
    return set(re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements-dev.txt").read_text(), flags=re.MULTILINE))


def needed_on_debian(name: str) -> set[str]:
    """What an installed package needs where Debian's Python runs it; nothing if it is not installed here."""
    try:
        needs = [Requirement(line) for line in requires(name) or []]
    except PackageNotFoundError:
        return set()
    return {
        re.sub(r"[-_.]+", "-", need.name).lower() for need in needs if not need.marker or need.marker.evaluate(DEBIAN)
    }


def test_the_lock_is_complete_for_the_python_of_debian_12() -> None:
    """A lock made by a newer Python lacks what only an older one needs, and pip then refuses all of it."""
    locked = locked_names()
    assert {name: gaps for name in sorted(locked) if (gaps := needed_on_debian(name) - locked)} == {}


def test_packaging_is_no_python_package() -> None:
    assert not (ROOT / "packaging" / "__init__.py").exists()


def test_every_make_target_is_explained() -> None:
    makefile = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", makefile, flags=re.MULTILINE)
    assert phony is not None
    assert set(phony[1].split()) == set(re.findall(r"^([a-z-]+):.* ## \S", makefile, flags=re.MULTILINE))
