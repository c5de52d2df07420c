"""A load of believable vehicles on the running box, and what became of it."""

from __future__ import annotations

import statistics
from collections.abc import Iterable

import msgspec
import redis
from sqlite_utils import Database

from appliance import clock
from appliance.config import Settings
from appliance.errors import InputError, Unavailable
from appliance.storage.gps import Store
from mqtt_bridge import simulated_fleet, traffic
from mqtt_bridge.feed import Feed, Seen
from mqtt_bridge.load import Load, Plan, Progress


class Spread(msgspec.Struct, frozen=True):
    """How long something took, milliseconds."""

    count: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float


class Report(msgspec.Struct, kw_only=True):
    """What became of a load. Numbers are fixes, unless they say messages.

    `stored` and `rejected` are counted in the store, of the simulated vehicles alone; `lost` is what is in neither.
    `commit` is from publish to the box's own acknowledgement, for each message; `live` from publish to the live
    feed, for each position shown there (a newer one takes the place of one that was not shown yet). `behind_ms` is
    how far the load itself fell behind its plan.
    """

    vehicles: int
    sessions: int
    form: str
    messages: int
    messages_acknowledged: int
    sent: int
    acknowledged: int
    stored: int
    rejected: int
    lost: int
    seconds: float
    fixes_per_s: float
    behind_ms: float
    commit: Spread | None
    live: Spread | None


def run(db: Database, settings: Settings, plan: Plan, progress: Progress = lambda *_: None) -> Report:
    """Sends the load into the running box, waits for its acknowledgements, and counts what is stored.

    Raises InputError for a plan whose fixes would fall on one time or that is over before a message is full, and
    Unavailable when the broker does not answer.
    """
    most_hz = 1000 / traffic.FORMATS[plan.form].resolution_ms
    if plan.rate_hz > most_hz:
        raise InputError(f"expected at most {most_hz:g} for {plan.form}", subject=f"--rate {plan.rate_hz:g}")
    most = max(1, round(plan.rate_hz * plan.duration_s))
    if plan.batch > most:
        raise InputError(f"expected at most {most}, which is all that a vehicle sends", subject=f"--batch {plan.batch}")
    began = clock.now()
    fleet = simulated_fleet.prepare(db, settings, plan.vehicles, began, own_sessions=plan.own_sessions)
    store, ids, codes = Store(settings.paths.gps_dir), [one.id for one in fleet], [one.code for one in fleet]
    stored, rejected = store.counts_of(ids, codes)
    feed = Feed(settings.paths.redis_socket, simulated_fleet.PREFIX)
    try:
        feed.start()
    except redis.RedisError as error:
        raise Unavailable(f"no live feed: {error}", subject="redis", hint="depotbox status") from error
    load = Load(settings, plan, fleet)
    try:
        load.send(progress)
        load.drain(progress)
    finally:
        load.close()
        feed.stop()
    now_stored, now_rejected = store.counts_of(ids, codes)
    sent = load.sent * plan.batch
    seconds = load.last_at - load.began
    return Report(
        vehicles=plan.vehicles,
        sessions=load.sessions,
        form=plan.form,
        messages=load.sent,
        messages_acknowledged=load.sent_acknowledged,
        sent=sent,
        acknowledged=load.acknowledged,
        stored=now_stored - stored,
        rejected=now_rejected - rejected,
        lost=sent - (now_stored - stored) - (now_rejected - rejected),
        seconds=round(seconds, 3),
        fixes_per_s=round(load.acknowledged / seconds, 1) if seconds > 0 else 0.0,
        behind_ms=round(load.behind_s * 1000, 1),
        commit=spread(load.took_s),
        live=spread(shown(load, feed.seen)),
    )


def spread(took_s: Iterable[float]) -> Spread | None:
    """Percentiles of durations in seconds; None where there are none."""
    took = sorted(took_s)
    if not took:
        return None
    cuts = statistics.quantiles(took, n=100) if len(took) > 1 else [took[0]] * 99
    p50, p90, p99 = (round(cuts[percent - 1] * 1000, 2) for percent in (50, 90, 99))
    return Spread(len(took), p50, p90, p99, round(took[-1] * 1000, 2))


def shown(load: Load, seen: Iterable[Seen]) -> Iterable[float]:
    """From publish to the live feed, seconds, for each position of the load that was seen there."""
    form, step_ms = traffic.FORMATS[load.plan.form], 1000 / load.plan.rate_hz
    for one in seen:
        van = load.vans.get(one.code)
        sent_at = van.sent_of(form, one.at_ms, step_ms, load.plan.batch) if van else None
        if sent_at is not None and sent_at <= one.seen_at:
            yield one.seen_at - sent_at
