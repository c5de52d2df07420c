"""`depotbox role NAME`: what the supervisor, or a systemd unit, starts."""

from __future__ import annotations

import os
import signal

import click

from appliance import lifeline, log, roles
from appliance.cli.options import with_settings
from appliance.config import Settings
from appliance.errors import Busy, DepotError
from appliance.supervisor import lock, statusfile


@click.command()
@click.argument("name")
@with_settings
def role(settings: Settings, name: str) -> int:
    """Run one role of the box in this process."""
    chosen = roles.find(name)
    status = statusfile.of_supervisor(settings.paths)
    if status and os.environ.get(lifeline.PARENT) != str(status.supervisor_pid):
        raise Busy("a box already runs on this data folder", subject=f"role {name}", hint="depotbox status shows it")
    if parent := os.environ.pop(lifeline.PARENT, None):
        lifeline.die_with_parent(int(parent), signal.SIGTERM if chosen.native else signal.SIGKILL)
    else:
        lock.hold_as_role(settings.paths)
    log.configure(chosen.name, settings.log.level, kept=settings.paths.log_dir)
    try:
        return roles.run(chosen, settings)
    except DepotError:
        raise
    except Exception:
        # Where a role runs, its standard error is the log: the traceback belongs there, whoever reads it.
        log.get(__name__).exception("role.failed")
        raise
