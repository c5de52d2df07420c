"""What people see of the line to the central office, and decide about it. No request is made here."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlite_utils import Database

from appliance.config import Settings
from appliance.errors import InputError, Refused
from appliance.storage import audit, identity, sync_log, times
from appliance.storage import uplink as rows_of
from appliance.storage.db import Row, Tx
from appliance.wire import STREAMS, Stream
from appliance.wire.answers import Receipt


def status(db: Database, settings: Settings, now: datetime) -> dict[str, Any]:
    """How the line is, for commands, pages and programs. Times are as they are stored."""
    state, receipt, whole = rows_of.state(db), rows_of.last_receipt(db), rows_of.last_whole(db)
    waiting = sync_log.backlog(db)
    oldest = [found["created_at"] for stream in STREAMS if (found := sync_log.oldest_waiting(db, stream))]
    return {
        "url": settings.upstream.url,
        "centre": state["centre"],
        "key_id": state["key_id"],
        "key_expires_at": state["expires_at"],
        "enrolled_at": state["enrolled_at"],
        "last_success_at": state["answered_at"],
        "backlog": sum(waiting.values()),
        "waiting": {stream: waiting.get(stream, 0) for stream in STREAMS},
        "oldest_waiting_at": min(oldest, default=None),
        "parked": sync_log.count_parked(db),
        "problem": state["problem"],
        "problem_status": state["problem_status"],
        "problem_since": state["problem_at"],
        "retry_at": state["retry_at"],
        "stopped": rows_of.stops(db),
        "complete_through": whole["at"] if whole else None,
        "last_receipt": _shown(receipt) if receipt else None,
        "missed_nights": missed_nights(state, receipt, now),
        "kept_news": len(rows_of.kept_news(db)),
        "recovery": bool(settings.upstream.url) and rows_of.lacks(db),
        "epoch": identity.epoch(db),
    }


def told(found: dict[str, Any], settings: Settings) -> list[str]:
    """The same in sentences, the most important first."""

    def at(stored: str) -> str:
        return f"{times.parse(stored).astimezone(settings.zone):%A, %d %B %Y, %H:%M}"

    said = []
    if not found["url"]:
        said.append("No central office is set up. This depot works alone.")
    elif not found["enrolled_at"]:
        said.append("The central office does not know this box yet.")
    elif found["complete_through"]:
        said.append(f"Everything up to {at(found['complete_through'])} is at the central office.")
    else:
        said.append("There is no receipt yet by which everything is at the central office.")
    if found["backlog"]:
        rows = "1 row waits" if found["backlog"] == 1 else f"{found['backlog']:,} rows wait"
        said.append(f"{rows}, the oldest since {at(found['oldest_waiting_at'])}.")
    if found["url"] and found["missed_nights"] > 0:
        nights = "1 night" if found["missed_nights"] == 1 else f"{found['missed_nights']} nights"
        said.append(f"{nights} without a receipt.")
    if found["problem"]:
        said.append(f"Since {at(found['problem_since'])} nothing goes: {found['problem']}.")
    said += [f"{one['stream']} stands still: {one['code']}. {one['detail']}".rstrip() for one in found["stopped"]]
    if found["parked"]:
        said.append(f"{found['parked']} parked: the central office does not take them.")
    if found["last_receipt"] and not found["last_receipt"]["whole"]:
        differs = "; ".join(found["last_receipt"]["differences"])
        said.append(f"The receipt of {found['last_receipt']['night']} says what differs: {differs}.")
    if found["kept_news"]:
        said.append(f"{found['kept_news']} news from the central office could not be applied.")
    if found["recovery"]:
        said.append("This box was restored, and has not heard yet what it lacks: trips from before are not billed.")
    return said


def facts(db: Database, now: datetime) -> dict[str, Any]:
    """What `appliance.health` judges, of a box with a central office."""
    state, receipt = rows_of.state(db), rows_of.last_receipt(db)
    differs = [] if receipt is None or receipt["whole"] else _shown(receipt)["differences"]
    return {
        "uplink_unknown": state["enrolled_at"] is None,
        "uplink_refused": state["problem"] if state["problem_status"] is not None else "",
        "uplink_stopped": tuple(one["stream"] for one in rows_of.stops(db)),
        "missed_nights": missed_nights(state, receipt, now),
        "receipt_differs": "; ".join(differs),
        "parked_rows": sync_log.count_parked(db),
        "news_kept": len(rows_of.kept_news(db)),
        "not_recovered": rows_of.lacks(db),
    }


def missed_nights(state: Row, receipt: Row | None, now: datetime) -> int:
    """How many nights brought no receipt since the last one, or since the enrolment; an hour late is not missed."""
    since = times.parse_or_none(receipt["kept_at"] if receipt else state["receipts_from"])
    if since is None:
        return 0
    return max(0, (now - since - timedelta(hours=1)) // timedelta(days=1))


def retry_parked(tx: Tx, seqs: Sequence[tuple[str, int, int]] | None, *, who: str, now: datetime) -> int:
    """Parked rows are sent again: those named as (stream, epoch, seq), or all. Returns how many."""
    chosen = [(one["stream"], one["epoch"], one["seq"]) for one in sync_log.parked(tx)]
    if seqs is not None:
        chosen = [one for one in chosen if one in set(seqs)]
    for stream, epoch, seq in chosen:
        sync_log.send_again(tx, epoch, stream, seq, seq, parked=True)
    if chosen:
        rows_of.put(tx, flight=None)
        audit.record(tx, who, "uplink.retried", "box", "", now, f"{len(chosen)} rows")
    return len(chosen)


def resend(
    tx: Tx, start: datetime, end: datetime, streams: Sequence[Stream] | None = None, *, who: str, now: datetime
) -> int:
    """The rows that were written in [start, end) are sent again, of these streams or of all. Returns how many; those
    that wait anyway do not count. Raises InputError."""
    if start >= end:
        raise InputError("expected an end after the start", subject="from, to")
    count = 0
    for stream in streams or STREAMS:
        for found in sync_log.created_between(tx, stream, start, end):
            count += sync_log.send_again(tx, found["epoch"], stream, found["first"], found["last"])
    if count:
        rows_of.put(tx, flight=None)
        detail = f"{count} rows of {times.text(start)} to {times.text(end)}"
        audit.record(tx, who, "uplink.resent", "box", "", now, detail)
    return count


def bill_anyway(tx: Tx, *, who: str, now: datetime) -> None:
    """An administrator decides that trips from before the restore are billed although the central office was not asked
    what was billed already. What it has is still fetched, once it can be. Raises Refused where nothing waits for it."""
    if not rows_of.lacks(tx):
        raise Refused("no trip waits for the central office", subject="billing")
    rows_of.put(tx, freed_epoch=identity.epoch(tx))
    audit.record(tx, who, "box.billing_freed", "box", "", now)


def check_url(settings: Settings) -> None:
    """Raises Refused for a box that works alone."""
    if not settings.upstream.url:
        raise Refused(
            "no central office is set up",
            subject="upstream.url",
            hint="enter its address on the page System, Depot, or in the configuration",
        )


def check_enrolled(settings: Settings, db: Database) -> None:
    """Raises Refused where no centre knows this box."""
    check_url(settings)
    if rows_of.state(db)["enrolled_at"] is None:
        raise Refused(
            "the central office does not know this box yet",
            subject=settings.upstream.url,
            hint="get a code there, then: depotbox sync enrol --code CODE",
        )


def ask_at_once(tx: Tx, settings: Settings, *, who: str, now: datetime) -> None:
    """A person does not wait for the time at which the centre is to be asked again. Raises Refused."""
    check_enrolled(settings, tx)
    rows_of.at_once(tx, now)
    audit.record(tx, who, "uplink.asked", "box", "", now)


def is_well(found: dict[str, Any]) -> bool:
    """Whether a status needs no person."""
    receipt = found["last_receipt"]
    wrong = found["problem_status"], found["stopped"], found["parked"], found["kept_news"], found["recovery"]
    return (
        bool(found["enrolled_at"])
        and not any(wrong)
        and found["missed_nights"] < 2
        and (not receipt or receipt["whole"])
    )


def crontab(settings: Settings) -> str:
    """When the night's work is done: `upstream.night`, and by the depot's code some minutes later, so that not all
    depots come at once."""
    hour, minute = (int(part) for part in settings.upstream.night.split(":"))
    spread = int(hashlib.sha256(settings.depot.code.encode()).hexdigest()[:8], 16) % (settings.upstream.jitter_min + 1)
    at = (hour * 60 + minute + spread) % (24 * 60)
    return f"{at % 60} {at // 60} * * *"


def row_named(text: str) -> tuple[str, int, int]:
    """(stream, epoch, seq) of `invoices/1/17`. Raises ValueError."""
    stream, epoch, seq = text.split("/")
    if stream not in STREAMS:
        raise ValueError(text)
    return stream, int(epoch), int(seq)


def _shown(receipt: Row) -> Row:
    said = msgspec.json.decode(receipt["receipt"], type=Receipt)
    return {
        "night": receipt["night"],
        "at": receipt["at"],
        "received_at": receipt["received_at"],
        "whole": bool(receipt["whole"]),
        "differences": [one.what for one in said.differences],
    }
