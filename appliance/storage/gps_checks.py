"""Whether the day files are whole: a glance at all of them when the bridge starts, and every byte of them at night.

What was found stands beside the day in a `.seal`: the digest of a file that was whole, by which a later flipped bit
shows, or the damage. docs/storage.md says what each check can see.
"""

from __future__ import annotations

import hashlib
import os
import re
import sqlite3
import threading
import time
from datetime import date
from pathlib import Path

import msgspec

from appliance import atomicfile, log
from appliance.storage import gps_days
from appliance.storage.gps_days import Stamp
from appliance.storage.gps_rows import DAY_SCHEMA

START_S = 2.0
"""So long the checks at the start may take beyond the glance (some ms a file); what is left is the night's."""

_BLOCK = 1 << 20
_TABLES = set(re.findall(r"CREATE TABLE IF NOT EXISTS (\w+)", DAY_SCHEMA))

_log = log.get(__name__)


class _Seal(msgspec.Struct, frozen=True):
    stamp: Stamp
    digest: str = ""
    damage: str = ""
    set_aside: bool = False
    """Whether the damage is such that SQLite cannot work with the file."""


def at_start(folder: Path, today: date, limit_s: float = START_S) -> list[date]:
    """Sets damaged day files aside and returns their days. Only for the one process that writes them, before it does.

    It opens every file, takes over what the last night found, and goes through today's and those that were not closed
    (a crash) for up to `limit_s`.
    """
    end = time.monotonic() + limit_s
    damaged = []
    for day in sorted(gps_days.listed(folder), reverse=True):
        seal = _read(folder, day)
        was_open = day == today or gps_days.log_file(folder, day).exists()
        damage = seal.damage if seal and seal.set_aside else _glance(folder, day)
        if not damage and was_open and (left_s := end - time.monotonic()) > 0:
            damage = _quick_check(folder, day, left_s)
        if damage:
            gps_days.set_aside(folder, day, damage)
            damaged.append(day)
    return damaged


def at_night(folder: Path, today: date) -> list[date]:
    """Goes through every byte of the days before today and returns those newly found damaged. It only says so: the
    file may be open in the bridge, which sets it aside when it writes to it or starts again."""
    damaged = []
    for day in gps_days.listed(folder):
        seal = _read(folder, day)
        if day >= today or (seal and seal.damage):
            continue
        found = _examine(folder, day, seal)
        if found is not None and found != seal:
            atomicfile.write(gps_days.seal_file(folder, day), msgspec.json.encode(found))
        if found is not None and found.damage:
            _log.error("gps.day_damaged", day=day.isoformat(), damage=found.damage)
            damaged.append(day)
    return damaged


def damaged_days(folder: Path) -> list[date]:
    """The days of which a part was set aside, or that the night's check found damaged."""
    sealed = {day for day in gps_days.listed(folder) if (seal := _read(folder, day)) and seal.damage}
    return sorted(sealed | gps_days.set_aside_days(folder))


def _examine(folder: Path, day: date, seal: _Seal | None) -> _Seal | None:
    """The day's new seal; None where it was written to meanwhile, or has gone."""
    try:
        stamp = gps_days.stamp(folder, day)
        digest = _digest(gps_days.path(folder, day))
        if seal and seal.stamp == stamp and seal.digest == digest:
            return seal
        damage = _quick_check(folder, day, None)
        if gps_days.stamp(folder, day) != stamp:
            return None
    except FileNotFoundError:  # retention was quicker
        return None
    if damage:
        return _Seal(stamp, damage=damage, set_aside=True)
    if seal and seal.stamp == stamp:
        return _Seal(stamp, damage="its content is not what it was, and nothing has written to it")
    return _Seal(stamp, digest)


def _glance(folder: Path, day: date) -> str:
    """What is wrong, as far as opening the file shows it: its header, its length, its tables."""
    try:
        with gps_days.reading(folder, day) as conn:
            missing = _TABLES - {name for (name,) in conn.execute("SELECT name FROM sqlite_schema")}
            if missing:
                return f"it has no {', '.join(sorted(missing))}"
            page_size = conn.execute("PRAGMA page_size").fetchone()[0]
        whole = gps_days.path(folder, day).stat().st_size % page_size == 0  # SQLite itself counts the rest as a page
        return "" if whole or gps_days.log_file(folder, day).exists() else "its last page is cut off"
    except sqlite3.DatabaseError as error:
        return _said(day, error)


def _quick_check(folder: Path, day: date, limit_s: float | None) -> str:
    """What SQLite finds wrong with the file's pages and rows; nothing when it could not finish within the limit."""
    try:
        with gps_days.reading(folder, day) as conn:
            timer = threading.Timer(limit_s or 0.0, conn.interrupt)
            if limit_s is not None:
                timer.start()
            try:
                found = str(conn.execute("PRAGMA quick_check(1)").fetchone()[0])
            finally:
                timer.cancel()
                if limit_s is not None:
                    timer.join()  # it must not strike a connection that is closed
    except sqlite3.DatabaseError as error:
        return _said(day, error)
    return "" if found == "ok" else " ".join(found.split())


def _said(day: date, error: sqlite3.DatabaseError) -> str:
    """The damage that an error means. What is in the way of a check (its time is up, the file has gone, the disk does
    not answer) is no damage, and must not keep the box from starting."""
    if gps_days.is_damaged(error):
        return str(error)
    _log.warning("gps.check_given_up", day=day.isoformat(), error=str(error))
    return ""


def _digest(file: Path) -> str:
    """Of the file as it stands; what was read does not push other files out of the memory."""
    digest = hashlib.blake2b(digest_size=32)
    with file.open("rb") as source:
        while block := source.read(_BLOCK):
            digest.update(block)
        os.posix_fadvise(source.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return digest.hexdigest()


def _read(folder: Path, day: date) -> _Seal | None:
    try:
        return msgspec.json.decode(gps_days.seal_file(folder, day).read_bytes(), type=_Seal)
    except (FileNotFoundError, msgspec.DecodeError):
        return None  # a seal that cannot be read is made anew
