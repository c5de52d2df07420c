"""`python -m tests.e2e.full_disk FOLDER`: a box whose disk fills up under load and gets room again; prints what it did.

Run in a mount namespace of its own (`unshare --mount`, with `--map-root-user` for an ordinary user), because it mounts
a small tmpfs on FOLDER.
"""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx

from appliance import config, disk
from appliance.config import Settings
from appliance.storage.gps import Store
from mqtt_bridge.tracker import Fleet
from tests.chaos.ingest_under_fire import Driver
from tests.e2e.running_box import RunningBox, wait_for

DISK = "96m"
FULL_S = 8.0
"""For so long nothing can be written."""
BACK_WITHIN_S = 60.0
NEARLY_S = 3.0
LEFT = 16 * 1024 * 1024
"""Less than what fixes leave to everything else."""
VEHICLES = 5
TRIP = {"pickup_at": "2026-12-01T09:00:00Z", "pickup_address": "here", "dropoff_address": "there"}


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "depot", str(folder)], check=True)
    with RunningBox(folder / "data") as box:
        codes = [f"FULL-{number}" for number in range(1, VEHICLES + 1)]
        for code in codes:
            box.json("vehicle", "add", code)
        settings = config.load(environ=box.environment)
        trackers = Fleet(settings.paths, "full-disk")
        assert trackers.start()
        driver = Driver(trackers, codes, datetime.now(UTC))
        for code in codes:
            trackers.add(code, 1)
        print(json.dumps(_fill_and_free(box, settings, trackers, driver, folder)))
        trackers.stop()


def _fill_and_free(
    box: RunningBox, settings: Settings, trackers: Fleet, driver: Driver, folder: Path
) -> dict[str, object]:
    def drive(done: object, what: str, within_s: float) -> float:
        began = time.monotonic()

        def driven() -> bool:
            driver.tick()
            return bool(done()) if callable(done) else time.monotonic() - began >= float(str(done))

        wait_for(driven, what, within_s)
        return time.monotonic() - began

    drive(lambda: trackers.acknowledged > 100, "fixes are acknowledged", 30)
    before = {name: role["restarts"] for name, role in box.roles().items()}
    filler, web = folder / "filler", httpx.Client(base_url=f"http://127.0.0.1:{box.web_port}", headers=box.token())
    _fill(filler, leave=LEFT)
    drive(NEARLY_S, "the disk is nearly full for a while", NEARLY_S + 10)
    held, planned = trackers.waiting(), web.post("/api/v1/trips", json=TRIP, timeout=10)
    _fill(folder / "rest")
    drive(FULL_S, "the disk is full for a while", FULL_S + 10)
    acknowledged, stored = trackers.acknowledged, Store(settings.paths.gps_dir).count()
    page, health = web.get("/", timeout=10), web.get("/healthz", timeout=10)
    refused = web.post("/api/v1/trips", json=TRIP | {"ref": "B"}, timeout=20)
    filler.unlink()
    target = driver.driven * len(driver.codes)
    back_s = drive(lambda: trackers.acknowledged >= target, "what was held up is acknowledged", BACK_WITHIN_S)
    wait_for(box.is_ready, "every role is ready", BACK_WITHIN_S)
    drive(lambda: trackers.acknowledged >= target + 500, "it goes on", 30)
    wait_for(lambda: trackers.step() or not trackers.waiting(), "all is acknowledged", 30)
    return {
        "held_up_when_nearly_full": held,
        "trip_planned_when_nearly_full": planned.status_code,
        "acknowledged_when_full": acknowledged,
        "stored_when_full": stored,
        "page_when_full": page.status_code,
        "page_says": re.findall(r"The disk fills up: \d+ MiB free", page.text),
        "health_when_full": health.status_code,
        "trip_planned_when_full": [refused.status_code, refused.json().get("detail")],
        "restarts": {
            name: role["restarts"] - before[name]
            for name, role in box.roles().items()
            if role["restarts"] != before[name]
        },
        "back_s": round(back_s, 1),
        "sent": driver.driven * len(driver.codes),
        "stored": Store(settings.paths.gps_dir).count(),
    }


def _fill(file: Path, leave: int = 0) -> None:
    """Takes the room there is, all but so much."""
    with file.open("wb", buffering=0) as out:
        if leave:
            os.posix_fallocate(out.fileno(), 0, disk.room(file.parent).free - leave)
            return
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    out.write(bytes(size))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise


if __name__ == "__main__":
    os.environ.setdefault("PYTHONPATH", os.getcwd())
    main(Path(sys.argv[1]))
