"""`depotbox replay`."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from appliance import log
from appliance.cli.options import LocalTime, Number, json_option, with_settings
from appliance.config import Settings
from appliance.errors import Unavailable
from appliance.storage.db import open_depot
from mqtt_bridge import recording
from mqtt_bridge import replay as replays


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--speed", type=Number(0.001, 1e6), default=1.0, help="So many times as fast as recorded.")
@click.option("--create-trips", is_flag=True, help="Make the recording's vehicles and trips, and drive them.")
@click.option("--at", type=LocalTime(["%Y-%m-%dT%H:%M:%S"]), help="When the last fix falls (UTC); else now.")
@json_option
@with_settings
def replay(
    settings: Settings, file: Path, speed: float, create_trips: bool, at: datetime | None, as_json: bool
) -> None:
    """Publish a recorded day (CSV) over MQTT as its vehicles, into the running box.

    Columns: vehicle_id, trip_id, timestamp (UTC), latitude, longitude; bearing, origin, destination if known.
    """
    log.configure("replay", "warning")
    if not settings.paths.mqtt_socket.exists():
        raise Unavailable(
            "the box does not run on this data folder", subject=settings.storage.data_dir, hint="depotbox run"
        )
    recorded = recording.read(file)
    for line in recorded.bad:
        click.echo(line, err=True)
    console = Console(file=sys.stderr)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        tasks: dict[str, TaskID] = {}

        def progress(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done)

        report = replays.run(
            open_depot(settings.paths.depot_db),
            settings,
            recorded,
            speed=speed,
            create_trips=create_trips,
            at=at.replace(tzinfo=UTC) if at else None,
            progress=progress,
        )
    if as_json:
        click.echo(msgspec.json.encode(report))
    else:
        _print(report)
    if report.invoices < report.trips:
        raise Unavailable(f"{report.trips - report.invoices} trips have no invoice yet", hint="depotbox jobs list")
    if report.unanswered:
        raise Unavailable(f"{report.unanswered} fixes or events were not answered", hint="depotbox status")


def _print(report: replays.Report) -> None:
    table = Table(box=None, show_header=False)
    for name, number in (
        ("positions", report.positions),
        ("sent (repeats included)", report.sent),
        ("acknowledged", report.acknowledged),
        ("stored anew", report.stored),
        ("rejected", report.rejected),
        ("bad rows left out", report.bad_rows),
    ):
        table.add_row(name, str(number))
    if report.trips:
        table.add_row("trips completed", f"{report.trips_completed} of {report.trips}")
        table.add_row("invoices", str(report.invoices))
        table.add_row("invoice mails", str(report.mails))
    for reason in report.refused_events:
        table.add_row("event refused", reason)
    Console().print(table)
