"""`depotbox invoice`: what was billed, what was not and why, and making an invoice void."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

import click

from appliance import accounts_export, atomicfile, clock, credit_desk, invoice_desk, log, print_desk, reminders
from appliance.cli.depot import opened, operator
from appliance.cli.details import DAY
from appliance.cli.options import ID, LIMIT, LocalTime, json_option, with_settings
from appliance.cli.tables import local, print_list
from appliance.config import Settings
from appliance.domain.invoice import AdjustmentState, State, minor_units, money
from appliance.errors import NotFound
from appliance.events import Event, Publisher
from appliance.storage import adjustments, credit_notes, invoices, ledger
from appliance.storage.db import Row, Tx, write_tx


@click.group()
def invoice() -> None:
    """List invoices and unbilled trips; void an invoice."""
    log.configure("cli", "error")  # onto standard error, away from what is printed for programs


@invoice.command("list")
@click.option("--state", type=click.Choice([state.value for state in State]), help="Only invoices in this state.")
@click.option("--delivery", type=click.Choice(tuple(ledger.DELIVERY)), help="Only those that went out in this way.")
@click.option("--limit", type=LIMIT, default=100, show_default=True, help="How many at most.")
@json_option
@with_settings
def list_(settings: Settings, state: str | None, delivery: str | None, limit: int, as_json: bool) -> None:
    """List invoices, the newest first. A patient who pays is named on the pages only. `--delivery print` is the print
    list; `none` has not gone out."""
    with opened(settings) as db:
        found, total = ledger.invoices(db, ledger.Which(state=state, delivery=delivery), limit, 0)
    rows = [
        {
            "number": one["number"],
            "trip_id": one["trip_id"],
            "payer": one["payer"] if one["payer_kind"] != "patient" else "(patient)",
            "state": one["state"],
            "issued_on": one["issued_on"],
            "due_on": one["due_on"],
            "total_cents": one["total_cents"],
            "paid_cents": one["paid_cents"],
            "currency": one["currency"],
            "replaces": one["replaces"],
        }
        for one in found
    ]
    if not as_json:
        for one in rows:
            currency = one.pop("currency")
            one["total"], one["paid"] = (money(one.pop(f"{key}_cents"), currency) for key in ("total", "paid"))
    print_list(rows, as_json=as_json, total=total, empty="no such invoices", right=("trip_id", "total", "paid"))


@invoice.command()
@json_option
@with_settings
def unbilled(settings: Settings, as_json: bool) -> None:
    """List the finished trips without an invoice, oldest first, and why they have none."""
    with opened(settings) as db:
        found = invoice_desk.unbilled(db, settings)
    if not as_json:
        found = [one | {"ended_at": local(one["ended_at"], settings.zone)} for one in found]
    print_list(found, as_json=as_json, empty="every finished trip is billed", right=("id",))


@invoice.command()
@json_option
@with_settings
def aging(settings: Settings, as_json: bool) -> None:
    """List what is owed, by days past the due date."""
    with opened(settings) as db:
        found = reminders.aging(db, settings, clock.now())
    rows = [{"days": bucket.value, "invoices": count, "owed_cents": cents} for bucket, (count, cents) in found.items()]
    if not as_json:
        for one in rows:
            one["owed"] = money(int(one.pop("owed_cents")), settings.depot.currency)
    print_list(rows, as_json=as_json, empty="", right=("invoices", "owed"))


@invoice.command()
@click.argument("number")
@click.argument("amount")
@click.option("--on", "paid_on", type=LocalTime(["%Y-%m-%d"]), help="Day of the payment. Default: today.")
@click.option("--reference", default="", help="What the bank or the receipt says.")
@click.option("--overpaid", is_flag=True, help="It is more than is owed, and that is so.")
@with_settings
def pay(settings: Settings, number: str, amount: str, paid_on: datetime | None, reference: str, overpaid: bool) -> None:
    """Record a payment on the invoice NUMBER, in full or in part: AMOUNT like 120.50, in its currency. One that was
    returned is written after `--`: `-- -120.50`."""
    now = clock.now()
    today = now.astimezone(settings.zone).date()
    day = paid_on.date() if paid_on else today

    def record(tx: Tx, found: Row) -> Event:
        cents = minor_units(amount, found["currency"])
        return invoice_desk.pay(tx, found["id"], cents, day, reference, operator(), now, today=today, overpaid=overpaid)

    state = _decide(settings, number, record)
    click.echo(f"{number}: the payment is recorded; the invoice is {state}.")


@invoice.command()
@click.argument("number")
@click.option("--reason", required=True, help="What the payer says.")
@with_settings
def dispute(settings: Settings, number: str, reason: str) -> None:
    """The payer disputes the invoice NUMBER: reminders stop until it is settled."""
    _decide(settings, number, lambda tx, found: invoice_desk.dispute(tx, found["id"], reason, operator(), clock.now()))
    click.echo(f"{number} is disputed.")


@invoice.command()
@click.argument("number")
@with_settings
def settle(settings: Settings, number: str) -> None:
    """The dispute about the invoice NUMBER is over; what is still owed is reminded of again."""
    _decide(settings, number, lambda tx, found: invoice_desk.settle(tx, found["id"], operator(), clock.now()))
    click.echo(f"{number} is not disputed any more.")


@invoice.command()
@click.argument("number")
@with_settings
def send(settings: Settings, number: str) -> None:
    """Mail the invoice NUMBER, or put it on the print list; once more where it went out before."""
    from appliance.sender import Sender  # here: nothing else waits for Celery

    with opened(settings) as db, write_tx(db) as tx:
        asked = invoice_desk.send(tx, _found(tx, number)["id"], operator(), clock.now())
    Sender(settings).send([asked])
    click.echo(f"{number} goes out.")


@invoice.command()
@click.argument("number")
@click.option("--reason", required=True, help="Why; it stands at the invoice for good.")
@click.option("--replace", is_flag=True, help="Issue the trip's invoice anew; it names the void one.")
@with_settings
def void(settings: Settings, number: str, reason: str, replace: bool) -> None:
    """Make the invoice NUMBER void for good. Its number stays taken."""
    from appliance.sender import Sender  # here: nothing else waits for Celery

    with opened(settings) as db, write_tx(db) as tx:
        asks, events = invoice_desk.void(
            tx, _found(tx, number)["id"], reason, replace=replace, who=operator(), now=clock.now()
        )
    Sender(settings).send(asks)
    Publisher(settings.paths.redis_socket).publish(*events)
    click.echo(f"{number} is void." + (" The trip is billed anew." if replace else ""))


@invoice.command()
@click.argument("number")
@click.argument("amount")
@click.option("--reason", required=True, help="Why; it stands on the credit note.")
@with_settings
def credit(settings: Settings, number: str, amount: str, reason: str) -> None:
    """Take AMOUNT (like 12.50, tax included) of the invoice NUMBER back by a credit note. The invoice stays as it is;
    what is owed on it is less."""
    from appliance.sender import Sender  # here: nothing else waits for Celery

    with opened(settings) as db, write_tx(db) as tx:
        found = _found(tx, number)
        cents = minor_units(amount, found["currency"])
        id, asks, events = credit_desk.issue(tx, found["id"], cents, reason, settings, who=operator(), now=clock.now())
        note = credit_notes.get(tx, id)
    Sender(settings).send(asks)
    Publisher(settings.paths.redis_socket).publish(*events)
    click.echo(f"{note['number'] if note else id} is issued; {number} is {events[0].data['state']}.")


@invoice.command()
@click.option("--from", "first", type=DAY, required=True, help="First day, like 2026-03-01.")
@click.option("--to", "last", type=DAY, required=True, help="Last day.")
@with_settings
def export(settings: Settings, first: date, last: date) -> None:
    """Print what was invoiced as CSV for the accounts: a row a booking. A patient who pays is not named."""
    with opened(settings) as db:
        found = accounts_export.rows(
            db, settings, first, last, lambda row: "(patient)" if row["payer_kind"] == "patient" else row["payer"]
        )
        click.echo(accounts_export.text(found), nl=False)


@invoice.command("print")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--mark", is_flag=True, help="They are printed: take them off the list.")
@with_settings
def print_(settings: Settings, file: Path, mark: bool) -> None:
    """Write the print list as one PDF into FILE: the oldest 100 invoices and credit notes that wait."""
    with opened(settings) as db:
        found, total = print_desk.waiting(db)
        if not found:
            click.echo("Nothing waits to be printed.")
            return
        atomicfile.write(file, print_desk.pdf(found, lambda document, _kind: document, clock.now()))
        if mark:
            ids = {kind: [one["id"] for one in found if one["kind"] == kind] for kind in ("invoice", "credit")}
            with write_tx(db) as tx:
                print_desk.mark_printed(tx, ids["invoice"], ids["credit"], operator(), clock.now())
    click.echo(f"{file}: {len(found)} of {total}{', which left the list' if mark else ''}.")


@invoice.command("adjustments")
@click.option("--state", type=click.Choice(list(AdjustmentState)), help="Only those in this state.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="How many at most.")
@json_option
@with_settings
def adjustments_(settings: Settings, state: str | None, limit: int, as_json: bool) -> None:
    """List the invoices whose trips were measured again at another price, the newest first."""
    with opened(settings) as db:
        found, total = adjustments.page(db, state, limit, 0)
    for one in found:
        del one["invoice_id"]
        if not as_json:
            currency = one.pop("currency")
            one |= {key: local(one[key], settings.zone) for key in ("raised_at", "decided_at")}
            one |= {f"{key}_total": money(one.pop(f"{key}_total_cents"), currency) for key in ("old", "new")}
    right = ("id", "trip_id", "old_distance_m", "new_distance_m", "old_total", "new_total")
    print_list(found, as_json=as_json, total=total, empty="no such adjustments", right=right)


@invoice.command()
@click.argument("id", type=ID)
@click.argument("price")
@with_settings
def accept_adjustment(settings: Settings, id: int, price: str) -> None:
    """Replace an invoice by one with the PRICE of the later measure: ID and PRICE are what `adjustments` lists."""
    from appliance.sender import Sender  # here: nothing else waits for Celery

    with opened(settings) as db, write_tx(db) as tx:
        asks, events = invoice_desk.accept_adjustment(
            tx, id, minor_units(price, settings.depot.currency), operator(), clock.now()
        )
    Sender(settings).send(asks)
    Publisher(settings.paths.redis_socket).publish(*events)
    click.echo(f"{events[0].data['number']} is void. The trip is billed anew.")


@invoice.command()
@click.argument("id", type=ID)
@click.argument("price")
@with_settings
def dismiss_adjustment(settings: Settings, id: int, price: str) -> None:
    """Leave an invoice as it is, although the later measure says PRICE: ID and PRICE are what `adjustments` lists."""
    with opened(settings) as db, write_tx(db) as tx:
        event = invoice_desk.dismiss_adjustment(
            tx, id, minor_units(price, settings.depot.currency), operator(), clock.now()
        )
    Publisher(settings.paths.redis_socket).publish(event)
    click.echo(f"{event.data['number']} stays as it is.")


@invoice.command()
@click.argument("trip_id", type=ID)
@with_settings
def ask(settings: Settings, trip_id: int) -> None:
    """Ask for the invoice of the trip TRIP_ID again: its missing data has come, or its invoice is void."""
    from appliance.sender import Sender  # here: nothing else waits for Celery

    with opened(settings) as db, write_tx(db) as tx:
        asked = invoice_desk.ask_again(tx, trip_id, operator(), clock.now())
    Sender(settings).send([asked])
    click.echo(f"The invoice of trip {trip_id} is asked for.")


def _found(tx: Tx, number: str) -> Row:
    found = invoices.by_number(tx, number)
    if found is None:
        raise NotFound("no such invoice", subject=number, hint="`depotbox invoice list` shows them")
    return found


def _decide(settings: Settings, number: str, decide: Callable[[Tx, Row], Event]) -> str:
    """Decides about the invoice of that number, tells the pages, and returns its state."""
    with opened(settings) as db, write_tx(db) as tx:
        event = decide(tx, _found(tx, number))
    Publisher(settings.paths.redis_socket).publish(event)
    return str(event.data["state"])
