"""Roles, scopes, and how long a session lasts whatever the wall clock does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from appliance.domain.access import IDLE, LONGEST, Instant, Permission, Role, Scope, User, is_over

NOON = datetime(2026, 1, 26, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("role", "may"),
    [
        (Role.administrator, set(Permission)),
        (Role.dispatcher, {"view", "patients", "dispatch"}),
        (Role.biller, {"view", "patients", "bill"}),
        (Role.viewer, {"view"}),
    ],
)
def test_what_each_role_may(role: Role, may: set[str]) -> None:
    assert {one for one in Permission if User(1, "a@b", "A", role).may(one)} == may


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("scope", list(Scope))
def test_a_scope_narrows_its_users_role_and_widens_it_never(role: Role, scope: Scope) -> None:
    user, token = User(1, "a@b", "A", role), User(1, "a@b", "A", role, scope, "night")
    for permission in Permission:
        administers = permission is Permission.administer
        assert token.may(permission) == (user.may(permission) and (scope is Scope.admin or not administers))
    assert token.may_change() == (scope is not Scope.read)
    assert (user.who, token.who) == ("a@b", "a@b (token night)")


def at(hours: float, boot: str = "one", wall: timedelta = timedelta(0)) -> Instant:
    return Instant(NOON + timedelta(hours=hours) + wall, boot, 3600 * (100 + hours))


@pytest.mark.parametrize("step", [timedelta(days=-400), timedelta(0), timedelta(days=400)])
def test_a_step_of_the_wall_clock_makes_nobody_older_or_younger(step: timedelta) -> None:
    assert at(5, wall=step).since(at(2)) == timedelta(hours=3)


def test_over_a_restart_of_the_machine_the_wall_clock_counts_and_never_backwards() -> None:
    assert at(5, boot="two").since(at(2)) == timedelta(hours=3)
    assert at(5, boot="two", wall=timedelta(days=-9)).since(at(2)) == timedelta(0)


def test_a_session_is_over_when_it_was_idle_or_old() -> None:
    assert not is_over(LONGEST, IDLE)
    assert is_over(LONGEST + timedelta(seconds=1), timedelta(0))
    assert is_over(timedelta(0), IDLE + timedelta(seconds=1))
