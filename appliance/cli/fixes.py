"""`depotbox fixes`: how many positions are stored, which were rejected, and restoring one of these."""

from __future__ import annotations

import json

import click

from appliance import clock, fix_desk, log
from appliance.cli.depot import opened, operator
from appliance.cli.options import json_option, with_settings
from appliance.cli.tables import local, print_list, shown
from appliance.config import Settings
from appliance.domain.fix import Reason
from appliance.errors import DepotError
from appliance.storage.gps import Store

SHOWN_CHARS = 80


@click.group()
def fixes() -> None:
    """Count fixes, look at rejected ones, and restore them."""
    log.configure("cli", "error")  # onto standard error, away from what is printed for programs


@fixes.command()
@json_option
@with_settings
def count(settings: Settings, as_json: bool) -> None:
    """Print how many fixes are stored, over all days that are kept."""
    with opened(settings):  # says so where there is no depot
        total = Store(settings.paths.gps_dir).count()
    click.echo(json.dumps({"count": total}) if as_json else total)


@fixes.command()
@click.option("--vehicle", metavar="CODE", help="Only those on topics of this vehicle.")
@click.option("--reason", type=click.Choice(list(Reason)), help="Only those rejected for this.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="How many at most.")
@json_option
@with_settings
def rejected(settings: Settings, vehicle: str | None, reason: str | None, limit: int, as_json: bool) -> None:
    """List the newest rejected fixes: what was wrong, what was allowed, and how the payload began."""
    with opened(settings):
        found, total = Store(settings.paths.gps_dir).rejected(limit, vehicle=vehicle, reason=reason)
    for one in found:
        one["payload"] = shortened(one["payload"])
        if not as_json:
            one |= {key: local(one[key], settings.zone) for key in ("received_at", "restored_at")}
    print_list(found, as_json=as_json, total=total, empty="no rejected fixes")


@fixes.command()
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@click.option("--vehicle", metavar="CODE", help="Whose it is, where no known device sent it.")
@with_settings
def restore(settings: Settings, ids: tuple[str, ...], vehicle: str | None) -> int:
    """Store rejected fixes after all, by the ids that `rejected` lists. Their trips are measured again."""
    code = 0
    with opened(settings) as db:
        for id in ids:
            try:
                new = fix_desk.restore(db, settings, id, operator(), clock.now(), vehicle=vehicle)
            except DepotError as error:  # the others are restored all the same
                click.echo(f"depotbox: {shown(error)}", err=True)
                code = code or error.exit_code
            else:
                click.echo(f"{id} is restored." if new else f"{id} was restored before.")
    return code


def shortened(payload: bytes) -> str:
    """How a payload begins, as text."""
    text = shown(payload[: 4 * SHOWN_CHARS].decode(errors="replace"))
    return text if len(text) <= SHOWN_CHARS else text[: SHOWN_CHARS - 1] + "…"
