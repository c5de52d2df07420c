"""`depotbox backup FILE` and `depotbox restore FILE`."""

from __future__ import annotations

from pathlib import Path

import click

from appliance import backup as backups
from appliance import clock, log
from appliance.backup import Manifest
from appliance.cli.depot import operator
from appliance.cli.options import json_option, with_settings
from appliance.config import Settings
from appliance.domain.invoice import SERIES
from appliance.errors import InputError
from appliance.supervisor import lock

_file = click.argument("file", type=click.Path(path_type=Path))


@click.command()
@_file
@json_option
@with_settings
def backup(settings: Settings, file: Path, as_json: bool) -> None:
    """Write all that the box cannot make again into FILE (.tar.gz), also while it runs. It holds patients and keys."""
    log.configure("cli", "error")
    made = backups.create(settings, file, clock.now())
    if as_json:
        click.echo(backups.as_json(made))
        return
    click.echo(
        f"{file}: {_what(made)}. It was read again and is whole. It holds patients and keys: keep it locked away."
    )
    for name in made.left_out:
        click.echo(f"left out, for it is damaged: {name}", err=True)


@click.command()
@_file
@click.option("--check", "only_check", is_flag=True, help="Only read the backup and say whether it is whole.")
@click.option("--series", default="", help="Letters of the invoice numbers to come; else the next that was not used.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_settings
def restore(settings: Settings, file: Path, only_check: bool, series: str, yes: bool) -> None:
    """Put the backup in FILE in the place of this box's data. The box must not run; its data are kept aside."""
    log.configure("cli", "error")
    found = backups.check(file)
    click.echo(f"{file}: {_what(found)}, whole.")
    if only_check:
        return
    if series and not SERIES.fullmatch(series):
        raise InputError("expected one or two of A-Z", subject=f"--series {series}")
    if not yes:
        click.confirm(f"Put it in the place of the data in {settings.storage.data_dir}?", abort=True)
    paths = settings.paths
    paths.prepare()
    with lock.hold(paths):
        backups.stage(settings, file, who=operator(), now=clock.now(), series=series)
        kept = backups.finish(paths)
    click.echo(f"Restored. What was here before is in {paths.data_dir / kept}; delete it when all is well.")
    click.echo("The queues normal and low_priority are paused: compare invoices and mails with what went out after the")
    click.echo("backup, then resume them on the page Work, or with depotbox queues resume.")


def _what(found: Manifest) -> str:
    days = sum(name.startswith("gps/") for name in found.files)
    size = found.bytes / 2**20
    return f"depot {found.depot}, {found.made_at:%Y-%m-%d %H:%M} UTC, {days} days of fixes, {size:.1f} MiB"
