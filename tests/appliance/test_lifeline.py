"""The parent-death signal, where the supervisor's tests do not reach."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
def test_a_process_whose_parent_has_ended_already_gets_the_signal_at_once(signum: signal.Signals) -> None:
    code = f"from appliance.lifeline import die_with_parent; die_with_parent(2**22, {signum.value}); print('lives')"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, timeout=60)
    assert (ended.returncode, ended.stdout) == (-signum, b"")


def test_a_process_whose_parent_lives_goes_on() -> None:
    code = "import os; from appliance.lifeline import die_with_parent; die_with_parent(os.getppid()); print('lives')"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, timeout=60)
    assert (ended.returncode, ended.stdout) == (0, b"lives\n")
