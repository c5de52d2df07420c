"""`depotbox invoice`: what was billed, what was not and why, and making an invoice void."""

from __future__ import annotations

import click

from appliance import clock, invoice_desk, log
from appliance.cli.depot import opened, operator
from appliance.cli.options import json_option, with_settings
from appliance.cli.tables import local, print_list
from appliance.config import Settings
from appliance.domain.invoice import State, money
from appliance.errors import NotFound
from appliance.events import Publisher
from appliance.storage import board, invoices
from appliance.storage.db import write_tx


@click.group()
def invoice() -> None:
    """List invoices and unbilled trips; void an invoice."""
    log.configure("cli", "error")  # onto standard error, away from what is printed for programs


@invoice.command("list")
@click.option("--state", type=click.Choice([state.value for state in State]), help="Only invoices in this state.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="How many at most.")
@json_option
@with_settings
def list_(settings: Settings, state: str | None, limit: int, as_json: bool) -> None:
    """List invoices, the newest first. A patient who pays is named on the pages only."""
    with opened(settings) as db:
        found, total = board.invoices(db, state, limit, 0)
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
@click.argument("number")
@click.option("--reason", required=True, help="Why; it stands at the invoice for good.")
@click.option("--replace", is_flag=True, help="Issue the trip's invoice anew; it names the void one.")
@with_settings
def void(settings: Settings, number: str, reason: str, replace: bool) -> None:
    """Make the invoice NUMBER void for good. Its number stays taken."""
    from appliance.sender import Sender  # here: nothing else waits for Celery

    with opened(settings) as db, write_tx(db) as tx:
        found = invoices.by_number(tx, number)
        if found is None:
            raise NotFound("no such invoice", subject=number, hint="`depotbox invoice list` shows them")
        asks, events = invoice_desk.void(tx, found["id"], reason, replace=replace, who=operator(), now=clock.now())
    Sender(settings).send(asks)
    Publisher(settings.paths.redis_socket).publish(*events)
    click.echo(f"{number} is void." + (" The trip is billed anew." if replace else ""))


@invoice.command()
@click.argument("trip_id", type=int)
@with_settings
def ask(settings: Settings, trip_id: int) -> None:
    """Ask for the invoice of the trip TRIP_ID again: its missing data has come, or its invoice is void."""
    from appliance.sender import Sender  # here: nothing else waits for Celery

    with opened(settings) as db, write_tx(db) as tx:
        asked = invoice_desk.ask_again(tx, trip_id, clock.now())
    Sender(settings).send([asked])
    click.echo(f"The invoice of trip {trip_id} is asked for.")
