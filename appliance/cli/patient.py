"""`depotbox patient`: who is carried. What it shows is in the audit log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from appliance import clock, log, patient_desk
from appliance.cli.depot import opened, operator
from appliance.cli.details import given
from appliance.cli.options import ID, json_option, with_settings
from appliance.cli.tables import print_list
from appliance.config import Settings
from appliance.domain.trip import LevelOfService
from appliance.patient_desk import PatientDetails
from appliance.storage.db import write_tx

_SHOWN = ("id", "name", "address", "phone", "email", "level", "needs", "email_consent", "payer_id")


@click.group()
def patient() -> None:
    """Add, find, change and erase patients."""
    log.configure("cli", "error")  # onto standard error, away from what is printed for programs


def _details(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--needs", help="What whoever drives must know."),
        click.option("--level", type=click.Choice(list(LevelOfService)), help="How the patient mostly travels."),
        click.option("--address", help="Where the patient lives; lines end with \\n."),
        click.option("--phone", help="Where the patient is called."),
        click.option("--email", help="Where invoices go, with consent."),
    ):
        command = option(command)
    return command


@patient.command()
@click.argument("name")
@_details
@with_settings
def add(settings: Settings, **options: Any) -> None:
    """Add the patient NAME, by which trips and manifests know the patient, and print the number."""
    with opened(settings) as db, write_tx(db) as tx:
        id = patient_desk.add(tx, PatientDetails(**given(options)), who=operator(), now=clock.now())
    click.echo(id)


@patient.command("set")
@click.argument("id", type=ID)
@click.option("--name", help="Another name.")
@_details
@with_settings
def set_(settings: Settings, id: int, **options: Any) -> None:
    """Change the patient with the number ID; what is not given stays as it is."""
    with opened(settings) as db, write_tx(db) as tx:
        patient_desk.change(tx, id, PatientDetails(**given(options)), who=operator(), now=clock.now())
    click.echo(f"Patient {id} is changed.")


@patient.command("list")
@click.argument("query", default="")
@json_option
@with_settings
def list_(settings: Settings, query: str, as_json: bool) -> None:
    """List the patients in whose record the words of QUERY stand, the first 50 by name."""
    with opened(settings) as db, write_tx(db) as tx:
        found, total = patient_desk.search(tx, query, who=operator(), now=clock.now())
    rows = [{name: one[name] for name in _SHOWN} for one in found]
    if not as_json:
        for one in rows:
            one["email_consent"] = "yes" if one["email_consent"] else "no"
    if total > len(rows) and not as_json:
        click.echo(f"{total} found; a longer query shows fewer", err=True)
        total = len(rows)
    print_list(rows, as_json=as_json, total=total, empty="no such patients", right=("id", "payer_id"))


@patient.command()
@click.argument("id", type=ID)
@click.argument("answer", type=click.Choice(["yes", "no"]))
@with_settings
def consent(settings: Settings, id: int, answer: str) -> None:
    """Record whether the patient with the number ID allows e-mail."""
    with opened(settings) as db, write_tx(db) as tx:
        patient_desk.consent(tx, id, answer == "yes", who=operator(), now=clock.now())
    click.echo(f"Patient {id} {'allows' if answer == 'yes' else 'does not allow'} e-mail.")


@patient.command()
@click.argument("id", type=ID)
@click.confirmation_option("--yes", prompt="This cannot be undone. Erase the patient?")
@with_settings
def erase(settings: Settings, id: int) -> None:
    """Erase the patient with the number ID for good. Refused while trips have not ended."""
    with opened(settings) as db:
        left = patient_desk.erase(db, settings, id, who=operator(), now=clock.now())
    click.echo(f"Patient {id} is erased. Invoices that were issued keep what they show.")
    for one in left:
        click.echo(f"still looks like the patient, and stays: {one.title}: {one.count} ({', '.join(one.about)})")
