"""A disk without room: nothing is acknowledged that is not stored, no role ends, and it goes on by itself."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.paths import PROJECT_ROOT

UNSHARE = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]


def can_mount() -> bool:
    if not shutil.which("unshare"):
        return False
    tried = subprocess.run([*UNSHARE, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False)
    return tried.returncode == 0


@pytest.mark.timeout(240)
@pytest.mark.skipif(not can_mount(), reason="this user may not mount a small disk")
def test_a_full_disk_holds_fixes_up_and_loses_none(tmp_path: Path) -> None:
    done = subprocess.run(
        [*UNSHARE, sys.executable, "-m", "tests.e2e.full_disk", str(tmp_path / "disk")],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    found = json.loads(done.stdout.splitlines()[-1])
    print(found)
    assert found["held_up_when_nearly_full"] > 100
    assert found["trip_planned_when_nearly_full"] == 201
    assert found["stored_when_full"] >= found["acknowledged_when_full"]
    assert (found["page_when_full"], found["health_when_full"]) == (200, 200)
    assert found["page_says"] == ["The disk fills up: 0 MiB free"]
    assert found["trip_planned_when_full"][0] == 503
    assert "disk is full" in found["trip_planned_when_full"][1]
    assert found["restarts"] == {}
    assert found["stored"] == found["sent"]
