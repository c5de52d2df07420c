"""`depotbox rate`: what a payer pays for a level of service, from a day on."""

from __future__ import annotations

from typing import Any

import click

from appliance import clock, log, rate_desk
from appliance.cli.depot import opened, operator
from appliance.cli.details import DAY, given
from appliance.cli.options import Number, json_option, with_settings
from appliance.cli.payer import payer_id
from appliance.cli.tables import print_list
from appliance.config import Settings
from appliance.domain.invoice import minor_units, money
from appliance.domain.trip import LevelOfService
from appliance.rate_desk import NewRate
from appliance.storage import payers
from appliance.storage.db import write_tx

_MONEY = ("base", "per_unit", "wait_per_min", "after_hours", "no_show")


@click.group()
def rate() -> None:
    """Add and list the rates of payers."""
    log.configure("cli", "error")  # onto standard error, away from what is printed for programs


@rate.command()
@click.argument("payer")
@click.argument("level", metavar="LEVEL", type=click.Choice([level.value for level in LevelOfService]))
@click.option("--from", "valid_from", type=DAY, required=True, help="First day, like 2026-03-01.")
@click.option("--to", "valid_to", type=DAY, help="Last day. Default: until further notice.")
@click.option("--base", required=True, help="For each ride, like 14.50.")
@click.option("--per-unit", help="For each km or mile.")
@click.option("--unit", type=click.Choice(["km", "mile"]), help="Default: the depot's.")
@click.option("--free-units", type=Number(0, 100_000), help="Of the distance, what costs nothing.")
@click.option("--wait-per-min", help="For each minute of waiting.")
@click.option("--free-wait", "free_wait_min", type=Number(0, 100_000), help="Minutes of waiting that cost nothing.")
@click.option("--after-hours", help="On top, for a pickup after hours.")
@click.option("--after-hours-from", help="Default: 20:00.")
@click.option("--after-hours-to", help="Default: 06:00.")
@click.option("--no-show", help="For a patient who was not there.")
@click.option("--tax", type=Number(0, 100), help="Percent.")
@with_settings
def add(settings: Settings, payer: str, level: str, tax: float | None, **options: Any) -> None:
    """Add the rate of PAYER (name or number) for LEVEL. The one before it ends the day before; trips that waited for it
    are billed. Amounts are in the depot's currency."""
    from appliance.sender import Sender  # here: nothing else waits for Celery

    amounts = {f"{name}_cents": options.pop(name) for name in _MONEY}
    found = given(options, "valid_to")
    found |= {name: minor_units(text, settings.depot.currency) for name, text in given(amounts).items()}
    if tax is not None:
        found["tax_bp"] = round(tax * 100)
    new = NewRate(level=LevelOfService(level), **found)
    with opened(settings) as db, write_tx(db) as tx:
        id, asks = rate_desk.add(tx, payer_id(tx, payer), new, settings, who=operator(), now=clock.now())
    Sender(settings).send(asks)
    click.echo(id)


@rate.command("list")
@click.argument("payer")
@json_option
@with_settings
def list_(settings: Settings, payer: str, as_json: bool) -> None:
    """List the rates of PAYER (name or number), those that ended too."""
    with opened(settings) as db:
        found = payers.rate_rows(db, payer_id(db, payer))
    for one in found:
        del one["uid"], one["payer_id"]
        if not as_json:
            for name in _MONEY:
                one[name] = money(one.pop(f"{name}_cents"), settings.depot.currency)
            one["tax"] = f"{one.pop('tax_bp') / 100:g} %"
    empty = f"no rates; add one: depotbox rate add {payer} LEVEL --from 2026-03-01 --base 14.50"
    print_list(found, as_json=as_json, empty=empty, right=("id", *_MONEY, "tax"))
