"""`depotbox status`: what runs, since when, and its memory."""

from __future__ import annotations

import click
import msgspec

from appliance.cli.options import json_option, with_settings
from appliance.config import Settings
from appliance.supervisor.report import Report, measure

EX_NOT_RUNNING = 3  # as `systemctl status` has it

_COLOURS = {"ready": "green", "done": "dim", "stopped": "dim", "failed": "bold red", "backoff": "yellow"}


@click.command()
@json_option
@with_settings
def status(settings: Settings, as_json: bool) -> int:
    """Show what runs, since when, and its memory. Exit code 3: the box does not run."""
    report = measure(settings.paths)
    if as_json:
        click.echo(msgspec.json.encode(report).decode())
    elif report.running:
        _print(report)
    else:
        click.echo(f"not running ({settings.storage.data_dir})")
    if report.damaged_days and not as_json:
        days = ", ".join(day.isoformat() for day in report.damaged_days)
        click.secho(f"damaged fixes: {days} (docs/storage.md, Damaged days)", fg="red")
    return 0 if report.running else EX_NOT_RUNNING


def _print(report: Report) -> None:
    from rich.console import Console  # here: `--json` does not wait for it
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("role", "state"):
        table.add_column(heading)
    for heading in ("pid", "up", "restarts", "memory"):
        table.add_column(heading, justify="right")
    table.add_column("last exit")
    for role in report.roles:
        colour = _COLOURS.get(role.state, "cyan")
        table.add_row(
            role.name,
            f"[{colour}]{role.state}[/]",
            "" if role.pid is None else str(role.pid),
            "" if role.uptime_s is None else duration(role.uptime_s),
            str(role.restarts or ""),
            megabytes(role.memory_bytes),
            role.last_exit or "",
        )
    console = Console()
    console.print(table)
    console.print(f"\nmemory of all: {megabytes(report.memory_bytes)}", highlight=False)


def duration(seconds: float) -> str:
    """Two units at most: `42 s`, `5 min`, `3 h 12 min`, `6 d 4 h`."""
    minutes = int(seconds) // 60
    if minutes == 0:
        return f"{int(seconds)} s"
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 24 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes // 1440} d {minutes // 60 % 24} h"


def megabytes(size: int | None) -> str:
    return "" if size is None else f"{size / 1024**2:.0f} MiB"
