"""`depotbox role NAME`: what the supervisor, or a systemd unit, starts."""

from __future__ import annotations

import os
import signal

import click

from appliance import lifeline, log, roles
from appliance.cli.options import with_settings
from appliance.config import Settings
from appliance.errors import DepotError


@click.command()
@click.argument("name")
@with_settings
def role(settings: Settings, name: str) -> int:
    """Run one role of the box in this process."""
    chosen = roles.find(name)
    if parent := os.environ.pop(lifeline.PARENT, None):
        lifeline.die_with_parent(int(parent), signal.SIGTERM if chosen.native else signal.SIGKILL)
    log.configure(chosen.name, settings.log.level)
    try:
        return roles.run(chosen, settings)
    except DepotError:
        raise
    except Exception:
        # Where a role runs, its standard error is the log: the traceback belongs there, whoever reads it.
        log.get(__name__).exception("role.failed")
        raise
