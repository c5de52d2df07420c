"""`depotbox simulate`."""

from __future__ import annotations

import sys

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from appliance import log
from appliance.cli.depot import opened
from appliance.cli.options import Number, json_option, with_settings
from appliance.config import Settings
from appliance.errors import Unavailable
from mqtt_bridge import simulate as simulation
from mqtt_bridge import traffic
from mqtt_bridge.load import Plan
from mqtt_bridge.simulate import Report, Spread

LONGEST_S = 7 * 86_400


@click.command()
@click.option("--vehicles", type=click.IntRange(1, 20_000), required=True, help="How many drive: SIM-001, SIM-002, ...")
@click.option("--rate", type=Number(0.001, 1000), required=True, help="Fixes a second from each of them.")
@click.option("--duration", type=Number(0.001, LONGEST_S), required=True, help="Seconds, up to a week.")
@click.option("--format", "form", type=click.Choice(list(traffic.FORMATS)), default="native", help="Of the payloads.")
@click.option("--batch", type=click.IntRange(1, 500), default=1, help="Fixes in a message.")
@click.option(
    "--sessions",
    type=click.Choice(["shared", "each"]),
    default="shared",
    help="One connection of the box's own for all, or one for each vehicle through the devices' listener.",
)
@json_option
@with_settings
def simulate(
    settings: Settings,
    vehicles: int,
    rate: float,
    duration: float,
    form: str,
    batch: int,
    sessions: str,
    as_json: bool,
) -> None:
    """Load the running box with simulated vehicles, and say what became of every fix.

    Exit code 69: some were lost or not acknowledged.
    """
    log.configure("simulate", "warning")
    if not settings.paths.mqtt_socket.exists():
        raise Unavailable(
            "the box does not run on this data folder", subject=settings.storage.data_dir, hint="depotbox run"
        )
    plan = Plan(
        vehicles=vehicles, rate_hz=rate, duration_s=duration, form=form, batch=batch, own_sessions=sessions == "each"
    )
    console = Console(file=sys.stderr)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with opened(settings) as db, Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        tasks: dict[str, TaskID] = {}

        def progress(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done)

        report = simulation.run(db, settings, plan, progress if console.is_terminal else lambda *_: None)
    if as_json:
        click.echo(msgspec.json.encode(report))
    else:
        _print(report)
    if report.lost:
        raise Unavailable(f"{report.lost} fixes were lost", hint="depotbox status")
    if report.acknowledged < report.sent:
        raise Unavailable(f"{report.sent - report.acknowledged} fixes were not acknowledged", hint="depotbox status")


def _print(report: Report) -> None:
    table = Table(box=None, show_header=False)
    for name, text in (
        ("messages sent", f"{report.messages}"),
        ("acknowledged by the broker", f"{report.messages_acknowledged}"),
        ("fixes sent", f"{report.sent}"),
        ("acknowledged by the box", f"{report.acknowledged}"),
        ("stored", f"{report.stored}"),
        ("rejected", f"{report.rejected}"),
        ("lost", f"{report.lost}"),
        ("fixes a second", f"{report.fixes_per_s:.0f} over {report.seconds:.1f} s"),
        ("load fell behind by", f"{report.behind_ms:.0f} ms"),
        ("publish to commit", _text(report.commit)),
        ("publish to the live feed", _text(report.live)),
    ):
        table.add_row(name, text)
    Console().print(table)


def _text(spread: Spread | None) -> str:
    if spread is None:
        return "not seen"
    return f"p50 {spread.p50_ms:.1f}  p90 {spread.p90_ms:.1f}  p99 {spread.p99_ms:.1f}  most {spread.max_ms:.1f} ms"
