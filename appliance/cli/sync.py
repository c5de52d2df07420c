"""`depotbox sync`: the line to the central office."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from appliance import clock, log, uplink, uplink_desk
from appliance.cli.depot import opened, operator
from appliance.cli.options import LocalTime, json_option, with_settings
from appliance.cli.tables import local, print_list
from appliance.config import Settings
from appliance.errors import InputError
from appliance.events import Publisher
from appliance.storage import sync_log
from appliance.storage.db import write_tx
from appliance.wire import STREAMS

Day = LocalTime(formats=["%Y-%m-%d"])


@click.group()
def sync() -> None:
    """Send to the central office, and see what is there."""
    log.configure("cli", "error")  # onto standard error, away from what is printed for programs


@sync.command()
@click.option("--code", required=True, help="The one-time code from the central office.")
@with_settings
def enrol(settings: Settings, code: str) -> None:
    """Make this box known to its central office."""
    with opened(settings) as db:
        found = uplink.enrol(settings, db, code, who=operator())
    click.echo(f"{found['centre']} knows this box by the key {found['key_id']}")


@sync.command()
@json_option
@with_settings
def status(settings: Settings, as_json: bool) -> None:
    """Show up to when everything is at the central office, what waits, and what is wrong."""
    with opened(settings) as db:
        found = uplink_desk.status(db, settings, clock.now())
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    for line in uplink_desk.told(found, settings):
        click.echo(line)


@sync.command()
@with_settings
def now(settings: Settings) -> None:
    """Send all that waits now, and compare the books."""
    publisher = Publisher(settings.paths.redis_socket)
    with opened(settings) as db:
        done = uplink.push(settings, db, by_hand=True, publish=lambda events: publisher.publish(*events))
    said = f"{done.rows} rows in {done.batches} batches are at the central office"
    click.echo(said + (f"; {done.parked} are parked: depotbox sync parked" if done.parked else ""))
    for stream in done.stopped:
        click.echo(f"{stream}: not taken as it is; see depotbox sync status", err=True)
    click.echo("nothing differs" if done.whole else "the books differ: see depotbox sync status")


@sync.command()
@json_option
@with_settings
def parked(settings: Settings, as_json: bool) -> None:
    """List the rows that the central office does not take, and why."""
    with opened(settings) as db:
        found = sync_log.parked(db)
    items: list[dict[str, Any]] = [
        {
            "row": f"{one['stream']}/{one['epoch']}/{one['seq']}",
            "kind": one["kind"],
            "of": one["number"] or one["ref"] or one["uid"],
            "written": one["created_at"] if as_json else local(one["created_at"], settings.zone),
            "reason": one["reason"],
        }
        for one in found
    ]
    print_list(items, as_json=as_json, empty="nothing is parked")


@sync.command()
@click.argument("rows", nargs=-1, metavar="[ROW]...")
@with_settings
def retry(settings: Settings, rows: tuple[str, ...]) -> None:
    """Send parked rows again: each ROW as `parked` names it, or all."""
    chosen = [_row(one) for one in rows] or None
    with opened(settings) as db, write_tx(db) as tx:
        count = uplink_desk.retry_parked(tx, chosen, who=operator(), now=clock.now())
    click.echo(f"{count} rows wait to be sent")


@sync.command()
@click.option("--from", "start", type=Day, required=True, help="The first day, by the depot's clock.")
@click.option("--to", "end", type=Day, required=True, help="The last day.")
@click.option("--stream", "streams", multiple=True, type=click.Choice(STREAMS), help="Only this stream.")
@with_settings
def resend(settings: Settings, start: datetime, end: datetime, streams: tuple[Any, ...]) -> None:
    """Send what was written from one day through another once more."""
    after = (end + timedelta(days=1)).replace(tzinfo=settings.zone).astimezone(UTC)
    with opened(settings) as db, write_tx(db) as tx:
        count = uplink_desk.resend(
            tx,
            start.replace(tzinfo=settings.zone).astimezone(UTC),
            after,
            streams,
            who=operator(),
            now=clock.now(),
        )
    click.echo(f"{count} rows wait to be sent")


@sync.command("rotate-key")
@with_settings
def rotate_key(settings: Settings) -> None:
    """Make this box a new key in the place of its own."""
    with opened(settings) as db:
        click.echo(uplink.rotate_key(settings, db, who=operator()))


@sync.command("bill-anyway")
@with_settings
def bill(settings: Settings) -> None:
    """After a restore: bill trips from before it although the central office was not asked what was billed."""
    with opened(settings) as db, write_tx(db) as tx:
        uplink_desk.bill_anyway(tx, who=operator(), now=clock.now())
    click.echo("trips from before the restore are billed within 15 minutes")


def _row(text: str) -> tuple[str, int, int]:
    try:
        return uplink_desk.row_named(text)
    except ValueError as error:
        raise InputError("expected a row like invoices/1/17", subject=text) from error
