"""What is decided about rates. A rate by which something was billed is never edited: a new one closes it. All is
audited."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Annotated

import msgspec
from msgspec import Meta, Struct, structs

from appliance import invoice_desk, payer_desk, typed, versions
from appliance.config import Settings
from appliance.domain.fare import Rate, Unit
from appliance.domain.trip import LevelOfService
from appliance.errors import InputError, NotFound, Refused
from appliance.jobs import Ask
from appliance.storage import audit, invoices, payers
from appliance.storage.db import Row, Tx

Cents = Annotated[int, Meta(ge=0, le=100_000_000)]
Clock = Annotated[str, Meta(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$", description="like 19:30")]
Units = Annotated[float, Meta(ge=0, le=100_000)]


class NewRate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rate to add: the prices of one level of service from `valid_from` on, through `valid_to` or until further
    notice. Money is in minor units, `tax_bp` in hundredths of a percent; `unit` is the depot's where none is given."""

    level: LevelOfService
    valid_from: date
    valid_to: date | None = None
    base_cents: Cents
    per_unit_cents: Cents = 0
    unit: Unit | None = None
    free_units: Units = 0
    wait_per_min_cents: Cents = 0
    free_wait_min: Units = 0
    after_hours_cents: Cents = 0
    after_hours_from: Clock = "20:00"
    after_hours_to: Clock = "06:00"
    no_show_cents: Cents = 0
    tax_bp: Annotated[int, Meta(ge=0, le=10_000)] = 0


def add(tx: Tx, payer_id: int, new: NewRate, settings: Settings, *, who: str, now: datetime) -> tuple[int, list[Ask]]:
    """Adds a rate and returns its id. The one of this level that was valid until further notice ends the day before;
    trips that waited for a rate are billed.

    Raises NotFound for the payer, InputError, and Refused where the days overlap with another rate's, or an invoice
    stands on prices that would not be those of its day any more.
    """
    payer, rate = payer_desk.get(tx, payer_id), _rate(new, settings)
    before = _overlapping(tx, payer_id, rate)
    if before and (billed := invoices.billed_between(tx, payer_id, rate.level, rate.valid_from)):
        raise Refused(f"{billed} was billed by the rate before", subject=_said(rate), hint="let it begin later")
    if before:
        payers.close_rate(tx, before["id"], rate.valid_from - timedelta(days=1), now)
    id = payers.add_rate(tx, payer_id, rate, now)
    audit.record(tx, who, "rate.added", "payer", payer["uid"], now, _said(rate))
    return id, invoice_desk.ask_for_unblocked(tx, settings, now)


def correct(
    tx: Tx, id: int, new: NewRate, settings: Settings, *, version: int | None = None, who: str, now: datetime
) -> list[Ask]:
    """Puts right what was entered wrongly: a rate by which nothing was billed gets other prices, another level or other
    days. Trips that waited for a rate are billed.

    Raises NotFound, InputError, Refused where an invoice stands on the rate, or the days overlap with another's, and
    Outdated where the rate is not of the `version`.
    """
    found, rate = _seen(tx, id, version), _rate(new, settings)
    first, last = _days(found)
    if billed := invoices.billed_between(tx, found["payer_id"], found["level"], first, last):
        hint = "end it, and add one that begins later"
        raise Refused(f"{billed} was billed by it", subject=_said_of(found), hint=hint)
    if before := _overlapping(tx, found["payer_id"], rate, besides=id):
        raise Refused(f"it overlaps with the one from {before['valid_from']} on", subject=_said(rate))
    payers.change_rate(tx, id, rate, now)
    _audit(tx, found, "rate.corrected", who, now, f"{_said_of(found)}: {_said(rate)}")
    return invoice_desk.ask_for_unblocked(tx, settings, now)


def end(tx: Tx, id: int, last_day: date, *, version: int | None = None, who: str, now: datetime) -> None:
    """The rate is valid through that day and no longer. Raises NotFound, InputError for a day before its first, Refused
    where an invoice stands on it after that day, or another rate follows before it, and Outdated like `correct`."""
    typed.of_this_age("valid_to", last_day)
    found = _seen(tx, id, version)
    first, last = _days(found)
    if last_day < first:
        raise InputError("expected a day that is not before the first one", subject=f"valid_to {last_day}")
    after = last_day + timedelta(days=1)
    if billed := invoices.billed_between(tx, found["payer_id"], found["level"], after, last) if after <= last else None:
        raise Refused(f"{billed} was billed by it after that day", subject=_said_of(found))
    for row in payers.rate_rows(tx, found["payer_id"]):
        begins = date.fromisoformat(row["valid_from"])
        if row["level"] == found["level"] and first < begins <= last_day:
            raise Refused(f"it overlaps with the one from {begins} on", subject=_said_of(found))
    payers.close_rate(tx, id, last_day, now)
    _audit(tx, found, "rate.ended", who, now, f"{_said_of(found)}: through {last_day}")


def get(tx: Tx, id: int) -> Row:
    found = payers.rate_row(tx, id)
    if found is None:
        raise NotFound("no such rate", subject=f"rate {id}")
    return found


def _seen(tx: Tx, id: int, version: int | None) -> Row:
    """The rate, as somebody saw it who decides now. Raises NotFound, and Outdated where it is not of that version."""
    found = get(tx, id)
    payer = payer_desk.get(tx, found["payer_id"])
    versions.must_be_seen(tx, found, version, "payer", _said_of(found), audited_as=payer["uid"])
    return found


def _rate(new: NewRate, settings: Settings) -> Rate:
    try:
        given = {name: getattr(new, name) for name in NewRate.__struct_fields__}
        new = msgspec.convert(msgspec.to_builtins(given), NewRate)  # whoever made it: the bounds hold
    except msgspec.ValidationError as error:
        raise InputError(str(error), subject="rate") from error
    typed.of_this_age("valid_from", new.valid_from)
    if new.valid_to:
        typed.of_this_age("valid_to", new.valid_to)
    if new.valid_to and new.valid_to < new.valid_from:
        raise InputError("expected a day that is not before the first one", subject=f"valid_to {new.valid_to}")
    given = structs.asdict(new) | {"unit": new.unit or settings.depot.units}
    given |= {name: time.fromisoformat(given[name]) for name in ("after_hours_from", "after_hours_to")}
    return Rate(**given)


def _overlapping(tx: Tx, payer_id: int, rate: Rate, besides: int | None = None) -> Row | None:
    """The rate that is valid until further notice and begins before this one. Raises Refused where the days overlap
    with any other."""
    before = None
    for row in payers.rate_rows(tx, payer_id):
        if row["level"] != rate.level or row["id"] == besides:
            continue
        begins, ends = _days(row)
        if row["valid_to"] is None and begins < rate.valid_from:
            before = row
        elif begins <= (rate.valid_to or date.max) and rate.valid_from <= ends:
            until = f"through {row['valid_to']}" if row["valid_to"] else "on"
            raise Refused(f"it overlaps with the one from {begins} {until}", subject=_said(rate))
    return before


def _days(row: Row) -> tuple[date, date]:
    return date.fromisoformat(row["valid_from"]), date.fromisoformat(row["valid_to"] or "9999-12-31")


def _said(rate: Rate) -> str:
    return f"{rate.level.value} from {rate.valid_from}"


def _said_of(row: Row) -> str:
    return f"{row['level']} from {row['valid_from']}"


def _audit(tx: Tx, rate: Row, action: str, who: str, now: datetime, detail: str) -> None:
    audit.record(tx, who, action, "payer", payer_desk.get(tx, rate["payer_id"])["uid"], now, detail)
