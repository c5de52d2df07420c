"""`depotbox trip`: a day's manifest in, the trips out."""

from __future__ import annotations

from typing import IO

import click
import msgspec

from appliance import clock, log, manifest
from appliance.cli.depot import opened, operator
from appliance.cli.options import LIMIT, json_option, with_settings
from appliance.cli.tables import local, print_list
from appliance.config import Settings
from appliance.domain.trip import State
from appliance.errors import InputError
from appliance.events import Publisher
from appliance.storage import board


@click.group()
def trip() -> None:
    """Import and list trips."""
    log.configure("cli", "error")  # onto standard error, away from what is printed for programs


@trip.command("import")
@click.argument("file", type=click.File("rb"))
@json_option
@with_settings
def import_(settings: Settings, file: IO[bytes], as_json: bool) -> int:
    """Make the trips of a manifest: a CSV file whose first line names its columns ("-": standard input).

    \b
    Required: ref, pickup_at, pickup_address, dropoff_address
    Optional: level, payer, patient, appointment_at, driver, vehicle,
              pickup_lat, pickup_lon, dropoff_lat, dropoff_lon

    A ref that is known already is left as it is. Exit code 65: some rows were left out, as listed.
    """
    from appliance.sender import Sender  # here: nothing else waits for Celery

    with opened(settings) as db:
        report = manifest.import_csv(db, file.read(), zone=settings.zone, now=clock.now(), who=operator())
    Sender(settings).send(report.jobs)
    Publisher(settings.paths.redis_socket).publish(*report.events)
    if as_json:
        told = {"added": report.added, "unchanged": report.unchanged, "bad": report.bad}
        click.echo(msgspec.json.encode(told).decode())
    else:
        click.echo(f"{report.added} added, {report.unchanged} known already, {len(report.bad)} left out")
        if report.bad:
            rows = [msgspec.structs.asdict(row) for row in report.bad]
            print_list(rows, as_json=False, empty="", right=("line",))
    return InputError.exit_code if report.bad else 0


@trip.command("list")
@click.option("--state", type=click.Choice([state.value for state in State]), help="Only trips in this state.")
@click.option("--limit", type=LIMIT, default=100, show_default=True, help="How many at most.")
@json_option
@with_settings
def list_(settings: Settings, state: str | None, limit: int, as_json: bool) -> None:
    """List trips, the latest pickup first. Who travels, and from where to where, is on the pages only."""
    with opened(settings) as db:
        found, total = board.trips(db, state, None, None, limit, 0)
    rows = [
        {
            "id": one["id"],
            "ref": one["ref"],
            "state": one["state"],
            "pickup_at": one["pickup_at"] if as_json else local(one["pickup_at"], settings.zone),
            "level": one["level"],
            "vehicle": one["vehicle"],
            "driver": one["driver"],
            "invoice": one["invoice_number"],
            "unbilled": one["unbilled_reason"],
        }
        for one in found
    ]
    print_list(rows, as_json=as_json, total=total, empty="no such trips", right=("id",))
