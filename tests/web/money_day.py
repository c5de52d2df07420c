"""Money in the invented depot: invoices of the last months in every state, payments, credit notes, what waits for a
person."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from appliance import billing, credit_desk, dispatch, invoice_desk, print_desk, rate_desk
from appliance.domain.trip import Event, LevelOfService
from appliance.rate_desk import NewRate
from appliance.storage import adjustments, invoices, payers, trips
from appliance.storage.db import Tx, open_depot, write_tx
from tests.web import world

AGES_DAYS = (3, 12, 24, 38, 45, 70, 75, 95, 118, 130, 160, 200)
"""How long ago each invoice was issued."""


def make(made: world.World) -> dict[str, int]:
    """Ids of the invoices and the payer that tests look at: `partly` paid, `void`, its `replacement`, `disputed`,
    `credited`, `paper`, and an open `adjustment`."""
    db = open_depot(made.settings.paths.depot_db)
    found: dict[str, int] = {}
    now = made.now
    with write_tx(db) as tx:
        facility = payers.add(
            tx, "Aintree Dialysis Unit", "facility", now, address="Longmoor Lane\nLiverpool L9 7AL", delivery="print"
        )
        for level, base in ((LevelOfService.ambulatory, 1450), (LevelOfService.wheelchair, 2150)):
            for begins, ends, more in ((2020, 2024, 0), (2025, None, 150)):
                new = NewRate(
                    level=level, valid_from=date(begins, 1, 1), valid_to=date(ends, 12, 31) if ends else None,
                    base_cents=base + more, per_unit_cents=185, free_units=2, wait_per_min_cents=45, free_wait_min=10,
                    after_hours_cents=900, no_show_cents=1200, tax_bp=2000,
                )  # fmt: skip
                rate_desk.add(tx, facility, new, made.settings, who="test", now=now)
        made_ones = [_invoice(tx, made, number, age) for number, age in enumerate(AGES_DAYS)]
        today = now.date()

        def pay(id: int, cents: int) -> None:
            invoice_desk.pay(tx, id, cents, today, "bank", "biller@depot.example", now, today=today)

        found["partly"], paid, found["void"], found["disputed"], found["credited"] = made_ones[3:8]
        pay(found["partly"], 800)
        credit_desk.issue(tx, found["partly"], 350, "van was late", made.settings, who="biller@depot.example", now=now)
        pay(paid, _total(tx, paid))
        invoice_desk.void(tx, found["void"], "wrong payer", replace=True, who="biller@depot.example", now=now)
        trip = invoices.get(tx, found["void"])
        assert trip is not None
        found["replacement"] = billing.generate(tx, trip["trip_id"], made.settings, now)[0]["invoice_id"]
        invoice_desk.dispute(tx, found["disputed"], "patient was not on board", "biller@depot.example", now)
        total = _total(tx, found["credited"])
        credit_desk.issue(tx, found["credited"], total, "ride did not take place", made.settings, who="test", now=now)
        for id in made_ones[:3]:
            invoices.mark_print_listed(tx, id, now)
        found["paper"] = made_ones[0]
        adjustments.open_for(tx, made_ones[2], 8200.0, 11400.0, _total(tx, made_ones[2]) + 530, now)
        found["adjustment"] = 1
        found["payer"] = facility
        _unbilled(tx, made)
        assert print_desk.waiting(tx)[1] == 3
    db.conn.close()
    return found


def _invoice(tx: Tx, made: world.World, number: int, age_days: int) -> int:
    at = (made.now - timedelta(days=age_days)).replace(hour=12)  # at night a ride costs more
    trip = _trip(tx, made, f"M-{2001 + number}", number, at)
    return int(billing.generate(tx, trip, made.settings, at)[0]["invoice_id"])


def _trip(tx: Tx, made: world.World, ref: str, number: int, at: datetime) -> int:
    places = list(world.PLACES)
    new = dispatch.NewTrip(
        pickup_at=at - timedelta(hours=1), pickup_address=places[4 + number % 8], dropoff_address=places[2], ref=ref,
        payer="Aintree Dialysis Unit" if number % 3 < 2 else world.BROKER, patient=world.NAMES[number % 20],
        level=LevelOfService.wheelchair if number % 2 else LevelOfService.ambulatory, vehicle="V8", driver="D8",
    )  # fmt: skip
    id = dispatch.create_trip(tx, new, now=at - timedelta(hours=3), who="test").id
    for event, minutes in ((Event.arrived_pickup, 60), (Event.on_board, 40), (Event.completed, 10)):
        when = at - timedelta(minutes=minutes)
        assert dispatch.apply(tx, id, event, at=when, now=when, source="driver", who="test").accepted
    trips.change(tx, id, at, distance_m=7300.0 + 900 * number)
    return id


def _unbilled(tx: Tx, made: world.World) -> None:
    """A trip for each of three reasons."""
    for number, reason in enumerate(("no_distance", "not_released", "issuer_incomplete")):
        id = _trip(tx, made, f"U-{number + 1}", number, made.now - timedelta(hours=5 + number))
        trips.note_unbilled(tx, id, reason)


def _total(tx: Tx, id: int) -> int:
    found = invoices.get(tx, id)
    assert found is not None
    return int(found["total_cents"])
