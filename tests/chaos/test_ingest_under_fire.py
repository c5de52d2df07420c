"""No acknowledged fix is missing and none is there twice, whatever is killed."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import cast as play
from tests.chaos.ingest_under_fire import Fire, burn
from tests.e2e import running_box

# paho leaves the socket of a connection that broke to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@pytest.fixture
def fire(depot_dir: Path) -> Iterator[Fire]:
    depot = play.depot(
        depot_dir, DEPOTBOX_MQTT__PORT=str(running_box.free_port()), DEPOTBOX_WEB__PORT=str(running_box.free_port())
    )
    seed = int(os.environ.get("SEED", time.time_ns() % 100_000))
    print(f"SEED={seed}")
    made = Fire(depot, depot_dir, random.Random(seed))
    yield made
    made.stop()
    print(made.log.name)


@pytest.mark.timeout(120)
def test_6_kills_at_200_fixes_a_second(fire: Fire) -> None:
    print(json.dumps(burn(fire, kills=6, within_s=0.5)))


@pytest.mark.chaos
@pytest.mark.timeout(1800)
def test_200_kills_at_200_fixes_a_second(fire: Fire) -> None:
    print(json.dumps(burn(fire, kills=200, within_s=2.0)))
