"""`/metrics` for Prometheus: collected when it is asked for, from the database, Redis and the supervisor's status.

What cannot be asked (Redis is away, no database yet) is left out and shows as `depotbox_redis_up` or
`depotbox_database_up` 0. Labels are queues, states, tasks, roles and workers: never a person, a trip or a vehicle.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from litestar import Response, get
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from appliance import __version__, disk
from appliance.counters import BUCKETS_S, Counted, Counters
from appliance.domain.presence import VehicleState
from appliance.errors import DepotError
from appliance.jobs import QUEUES
from appliance.queues import Queues
from appliance.storage import alerts as alert_rows
from appliance.storage import board, queues, sync_log, times
from appliance.storage.jobs import STATES
from web.api.system import roles
from web.api.vehicles import fleet
from web.parts import Given, Parts


@get("/metrics", sync_to_thread=True, include_in_schema=False)
def metrics(parts: Given) -> Response[bytes]:
    """Answers also before the box is set up."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(BoxCollector(parts))
    return Response(generate_latest(registry), headers={"content-type": CONTENT_TYPE_LATEST})


class BoxCollector(Collector):
    """One scrape."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def collect(self) -> Iterator[Metric]:
        """All metric families that can be had now."""
        yield _gauge("depotbox_build_info", "The version that runs; always 1", {"version": __version__}, 1)
        room = disk.room(self._parts.settings.paths.data_dir)
        yield _gauge("depotbox_disk_bytes", "Size of the disk of the data folder", {}, room.total)
        yield _gauge("depotbox_disk_free_bytes", "Room on the disk of the data folder", {}, room.free)
        damaged = len(self._parts.store.damaged_days())
        yield _gauge("depotbox_gps_damaged_days", "Days of which a part of the fixes is damaged", {}, damaged)
        yield from self._of_roles()
        yield from self._of_database()
        yield from self._of_redis()

    def _of_roles(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("depotbox_role_up", "1 while the role is ready", labels=["role"])
        restarts = CounterMetricFamily("depotbox_role_restarts", "How often it was started again", labels=["role"])
        for role in roles(self._parts):
            up.add_metric([role.name], float(role.ready))
            restarts.add_metric([role.name], role.restarts)
        yield from (up, restarts)

    def _of_database(self) -> Iterator[Metric]:
        now = self._parts.now()
        try:
            with self._parts.db() as db:
                counts, backlog, pauses = board.job_counts(db), queues.backlog(db, now), queues.pauses(db)
                unsent, parked = sync_log.waiting(db), sync_log.count_parked(db)
                states, alerts = Counter(vehicle.state for vehicle in fleet(db, self._parts)), alert_rows.shown(db)
        except (sqlite3.Error, DepotError):
            yield _gauge("depotbox_database_up", "1 while the database answers", {}, 0)
            return
        yield _gauge("depotbox_database_up", "1 while the database answers", {}, 1)
        jobs = GaugeMetricFamily("depotbox_jobs", "Durable jobs that are kept, by state", labels=["state"])
        for state in STATES:
            jobs.add_metric([state], counts.get(state, 0))
        waiting = GaugeMetricFamily("depotbox_jobs_waiting", "Jobs that are due and not begun", labels=["queue"])
        oldest = GaugeMetricFamily(
            "depotbox_oldest_job_age_seconds", "How long the oldest of them is due; 0 when none waits", labels=["queue"]
        )
        paused = GaugeMetricFamily("depotbox_queue_paused", "1 while a person holds the queue up", labels=["queue"])
        for queue in QUEUES:
            found = backlog.get(queue, {})
            waiting.add_metric([queue], found.get("waiting", 0))
            oldest.add_metric([queue], _age_s(found.get("oldest_due_at"), now))
            paused.add_metric([queue], float(queue in pauses))
        vehicles = GaugeMetricFamily("depot_vehicles", "Vehicles in service, by state", labels=["state"])
        for vehicle_state in VehicleState:
            vehicles.add_metric([vehicle_state], states[vehicle_state])
        yield _gauge("depotbox_uplink_waiting_rows", "Rows that wait for the central office", {}, unsent)
        yield _gauge("depotbox_uplink_parked_rows", "Rows that the central office does not take", {}, parked)
        yield _gauge("depot_alerts_open", "Outages of vehicles that are at work now", {}, len(alerts))
        yield from (jobs, waiting, oldest, paused, vehicles)

    def _of_redis(self) -> Iterator[Metric]:
        socket = self._parts.settings.paths.redis_socket
        lengths, counted = Queues(socket).lengths(), Counters(socket).read()
        answers = lengths is not None and counted is not None
        yield _gauge("depotbox_redis_up", "1 while Redis answers", {}, float(answers))
        if lengths is None or counted is None:
            return
        length = GaugeMetricFamily("celery_queue_length", "Messages in the queue", labels=["queue"])
        for queue, number in lengths.items():
            length.add_metric([queue], number)
        yield length
        yield from _of_tasks(counted)


def _of_tasks(counted: Counted) -> Iterator[Metric]:
    tasks = CounterMetricFamily("celery_tasks", "Runs of tasks by what became of them", labels=["name", "outcome"])
    for (name, outcome), count in sorted(counted.tasks.items()):
        tasks.add_metric([name, outcome], count)
    runtimes = HistogramMetricFamily("celery_task_runtime_seconds", "How long the runs took", labels=["name"])
    for name, found in sorted(counted.runtimes.items()):
        bounds = [*map(str, BUCKETS_S), "+Inf"]
        cumulative = itertools.accumulate(found.counts)
        runtimes.add_metric([name], buckets=list(zip(bounds, cumulative, strict=True)), sum_value=found.sum_s)
    canaries = GaugeMetricFamily(
        "depotbox_worker_canary_age_seconds", "Since the worker last ran its canary", labels=["worker"]
    )
    for worker, age_s in sorted(counted.canary_ages_s.items()):
        canaries.add_metric([worker], age_s)
    yield from (tasks, runtimes, canaries)


def _gauge(name: str, text: str, labels: dict[str, str], value: float) -> Metric:
    family = GaugeMetricFamily(name, text, labels=list(labels))
    family.add_metric(list(labels.values()), value)
    return family


def _age_s(stored: str | None, now: datetime) -> float:
    due = times.parse_or_none(stored)
    return max(0.0, (now - due).total_seconds()) if due else 0.0


HANDLERS: list[Any] = [metrics]
