"""What was invoiced as CSV for the accounts: one row a booking, so that a month that was exported never changes.

An invoice is a row on its day. What takes it back, in whole (void) or in part (credit note), is a row of its own below
zero, on the day of that. The sums of any span of days are right as they stand.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal

from sqlite_utils import Database

from appliance import typed
from appliance.config import Settings
from appliance.domain.invoice import MINOR_DIGITS
from appliance.errors import InputError
from appliance.storage import ledger, times
from appliance.storage.db import Row

COLUMNS = ("date", "kind", "number", "invoice", "due", "payer", "payer_kind", "trip", "state", "currency", "net", "tax",
           "gross", "paid", "credited", "balance", "reason")  # fmt: skip
"""`kind` is `invoice`, `void` or `credit`; `invoice` the number of the one that is replaced or taken back. `paid`,
`credited`, `balance` and `state` are of now, and of invoices only."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def rows(
    db: Database, settings: Settings, first: date, last: date, payer_of: Callable[[Row], str]
) -> Iterator[dict[str, str]]:
    """The bookings from one local day through another: invoices, then voids, then credit notes. `payer_of` says the
    payer's name of a row with `payer` and `payer_kind`. Raises InputError where the days are the wrong way round, or of
    another age."""
    if last < first:
        raise InputError("expected a day that is not before the first one", subject=f"until {last}")
    for name, day in (("since", first), ("until", last)):
        typed.of_this_age(name, day)
    for one in ledger.booked_invoices(db, first, last):
        amounts = {"net": one["total_cents"] - one["tax_cents"], "tax": one["tax_cents"], "gross": one["total_cents"],
                   "paid": one["paid_cents"], "credited": one["credited_cents"],
                   "balance": 0 if one["state"] == "void" else one["owed_cents"]}  # fmt: skip
        yield _row(
            one, payer_of, amounts, date=one["issued_on"], kind="invoice", invoice=one["replaces"] or "",
            due=one["due_on"], state=one["state"],
        )  # fmt: skip
    since, until = (datetime.combine(day, time(), settings.zone) for day in (first, last + timedelta(days=1)))
    for one in ledger.booked_voids(db, since, until):
        day = times.parse(one["voided_at"]).astimezone(settings.zone).date()
        amounts = _back(one["total_cents"], one["tax_cents"])
        yield _row(
            one, payer_of, amounts, date=day.isoformat(), kind="void", invoice=one["number"], reason=one["void_reason"]
        )
    for one in ledger.booked_credits(db, first, last):
        amounts = _back(one["amount_cents"], one["tax_cents"])
        yield _row(
            one, payer_of, amounts, date=one["issued_on"], kind="credit", invoice=one["invoice"], reason=one["reason"]
        )


def text(found: Iterator[dict[str, str]]) -> str:
    """The rows as CSV (RFC 4180, UTF-8). A spreadsheet takes no cell for a formula: text that would be one begins with
    an apostrophe; amounts are plain numbers."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, restval="")
    writer.writeheader()
    writer.writerows(found)
    return out.getvalue()


def _row(one: Row, payer_of: Callable[[Row], str], amounts: dict[str, int], **texts: str) -> dict[str, str]:
    texts |= {
        "number": one["number"], "payer": payer_of(one), "payer_kind": one["payer_kind"],
        "trip": one["trip_ref"] or str(one["trip_id"]), "currency": one["currency"],
    }  # fmt: skip
    digits = MINOR_DIGITS.get(one["currency"], 2)
    numbers = {name: f"{Decimal(cents).scaleb(-digits):.{digits}f}" for name, cents in amounts.items()}
    return {name: _plain(given) for name, given in texts.items()} | numbers


def _back(total_cents: int, tax_cents: int) -> dict[str, int]:
    return {"net": tax_cents - total_cents, "tax": -tax_cents, "gross": -total_cents}


def _plain(given: str) -> str:
    return f"'{given}" if given.startswith(_FORMULA) else given
