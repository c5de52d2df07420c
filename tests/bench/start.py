"""`make bench-start`: how long the box takes to answer on /healthz, and what it holds in memory when idle.

With `DEPOTBOX_PROGRAM=dist/depotbox` in the environment it is the frozen program that is measured.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from running_box import DEPOTBOX, RunningBox, wait_for

ROUNDS = 3
IDLE_S = 20.0


def main() -> None:
    starts, ready = [], []
    for number in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            box = RunningBox(Path(folder) / "data")
            began = time.monotonic()
            with box.log.open("ab") as log:
                box.supervisor = subprocess.Popen([*DEPOTBOX, "run"], env=box.environment, stdout=log, stderr=log)
            wait_for(lambda box=box: answers(box), "/healthz answers", 60)
            starts.append(time.monotonic() - began)
            wait_for(box.is_ready, "every role is ready", 60)
            ready.append(time.monotonic() - began)
            if number == ROUNDS - 1:
                idle_from = time.monotonic()
                wait_for(lambda since=idle_from: time.monotonic() - since > IDLE_S, "the box is idle", IDLE_S + 5)
                memory = box.json("status")
            box.stop()
    print(f"start to /healthz      {min(starts):.1f} to {max(starts):.1f} s ({ROUNDS} cold data folders)")
    print(f"start to all ready     {min(ready):.1f} to {max(ready):.1f} s")
    print(f"memory idle, PSS       {memory['memory_bytes'] / 2**20:.0f} MiB for the roles")
    for role in memory["roles"]:
        if role["memory_bytes"]:
            print(f"  {role['name']:14} {role['memory_bytes'] / 2**20:6.0f} MiB")
    print(json.dumps({"healthz_s": starts, "ready_s": ready, "memory_bytes": memory["memory_bytes"]}))


def answers(box: RunningBox) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{box.web_port}/healthz", timeout=1).status_code == 200
    except httpx.HTTPError:
        return False


if __name__ == "__main__":
    main()
