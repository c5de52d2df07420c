"""`depotbox setup`: what the set-up page does, without the page; and a new code for it."""

from __future__ import annotations

import tomllib
from pathlib import Path

import click

from appliance import clock, log
from appliance import setup as setups
from appliance.cli.depot import opened, operator
from appliance.cli.options import with_settings
from appliance.cli.run import url
from appliance.config import Settings
from appliance.errors import InputError

PERSON = {"email", "name", "password"}


@click.command()
@click.option("--file", type=click.Path(path_type=Path), help="TOML file with [administrator], [depot], [mail], ...")
@click.option("--new-code", is_flag=True, help="Print a new code for the page /setup; an earlier one stops to work.")
@with_settings
def setup(settings: Settings, file: Path | None, new_code: bool) -> None:
    """Set the box up from a file: its first administrator, and what only the depot knows.

    On a box that is set up, the page with a new code makes an administrator, where the last one is forgotten.
    """
    log.configure("cli", "error")
    if new_code == (file is not None):
        raise click.UsageError("expected --file FILE or --new-code")
    with opened(settings) as db:
        if file is None:
            click.echo(f"{setups.new_code(db, settings.paths)}\nEnter it at {url(settings)}setup")
            return
        administrator, values = read(file)
        said = {
            f"administrator.{field}": text
            for field, text in setups.check_administrator(administrator, administrator.password).items()
        } | setups.complaints(settings, values)
        if said:
            raise InputError("; ".join(f"{key}: {text}" for key, text in said.items()), subject=str(file))
        setups.complete(db, settings, administrator, values, who=operator(), now=clock.now())
    click.echo(f"The box is set up. {administrator.email} can log in: {url(settings)}")


def read(file: Path) -> tuple[setups.Administrator, setups.Values]:
    """The administrator and the values in the file. Raises InputError, naming what is wrong."""
    try:
        tree = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read: {error}", subject=str(file)) from error
    person = tree.pop("administrator", None)
    wanted = {"email", "name", "password"}
    if (
        not isinstance(person, dict)
        or set(person) != wanted
        or not all(isinstance(one, str) for one in person.values())
    ):
        raise InputError("expected [administrator] with email, name and password", subject=str(file))
    values: setups.Values = {}
    for section, held in tree.items():
        if not isinstance(held, dict):
            raise InputError("expected a section", subject=f"{file}: {section}")
        values |= {f"{section}.{name}": value for name, value in held.items()}
    return setups.Administrator(person["email"].strip(), " ".join(person["name"].split()), person["password"]), values
