"""`depotbox payer`: who pays, and where the invoices go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
from sqlite_utils import Database

from appliance import clock, log, payer_desk
from appliance.cli.depot import opened, operator
from appliance.cli.details import given
from appliance.cli.options import ID, json_option, with_settings
from appliance.cli.tables import print_list
from appliance.config import Settings
from appliance.payer_desk import LONGEST_TERMS_DAYS, NewPayer, PayerDetails
from appliance.storage import payers
from appliance.storage.db import write_tx

_SHOWN = ("id", "name", "kind", "patient_id", "address", "email", "delivery", "terms_days")


@click.group()
def payer() -> None:
    """Add, list and change payers."""
    log.configure("cli", "error")  # onto standard error, away from what is printed for programs


def payer_id(db: Database, payer: str) -> int:
    """The id of a broker or a facility by its name, or of any payer by its number. Raises NotFound."""
    number = int(payer) if payer.isdecimal() and len(payer) < len(str(ID.max)) else None
    found = payers.by_name(db, payer) or (payers.get(db, number) if number is not None else None)
    if found is None:
        raise payer_desk.unknown(payer)
    return int(found["id"])


def _details(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--address", help="Address on the invoices; lines end with \\n."),
        click.option("--email", help="Where invoices are mailed to."),
        click.option("--delivery", type=click.Choice(["mail", "print"]), help="By mail, or on the print list."),
        click.option(
            "--terms", "terms_days", type=click.IntRange(0, LONGEST_TERMS_DAYS), help="Days until an invoice is due."
        ),
    ):
        command = option(command)
    return command


@payer.command()
@click.argument("name", default="")
@click.option("--kind", type=click.Choice(["broker", "facility", "patient"]), required=True, help="Who it is.")
@click.option("--patient", "patient_id", type=ID, help="The number of the patient who pays, in the place of NAME.")
@_details
@with_settings
def add(settings: Settings, name: str, **options: Any) -> None:
    """Add the payer NAME, and print its number. Trips that waited for it are billed."""
    from appliance.sender import Sender  # here: nothing else waits for Celery

    new = NewPayer(**given(options | {"name": name or None}))
    with opened(settings) as db, write_tx(db) as tx:
        id, asks = payer_desk.add(tx, new, settings, who=operator(), now=clock.now())
    Sender(settings).send(asks)
    click.echo(id)


@payer.command("set")
@click.argument("payer")
@click.option("--name", help="Another name.")
@_details
@with_settings
def set_(settings: Settings, payer: str, **options: Any) -> None:
    """Change the payer PAYER (its name or number); what is not given stays as it is."""
    with opened(settings) as db, write_tx(db) as tx:
        payer_desk.change(tx, payer_id(tx, payer), PayerDetails(**given(options)), who=operator(), now=clock.now())
    click.echo(f"{payer} is changed.")


@payer.command("list")
@json_option
@with_settings
def list_(settings: Settings, as_json: bool) -> None:
    """List the payers. A patient who pays is named on the pages only."""
    with opened(settings) as db:
        found = [{name: one[name] for name in _SHOWN} for one in payers.listed(db)]
    for one in found:
        if one["kind"] == "patient":
            one |= {"name": None, "address": None, "email": None}
    empty = "no payers; add one: depotbox payer add NAME --kind facility"
    print_list(found, as_json=as_json, empty=empty, right=("id", "patient_id", "terms_days"))
