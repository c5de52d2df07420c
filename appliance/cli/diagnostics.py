"""`depotbox diagnostics`: a bundle for whoever helps from afar."""

from __future__ import annotations

from pathlib import Path

import click

from appliance import atomicfile, clock, log
from appliance.cli.depot import opened
from appliance.cli.options import with_settings
from appliance.config import Settings
from appliance.errors import InputError
from appliance.queues import Queues
from appliance.supervisor import diagnostics as bundles


@click.command()
@click.option("--into", type=click.Path(path_type=Path), default=Path(), help="Folder for the bundle; else this one.")
@click.option("--preview", is_flag=True, help="Print what would be in it, and write nothing.")
@with_settings
def diagnostics(settings: Settings, into: Path, preview: bool) -> None:
    """Write a bundle about the state of the box: no patient, no secret."""
    log.configure("cli", "error")
    now = clock.now()
    redis = Queues(settings.paths.redis_socket).lengths() is not None
    with opened(settings) as db:
        files = bundles.collect(settings, db, redis=redis, now=now)
    if preview:
        for name, text in files.items():
            click.secho(f"--- {name}", bold=True)
            click.echo(text)
        return
    file = into / bundles.file_name(now)
    try:
        atomicfile.write(file, bundles.bundle(files, now))
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", subject=str(file)) from error
    click.echo(f"{file} ({len(files)} files)")
