"""`depotbox fixes`: how many are stored, which were rejected, restoring one of these, and trails as files."""

from __future__ import annotations

import json
from datetime import datetime

import click
from msgspec import structs

from appliance import clock, fix_desk, log, trails
from appliance.cli.depot import opened, operator
from appliance.cli.options import ID, LIMIT, Instant, Number, json_option, with_settings
from appliance.cli.tables import local, print_list, shown
from appliance.config import Settings
from appliance.domain.fix import Reason
from appliance.errors import DepotError
from appliance.storage.gps import Store
from appliance.storage.times import text
from appliance.trail_formats import MEDIA_TYPES, Format, written

SHOWN_CHARS = 80


@click.group()
def fixes() -> None:
    """Count fixes, look at rejected ones and restore them, take trails out."""
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
@click.option("--limit", type=LIMIT, default=100, show_default=True, help="How many at most.")
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


@fixes.command()
@click.option("--trip", "trip_id", type=ID, required=True, help="The trip's number.")
@json_option
@with_settings
def outliers(settings: Settings, trip_id: int, as_json: bool) -> None:
    """List the fixes of a trip that the others contradict: they are in neither its trail nor its distance, unless a
    person overruled that."""
    with opened(settings) as db:
        found = trails.outliers(db, Store(settings.paths.gps_dir), settings, trip_id, clock.now())
    items = [structs.asdict(one) | {"at": text(one.at)} for one in found]  # as `overrule` takes it
    print_list(items, as_json=as_json, empty="no outliers", right=("lat", "lon", "speed_kmh"))


@fixes.command()
@click.argument("times", metavar="TIME...", nargs=-1, required=True, type=Instant())
@click.option("--trip", "trip_id", type=ID, required=True, help="The trip's number.")
@click.option("--undo", is_flag=True, help="Leave them out again.")
@with_settings
def overrule(settings: Settings, times: tuple[datetime, ...], trip_id: int, undo: bool) -> None:
    """Keep outliers of a trip in its trail and distance after all, by the times that `outliers` lists."""
    from appliance.sender import Sender  # here: nothing else waits for Celery

    with opened(settings) as db:
        for at in times:
            asks = fix_desk.overrule(db, settings, trip_id, at, operator(), clock.now(), undo=undo)
            Sender(settings).send(asks or ())
            so = "left out" if undo else "kept"
            click.echo(f"{text(at)} is {so}." if asks is not None else f"{text(at)} was {so} before.")


@fixes.command()
@click.option("--vehicle", "code", help="The vehicle's code; with --start and --end.")
@click.option("--trip", "trip_id", type=ID, help="The trip's number, in place of a vehicle and times.")
@click.option("--start", type=Instant(), help="From when on: 2026-01-26T08:00:00Z.")
@click.option("--end", type=Instant(), help="Up to when; now if it is left out.")
@click.option("--format", "format", type=click.Choice([*MEDIA_TYPES]), default="csv", show_default=True)
@click.option("--tolerance", "tolerance_m", type=Number(0, 100_000), help="Thin it: metres off the line.")
@with_settings
def export(
    settings: Settings,
    code: str | None,
    trip_id: int | None,
    start: datetime | None,
    end: datetime | None,
    format: Format,
    tolerance_m: float | None,
) -> None:
    """Print a trail without its outliers as CSV, GPX or GeoJSON, its stops included (not in CSV)."""
    log.configure("cli", "critical")  # damaged days are said below
    if (code is None) == (trip_id is None) or (code is not None) != (start is not None) or (end and not start):
        raise click.UsageError("expected --vehicle with --start (and --end), or --trip")
    with opened(settings) as db:
        store = Store(settings.paths.gps_dir)
        if code is not None and start is not None:
            track = trails.of_vehicle(db, store, settings, code, start, end or clock.now(), tolerance_m=tolerance_m)
        else:
            track = trails.of_trip(db, store, settings, trip_id or 0, clock.now(), tolerance_m=tolerance_m)
    for piece in written(track, format):
        click.echo(piece, nl=False)
    for day in track.damaged_days:
        click.echo(f"depotbox: {day}: a part of this day's fixes is damaged and missing", err=True)


@fixes.command()
@click.option("--vehicle", "code", required=True, help="The vehicle's code.")
@click.option("--start", type=Instant(), required=True, help="From when on: 2026-01-26T08:00:00Z.")
@click.option("--end", type=Instant(), help="Up to when; now if it is left out.")
@json_option
@with_settings
def stops(settings: Settings, code: str, start: datetime, end: datetime | None, as_json: bool) -> None:
    """List where a vehicle stood for 120 s or more."""
    with opened(settings) as db:
        store = Store(settings.paths.gps_dir)
        found = trails.of_vehicle(db, store, settings, code, start, end or clock.now()).stops
    items = [
        {
            "start": text(stop.start) if as_json else local(text(stop.start), settings.zone),
            "end": text(stop.end) if as_json else local(text(stop.end), settings.zone),
            "duration_s": round(stop.duration_s),
            "lat": round(stop.lat, 6),
            "lon": round(stop.lon, 6),
        }
        for stop in found
    ]
    print_list(items, as_json=as_json, empty="no stops", right=("duration_s", "lat", "lon"))


def shortened(payload: bytes) -> str:
    """How a payload begins, as text."""
    began = shown(payload[: 4 * SHOWN_CHARS].decode(errors="replace"))
    return began if len(began) <= SHOWN_CHARS else began[: SHOWN_CHARS - 1] + "…"
