"""`depotbox queues`: what waits in each queue, and holding one up."""

from __future__ import annotations

import click

from appliance import clock, log, queue_desk
from appliance.cli.depot import opened, operator
from appliance.cli.options import json_option, with_settings
from appliance.cli.tables import local, print_list
from appliance.config import Settings
from appliance.jobs import QUEUES
from appliance.queues import Queues
from appliance.storage.db import write_tx

queue_argument = click.argument("queue", type=click.Choice(QUEUES))


@click.group()
def queues() -> None:
    """List, pause and resume the queues of jobs."""
    log.configure("cli", "error")  # onto standard error, away from what is printed for programs


@queues.command("list")
@json_option
@with_settings
def list_(settings: Settings, as_json: bool) -> None:
    """List the queues: jobs that wait, are due later and run, messages in Redis, and who has paused the queue."""
    with opened(settings) as db:
        items = queue_desk.overview(db, Queues(settings.paths.redis_socket).lengths(), clock.now())
    if not as_json:
        for item in items:
            for key in ("oldest_due_at", "paused_at"):
                item[key] = local(item[key], settings.zone)
    print_list(items, as_json=as_json, empty="no queues", right=("waiting", "later", "running", "messages"))


@queues.command()
@queue_argument
@with_settings
def pause(settings: Settings, queue: str) -> None:
    """Hold QUEUE up: no job of it is begun until it is resumed, also after a restart. What runs is finished."""
    with opened(settings) as db, write_tx(db) as tx:
        queue_desk.pause(tx, queue, operator(), clock.now())
    click.echo(f"{queue} is paused. Broadcasts to it are dropped, jobs wait.")


@queues.command()
@queue_argument
@with_settings
def resume(settings: Settings, queue: str) -> None:
    """Let QUEUE go on; what has waited is sent within seconds."""
    with opened(settings) as db, write_tx(db) as tx:
        queue_desk.resume(tx, queue, operator(), clock.now())
    click.echo(f"{queue} goes on.")
