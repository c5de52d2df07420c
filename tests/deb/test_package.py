"""The package under a real systemd, from installation to purge, in one container: the tests follow each other."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance import __version__, roles, steward, units
from appliance.paths import PROJECT_ROOT
from tests.deb import container as containers
from tests.deb.container import Container
from tests.servers import wait_for

pytestmark = [pytest.mark.deb, pytest.mark.skipif(bool(containers.missing()), reason=containers.missing())]

NEXT = f"{__version__}+next"
TABLE = roles.table(demo=False)
UNITS = [units.unit(role.name) for role in TABLE]
DATA, CONFIG = Path("var/lib/depotbox"), Path("etc/depotbox/depotbox.toml")
EXPECTED = {"clock_untrusted", "invoices_unnamed", "mail_stays"}
"""What is still wrong with a box without network that nobody has set up."""


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    """A container with both packages in its /root."""
    containers.make_root()
    root = tmp_path_factory.mktemp("deb") / "root"
    subprocess.run(["cp", "-a", "--reflink=auto", str(containers.ROOT), str(root)], check=True)
    made = PROJECT_ROOT / "dist" / f"depotbox_{__version__}_amd64.deb"
    assert made.is_file(), "make deb comes first"
    shutil.copy(made, root / "root")
    newer(made, root / "root" / f"depotbox_{NEXT}_amd64.deb")
    with containers.booted(root) as container:
        yield container


def newer(package: Path, target: Path) -> None:
    """The same package under the next version."""
    unpacked = target.with_suffix(".d")
    subprocess.run(["dpkg-deb", "--raw-extract", str(package), str(unpacked)], check=True)
    control = unpacked / "DEBIAN" / "control"
    control.write_text(control.read_text().replace(f"Version: {__version__}\n", f"Version: {NEXT}\n"))
    build = ["dpkg-deb", "--build", "--root-owner-group", "-Zgzip", "-z1", str(unpacked), str(target)]
    subprocess.run(build, check=True, capture_output=True)
    shutil.rmtree(unpacked)


def install(box: Container, version: str) -> None:
    box.run("dpkg", "--force-confdef", "--force-confold", "--install", f"/root/depotbox_{version}_amd64.deb")


def active(box: Container) -> set[str]:
    said = box.says("systemctl", "list-units", "--plain", "--no-legend", "--state=active", "depotbox-*.service")
    return {line.split()[0] for line in said.splitlines()}


def all_run(box: Container) -> None:
    wait_for(lambda: active(box) >= set(UNITS), "every role is active", 120)


def pid(box: Container, role: str) -> int:
    return int(box.says("systemctl", "show", "--property=MainPID", "--value", units.unit(role)))


def as_user(box: Container, user: str, *command: str, groups: str = "") -> int:
    given = [f"--groups={groups}"] if groups else ["--clear-groups"]
    return box.run("setpriv", f"--reuid={user}", f"--regid={user}", *given, *command, check=False).returncode


def test_after_the_installation_every_unit_is_active_and_the_doctor_finds_only_what_nobody_entered_yet(
    box: Container,
) -> None:
    install(box, __version__)
    all_run(box)
    found = json.loads(box.says("depotbox", "doctor", "--json"))["issues"]
    assert {issue["code"] for issue in found} <= EXPECTED, found
    told = {one["name"]: one["state"] for one in json.loads(box.says("depotbox", "status", "--json"))["roles"]}
    assert told == {role.name: "done" if role.once else "ready" for role in TABLE}


def test_the_pages_answer_on_443_and_80_leads_there(box: Container) -> None:
    script = (
        "import http.client, ssl\n"
        "secure = http.client.HTTPSConnection('localhost', context=ssl._create_unverified_context())\n"
        "secure.request('GET', '/healthz'); print(secure.getresponse().status)\n"
        "plain = http.client.HTTPConnection('localhost', 80)\n"
        "plain.request('GET', '/healthz'); print(plain.getresponse().status)\n"
    )
    assert box.in_its_network(sys.executable, "-c", script).split() == ["200", "200"]


def test_the_servers_that_strangers_talk_to_have_no_group_and_no_capability(box: Container) -> None:
    for role in ("redis", "mosquitto"):
        status = dict(
            line.split(":", 1) for line in box.says("cat", f"/proc/{pid(box, role)}/status").splitlines() if ":" in line
        )
        assert status["Groups"].split() == []
        assert {int(status[name], 16) for name in ("CapPrm", "CapEff", "CapAmb")} == {0}
        assert "native/bin" in box.says("cat", f"/proc/{pid(box, role)}/cmdline")


def test_a_role_can_read_what_is_for_it_and_nothing_else(box: Container) -> None:
    key, database, sock = f"/{DATA}/secrets/ca.key", f"/{DATA}/depot.db", f"/{DATA}/run/redis/redis.sock"
    assert as_user(box, "depotbox-bridge", "test", "-r", database, groups="depotbox,depotbox-live,depotbox-mqtt") == 0
    assert as_user(box, "depotbox-bridge", "test", "-r", key, groups="depotbox,depotbox-live,depotbox-mqtt") != 0
    for file in (key, database):
        assert as_user(box, "depotbox-redis", "test", "-r", file) != 0
        assert as_user(box, "depotbox-mosquitto", "test", "-r", file) != 0
        assert as_user(box, "nobody", "test", "-r", file) != 0
    assert as_user(box, "nobody", "test", "-w", sock) != 0


def test_a_new_vehicle_reaches_the_broker_through_the_steward(box: Container) -> None:
    box.run("depotbox", "vehicle", "add", "VAN1", "--json")
    said = box.says("journalctl", "--output=cat", "--unit=depotbox-steward@*")
    assert '"request": "reload-broker"' in said


def test_a_role_is_restarted_through_the_steward(box: Container) -> None:
    before = pid(box, "beat")
    box.run("depotbox", "restart", "beat")
    wait_for(lambda: pid(box, "beat") not in (0, before), "beat is another process", 30)
    all_run(box)


def test_what_is_killed_comes_back(box: Container) -> None:
    before = {role.name: pid(box, role.name) for role in TABLE if not role.once}
    for name in before:
        box.run("systemctl", "kill", "--signal=KILL", "--kill-whom=main", units.unit(name))
    wait_for(lambda: all(pid(box, name) not in (0, old) for name, old in before.items()), "all are new processes", 60)
    all_run(box)


def test_celery_worker_and_celery_beat_are_what_operators_expect(box: Container) -> None:
    workers = [name for name in UNITS if "worker" in name]
    box.run("systemctl", "stop", "celery-worker")
    assert not active(box) & set(workers)
    box.run("systemctl", "start", "celery-worker")
    wait_for(lambda: active(box) >= set(workers), "the workers run", 60)
    assert "depotbox-beat.service" in box.says("systemctl", "status", "celery-beat")


def test_a_restore_stops_the_box_puts_the_backup_in_place_and_starts_it(box: Container) -> None:
    backup = f"/{DATA}/incoming/restore.tar.gz"
    box.run("depotbox", "backup", backup)
    box.run("depotbox", "vehicle", "add", "VAN2", "--json")
    steward.ask("restore", address=box.steward)
    wait_for(lambda: not (box.root / backup[1:]).exists(), "the restore is over", 120)
    all_run(box)
    assert [van in box.says("depotbox", "vehicle", "list") for van in ("VAN1", "VAN2")] == [True, False]


def test_depotbox_run_does_not_start_beside_the_units(box: Container) -> None:
    assert box.run("depotbox", "run", check=False).returncode == 75


def test_an_upgrade_keeps_the_data_and_the_configuration_and_starts_every_role_anew(box: Container) -> None:
    with (box.root / CONFIG).open("a") as file:
        file.write("# by hand\n")
    before = pid(box, "web")
    install(box, NEXT)
    all_run(box)
    assert pid(box, "web") != before
    assert "VAN1" in box.says("depotbox", "vehicle", "list")
    assert (box.root / CONFIG).read_text().endswith("# by hand\n")


def test_removal_and_purge_leave_the_data(box: Container) -> None:
    code = (box.root / DATA / "setup-code.txt").read_text()
    box.run("dpkg", "--remove", "depotbox")
    assert active(box) == set()
    assert (box.root / CONFIG).is_file()
    said = box.run("dpkg", "--purge", "depotbox").stdout
    assert "the data stay in /var/lib/depotbox" in said
    assert not (box.root / CONFIG).exists()
    assert (box.root / DATA / "setup-code.txt").read_text() == code


def test_installed_again_the_box_knows_what_it_knew(box: Container) -> None:
    install(box, __version__)
    all_run(box)
    assert "VAN1" in box.says("depotbox", "vehicle", "list")
