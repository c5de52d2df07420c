"""What a person decides about a job: try it again, or give it up. All stand in the audit log."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

from appliance.errors import NotFound, Refused
from appliance.jobs import Ask
from appliance.storage import audit, jobs, queues
from appliance.storage.db import Row, Tx


def retry(tx: Tx, id: str, who: str, now: datetime) -> Ask:
    """Tries a failed or discarded job again; send it after the commit. Raises NotFound and Refused."""
    found = _found(tx, id)
    if not jobs.retry(tx, id, who, now):
        again = "the same work waits under another id" if found["state"] in ("failed", "discarded") else ""
        raise Refused(f"it is {found['state']}; only a failed or discarded job is retried", subject=id, hint=again)
    audit.record(tx, who, "job.retried", "job", id, now, found["name"])
    return Ask(id, found["name"], due=True)


def retry_failed(tx: Tx, name: str | None, who: str, now: datetime) -> list[Ask]:
    """Tries every failed job again, of one task or of all; one whose work waits under another id is left alone."""
    asks = []
    for id in jobs.failed(tx, name):
        with suppress(Refused):
            asks.append(retry(tx, id, who, now))
    return asks


def discard(tx: Tx, id: str, who: str, now: datetime) -> None:
    """Gives a job up; it stays listed for a while, and can be retried until then. Raises NotFound and Refused."""
    found = _found(tx, id)
    if not jobs.discard(tx, id, who, now):
        raise Refused(f"it is {found['state']}; only a job that waits or has failed is discarded", subject=id)
    audit.record(tx, who, "job.discarded", "job", id, now, found["name"])


def revoke(tx: Tx, id: str, who: str, now: datetime) -> None:
    """Gives up a job that has not begun, or that runs: its worker may go on for a while, but nothing that it still
    does is stored. What has left the box, such as a mail, has left it. Raises NotFound and Refused."""
    found = _found(tx, id)
    if queues.revoke(tx, id, who, now, running=True) is None:
        raise Refused(f"it is {found['state']}; only a job that waits or runs is revoked", subject=id)
    audit.record(tx, who, "job.discarded", "job", id, now, found["name"])


def _found(tx: Tx, id: str) -> Row:
    found = jobs.get(tx, id)
    if found is None:
        raise NotFound("no such job", subject=id, hint="`depotbox jobs list` shows them")
    return found
