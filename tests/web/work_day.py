"""A day of work in the invented depot: jobs that ended, failed, run and wait, samples of the queues, a schedule."""

from __future__ import annotations

from datetime import timedelta

from appliance import jobs, work_history
from appliance.storage import jobs as rows
from appliance.storage import schedules
from appliance.storage.db import open_depot, write_tx
from tests.web import world

CLOSE, MAIL, TIMEOUTS = (
    "trips.tasks.process_trip_completion",
    "billing.tasks.send_invoice_email",
    "trips.tasks.check_trip_timeouts",
)
ERROR = "Permanent: invoice 3: the relay refuses the address"
TRACEBACK = 'Traceback (most recent call last):\n  File "tasks/billing.py", line 61, in send_invoice_email\n'


def make(made: world.World) -> dict[str, str]:
    """Returns the ids of one job of each state but `waiting`. Four mails of the invented depot wait beside its own."""
    db = open_depot(made.settings.paths.depot_db)
    found: dict[str, str] = {}
    with write_tx(db) as tx:
        schedules.ensure_defaults(tx)
        for number in range(96):
            at = made.now - timedelta(minutes=15 * number + 2)
            for _ in range(2 + number % 7):
                ask = jobs.enqueue(tx, CLOSE, now=at, trip_id=number + 1)
                rows.claim(tx, ask.id, "worker-normal", at)
                rows.finish(tx, ask.id, 1, {"fixes": 80}, at)
                found["done"] = ask.id
            if number % 24 == 5:
                ask = jobs.enqueue(tx, MAIL, now=at, invoice_id=3)
                rows.claim(tx, ask.id, "worker-low", at)
                rows.fail(tx, ask.id, 1, ERROR, TRACEBACK, at, failures=3)
                found["failed"] = ask.id
            if number % 9:
                work_history.sample(tx, at)
        for number in range(6):
            jobs.enqueue(tx, MAIL, now=made.now - timedelta(minutes=4), invoice_id=number + 4)
        found["pending"] = jobs.enqueue(tx, TIMEOUTS, now=made.now - timedelta(minutes=1)).id
        found["running"] = jobs.enqueue(tx, CLOSE, now=made.now, trip_id=7).id
        rows.claim(tx, found["running"], "worker-normal", made.now)
        work_history.sample(tx, made.now)
    db.conn.close()
    return found
