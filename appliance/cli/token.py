"""`depotbox token`: API tokens, with which programs ask in a user's name."""

from __future__ import annotations

import json

import click

from appliance import access, clock, log
from appliance.cli.depot import opened, operator
from appliance.cli.options import ID, json_option, with_settings
from appliance.cli.tables import local, print_list
from appliance.config import Settings
from appliance.domain.access import Scope
from appliance.storage import api_tokens
from appliance.storage.db import write_tx


@click.group()
def token() -> None:
    """Make, list and revoke the API tokens of programs."""
    log.configure("cli", "error")  # onto standard error, away from what is printed for programs


@token.command()
@click.option("--user", "email", required=True, help="Address of the user in whose name the program asks.")
@click.option(
    "--scope",
    type=click.Choice(list(Scope)),
    required=True,
    help="read: nothing is changed; write: all of the user's role but administering; admin: all of it.",
)
@click.option("--name", default="api", show_default=True, help="What the token is for.")
@click.option("--days", type=click.IntRange(1, access.TOKEN_DAYS), help="It ends by itself after so many days.")
@json_option
@with_settings
def create(settings: Settings, email: str, scope: str, name: str, days: int | None, as_json: bool) -> None:
    """Make an API token and print it: this once, for only its hash is kept."""
    with opened(settings) as db, write_tx(db) as tx:
        id, made = access.create_token(tx, email, name, scope, days=days, who=operator(), now=clock.now())
    click.echo(json.dumps({"id": id, "token": made}) if as_json else made)


@token.command("list")
@json_option
@with_settings
def list_(settings: Settings, as_json: bool) -> None:
    """List the tokens, never the secrets themselves."""
    with opened(settings) as db:
        found = api_tokens.listed(db)
    times = ("created_at", "expires_at", "last_used_at", "revoked_at")
    if not as_json:
        found = [row | {name: local(row[name], settings.zone) for name in times} for row in found]
    print_list(found, as_json=as_json, empty="no tokens; make one: depotbox token create", right=("id",))


@token.command()
@click.argument("id", type=ID)
@with_settings
def revoke(settings: Settings, id: int) -> None:
    """Revoke the token with the number ID, at once and for good."""
    with opened(settings) as db, write_tx(db) as tx:
        access.revoke_token(tx, id, who=operator(), now=clock.now())
    click.echo(f"Token {id} counts no more.")
