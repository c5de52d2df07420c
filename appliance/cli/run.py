"""`depotbox run`: the whole box in the foreground."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress

import click

from appliance import __version__, access, ca, clock, log, roles, setup
from appliance.cli.depot import opened
from appliance.cli.options import with_settings
from appliance.config import Settings
from appliance.errors import DepotError
from appliance.notify import notify
from appliance.servers import certificate
from appliance.storage import users
from appliance.storage.db import write_tx
from appliance.supervisor import lock, preflight
from appliance.supervisor.loop import Supervisor
from appliance.supervisor.unit import State, Unit


@click.command()
@click.option("--demo", is_flag=True, help="With a demonstration depot: made-up vehicles that drive made-up trips.")
@with_settings
def run(settings: Settings, demo: bool) -> int:
    """Start the box in the foreground; Ctrl-C ends it."""
    paths = settings.paths
    log.configure("supervisor", settings.log.level, kept=paths.log_dir)
    paths.prepare()
    with lock.hold(paths):
        preflight.check(settings)

        def started(units: Sequence[Unit]) -> None:
            notify("READY=1")
            links = sign_in_links(settings) if demo else setup_links(settings)
            if links or sys.stdout.isatty():
                failed = [unit.role.name for unit in units if unit.state is State.FAILED]
                fingerprint = ca.own(paths).fingerprint if settings.web.tls_port else ""
                click.echo(welcome(settings, failed, links, fingerprint))

        table = roles.table(demo=demo)
        return Supervisor(table, paths.run_dir, paths.status_file, on_started=started).run()


def sign_in_links(settings: Settings) -> dict[str, str]:
    """Role -> a link that logs in as its first user, of a demonstration. None where the database cannot be had now."""
    links: dict[str, str] = {}
    with suppress(DepotError), opened(settings) as db, write_tx(db) as tx:
        for role in users.ROLES if access.is_demonstration(tx) else ():
            for user in users.of_role(tx, role)[:1]:
                links[f"As {role}"] = f"{url(settings)}sign-in/{access.sign_in_link(tx, user['id'], clock.now())}"
    return links


def setup_links(settings: Settings) -> dict[str, str]:
    """Where a box is set up that is not yet, or gets another administrator, and with which code."""
    with suppress(DepotError), opened(settings) as db:
        if code := setup.shown_code(db, settings.paths):
            return {"Set it up here": f"{url(settings)}setup", "With the code": code}
    return {}


def welcome(
    settings: Settings, failed: Sequence[str], links: Mapping[str, str] | None = None, fingerprint: str = ""
) -> str:
    """What a person at the terminal needs once everything has started. `links`: title and address of each;
    `fingerprint`: of the box's own authority, where the pages can be had over HTTPS."""
    lines = [
        *(links or {"Page": url(settings)}).items(),
        *([("Elsewhere", certificate.url(settings)), ("Authority", fingerprint)] if fingerprint else []),
        ("Vehicles", f"mqtt://{_bracketed(settings.mqtt.host)}:{settings.mqtt.port}"),
        ("Data folder", settings.storage.data_dir),
        ("Stop", "Ctrl-C"),
    ]
    if failed:
        lines.insert(0, ("Not running", ", ".join(failed) + " (the log above says why; they are tried again)"))
    width = max(12, *(len(name) for name, _ in lines))
    body = "\n".join(f"    {name:<{width}} {text}" for name, text in lines)
    return f"\n  Depot box {__version__} runs.\n{body}\n"


def url(settings: Settings) -> str:
    """The address of the pages."""
    return f"http://{_bracketed(settings.web.host)}:{settings.web.port}/"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
