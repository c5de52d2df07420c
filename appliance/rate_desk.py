"""What is decided about rates. A rate is never edited: a new one closes the one before it. All is audited."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Annotated

import msgspec
from msgspec import Meta, Struct, structs

from appliance import invoice_desk, payer_desk
from appliance.config import Settings
from appliance.domain.fare import Rate, Unit
from appliance.domain.trip import LevelOfService
from appliance.errors import InputError, Refused
from appliance.jobs import Ask
from appliance.storage import audit, invoices, payers
from appliance.storage.db import Tx

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
    payer = payer_desk.get(tx, payer_id)
    try:
        new = msgspec.convert(msgspec.to_builtins(new), NewRate)  # whoever made it: the bounds hold
    except msgspec.ValidationError as error:
        raise InputError(str(error), subject="rate") from error
    if new.valid_to and new.valid_to < new.valid_from:
        raise InputError("expected a day that is not before the first one", subject=f"valid_to {new.valid_to}")
    said = f"{new.level.value} from {new.valid_from}"
    for row in payers.rate_rows(tx, payer_id):
        if row["level"] != new.level:
            continue
        begins, ends = date.fromisoformat(row["valid_from"]), date.fromisoformat(row["valid_to"] or "9999-12-31")
        if row["valid_to"] is None and begins < new.valid_from:
            if billed := invoices.billed_since(tx, payer_id, new.level, new.valid_from):
                raise Refused(f"{billed} was billed by the rate before", subject=said, hint="let it begin later")
            payers.close_rate(tx, row["id"], new.valid_from - timedelta(days=1), now)
        elif begins <= (new.valid_to or date.max) and new.valid_from <= ends:
            until = f"through {row['valid_to']}" if row["valid_to"] else "on"
            raise Refused(f"it overlaps with the one from {begins} {until}", subject=said)
    given = structs.asdict(new) | {"unit": new.unit or settings.depot.units}
    given |= {name: time.fromisoformat(given[name]) for name in ("after_hours_from", "after_hours_to")}
    id = payers.add_rate(tx, payer_id, Rate(**given), now)
    audit.record(tx, who, "rate.added", "payer", payer["uid"], now, said)
    return id, invoice_desk.ask_for_unblocked(tx, settings, now)
