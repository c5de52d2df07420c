"""Collects what `appliance.health` judges: one look at the roles, Redis, the database, the disk and the clock."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import datetime
from typing import Any

from appliance import basemap, clock, disk, queue_desk, uplink_desk
from appliance.config import Settings
from appliance.errors import DepotError
from appliance.health import Facts
from appliance.servers import certificate
from appliance.storage import board, times
from appliance.storage.db import open_depot
from appliance.storage.gps import Store
from appliance.supervisor import statusfile
from appliance.supervisor.unit import State

WELL = frozenset({State.READY, State.DONE})


def collect(settings: Settings, *, redis: bool, now: datetime) -> Facts:
    """What is so now; never raises for what is broken. `redis`: whether it answers."""
    run = statusfile.read(settings.paths)
    depot, paths = settings.depot, settings.paths
    failed, paused, oldest, database = 0, [], {}, True
    line: dict[str, Any] = {}
    try:
        db = open_depot(paths.depot_db)
        with closing(db.conn):
            failed = board.job_counts(db).get("failed", 0)
            for queue in queue_desk.overview(db, None, now):
                if queue["paused_at"]:
                    paused.append(queue["queue"])
                elif queue["oldest_due_at"]:
                    oldest[queue["queue"]] = now - times.parse(queue["oldest_due_at"])
            line = uplink_desk.facts(db, now) if settings.upstream.url else {}
    except (sqlite3.Error, DepotError):
        database = False
    return Facts(
        not_ready={role.name: role.state for role in run.roles if role.state not in WELL} if run else {},
        redis=redis,
        database=database,
        disk_free_mb=disk.room(paths.data_dir).free // 2**20,
        disk_warn_mb=settings.limits.disk_free_mb,
        clock_trusted=clock.trusted(settings),
        damaged_days=tuple(Store(paths.gps_dir).damaged_days()),
        bad_maps=basemap.problems(paths.data_dir),
        failed_jobs=failed,
        paused=tuple(paused),
        oldest=oldest,
        invoices_named=bool(depot.legal_name and depot.address and depot.tax_id and depot.bank_details),
        mail_host=settings.mail.host,
        **_of_certificate(settings, now),
        **line,
    )


def _of_certificate(settings: Settings, now: datetime) -> dict[str, Any]:
    if not settings.web.tls_port:
        return {}
    try:
        found = certificate.chosen(settings, now)
    except DepotError:  # before the first start
        return {}
    ends = found.certificate.valid_to
    soon = found.source != "own" and clock.trusted(settings) and ends - now < certificate.WARN
    return {"certificate_problems": tuple(found.problems), "certificate_ends_on": ends.date() if soon else None}
