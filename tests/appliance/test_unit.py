"""The life of one role without processes and without a clock."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from appliance.roles import Role
from appliance.supervisor.restarts import Restarts
from appliance.supervisor.unit import NEVER, State, Unit


class FakeProcess:
    pid = 4711

    def __init__(self) -> None:
        self.said: list[str] = []

    def terminate(self) -> None:
        self.said.append("TERM")

    def kill(self) -> None:
        self.said.append("KILL")


def made(**options: object) -> tuple[Unit, list[FakeProcess]]:
    processes: list[FakeProcess] = []

    def spawn(_: Role) -> FakeProcess:
        processes.append(FakeProcess())
        return processes[-1]

    role = Role(**{"name": "web", "entry": "x:y", "ready_s": 10, "stop_s": 5, **options})  # type: ignore[arg-type]
    return Unit(role, spawn), processes


def crash(unit: Unit, now: float) -> float:
    """Starts the role and lets it end at once; how long it then waits."""
    unit.start(now)
    unit.on_end(1, now)
    return unit.due - now


def test_the_wait_doubles_from_half_a_second_to_thirty() -> None:
    restarts = Restarts()
    waits = [restarts.after_end(now=1000.0 * n, ready_since=None) for n in range(9)]
    assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_a_minute_of_health_begins_again() -> None:
    restarts = Restarts()
    restarts.after_end(0, None)
    restarts.after_end(1, None)
    assert restarts.after_end(now=100, ready_since=40.5) == 2.0
    assert restarts.after_end(now=200, ready_since=140) == 0.5


def test_eight_ends_within_ten_minutes_are_a_crash_loop_that_is_tried_each_minute() -> None:
    restarts = Restarts()
    assert [restarts.after_end(85.0 * n, None) for n in range(7)][-1] == 30
    assert restarts.after_end(600, None) == 60
    assert restarts.after_end(660, None) == 60


def test_eight_ends_in_more_than_ten_minutes_are_none() -> None:
    restarts = Restarts()
    for n in range(7):
        restarts.after_end(n, None)
    assert restarts.after_end(600.5, None) == 30
    assert not restarts.looping


def test_a_crash_loop_is_an_error_in_the_log_once_and_ends_with_a_minute_of_health() -> None:
    unit, _ = made()
    with capture_logs() as logs:
        for now in range(12):
            crash(unit, now)
    assert unit.state is State.FAILED
    assert [entry["log_level"] for entry in logs if entry["event"] == "role.crash_loop"] == ["error"]
    unit.start(1000)
    unit.on_ready(1001)
    unit.on_end(1, 1061)
    assert (unit.state, unit.due) == (State.BACKOFF, 1061.5)


def test_a_role_in_a_crash_loop_is_started_again_when_it_is_due() -> None:
    unit, processes = made()
    for now in range(8):
        crash(unit, now)
    assert unit.due == 67
    unit.on_due(67)
    assert (unit.state, unit.restarts, len(processes)) == (State.STARTING, 8, 9)


def test_a_clean_exit_of_a_role_that_should_run_is_an_end_like_any_other() -> None:
    unit, _ = made()
    unit.start(0)
    unit.on_ready(1)
    unit.on_end(0, 2)
    assert (unit.state, unit.last_exit) == (State.BACKOFF, "exit 0")


def test_the_demonstration_may_come_to_its_end() -> None:
    unit, _ = made(demo_only=True)
    unit.start(0)
    unit.on_ready(1)
    unit.on_end(0, 2)
    assert (unit.state, unit.due) == (State.DONE, NEVER)


def test_readiness_that_comes_too_late_does_not_count() -> None:
    unit, processes = made()
    unit.start(0)
    assert unit.due == 10
    unit.on_due(10)
    unit.on_ready(10.1)
    assert (unit.state, processes[0].said) == (State.STARTING, ["KILL"])
    unit.on_end(0, 10.2)
    assert (unit.state, unit.last_exit) == (State.BACKOFF, "not ready within 10 s")


def test_a_program_that_cannot_be_started_is_tried_again() -> None:
    def spawn(_: Role) -> FakeProcess:
        raise FileNotFoundError(2, "No such file or directory")

    unit = Unit(Role("web", "x:y"), spawn)
    unit.start(0)
    assert (unit.state, unit.due) == (State.BACKOFF, 0.5)
    assert unit.last_exit == "cannot be started: No such file or directory"


def test_roles_after_it_wait_for_its_first_readiness_or_its_ready_time() -> None:
    unit, _ = made()
    assert unit.holds_up(99)
    unit.start(100)
    assert unit.holds_up(109.9)
    assert not unit.holds_up(110)
    unit.on_ready(101)
    unit.on_end(1, 102)
    assert not unit.holds_up(102)


def test_nothing_starts_before_a_once_role_is_done() -> None:
    unit, _ = made(once=True)
    unit.start(0)
    unit.on_ready(1)
    assert (unit.state, unit.holds_up(10_000)) == (State.STARTING, True)
    unit.on_end(0, 2)
    assert (unit.state, unit.holds_up(2)) == (State.DONE, False)


def test_a_stop_asks_and_then_kills_once() -> None:
    unit, processes = made()
    unit.start(0)
    unit.stop(1, at_most_s=25)
    unit.stop(2, at_most_s=24)
    assert (unit.due, processes[0].said) == (6, ["TERM"])
    unit.on_due(6)
    unit.stop(7, at_most_s=19)
    assert (unit.due, processes[0].said) == (NEVER, ["TERM", "KILL"])
    unit.on_end(-9, 8)
    assert (unit.state, unit.last_exit, unit.due) == (State.STOPPED, "SIGKILL", NEVER)


def test_haste_only_brings_the_kill_forward() -> None:
    unit, _ = made(stop_s=20)
    unit.start(0)
    unit.stop(0, at_most_s=25)
    unit.stop(2, at_most_s=1)
    assert unit.due == 3
    unit.stop(2.5, at_most_s=1)
    assert unit.due == 3


@pytest.mark.parametrize("ended", [False, True])
def test_a_stop_takes_a_role_without_process_out(ended: bool) -> None:
    unit, processes = made()
    if ended:
        crash(unit, 0)
    unit.stop(1, at_most_s=25)
    assert (unit.state, unit.due, len(processes)) == (State.STOPPED, NEVER, int(ended))


def test_a_role_with_a_watchdog_that_falls_silent_is_killed_and_started_again() -> None:
    unit, processes = made(watchdog_s=60)
    unit.start(0)
    unit.on_alive(0.5)
    assert unit.due == 10  # what it says before it is ready does not count
    unit.on_ready(1)
    unit.on_alive(15)
    assert unit.due == 75
    with capture_logs() as logs:
        unit.on_due(75)
    assert [(entry["event"], entry["log_level"]) for entry in logs] == [("role.watchdog", "error")]
    unit.on_alive(75.1)
    assert (unit.due, processes[0].said) == (NEVER, ["KILL"])
    unit.on_end(-9, 75.2)
    assert (unit.state, unit.last_exit) == (State.BACKOFF, "silent for 60 s")
    unit.on_due(75.7)
    unit.on_ready(76)
    unit.on_end(1, 77)
    assert unit.last_exit == "exit 1"


def test_a_watchdog_does_not_shorten_or_lengthen_a_stop() -> None:
    unit, processes = made(watchdog_s=3, stop_s=20)
    unit.start(0)
    unit.on_ready(1)
    unit.stop(2, at_most_s=25)
    unit.on_alive(3)
    assert (unit.due, processes[0].said) == (22, ["TERM"])


def test_a_role_without_a_watchdog_may_say_that_it_is_well() -> None:
    unit, _ = made()
    unit.start(0)
    unit.on_ready(1)
    unit.on_alive(2)
    assert unit.due == NEVER
