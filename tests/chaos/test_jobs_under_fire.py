"""No job is lost and no effect happens twice, whatever is killed."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.config import Settings
from tests.chaos.jobs_under_fire import Fire, burn


@pytest.fixture
def fire(depot: Settings, depot_dir: Path) -> Iterator[Fire]:
    seed = int(os.environ.get("SEED", time.time_ns() % 100_000))
    print(f"SEED={seed}")
    made = Fire(depot, depot_dir, random.Random(seed))
    yield made
    made.stop()
    print(made.log.name)


@pytest.mark.timeout(300)
def test_1000_jobs_survive_20_kills(fire: Fire) -> None:
    """18 kills of workers or their pools and 2 of Redis, its data gone each time."""
    print(json.dumps(burn(fire, count=500, worker_kills=18, redis_kills=2)))


@pytest.mark.chaos
@pytest.mark.timeout(3000)
def test_20000_jobs_survive_220_kills(fire: Fire) -> None:
    """200 kills of workers or their pools and 20 of Redis, its data gone each time."""
    print(json.dumps(burn(fire, count=10_000, worker_kills=200, redis_kills=20)))
