"""What a log line shows, and what it must not."""

from __future__ import annotations

import json
import subprocess
import sys
import threading

import pytest

from appliance import log


@pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "JSON"])
def test_a_traceback_shows_no_values_of_local_variables(capfd: pytest.CaptureFixture[str], terminal: bool) -> None:
    """A patient's name in a local variable stays there."""
    log.configure("test", terminal=terminal)
    patient = "Zyxquilla Quorvex"
    try:
        raise ValueError(len(patient))
    except ValueError:
        log.get("test").exception("role.failed")
    said = capfd.readouterr().err
    assert "ValueError" in said
    assert "Zyxquilla" not in said


def test_logging_alone_loads_no_rich_and_leaves_it_to_others() -> None:
    """It takes 4 MB in each process."""
    code = "import sys; from appliance import log; print('rich' in sys.modules); from rich.table import Table"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "False\n"


def test_lines_from_other_threads_have_the_role_too(capfd: pytest.CaptureFixture[str]) -> None:
    """As the documents promise of every line."""
    log.configure("bridge", terminal=False)
    thread = threading.Thread(target=lambda: log.get("test").info("mqtt.connected"))
    thread.start()
    thread.join()
    assert json.loads(capfd.readouterr().err)["role"] == "bridge"
