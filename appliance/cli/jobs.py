"""`depotbox jobs`: durable work, above all what has failed."""

from __future__ import annotations

import json

import click

from appliance import clock, job_desk, log
from appliance.cli.depot import opened, operator
from appliance.cli.options import LIMIT, json_option, with_settings
from appliance.cli.tables import local, print_list, shown
from appliance.config import Settings
from appliance.errors import NotFound
from appliance.storage import board
from appliance.storage import jobs as rows
from appliance.storage.db import Row, write_tx


@click.group()
def jobs() -> None:
    """List, show, retry and discard jobs."""
    log.configure("cli", "error")  # onto standard error, away from what is printed for programs


@jobs.command("list")
@click.option("--state", type=click.Choice(rows.STATES), help="Only jobs in this state.")
@click.option("--limit", type=LIMIT, default=50, show_default=True, help="How many at most.")
@json_option
@with_settings
def list_(settings: Settings, state: str | None, limit: int, as_json: bool) -> None:
    """List jobs, the newest first."""
    with opened(settings) as db:
        found, total = board.jobs(db, state, limit, 0)
    if not as_json:
        found = [
            {
                "id": one["id"],
                "name": one["name"],
                "state": one["state"],
                "tries": one["attempts"],
                "created_at": local(one["created_at"], settings.zone),
                "error": shown(one["error"])[:80],
            }
            for one in found
        ]
    print_list(found, as_json=as_json, total=total, empty="no such jobs", right=("tries",))


@jobs.command()
@click.argument("id")
@json_option
@with_settings
def show(settings: Settings, id: str, as_json: bool) -> None:
    """Show all that is known of the job ID: its arguments, its last error, and where in the program that came from."""
    with opened(settings) as db:
        found = _found(rows.get(db, id), id)
    for key in ("arguments", "result"):  # Python writes NaN, which is no JSON
        found[key] = json.loads(found[key] or "null", parse_constant=lambda _: None)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    traceback = found.pop("traceback")
    for key, value in found.items():
        if value is not None:
            click.echo(
                f"{key.replace('_', ' '):<12} {local(value, settings.zone) if key.endswith('_at') else shown(value)}"
            )
    if traceback:
        click.echo(f"\n{traceback}")


@jobs.command()
@click.argument("id", required=False)
@click.option("--failed", is_flag=True, help="Every failed job.")
@click.option("--name", help="With --failed: only jobs of this task (wire name).")
@with_settings
def retry(settings: Settings, id: str | None, failed: bool, name: str | None) -> None:
    """Try the failed or discarded job ID again, or (--failed) every failed one. A box that does not run does it when it
    starts."""
    from appliance.sender import Sender  # here: nothing else waits for Celery

    if (id is None) != failed or (name and not failed):
        raise click.UsageError("expected either the id of a job, or --failed (with or without --name)")
    with opened(settings) as db, write_tx(db) as tx:
        if id is None:
            asks = job_desk.retry_failed(tx, name, operator(), clock.now())
        else:
            asks = [job_desk.retry(tx, id, operator(), clock.now())]
    Sender(settings).send(asks)
    click.echo(f"{id} is tried again." if id else f"{len(asks)} failed jobs are tried again.")


@jobs.command()
@click.argument("id")
@with_settings
def discard(settings: Settings, id: str) -> None:
    """Give the job ID up; it stays listed for a while, and can be retried until then."""
    with opened(settings) as db, write_tx(db) as tx:
        job_desk.discard(tx, id, operator(), clock.now())
    click.echo(f"{id} is discarded.")


def _found(job: Row | None, id: str) -> Row:
    if job is None:
        raise NotFound("no such job", subject=id, hint="`depotbox jobs list` shows them")
    return job
