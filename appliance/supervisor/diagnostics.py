"""The diagnostics bundle: what somebody far away needs to see why a box is not well, and nobody's data.

Small text files. Each value passes through `appliance.redaction`; no table is copied, only counted.
"""

from __future__ import annotations

import io
import json
import os
import platform
import sqlite3
import tarfile
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from sqlite_utils import Database

from appliance import __version__, clock, disk, health, log_file, queue_desk, redaction
from appliance.config import Settings, effective
from appliance.errors import DepotError
from appliance.servers import certificate
from appliance.storage import counts
from appliance.storage.gps import Store
from appliance.supervisor import checkup, report

LOG_LINES = 2000
OWN_WORDS = frozenset({"legal_name", "address", "tax_id", "bank_details", "username", "password", "sender"})
"""Configuration keys of which the bundle says only whether they are set."""


def collect(settings: Settings, db: Database, *, redis: bool, now: datetime) -> dict[str, str]:
    """Name -> content of each file of the bundle."""
    paths, clean = settings.paths, redaction.of_box(settings, db)
    files: dict[str, Any] = {
        "versions.json": {
            "depotbox": __version__,
            "python": platform.python_version(),
            "sqlite": sqlite3.sqlite_version,
            "system": platform.platform(),
            "made_at": now.isoformat(),
        },
        "configuration.json": _configuration(settings),
        "issues.json": msgspec.to_builtins(health.issues(checkup.collect(settings, redis=redis, now=now))),
        "roles.json": msgspec.to_builtins(report.measure(paths)),
        "machine.json": {
            "disk": {"total": disk.room(paths.data_dir).total, "free": disk.room(paths.data_dir).free},
            "load": os.getloadavg(),
            "processors": os.cpu_count(),
            "uptime_s": round(clock.uptime_s()),
            "clock_trusted": clock.trusted(settings),
            "clock_confirmed": clock.confirmed(settings),
        },
        "database.json": {
            "rows": counts.rows(db),
            "migrations": counts.migrations(db),
            "bytes": {file.name: file.stat().st_size for file in sorted(paths.data_dir.glob("depot.db*"))},
            "check": counts.check(db),
        },
        "fixes.json": _fixes(settings),
        "work.json": {
            "queues": queue_desk.overview(db, None, now),
            "jobs": counts.jobs(db),
            "schedules": counts.schedules(db),
        },
        "certificate.json": _certificate(settings, now),
    }
    found = {name: json.dumps(clean.value(content), indent=2, default=str) + "\n" for name, content in files.items()}
    lines = log_file.newest(paths.log_dir, lambda event: True, LOG_LINES)
    found["log.jsonl"] = "".join(json.dumps(clean.line(line)) + "\n" for line in reversed(lines))
    return found


def bundle(files: Mapping[str, str], now: datetime) -> bytes:
    """The files as one `.tar.gz`."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(f"depotbox-diagnostics/{name}")
            member.size, member.mtime, member.mode = len(text.encode()), int(now.timestamp()), 0o600
            archive.addfile(member, io.BytesIO(text.encode()))
    return packed.getvalue()


def file_name(now: datetime) -> str:
    return f"depotbox-diagnostics-{now:%Y%m%d-%H%M%S}.tar.gz"


def _configuration(settings: Settings) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for section, key, value, _description in effective(settings):
        shown = ("set" if value else "not set") if key in OWN_WORDS else value
        found[f"{section}.{key}"] = {"value": shown, "from": settings.source(section, key) or "default"}
    return found


def _fixes(settings: Settings) -> dict[str, Any]:
    folder, store = settings.paths.gps_dir, Store(settings.paths.gps_dir)
    return {
        "files": {file.name: file.stat().st_size for file in sorted(folder.glob("*")) if file.is_file()},
        "damaged_days": store.damaged_days(),
    }


def _certificate(settings: Settings, now: datetime) -> dict[str, Any]:
    try:
        found = certificate.chosen(settings, now)
    except DepotError as error:
        return {"error": str(error)}
    return {
        "source": found.source,
        "names": found.certificate.names,
        "valid_from": found.certificate.valid_from,
        "valid_to": found.certificate.valid_to,
        "problems": found.problems,
    }
