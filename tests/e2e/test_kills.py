"""Whatever is killed at whatever moment: the same 16 trips, 16 invoices, 16 mails, every acknowledged fix on disk."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
from recorded_day import RECORDING, assert_complete, assert_mails, needs_recording
from running_box import DEPOTBOX, RunningBox, wait_for

ROLES = ("redis", "worker-high", "worker-normal", "worker-low", "beat", "bridge", "mosquitto")


def replay_under_fire(box: RunningBox, speed: int, kills: list[str], dice: random.Random) -> None:
    """Kills the roles one after another at random moments of a replay, then lets it end."""
    lasts_s = 8664 / speed  # from the recording's first fix to its last
    moments = sorted(dice.uniform(0.05, 0.95) * lasts_s for _ in kills)
    began = time.monotonic()
    command = [*DEPOTBOX, "replay", str(RECORDING), "--speed", str(speed), "--create-trips", "--json"]
    with subprocess.Popen(command, env=box.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as replay:
        for moment, role in zip(moments, kills, strict=True):
            time.sleep(max(0.0, began + moment - time.monotonic()))  # the moment itself is what is wanted
            box.kill(role)
        out, err = replay.communicate(timeout=lasts_s + 200)
        assert replay.returncode == 0, f"{out.decode()}\n{err.decode()}"


def assert_same_day(box: RunningBox) -> None:
    wait_for(lambda: box.query("SELECT count(*) FROM invoices WHERE sent_at IS NOT NULL") == [(16,)], "16 mails", 90)
    wait_for(lambda: box.query("SELECT count(*) FROM jobs WHERE state <> 'done'") == [(0,)], "all jobs done", 90)
    assert_complete(box)
    mails = [path.read_bytes() for path in (box.data_dir / "outbox").glob("*.eml")]
    assert len(mails) == 16
    assert_mails(mails, [number for (number,) in box.query("SELECT number FROM invoices")])


@needs_recording
@pytest.mark.timeout(400)
def test_each_role_killed_once_during_a_replay_changes_nothing(tmp_path: Path) -> None:
    """Redis, each worker, beat, the bridge and mosquitto are killed at random moments of one replay."""
    seed = int(os.environ.get("SEED", time.time_ns() % 100_000))
    print(f"SEED={seed}")
    dice = random.Random(seed)
    kills = list(ROLES)
    dice.shuffle(kills)
    with RunningBox(tmp_path / "data") as box:
        replay_under_fire(box, 300, kills, dice)
        assert_same_day(box)


@needs_recording
@pytest.mark.chaos
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("seed", range(5))
def test_many_kills_during_a_replay_change_nothing(tmp_path: Path, seed: int) -> None:
    """Each role is killed four times in a replay at 120 times the recorded speed."""
    dice = random.Random(seed)
    kills = list(ROLES) * 4
    dice.shuffle(kills)
    with RunningBox(tmp_path / "data") as box:
        replay_under_fire(box, 120, kills, dice)
        assert_same_day(box)


@pytest.mark.timeout(180)
def test_kill_9_of_the_supervisor_leaves_no_process(tmp_path: Path) -> None:
    """Every role, and every child of a role, ends with the supervisor; the next start works."""
    with RunningBox(tmp_path / "data") as box:
        assert len(box.processes()) > 10
        os.kill(box.supervisor.pid, signal.SIGKILL)
        box.supervisor.wait(10)
        wait_for(lambda: not box.processes(), "no process of the box is left", 10)
    with RunningBox(tmp_path / "data") as again:
        assert again.is_ready()
