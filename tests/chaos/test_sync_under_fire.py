"""No row is lost, doubled or changed between a box and the centre, whatever the link does and whoever is killed."""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.chaos.hostile_proxy import FAULTS
from tests.chaos.sync_under_fire import Fire, fill

Make = Callable[[float], Fire]


@pytest.fixture
def make(depot_dir: Path) -> Iterator[Make]:
    seed = int(os.environ.get("SEED", time.time_ns() % 100_000))
    print(f"SEED={seed}")
    fires: list[Fire] = []

    def made(share: float) -> Fire:
        fires.append(Fire(depot_dir, random.Random(seed), share))
        return fires[-1]

    yield made
    for fire in fires:
        fire.stop()


@pytest.mark.timeout(300)
def test_40_batches_over_a_hostile_link_and_6_kills(make: Make) -> None:
    fire = make(0.4)
    with fire.proxy.running():
        print(json.dumps(fire.burn(800, kills=6, within_s=200, pause_s=(0.8, 2.0))))


@pytest.mark.chaos
@pytest.mark.timeout(3600)
def test_1000_batches_over_a_hostile_link(make: Make) -> None:
    fire = make(0.5)
    with fire.proxy.running():
        found = fire.burn(20_000, kills=0, within_s=3000, pause_s=(1, 1))
    print(json.dumps(found))
    assert found["batches"] >= 1000
    assert set(found["link"]) == set(FAULTS)


@pytest.mark.chaos
@pytest.mark.timeout(3600)
def test_100_kills_of_either_end(make: Make) -> None:
    fire = make(0.1)
    with fire.proxy.running():
        found = fire.burn(60_000, kills=100, within_s=3000, pause_s=(0.3, 3.0))
    print(json.dumps(found))
    assert sum(found["kills"].values()) == 100


@pytest.mark.timeout(200)
def test_a_centre_restored_from_yesterday_gets_what_it_lacks(make: Make) -> None:
    fire = make(0.0)
    with fire.proxy.running():
        fire.burn(400, kills=0, within_s=100, pause_s=(1, 1))
        yesterday = fire.folder / "yesterday.db"
        source, target = sqlite3.connect(fire.centre_dir / "central.db"), sqlite3.connect(yesterday)
        source.backup(target)
        source.close(), target.close()
        fill(fire.db, 400, fire.dice, first=400)
        fire.start("box")
        assert fire.over(100, time.monotonic(), 100)
        fire.kill("centre")
        for name in ("central.db", "central.db-wal", "central.db-shm"):
            (fire.centre_dir / name).unlink(missing_ok=True)
        shutil.copy(yesterday, fire.centre_dir / "central.db")
        fire.start("centre")
        assert len(fire.arrived()) == 400
        fill(fire.db, 20, fire.dice, first=800)
        fire.start("box")
        assert fire.over(100, time.monotonic(), 100)
        fire.check(resumed=False)
