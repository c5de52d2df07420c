"""`depotbox run`: the whole box in the foreground."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from appliance import __version__, log, roles
from appliance.cli.options import with_settings
from appliance.config import Settings
from appliance.notify import notify
from appliance.supervisor import lock, preflight
from appliance.supervisor.loop import Supervisor
from appliance.supervisor.unit import State, Unit


@click.command()
@click.option("--demo", is_flag=True, help="With a demonstration depot: made-up vehicles that drive made-up trips.")
@with_settings
def run(settings: Settings, demo: bool) -> int:
    """Start the box in the foreground; Ctrl-C ends it."""
    log.configure("supervisor", settings.log.level)
    paths = settings.paths
    paths.prepare()
    with lock.hold(paths):
        preflight.check(settings)

        def started(units: Sequence[Unit]) -> None:
            notify("READY=1")
            if sys.stdout.isatty():
                click.echo(welcome(settings, [unit.role.name for unit in units if unit.state is State.FAILED]))

        table = roles.table(demo=demo)
        return Supervisor(table, paths.run_dir, paths.status_file, on_started=started).run()


def welcome(settings: Settings, failed: Sequence[str]) -> str:
    """What a person at the terminal needs once everything has started."""
    lines = [
        ("Page", url(settings)),
        ("Vehicles", f"mqtt://{_bracketed(settings.mqtt.host)}:{settings.mqtt.port}"),
        ("Data folder", settings.storage.data_dir),
        ("Stop", "Ctrl-C"),
    ]
    if failed:
        lines.insert(0, ("Not running", ", ".join(failed) + " (the log above says why; they are tried again)"))
    body = "\n".join(f"    {name:<12} {text}" for name, text in lines)
    return f"\n  Depot box {__version__} runs.\n{body}\n"


def url(settings: Settings) -> str:
    """The address of the pages."""
    return f"http://{_bracketed(settings.web.host)}:{settings.web.port}/"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
