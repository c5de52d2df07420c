"""A lock that is free means that its worker has gone, however it went."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.worker_lock import WorkerLock, is_dead, remove_dead
from tests.servers import wait_for

HOLD = """
import signal, sys; from pathlib import Path; from appliance.worker_lock import WorkerLock
print(WorkerLock(Path(sys.argv[1])).name, flush=True)
signal.pause()
"""


@pytest.fixture
def mine(tmp_path: Path) -> WorkerLock:
    return WorkerLock(tmp_path)


def test_a_lock_that_is_held_is_alive_also_in_the_eyes_of_its_own_process(tmp_path: Path, mine: WorkerLock) -> None:
    for _ in range(3):
        assert not is_dead(tmp_path, mine.name)
    remove_dead(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [mine.name]
    os.close(mine._fd)


def test_a_name_without_a_file_is_dead(tmp_path: Path) -> None:
    assert is_dead(tmp_path, "12-abc")


def test_each_lock_has_a_name_of_its_own(tmp_path: Path, mine: WorkerLock) -> None:
    other = WorkerLock(tmp_path)
    assert other.name != mine.name
    assert mine.name.split("-")[0] == str(os.getpid())
    for lock in (mine, other):
        os.close(lock._fd)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_lock_of_a_process_is_free_as_soon_as_it_has_gone(tmp_path: Path, number: int) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        name = process.stdout.readline().strip()
        assert not is_dead(tmp_path, name)
        process.send_signal(signal.SIGSTOP)  # asleep is not dead
        assert not is_dead(tmp_path, name)
        process.send_signal(signal.SIGCONT)
        process.send_signal(number)
        wait_for(lambda: is_dead(tmp_path, name), "its lock is free")
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_is_given_up_is_dead_and_the_new_one_alive(tmp_path: Path, mine: WorkerLock) -> None:
    old = mine.name
    mine.give_up()
    assert mine.name != old
    assert is_dead(tmp_path, old)
    assert not is_dead(tmp_path, mine.name)
    os.close(mine._fd)


def test_files_of_the_dead_are_swept_away(tmp_path: Path, mine: WorkerLock) -> None:
    (tmp_path / "77-dead").touch()
    remove_dead(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [mine.name]
    os.close(mine._fd)


def test_a_program_started_by_a_worker_does_not_keep_its_lock(tmp_path: Path) -> None:
    """Else a mailer that hangs would keep the jobs of a worker that was killed."""
    script = HOLD.replace("signal.pause()", "import subprocess; subprocess.Popen(['sleep', '30']); signal.pause()")
    script = script.replace("print(", "print(__import__('os').getpid(), ")
    with subprocess.Popen([sys.executable, "-c", script, tmp_path], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        name = process.stdout.readline().split()[1]
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        child = int(wait_for(lambda: children.read_text().split(), "it has started its program")[0])
        process.kill()
        wait_for(lambda: is_dead(tmp_path, name), "its lock is free")
        os.kill(child, signal.SIGKILL)
