"""Fixes while bridge, broker, Redis and web are killed: what was acknowledged is on disk, once.

Each vehicle's tracker numbers its fixes and sends again what was not acknowledged, as docs/protocol-mqtt.md asks of it.
What it was told is written down at that moment, and compared with the day files at the end.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from appliance import fleet, init
from appliance.config import Settings
from appliance.storage import vehicles
from appliance.storage.db import open_depot
from appliance.storage.gps import Store
from mqtt_bridge.tracker import Fleet
from tests import cast
from tests.servers import wait_for

ROLES = ("redis", "mosquitto", "bridge", "web")
VEHICLES = 10
RATE_HZ = 20.0
"""Of each vehicle: 200 fixes a second in all."""
DEGREE = 0.0001
PATIENCE_S = 15.0
"""Without an acknowledgement for so long, the next role is killed all the same."""


@dataclass
class Fire:
    """The roles that take fixes in, each started again as soon as it is killed."""

    settings: Settings
    folder: Path
    dice: random.Random
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    kills: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.log = (self.folder / "fire.log").open("ab")

    def start(self, name: str) -> None:
        self.processes[name] = subprocess.Popen(
            [sys.executable, "-m", "appliance", "role", name],
            env=os.environ
            | cast.environ(self.settings)
            | {"DEPOTBOX_WEB__PORT": str(self.settings.web.port), "DEPOTBOX_WEB__TLS_PORT": "0"},
            stdout=self.log,
            stderr=self.log,
        )

    def start_all(self) -> None:
        init.main(self.settings)
        for name in ROLES:
            self.start(name)

    def kill_one(self) -> None:
        name = self.dice.choice(ROLES)
        process = self.processes[name]
        process.send_signal(signal.SIGKILL)
        process.wait()
        self.kills[name] = self.kills.get(name, 0) + 1
        self.start(name)

    def revive(self) -> None:
        """A role may end by itself where one that it stands on was killed; the supervisor would start it again."""
        for name, process in list(self.processes.items()):
            if process.poll() is not None:
                self.start(name)

    def stop(self) -> None:
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
            process.wait()
        self.log.close()


@dataclass
class Driver:
    """Trackers that drive east, a fix each tick. The fix of number `n` is at `began + n / RATE_HZ`: so a stored fix
    says by itself which one it is."""

    fleet: Fleet
    codes: list[str]
    began: datetime
    driven: int = 0

    def tick(self) -> None:
        """One more fix of every vehicle, if it is time."""
        due = int((datetime.now(UTC) - self.began).total_seconds() * RATE_HZ)
        while self.driven < due:
            self.driven += 1
            at = self.began + timedelta(seconds=self.driven / RATE_HZ)
            for place, code in enumerate(self.codes):
                where = {"lat": 53.0 + place * 0.01, "lon": -3.0 + self.driven * DEGREE}
                self.fleet.fix(code, {"t": at.isoformat(), "speed_kmh": 30, **where})
        self.fleet.step()


def burn(fire: Fire, kills: int, within_s: float) -> dict[str, float]:
    """Drives while `kills` roles are killed, each at a random moment within `within_s` after fixes were acknowledged
    again. Asserts that nothing acknowledged is missing, nothing sent is missing once the fleet has been told of all,
    and nothing is there twice."""
    fire.start_all()
    settings = fire.settings
    codes = [f"FIRE-{number}" for number in range(1, VEHICLES + 1)]
    db = open_depot(settings.paths.depot_db)
    for code in codes:
        fleet.add_vehicle(db, settings, code, now=datetime.now(UTC), who="test")
    wait_for(settings.paths.mqtt_socket.exists, "the broker listens")
    trackers = Fleet(settings.paths, "fire")
    assert trackers.start()
    driver = Driver(trackers, codes, datetime.now(UTC))
    for code in codes:
        trackers.add(code, 1)
    began = time.monotonic()
    try:
        for _ in range(kills):
            told, patience = trackers.acknowledged, time.monotonic() + PATIENCE_S
            until: float | None = None
            while until is None or time.monotonic() < until:
                driver.tick()
                fire.revive()
                if until is None and (trackers.acknowledged > told or time.monotonic() > patience):
                    until = time.monotonic() + fire.dice.uniform(0.0, within_s)
                time.sleep(0.01)  # the pace of the load
            fire.kill_one()
        last_kill = time.monotonic()
        acknowledged_then = trackers.acknowledged
        missing_then = _missing(settings, db, codes, driver, acknowledged_only=trackers)

        def all_told() -> bool:
            fire.revive()
            trackers.step()
            return not trackers.waiting()

        wait_for(all_told, "every fix is acknowledged", 60)
        told_s = time.monotonic() - last_kill
    finally:
        trackers.stop()
    missing = _missing(settings, db, codes, driver)
    rows = Store(settings.paths.gps_dir).count()
    db.conn.close()
    found = {
        "fixes": driver.driven * VEHICLES,
        "kills": kills,
        "seconds": round(time.monotonic() - began, 1),
        "acknowledged_at_last_kill": acknowledged_then,
        "acknowledged_and_missing": missing_then,
        "sent_and_missing": missing,
        "double": rows - driver.driven * VEHICLES + missing,
        "all_told_after_last_kill_s": round(told_s, 1),
        **{f"killed_{name}": count for name, count in sorted(fire.kills.items())},
    }
    assert acknowledged_then > 0, found
    assert (missing_then, missing, found["double"]) == (0, 0, 0), found
    return found


def _missing(
    settings: Settings, db: Any, codes: list[str], driver: Driver, acknowledged_only: Fleet | None = None
) -> int:
    """How many fixes are not in the day files: of all that were driven, or of those that the tracker was told of."""
    store, missing = Store(settings.paths.gps_dir), 0
    forgotten = acknowledged_only.unacknowledged() if acknowledged_only else {}
    for code in codes:
        vehicle = vehicles.by_code(db, code)
        assert vehicle is not None
        fixes = store.trail(vehicle["id"], None, driver.began, driver.began + timedelta(hours=1))
        stored = {round((fix.at - driver.began).total_seconds() * RATE_HZ) for fix in fixes}
        missing += len(set(range(1, driver.driven + 1)) - forgotten.get(code, set()) - stored)
    return missing
