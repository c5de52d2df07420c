"""`depotbox manifest`: a broker's day from a CSV file."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import PurePath
from typing import IO, Any

import click
import msgspec

from appliance import clock, log, manifests
from appliance.cli.depot import opened, operator
from appliance.cli.options import LocalTime, json_option, with_settings
from appliance.cli.tables import local, print_list
from appliance.config import Settings
from appliance.domain.manifest_csv import MAX_BYTES
from appliance.errors import InputError, Refused
from appliance.events import Publisher
from appliance.manifests import Done, Entry, Plan, Request


@click.group()
def manifest() -> None:
    """Import brokers' manifests."""
    log.configure("cli", "error")  # onto standard error, away from what is printed for programs


@manifest.command("import")
@click.argument("file", type=click.File("rb"))
@click.option("--payer", required=True, help="The broker's or facility's name.")
@click.option("--day", type=LocalTime(["%Y-%m-%d"]), help="The day of the trips, where the file does not say it.")
@click.option("--missing-cancelled", is_flag=True, help="Cancel the payer's trips of these days that are not in FILE.")
@click.option("--dry-run", is_flag=True, help="Only show what would be done.")
@json_option
@with_settings
def import_(
    settings: Settings,
    file: IO[bytes],
    payer: str,
    day: datetime | None,
    missing_cancelled: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Bring the trips of the CSV file FILE ("-": standard input) into the day: new ones are added, changed ones
    changed, cancelled ones cancelled.

    The columns mean what somebody has said of this payer's files on the page Import, else what their names say. The
    same file again changes nothing. Exit code 65: some rows were left out, as listed. Names and addresses are on the
    pages only.
    """
    from appliance.sender import Sender  # here: nothing else waits for Celery

    wanted = Request(
        content=file.read(MAX_BYTES + 1),
        payer=payer,
        day=day.date() if day else None,
        missing_cancelled=missing_cancelled,
        file_name=PurePath(file.name).name,
    )
    now = clock.now()
    with opened(settings) as db:
        plan = manifests.plan(db, wanted, zone=settings.zone, now=now)
        if not dry_run:
            done = manifests.apply(db, wanted, plan.digest, zone=settings.zone, now=now, who=operator())
            if not isinstance(done, Done):
                raise Refused("the day was changed at this very moment; nothing was done", hint="try again")
            Sender(settings).send(done.jobs)
            Publisher(settings.paths.redis_socket).publish(*done.events)
    if as_json:
        click.echo(msgspec.json.encode(_told(plan, dry_run)).decode())
    else:
        _print(plan, dry_run, settings)
    return InputError.exit_code if plan.bad else 0


def _told(plan: Plan, dry_run: bool) -> dict[str, Any]:
    days: list[date] = plan.days
    rows = [_row(entry) for entry in plan.entries if entry.what != "unchanged"]
    bad = [{"line": row.line, "column": row.column, "expected": row.expected} for row in plan.bad]
    return {"dry_run": dry_run, "payer": plan.payer, "days": days, "counts": plan.counts, "trips": rows, "bad": bad,
            "hint": plan.hint}  # fmt: skip


def _row(entry: Entry) -> dict[str, Any]:
    return {
        "what": entry.what,
        "ref": entry.ref,
        "line": entry.line,
        "pickup_at": entry.pickup_at,
        "changes": [change.field for change in entry.changes],
        "said": entry.said,
    }


def _print(plan: Plan, dry_run: bool, settings: Settings) -> None:
    counts = ", ".join(f"{count} {what}" for what, count in plan.counts.items() if count) or "nothing in it"
    click.echo(f"{'Would be: ' if dry_run else ''}{counts}.")
    if plan.hint:
        click.echo(plan.hint)
    told = [entry for entry in plan.entries if entry.what in ("changed", "cancelled", "kept")]
    if dry_run:
        told += plan.of("added")
    if told:
        rows = [{**_row(entry), "pickup_at": local(entry.pickup_at, settings.zone),
                 "changes": ", ".join(change.field for change in entry.changes)} for entry in told]  # fmt: skip
        print_list(rows, as_json=False, empty="", right=("line",))
    if plan.bad:
        click.echo("Left out:")
        bad = [{"line": row.line, "column": row.column, "expected": row.expected} for row in plan.bad]
        print_list(bad, as_json=False, empty="", right=("line",))
