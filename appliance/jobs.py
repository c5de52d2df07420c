"""Asking for work: the table of tasks, and writing a job's row in the transaction of the change that asks for it."""

from __future__ import annotations

import difflib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from appliance.errors import InputError
from appliance.storage import jobs as rows
from appliance.storage.db import Tx

Queue = Literal["high_priority", "normal", "low_priority"]
Scalar = int | str | float | bool | None
QUEUES: tuple[Queue, ...] = ("high_priority", "normal", "low_priority")
QUEUE_TITLES = {"high_priority": "High priority", "normal": "Normal", "low_priority": "Low priority"}
"""Their names for people."""

TASKS: dict[str, Queue] = {
    "trips.tasks.broadcast_gps_update": "high_priority",
    "trips.tasks.broadcast_trip_status": "high_priority",
    "trips.tasks.process_trip_completion": "normal",
    "trips.tasks.check_trip_timeouts": "normal",
    "trips.tasks.check_gps_days": "low_priority",
    "trips.tasks.cleanup_old_gps_data": "low_priority",
    "billing.tasks.generate_invoice": "normal",
    "billing.tasks.send_invoice_email": "low_priority",
    "billing.tasks.send_credit_note": "low_priority",
    "billing.tasks.process_overdue_invoices": "low_priority",
    "billing.tasks.send_reminder": "low_priority",
    "billing.tasks.bill_unblocked_trips": "low_priority",
    "users.tasks.send_notification": "low_priority",
    "users.tasks.send_welcome_email": "low_priority",
    "users.tasks.send_trip_assignment_notification": "normal",
    "users.tasks.send_daily_digest": "low_priority",
    "sync.tasks.push_upstream": "low_priority",
    "upkeep.refresh_broker": "low_priority",
}
"""Wire name of every task and its queue. The Celery routes and the senders read this one table."""

EPHEMERAL = frozenset({"trips.tasks.broadcast_gps_update", "trips.tasks.broadcast_trip_status"})
"""Tasks that never have a row: the next one says more."""
_OWN = ("trips.", "billing.", "users.", "sync.", "upkeep.")
"""What the names of the box's own tasks begin with; those of a depot's own tasks do not."""


def check_name(name: str) -> None:
    """Raises InputError for a name under which the box alone has tasks and has none. Only a worker knows the tasks of
    the depot's own."""
    if name.startswith(_OWN) and name not in TASKS:
        (nearest,) = difflib.get_close_matches(name, TASKS, 1, 0.0)
        raise InputError("there is no such task", subject=name, hint=f"is {nearest} meant?")


def queue_of(name: str) -> Queue:
    """The queue of a task; `normal` for one of the depot's own."""
    return TASKS.get(name, "normal")


@dataclass(frozen=True, slots=True)
class Ask:
    """A job that stands in the table. Send it after the commit if it is due; the sweeper sends it otherwise."""

    id: str
    name: str
    due: bool


def enqueue(
    tx: Tx,
    name: str,
    *,
    now: datetime,
    delay_s: float = 0.0,
    key: str | None = None,
    id: str | None = None,
    **arguments: Scalar,
) -> Ask:
    """Writes the row of a durable job, due after `delay_s`. Arguments are ids and JSON scalars.

    With a `key`, a job of that key that has not begun yet is returned in the place of a second one.
    """
    return enqueue_call(tx, name, arguments, now=now, delay_s=delay_s, key=key, id=id)


def enqueue_call(
    tx: Tx,
    name: str,
    arguments: Mapping[str, Scalar],
    *,
    now: datetime,
    delay_s: float = 0.0,
    key: str | None = None,
    id: str | None = None,
) -> Ask:
    """The same for arguments of any names: a task of the depot's own may well call one `key`, `id` or `name`.

    Raises InputError for a task that never has a row.
    """
    if name in EPHEMERAL:
        raise InputError("it is ephemeral: no job, and nothing to schedule", subject=name)
    found = rows.add(
        tx, id or str(uuid.uuid4()), name, queue_of(name), dict(arguments),
        due_at=now + timedelta(seconds=delay_s), now=now, key=key,
    )  # fmt: skip
    return Ask(found, name, due=delay_s <= 0)
