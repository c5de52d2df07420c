"""The supervisor with real processes: order, readiness, restarts, the stop, and no orphan whatever happens."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from appliance.paths import Paths
from appliance.supervisor import statusfile

FAKEBOX = Path(__file__).with_name("fakebox.py")

IGNORES_TERM = "signal.signal(signal.SIGTERM, signal.SIG_IGN); spawn(); ready()\nwhile True: signal.pause()"


class Box:
    """A running fakebox, seen from outside."""

    def __init__(self, data_dir: Path, start: Any, wait_for: Any, table: list[dict[str, Any]]) -> None:
        self.paths = Paths(data_dir)
        self.wait_for = wait_for
        self.process: subprocess.Popen[str] = start([sys.executable, str(FAKEBOX), str(data_dir), json.dumps(table)])

    def states(self) -> dict[str, str]:
        status = statusfile.read(self.paths)
        return {role.name: role.state for role in status.roles} if status else {}

    def role(self, name: str) -> statusfile.RoleStatus:
        status = statusfile.read(self.paths)
        assert status
        return next(role for role in status.roles if role.name == name)

    def wait(self, **states: str) -> None:
        self.wait_for(lambda: states.items() <= self.states().items())

    def journal(self) -> list[str]:
        file = self.paths.data_dir / "journal"
        return file.read_text().splitlines() if file.exists() else []

    def pids(self) -> list[int]:
        """Every process that a role noted: itself and what it spawned."""
        return [int(line.split()[2]) for line in self.journal() if line.split()[1] in ("ready", "child")]

    def touch(self, name: str) -> None:
        (self.paths.data_dir / name).touch()

    def stop(self, signum: int = signal.SIGTERM) -> int:
        self.process.send_signal(signum)
        return self.process.wait(timeout=40)


@pytest.fixture
def box(data_dir: Path, start: Any, wait_for: Any) -> Callable[..., Box]:
    return lambda *table: Box(data_dir, start, wait_for, list(table))


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_role_starts_when_all_it_waits_for_are_ready(box: Callable[..., Box]) -> None:
    found = box(
        {"name": "first", "script": "wait_for_file('go'); until_told()"},
        {"name": "other"},
        {"name": "second", "after": ["first", "other"]},
    )
    found.wait(first="starting", other="ready", second="waiting")
    found.touch("go")
    found.wait(first="ready", second="ready")
    assert found.journal()[-1].startswith("second ready")


def test_a_role_that_never_gets_ready_holds_up_the_others_for_its_ready_time_only(box: Callable[..., Box]) -> None:
    found = box(
        {"name": "first", "script": "signal.pause()", "ready_s": 0.5},
        {"name": "second", "after": ["first"]},
    )
    found.wait(second="ready")
    assert found.role("first").last_exit == "not ready within 0.5 s"


def test_a_once_role_is_done_before_the_others_start(box: Callable[..., Box]) -> None:
    found = box({"name": "init", "script": "note('was here')", "once": True}, {"name": "web", "after": ["init"]})
    found.wait(init="done", web="ready")
    assert found.journal()[0] == "init was here"


def test_a_failed_once_role_ends_the_run_with_its_code_and_its_line_alone(box: Callable[..., Box]) -> None:
    script = "sys.stderr.write('depotbox: the disk is gone\\n'); sys.exit(78)"
    found = box({"name": "init", "script": script, "once": True}, {"name": "web", "after": ["init"]})
    _, said = found.process.communicate(timeout=20)
    assert (found.process.returncode, said) == (78, "depotbox: the disk is gone\n")


def test_a_killed_once_role_ends_the_run_with_an_error_that_names_it(box: Callable[..., Box]) -> None:
    found = box({"name": "init", "script": "os.kill(os.getpid(), 9)", "once": True})
    _, said = found.process.communicate(timeout=20)
    assert said.splitlines()[-1].endswith("Unavailable: init: the box cannot start: SIGKILL")


def test_a_killed_role_comes_back_and_those_after_it_are_left_alone(box: Callable[..., Box]) -> None:
    found = box({"name": "redis"}, {"name": "web", "after": ["redis"]})
    found.wait(web="ready")
    redis, web = found.role("redis").pid, found.role("web").pid
    assert redis
    os.kill(redis, signal.SIGKILL)
    found.wait_for(lambda: found.role("redis").restarts == 1 and found.role("redis").state == "ready")
    assert (found.role("redis").last_exit, found.role("web").pid, found.role("web").restarts) == ("SIGKILL", web, 0)


def test_a_role_is_over_only_when_all_it_started_is_gone(box: Callable[..., Box]) -> None:
    found = box({"name": "worker", "script": "spawn(); spawn(); until_told()"})
    found.wait(worker="ready")
    before = found.pids()
    os.kill(before[2], signal.SIGKILL)
    found.wait_for(lambda: found.role("worker").state == "backoff")
    assert len(before) == 3
    assert not any(alive(pid) for pid in before)


def test_a_role_that_is_not_ready_in_time_is_killed_and_tried_again(box: Callable[..., Box]) -> None:
    script = "spawn(); first = not (folder / 'second').exists(); (folder / 'second').touch()\n"
    found = box({"name": "web", "script": script + "signal.pause() if first else until_told()", "ready_s": 3})
    found.wait(web="ready")
    assert found.role("web").restarts >= 1
    assert found.role("web").last_exit == "not ready within 3 s"
    assert not alive(found.pids()[0])


def test_the_stop_goes_down_by_rank(box: Callable[..., Box]) -> None:
    found = box(
        {"name": "redis"}, {"name": "web", "after": ["redis"]}, {"name": "demo", "after": ["web"], "demo_only": True}
    )
    found.wait(redis="ready", web="ready", demo="ready")
    assert found.stop() == 0
    assert found.journal()[-3:] == ["demo told", "web told", "redis told"]
    assert found.states() == {}
    assert not any(alive(pid) for pid in found.pids())


def test_roles_of_one_rank_stop_at_the_same_time(box: Callable[..., Box]) -> None:
    waits = "signal.signal(signal.SIGTERM, lambda *_: ((folder / name).touch(), wait_for_file(other), sys.exit(0)))"
    found = box(
        {"name": "one", "script": f"other = 'two'; {waits}; ready(); signal.pause()", "stop_s": 20},
        {"name": "two", "script": f"other = 'one'; {waits}; ready(); signal.pause()", "stop_s": 20},
    )
    found.wait(one="ready", two="ready")
    assert found.stop() == 0
    assert "role.killed" not in (found.process.stderr.read() if found.process.stderr else "")


def test_a_role_that_ignores_the_request_is_killed_with_its_children(box: Callable[..., Box]) -> None:
    found = box({"name": "deaf", "script": IGNORES_TERM, "stop_s": 0.3})
    found.wait(deaf="ready")
    assert found.stop() == 0
    assert len(found.pids()) == 2
    assert not any(alive(pid) for pid in found.pids())


def test_a_second_ctrl_c_hastens_the_stop(box: Callable[..., Box]) -> None:
    found = box({"name": "redis"}, {"name": "deaf", "script": IGNORES_TERM, "stop_s": 25, "after": ["redis"]})
    found.wait(deaf="ready")
    began = time.monotonic()
    found.process.send_signal(signal.SIGINT)
    found.wait_for(lambda: '"supervisor.stopping"' in (found.process.stderr.readline() if found.process.stderr else ""))
    assert found.stop(signal.SIGINT) == 0
    assert time.monotonic() - began < 5
    assert not any(alive(pid) for pid in found.pids())


def test_the_stop_ends_what_has_left_its_group(box: Callable[..., Box]) -> None:
    found = box({"name": "worker", "script": "spawn(start_new_session=True); until_told()"})
    found.wait(worker="ready")
    assert found.stop() == 0
    assert len(found.pids()) == 2
    assert not any(alive(pid) for pid in found.pids())


def test_a_stop_during_the_start_leaves_nothing(box: Callable[..., Box]) -> None:
    found = box({"name": "slow", "script": "spawn(); signal.pause()"}, {"name": "web", "after": ["slow"]})
    found.wait_for(found.pids)
    assert found.stop(signal.SIGINT) == 0
    assert not any(alive(pid) for pid in found.pids())


def test_no_process_outlives_a_killed_supervisor(box: Callable[..., Box], wait_for: Any) -> None:
    found = box(
        {"name": "worker", "script": "spawn(TIED); spawn(TIED); until_told()"},
        {"name": "deaf", "script": IGNORES_TERM.replace("spawn()", "spawn(TIED)")},
    )
    found.wait(worker="ready", deaf="ready")
    pids = found.pids()
    assert len(pids) == 5
    found.process.kill()
    wait_for(lambda: not any(alive(pid) for pid in pids), bound_s=5)


def test_a_run_after_a_killed_supervisor_finds_the_lock_free(box: Callable[..., Box]) -> None:
    first = box({"name": "web"})
    first.wait(web="ready")
    first.process.kill()
    first.process.wait()
    assert first.states() == {}
    second = box({"name": "web"})
    second.wait(web="ready")


def test_an_idle_supervisor_sleeps(box: Callable[..., Box], wait_for: Any) -> None:
    """It is woken by events only: while a role works, the supervisor does not run at all."""
    script = "ready(); wait_for_file('go')\nfor _ in range(200): time.sleep(0.001)\nnote('worked'); signal.pause()"
    found = box({"name": "busy", "script": script})
    found.wait(busy="ready")
    supervisor = psutil.Process(found.process.pid)
    # "ready" is written just before it sleeps
    wait_for(lambda: supervisor.status() == psutil.STATUS_SLEEPING)
    before = supervisor.num_ctx_switches()
    found.touch("go")
    wait_for(lambda: "busy worked" in found.journal())
    assert supervisor.num_ctx_switches().voluntary - before.voluntary <= 1


def test_a_role_that_falls_silent_is_killed_with_all_it_started_and_comes_back(box: Callable[..., Box]) -> None:
    script = "assert os.environ['WATCHDOG_USEC'] == '500000'; spawn(); ready()\nwhile True:\n"
    script += "    notify('WATCHDOG=1') if not (folder / 'silence').exists() else None; time.sleep(0.05)"
    found = box({"name": "worker", "script": script, "watchdog_s": 0.5})
    found.wait(worker="ready")
    began = time.monotonic()
    found.wait_for(lambda: time.monotonic() - began > 1.0)  # twice its time
    assert found.role("worker").restarts == 0
    before = found.pids()
    found.touch("silence")
    found.wait_for(lambda: found.role("worker").restarts == 1)
    assert found.role("worker").last_exit == "silent for 0.5 s"
    assert not any(alive(pid) for pid in before)
