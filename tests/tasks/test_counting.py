"""What workers count, whoever started them, and that a wiped Redis is an ordinary counter reset."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from appliance.config import Settings
from appliance.counters import Counted, Counters
from tests.servers import CeleryWorker, Redis, wait_for
from tests.tasks.guide import SLOW, SLOW_TASK, TIMEOUTS, Guide, depot_with_redis

COMPLETION = "trips.tasks.process_trip_completion"


@pytest.fixture
def guide() -> Iterator[Guide]:
    with depot_with_redis() as made:
        yield made


@pytest.fixture
def worker(guide: Guide) -> Iterator[CeleryWorker]:
    started = CeleryWorker(guide.settings, include=SLOW_TASK)
    yield started
    started.stop()


def read(counters: Counters) -> Counted:
    found = counters.read()
    assert found
    return found


def test_outcomes_and_run_times_of_a_real_worker_are_counted(guide: Guide, worker: CeleryWorker) -> None:
    counters = Counters(guide.settings.paths.redis_socket)
    assert guide.state(guide.enqueue(TIMEOUTS)) in ("pending", "running", "done")
    guide.enqueue(COMPLETION, trip_id=999)  # there is no such trip: tried again later
    slow = guide.begin_slow("revoked")
    guide.says(f"celery -A tasks revoke --terminate {slow}")
    expected = {(TIMEOUTS, "succeeded"): 1, (COMPLETION, "retried"): 1, (SLOW, "revoked"): 1}
    wait_for(lambda: expected.items() <= read(counters).tasks.items(), f"{expected}")
    assert sum(read(counters).runtimes[TIMEOUTS].counts) == 1
    assert 0 < read(counters).runtimes[TIMEOUTS].sum_s < 20
    assert SLOW not in read(counters).runtimes
    guide.redis.client(2).flushdb()
    assert read(counters).tasks == {}
    guide.enqueue(TIMEOUTS)
    wait_for(lambda: read(counters).tasks.get((TIMEOUTS, "succeeded")) == 1, "it begins at 0 again")


def test_nobody_notices_that_redis_is_away(depot: Settings, redis_of_depot: Redis) -> None:
    counters = Counters(depot.paths.redis_socket)
    redis_of_depot.kill()
    counters.ran(TIMEOUTS, "succeeded", 1.0)
    counters.canary("worker")
    assert counters.read() is None
