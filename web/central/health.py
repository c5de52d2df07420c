"""`/healthz` for whoever watches the server, `/metrics` for Prometheus. No label names a person or a depot."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from litestar import Response, get
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from appliance import __version__
from appliance.central import migrate, overview
from appliance.central.db import read
from appliance.errors import DepotError
from web.central.parts import Centre, Given


class Health(msgspec.Struct, frozen=True):
    """`ok` is false where depots could not be answered: then the status is 503."""

    ok: bool
    version: str
    problem: str = ""


@get("/healthz", sync_to_thread=True, include_in_schema=False)
def healthz(centre: Given) -> Response[Health]:
    problem = ""
    try:
        with read(centre.engine) as db:
            found = migrate.version(db)
        if found != migrate.head():
            problem = f"the database is of version {found}: depotbox central migrate"
    except DepotError as error:
        problem = str(error)
    return Response(Health(not problem, __version__, problem), status_code=503 if problem else 200)


@get("/metrics", sync_to_thread=True, include_in_schema=False)
def metrics(centre: Given) -> Response[bytes]:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Scrape(centre))
    return Response(generate_latest(registry), headers={"content-type": CONTENT_TYPE_LATEST})


class _Scrape(Collector):
    def __init__(self, centre: Centre) -> None:
        self._centre = centre

    def collect(self) -> Iterator[Metric]:
        build = GaugeMetricFamily("depotbox_build_info", "The version that runs; always 1", labels=["version"])
        build.add_metric([__version__], 1)
        yield build
        yield from self._queues()
        try:
            with read(self._centre.engine) as db:
                found = overview.figures(db, self._centre.now())
        except DepotError:
            yield GaugeMetricFamily("depotbox_database_up", "1 while the database answers", 0)
            return
        yield GaugeMetricFamily("depotbox_database_up", "1 while the database answers", 1)
        yield GaugeMetricFamily("depotbox_central_depots", "Depots that have enrolled", found.depots)
        yield GaugeMetricFamily("depotbox_central_depots_silent", "Those not heard of for a day", found.silent)
        yield GaugeMetricFamily("depotbox_central_batches_waiting", "Received and not yet applied", found.waiting)
        yield GaugeMetricFamily("depotbox_central_rows_rejected", "Rows that do not fit", found.rejected)
        oldest = "How long the oldest batch waits to be applied"
        yield GaugeMetricFamily("depotbox_central_oldest_batch_age_seconds", oldest, found.oldest_s)

    def _queues(self) -> Iterator[Metric]:
        lengths = self._centre.queues.lengths() if self._centre.queues else None
        if lengths is not None:
            found = GaugeMetricFamily("celery_queue_length", "Messages in the queue", labels=["queue"])
            for queue, length in lengths.items():
                found.add_metric([queue], length)
            yield found


HANDLERS: list[Any] = [healthz, metrics]
