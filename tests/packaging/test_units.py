"""The units of `systemd/` against the table of roles, the users and the folders."""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from appliance import roles, units
from appliance.paths import PROJECT_ROOT, Paths
from appliance.roles import Role
from appliance.supervisor import steward

SYSTEMD = PROJECT_ROOT / "systemd"
SYSTEM = SYSTEMD / "system"
TABLE = roles.table(demo=False)
OTHERS = {"depotbox-steward@.service", "depotbox-restore.service", "celery-worker.service", "celery-beat.service"}

Settings = dict[str, list[str]]


def read(*files: Path) -> Settings:
    """Key -> its values, in their order."""
    found: Settings = defaultdict(list)
    for file in files:
        for line in file.read_text().splitlines():
            if "=" in line and not line.startswith("#"):
                key, _, value = line.partition("=")
                found[key].append(value)
    return found


def file_of(name: str) -> Path:
    return SYSTEM / re.sub(r"@.*\.service", "@.service", name)


def unit(role: Role) -> Settings:
    """What systemd would know of the role: its unit, what is for all of them, and what is for one instance."""
    name = units.unit(role.name)
    files = [file_of(name), *sorted((SYSTEM / "depotbox-.service.d").iterdir())]
    own = SYSTEM / f"{name}.d"
    found = read(*files, *(sorted(own.iterdir()) if own.is_dir() else []))
    return {key: [value.replace("%i", name.partition("@")[2].removesuffix(".service")) for value in values]
            for key, values in found.items()}  # fmt: skip


def words(settings: Settings, key: str) -> list[str]:
    return [word for value in settings.get(key, []) for word in value.split()]


@pytest.fixture(params=TABLE, ids=lambda role: role.name)
def role(request: pytest.FixtureRequest) -> Role:
    found: Role = request.param
    return found


def test_each_role_has_its_unit_and_no_other_unit_is_there() -> None:
    wanted = {file_of(units.unit(role.name)).name for role in TABLE}
    assert {file.name for file in SYSTEM.glob("*.service")} == wanted | OTHERS


def test_a_unit_keeps_to_the_times_of_the_table(role: Role) -> None:
    found = unit(role)
    assert found["ExecStart"] == [f"/usr/lib/depotbox/depotbox role {role.name}"]
    assert found["TimeoutStartSec"] == [f"{role.ready_s:g}"]
    assert found["TimeoutStopSec"] == [f"{role.stop_s:g}"]
    assert found.get("WatchdogSec", []) == ([f"{role.watchdog_s:g}"] if role.watchdog_s else [])
    assert found["Type"] == ["oneshot" if role.once else "notify"]
    assert found["Restart"] == ["on-failure" if role.once else "always"]
    assert found["StartLimitIntervalSec"] == ["0"]


def test_a_unit_waits_for_what_its_role_waits_for(role: Role) -> None:
    found = unit(role)
    ours = {units.unit(one.name) for one in TABLE}
    once = {"depotbox-init.service"} - {units.unit(role.name)}
    assert set(words(found, "After")) & ours == {units.unit(name) for name in role.after} | once
    assert set(words(found, "Requires")) == once, "a role lives without the others, once it runs"


def test_the_target_starts_every_role() -> None:
    wanted = words(read(SYSTEM / "depotbox.target"), "Wants") + words(read(SYSTEM / "celery-worker.service"), "Wants")
    assert {units.unit(role.name) for role in TABLE} <= set(wanted)


def test_what_operators_call_beat_is_beat() -> None:
    assert (SYSTEM / "celery-beat.service").readlink() == Path("depotbox-beat.service")


def test_each_role_has_a_user_of_its_own_and_groups_that_exist(role: Role) -> None:
    made = (SYSTEMD / "sysusers.conf").read_text()
    users, groups = re.findall(r"^u (\S+)", made, re.M), re.findall(r"^g (\S+)", made, re.M)
    found = unit(role)
    assert found["User"] == [f"depotbox-{role.name}"]
    assert found["User"][0] in users
    assert set(words(found, "SupplementaryGroups")) <= {*groups, *users}


def test_who_may_see_patients_or_keys_is_a_short_list() -> None:
    in_group = defaultdict(set)
    for one in TABLE:
        for group in words(unit(one), "SupplementaryGroups"):
            in_group[group].add(one.name)
    assert in_group["depotbox-secrets"] == {"init", "mosquitto", "worker-low", "web"}
    assert in_group["depotbox-steward"] == {"worker-low", "web"}
    assert in_group["depotbox-mosquitto"] == {"worker-low", "web"}


def test_whoever_may_ask_the_steward_may_connect_to_it() -> None:
    asking = {user for verb in steward.VERBS.values() for user in verb.users}
    allowed = {unit(one)["User"][0] for one in TABLE if "depotbox-steward" in words(unit(one), "SupplementaryGroups")}
    assert asking == allowed
    assert read(SYSTEM / "depotbox-steward.socket")["SocketGroup"] == ["depotbox-steward"]


def test_the_folders_of_the_data_folder_are_made_with_their_groups() -> None:
    data = Paths(Path("/var/lib/depotbox"))
    lines = re.findall(r"^d (\S+)\s+(\d+) (\S+)\s+(\S+)$", (SYSTEMD / "tmpfiles.conf").read_text(), re.M)
    folders = {path: (mode, owner) for path, mode, owner, _ in lines}
    for folder in (data.data_dir, data.gps_dir, data.log_dir, data.secrets_dir, data.mosquitto_dir, data.run_dir,
                   data.redis_dir, data.mqtt_dir, data.worker_locks_dir):  # fmt: skip
        mode, owner = folders[str(folder)]
        assert mode.startswith("2"), "what is made in it is for its group"
        assert mode[3] in "01"
        # Else a role could put a folder of its own in the place of another's.
        assert owner == "root" or folder in (data.redis_dir, data.mqtt_dir)


def test_the_check_of_the_units_tells_what_is_too_open(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(PROJECT_ROOT / "packaging"))
    monkeypatch.delitem(sys.modules, "check_units", raising=False)
    import check_units

    monkeypatch.setattr(check_units, "MOST", 0.1)
    wrong = check_units.main()
    said = capsys.readouterr()
    assert (wrong, "expected under 0.1" in said.err) == (1, True) or "there is no systemd-analyze" in said.out
