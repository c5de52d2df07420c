"""`depotbox user`: the people who use the pages."""

from __future__ import annotations

import click

from appliance import clock, log, people_desk
from appliance.cli.depot import opened, operator
from appliance.cli.details import given
from appliance.cli.options import json_option, with_settings
from appliance.cli.run import url
from appliance.cli.tables import local, print_list
from appliance.config import Settings
from appliance.people_desk import UserDetails
from appliance.storage import users
from appliance.storage.db import write_tx


@click.group()
def user() -> None:
    """Add, list and change the people who use the pages."""
    log.configure("cli", "error")  # onto standard error, away from what is printed for programs


@user.command()
@click.argument("email")
@click.option("--name", required=True, help="What people call them.")
@click.option("--role", type=click.Choice(users.ROLES), required=True, help="What they may do.")
@with_settings
def add(settings: Settings, email: str, name: str, role: str) -> None:
    """Add a user with the address EMAIL, who is sent a link to choose a password."""
    from appliance.sender import Sender  # here: nothing else waits for Celery

    with opened(settings) as db, write_tx(db) as tx:
        ask = people_desk.add_user(tx, email, name, role, who=operator(), now=clock.now())
    Sender(settings).send([ask])
    click.echo(f"{email} is added, and gets a mail with a link to choose a password.")


@user.command()
@click.argument("email")
@with_settings
def welcome(settings: Settings, email: str) -> None:
    """Send the user with the address EMAIL a new link; an earlier one stops to work."""
    from appliance.sender import Sender  # here: nothing else waits for Celery

    with opened(settings) as db, write_tx(db) as tx:
        ask = people_desk.welcome(tx, email, who=operator(), now=clock.now())
    Sender(settings).send([ask])
    click.echo(f"{email} gets a mail with a new link.")


@user.command("password-link")
@click.argument("email")
@with_settings
def password_link(settings: Settings, email: str) -> None:
    """Print a link with which the user with the address EMAIL chooses a password, once, within a day. An earlier one
    stops to work."""
    with opened(settings) as db, write_tx(db) as tx:
        token = people_desk.password_link(tx, email, who=operator(), now=clock.now())
    click.echo(f"{url(settings)}password/{token}")


@user.command("set")
@click.argument("email")
@click.option("--name", help="What people call them.")
@click.option("--email", "new_email", help="Another address; links that were sent to the old one stop to work.")
@with_settings
def set_(settings: Settings, email: str, name: str | None, new_email: str | None) -> None:
    """Change the user with the address EMAIL; what is not given stays as it is."""
    details = UserDetails(**given({"name": name, "email": new_email}))
    with opened(settings) as db, write_tx(db) as tx:
        people_desk.change_user(tx, email, details, who=operator(), now=clock.now())
    click.echo(f"{new_email or email} is changed.")


@user.command("set-role")
@click.argument("email")
@click.argument("role", type=click.Choice(users.ROLES))
@with_settings
def set_role(settings: Settings, email: str, role: str) -> None:
    """Give the user with the address EMAIL another ROLE, at once."""
    with opened(settings) as db, write_tx(db) as tx:
        people_desk.set_role(tx, email, role, who=operator(), now=clock.now())
    click.echo(f"{email} is {role}.")


@user.command()
@click.argument("email")
@with_settings
def disable(settings: Settings, email: str) -> None:
    """Shut the user with the address EMAIL out: sessions end, tokens count no more."""
    with opened(settings) as db, write_tx(db) as tx:
        people_desk.disable(tx, email, who=operator(), now=clock.now())
    click.echo(f"{email} is disabled.")


@user.command()
@click.argument("email")
@with_settings
def enable(settings: Settings, email: str) -> None:
    """Let a disabled user in again; revoked tokens stay revoked."""
    with opened(settings) as db, write_tx(db) as tx:
        people_desk.enable(tx, email, who=operator(), now=clock.now())
    click.echo(f"{email} may log in again.")


@user.command("list")
@json_option
@with_settings
def list_(settings: Settings, as_json: bool) -> None:
    """List the users."""
    with opened(settings) as db:
        found = [
            {
                "id": one["id"],
                "email": one["email"],
                "name": one["name"],
                "role": one["role"],
                "password": "set" if one["password_hash"] else "not yet",
                "disabled_at": one["disabled_at"] if as_json else local(one["disabled_at"], settings.zone),
            }
            for one in users.listed(db)
        ]
    print_list(found, as_json=as_json, empty="no users; add one: depotbox user add EMAIL", right=("id",))
