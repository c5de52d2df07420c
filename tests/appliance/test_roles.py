"""The role table: what it promises to the supervisor, the units and the pages."""

from __future__ import annotations

import subprocess
import sys

import pytest

from appliance import config, roles
from appliance.errors import NotFound
from appliance.roles import ROLES, Role
from appliance.supervisor.loop import STOP_S


def test_the_table_has_the_roles_of_the_design_in_start_order() -> None:
    names = [role.name for role in roles.table(demo=False)]
    assert names == [
        "init", "redis", "mosquitto", "worker-high", "worker-normal", "worker-low", "beat", "bridge", "web"
    ]  # fmt: skip


def test_the_demonstration_is_one_role_more() -> None:
    assert [role.name for role in roles.table(demo=True)][-1] == "demo"


def test_each_role_comes_after_roles_above_it_only() -> None:
    for number, role in enumerate(ROLES):
        assert set(role.after) <= {above.name for above in ROLES[:number]}


def test_init_stands_before_every_other_role() -> None:
    ranks = roles.ranks(ROLES)
    assert [name for name, rank in ranks.items() if rank == 0] == ["init"]


def test_the_servers_outlive_everybody_who_uses_them() -> None:
    ranks = roles.ranks(ROLES)
    users = [rank for name, rank in ranks.items() if name not in ("init", "redis", "mosquitto")]
    assert max(ranks["redis"], ranks["mosquitto"]) < min(users)


def test_the_stop_times_of_all_ranks_together_fit_into_a_stop() -> None:
    ranks = roles.ranks(ROLES)
    longest = {rank: max(role.stop_s for role in ROLES if ranks[role.name] == rank) for rank in ranks.values() if rank}
    assert sum(longest.values()) <= STOP_S


def test_a_role_runs_as_a_command_of_the_same_program(monkeypatch: pytest.MonkeyPatch) -> None:
    assert roles.command(roles.find("web")) == [sys.executable, "-m", "appliance", "role", "web"]
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert roles.command(roles.find("web")) == [sys.executable, "role", "web"]


def test_a_role_is_called_with_the_settings_and_its_own_arguments() -> None:
    settings = config.load(environ={})
    assert roles.run(Role("x", "builtins:print", ("high_priority",)), settings) == 0
    assert roles.run(Role("x", "operator:is_", (settings,)), settings) is True  # type: ignore[arg-type]


def test_an_unknown_role_names_the_known_ones() -> None:
    with pytest.raises(NotFound, match=r"nope: no such role .*init, redis"):
        roles.find("nope")


def test_the_roles_that_use_what_is_entered_at_the_set_up_are_started_again() -> None:
    """The pages read it anew by themselves; the native servers and `init` use nothing of it."""
    assert {role.name for role in roles.ROLES if not role.reads_setup} == {
        "init", "redis", "mosquitto", "web", "demo"
    }  # fmt: skip


@pytest.mark.parametrize(
    "entry", ["tasks.worker, tasks.billing, tasks.upkeep", "tasks.beat", "web.app", "mqtt_bridge.main"]
)
def test_what_draws_is_not_loaded_before_something_is_drawn(entry: str) -> None:
    """It takes 30 MB in each process."""
    code = f"import sys, {entry}; print(*{{'fpdf', 'fontTools', 'PIL'}} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == []
