"""A depot with very much in it, written with SQL in seconds: 100,000 trips, each with an invoice, and 200 vehicles.

`python -m tests.big_depot FOLDER` makes one in a data folder of its own, to look at the pages with. What is in it is
plausible, not real: one call of the real code a trip would take an hour.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from appliance.config import Settings
from appliance.storage.db import Tx, open_depot, write_tx
from appliance.storage.times import text
from tests.web import world

TRIPS, VEHICLES, PAYERS, UNBILLED = 100_000, 200, 40, 500
DAYS = 250
"""Over how many days the trips are spread, evenly, the newest yesterday."""

_DOCUMENT = """json_object('number', {number}, 'issued_on', day, 'due_on', due, 'currency', 'GBP',
  'issuer', json_object('name', 'Invented Transport Ltd', 'address', '1 Example Yard' || char(10) || 'Liverpool',
    'tax_id', 'GB 1', 'bank_details', 'Example Bank'),
  'payer', json_object('name', payer, 'address', '1 Pier Head'),
  'trip', json_object('reference', ref, 'pickup', pickup_at, 'from', pickup_address, 'to', dropoff_address,
    'level', level, 'patient', patient, 'distance', '4.2 miles'),
  'lines', json_array(json_object('kind', 'base', 'text', 'Base fare', 'quantity', '1', 'unit', '', 'unit_cents',
    cents, 'amount_cents', cents)), 'total_cents', cents, 'tax_cents', 0)"""


def make(folder: Path, now: datetime, trips: int = TRIPS) -> Settings:
    """An empty depot with users, and then all of it. The newest trips have no invoice; a third is not paid."""
    settings = world.empty(folder)
    db = open_depot(settings.paths.depot_db)
    db.conn.execute("PRAGMA synchronous=OFF")
    with write_tx(db) as tx:
        _people(tx, now)
        _trips(tx, now, trips)
        _invoices(tx, now, min(UNBILLED, trips // 200))
        _jobs(tx, now, trips * 30 // DAYS)
    db.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.conn.close()
    return settings


def _numbers(count: int) -> str:
    return f"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})"


def _people(tx: Tx, now: datetime) -> None:
    at = text(now - timedelta(days=400))
    tx.conn.execute(
        f"""INSERT INTO vehicles (uid, code, name, plate, levels, created_at) {_numbers(VEHICLES)}
            SELECT printf('V%025d', i), printf('VAN-%03d', i), 'Van ' || i, printf('DX %03d', i),
              'ambulatory wheelchair', ? FROM n""",
        (at,),
    )
    tx.conn.execute(
        f"""INSERT INTO drivers (uid, code, name, created_at) {_numbers(VEHICLES)}
            SELECT printf('D%025d', i), 'D' || i, 'Driver ' || i, ? FROM n""",
        (at,),
    )
    tx.conn.execute(
        f"""INSERT INTO patients (uid, name, address, created_at) {_numbers(5000)}
            SELECT printf('P%025d', i), 'Patient ' || i, i || ' Sample Street', ? FROM n""",
        (at,),
    )
    tx.conn.execute(
        f"""INSERT INTO payers (uid, name, kind, address, email, delivery, created_at) {_numbers(PAYERS)}
            SELECT printf('Y%025d', i), 'Payer ' || i, iif(i % 3, 'broker', 'facility'), '1 Pier Head',
              iif(i % 7, 'pay@payer.example', ''), iif(i % 7, 'mail', 'print'), ? FROM n""",
        (at,),
    )
    tx.conn.execute(
        """INSERT INTO rates (uid, payer_id, level, valid_from, base_cents, per_unit_cents, unit)
           SELECT printf('R%025d', id), id, 'ambulatory', '2020-01-01', 1450, 185, 'mile' FROM payers"""
    )


def _trips(tx: Tx, now: datetime, trips: int) -> None:
    """All of them are over: one of twenty cancelled, one of forty a no-show."""
    first = now - timedelta(days=DAYS + 1)
    stamp = f"strftime('%Y-%m-%dT%H:%M:%fZ', ?1, (i * {DAYS * 86400 / trips}) || ' seconds'{{}})"
    pickup, end = stamp.format(""), stamp.format(", '+40 minutes'")
    tx.conn.execute(
        f"""INSERT INTO trips (uid, ref, state, level, payer_id, patient_id, vehicle_id, driver_id, pickup_at,
              pickup_address, dropoff_address, pickup_lat, pickup_lon, on_board_at, completed_at, cancelled_at,
              no_show_at, distance_m, duration_s, stops, fixes, completeness, trail_closed_at, created_at, updated_at)
            {_numbers(trips)}
            SELECT printf('T%025d', i), printf('BK-%06d', i), state, 'ambulatory', i % {PAYERS} + 1, i % 5000 + 1,
              i % {VEHICLES} + 1, i % {VEHICLES} + 1, pickup, (i % 900) || ' Sample Street', 'Royal Hospital', 53.4,
              -2.98, iif(state = 'completed', pickup, NULL), iif(state = 'completed', ended, NULL),
              iif(state = 'cancelled', ended, NULL), iif(state = 'no_show', ended, NULL), 4200 + i % 9000, 1500, 1, 90,
              0.97, ended, pickup, ended
            FROM (SELECT i, {pickup} AS pickup, {end} AS ended,
                    CASE WHEN i % 20 = 0 THEN 'cancelled' WHEN i % 40 = 1 THEN 'no_show' ELSE 'completed' END AS state
                  FROM n)""",
        (text(first),),
    )


def _invoices(tx: Tx, now: datetime, unbilled: int) -> None:
    """One for each trip that ended, but for the newest ones. What is older than 90 days is mostly paid."""
    number = "printf('LIV-%s-A%06d', substr(day, 1, 4), id)"
    tx.conn.execute(
        f"""INSERT INTO invoices (uid, number, trip_id, payer_id, state, issued_on, due_on, issued_at, currency,
              total_cents, tax_cents, owed_cents, distance_m, document, sent_at, print_listed_at, printed_at)
            SELECT printf('I%025d', id), {number}, id, payer_id, 'issued', day, due, ended, 'GBP', cents, 0, cents,
              distance_m, {_DOCUMENT.format(number=number)}, iif(payer_id % 7, ended, NULL),
              iif(payer_id % 7, NULL, ended), iif(payer_id % 7 = 0 AND day < ?2, ended, NULL)
            FROM (SELECT t.*, y.name AS payer, p.name AS patient, coalesce(completed_at, no_show_at) AS ended,
                    date(coalesce(completed_at, no_show_at)) AS day,
                    date(coalesce(completed_at, no_show_at), '+30 days') AS due, 1450 + t.id % 4000 AS cents
                  FROM trips t JOIN payers y ON y.id = t.payer_id JOIN patients p ON p.id = t.patient_id
                  WHERE t.state IN ('completed', 'no_show') AND t.id <= (SELECT max(id) - ?1 FROM trips))""",
        (unbilled, (now - timedelta(days=5)).date().isoformat()),
    )
    tx.conn.execute(
        """INSERT INTO invoice_lines (invoice_id, position, kind, text, quantity, unit, unit_cents, amount_cents)
           SELECT id, 1, 'base', 'Base fare', '1', '', total_cents, total_cents FROM invoices"""
    )
    tx.conn.execute(
        """INSERT INTO payments (uid, invoice_id, amount_cents, paid_on, origin, recorded_by, recorded_at)
           SELECT printf('M%025d', id), id, total_cents, due_on, 'depot', 'bank', issued_at FROM invoices
           WHERE id % 3 <> 0""",
    )
    tx.conn.execute("UPDATE invoices SET state = 'paid' WHERE owed_cents = 0")
    tx.conn.execute("UPDATE invoices SET state = 'disputed' WHERE state = 'issued' AND id % 60 = 0")
    tx.conn.execute("UPDATE invoices SET state = 'void', voided_at = issued_at, void_reason = 'x' WHERE id % 999 = 0")
    newest = "(SELECT max(id) - 200 FROM trips)"
    tx.conn.execute(f"UPDATE trips SET unbilled_reason = 'no_rate' WHERE id % 2 AND id > {newest}")
    tx.conn.execute(
        """INSERT INTO adjustments (uid, invoice_id, old_distance_m, new_distance_m, new_total_cents, raised_at)
           SELECT printf('J%025d', id), id, 4200, 5100, total_cents + 200, issued_at FROM invoices
           WHERE state = 'issued' ORDER BY id DESC LIMIT 80"""
    )


def _jobs(tx: Tx, now: datetime, count: int) -> None:
    """A month of jobs that are done."""
    tx.conn.execute(
        f"""INSERT INTO jobs (id, name, queue, arguments, state, key, attempts, due_at, created_at, finished_at)
            {_numbers(count)} SELECT printf('%036d', i), 'billing.tasks.generate_invoice', 'normal', '{{}}',
            'done', 'invoice:' || i, 1, ?1, ?1, ?1 FROM n""",
        (text(now),),
    )


if __name__ == "__main__":
    made = make(Path(sys.argv[1]), datetime.now(UTC))
    print(made.paths.depot_db)
