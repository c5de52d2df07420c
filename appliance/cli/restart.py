"""`depotbox restart ROLE`."""

from __future__ import annotations

import click

from appliance import clock, log
from appliance.cli.depot import opened, operator
from appliance.cli.options import with_settings
from appliance.config import Settings
from appliance.storage.db import write_tx
from appliance.supervisor import restart as restarts


@click.command()
@click.argument("role")
@with_settings
def restart(settings: Settings, role: str) -> None:
    """Restart one ROLE of the running box; the others go on."""
    log.configure("cli", "error")
    with opened(settings) as db, write_tx(db) as tx:
        restarts.restart(tx, settings, role, who=operator(), now=clock.now())
    click.echo(f"{role} is asked to end, and is started again within seconds.")
