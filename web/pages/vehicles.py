"""`/vehicles`: the fleet; `/vehicles/{code}`: one vehicle, its devices and what they are set up with, its outages."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import date
from typing import Annotated, Any, Literal

from litestar import Router, get, post
from litestar.params import FromPath, QueryParameter
from litestar.response import Template
from markupsafe import Markup
from sqlite_utils import Database

from appliance import alerts, device_setup, vehicle_desk
from appliance import fleet as fleet_desk
from appliance.device_setup import Credentials, Model
from appliance.domain.access import Permission
from appliance.domain.trip import LevelOfService
from appliance.errors import DepotError, InputError, NotFound
from appliance.storage import alerts as alert_rows
from appliance.storage import devices
from appliance.storage import vehicles as vehicle_rows
from appliance.storage.db import Row, write_tx
from appliance.storage.times import parse, parse_or_none
from appliance.vehicle_desk import VehicleDetails
from web import cards
from web.api.answers import Vehicle, levels
from web.api.devices import must_be_of
from web.api.vehicles import fleet
from web.forms import Form, refused
from web.lists import ROWS, Listing, PageNumber, Search, offset
from web.pages import shell
from web.papers import paper
from web.parts import Given, Parts
from web.typed import Fields, day, text, version

OUTAGES_SHOWN = 50
MODELS = {None: "Any MQTT device", Model.owntracks: "Phone with OwnTracks", Model.teltonika: "Teltonika"}

Show = Annotated[Literal["", "papers", "disabled"], QueryParameter(name="show")]


@get("/", sync_to_thread=True, include_in_schema=False)
def vehicles_page(parts: Given, page: PageNumber = 1, show: Show = "", q: Search = "") -> Template:
    return _list(parts, page=page, show=show, q=q.strip())


@post("/", sync_to_thread=True, status_code=200, include_in_schema=False)
def vehicle_add(parts: Given, data: Fields) -> Template:
    code = data.get("code", "").strip()
    try:
        with parts.db() as db:
            made = fleet_desk.add_vehicle(
                db, parts.settings, code, name=data.get("name", "").strip(), plate=data.get("plate", "").strip(),
                levels=_levels(data), certificate="certificate" in data, now=parts.now(), who=parts.who,
            )  # fmt: skip
    except DepotError as error:
        return _list(parts, form=refused("add", data, error))
    page = _one(parts, code, made=made, done=f"{code} is added. Set its first device up with the card below.")
    page.headers["HX-Push-Url"] = f"/vehicles/{code}"
    return page


@get("/{code:str}", sync_to_thread=True, include_in_schema=False)
def vehicle_page(parts: Given, code: FromPath[str]) -> Template:
    return _one(parts, code)


@post("/{code:str}", sync_to_thread=True, status_code=200, include_in_schema=False)
def vehicle_change(parts: Given, code: FromPath[str], data: Fields) -> Template:
    try:
        details = VehicleDetails(
            **text(data, ("name", "plate")), levels=_levels(data), documents_expire_on=day(data, "documents_expire_on")
        )
        with parts.db() as db, write_tx(db) as tx:
            event = vehicle_desk.change(tx, code, details, version=version(data), now=parts.now(), who=parts.who)
    except DepotError as error:
        return _one(parts, code, form=refused("edit", data, error))
    parts.publisher.publish(event)
    return _one(parts, code, done=f"{code} is changed.")


@post("/{code:str}/disable", sync_to_thread=True, status_code=200, include_in_schema=False)
def vehicle_disable(parts: Given, code: FromPath[str]) -> Template:
    def act(db: Database) -> str:
        event = vehicle_desk.disable(db, parts.settings, code, now=parts.now(), who=parts.who)
        parts.publisher.publish(event)
        return f"{code} is out of service. Its devices are shut out, and what it drove stays readable."

    return _acted(parts, code, "disable", act)


@post("/{code:str}/enable", sync_to_thread=True, status_code=200, include_in_schema=False)
def vehicle_enable(parts: Given, code: FromPath[str]) -> Template:
    def act(db: Database) -> str:
        event = vehicle_desk.enable(db, parts.settings, code, now=parts.now(), who=parts.who)
        parts.publisher.publish(event)
        return f"{code} is in service again, with the devices that it had."

    return _acted(parts, code, "enable", act)


@post("/{code:str}/devices", sync_to_thread=True, status_code=200, include_in_schema=False)
def vehicle_device_add(parts: Given, code: FromPath[str], data: Fields) -> Template:
    try:
        with parts.db() as db:
            made = fleet_desk.add_device(
                db, parts.settings, code, source="source" in data, certificate="certificate" in data,
                now=parts.now(), who=parts.who,
            )  # fmt: skip
    except DepotError as error:
        return _one(parts, code, form=refused("device", data, error))
    return _one(parts, code, made=made, done=f"{made.username} is added. Set it up with the card below.")


@post("/{code:str}/devices/{username:str}/source", sync_to_thread=True, status_code=200, include_in_schema=False)
def vehicle_device_source(parts: Given, code: FromPath[str], username: FromPath[str]) -> Template:
    def act(db: Database) -> str:
        must_be_of(db, code, username)
        fleet_desk.make_source(db, username, now=parts.now(), who=parts.who)
        return f"The position of {code} comes from {username} from now on."

    return _acted(parts, code, f"source-{username}", act)


@post("/{code:str}/devices/{username:str}/revoke", sync_to_thread=True, status_code=200, include_in_schema=False)
def vehicle_device_revoke(parts: Given, code: FromPath[str], username: FromPath[str]) -> Template:
    def act(db: Database) -> str:
        must_be_of(db, code, username)
        fleet_desk.revoke_device(db, parts.settings, username, now=parts.now(), who=parts.who)
        return f"{username} is shut out for good."

    return _acted(parts, code, f"revoke-{username}", act)


@post("/{code:str}/devices/{username:str}/replace", sync_to_thread=True, status_code=200, include_in_schema=False)
def vehicle_device_replace(parts: Given, code: FromPath[str], username: FromPath[str], data: Fields) -> Template:
    try:
        with parts.db() as db:
            must_be_of(db, code, username)
            made = fleet_desk.replace_device(
                db, parts.settings, username, certificate="certificate" in data, now=parts.now(), who=parts.who
            )
    except DepotError as error:
        return _one(parts, code, form=refused(f"replace-{username}", data, error))
    done = f"{made.username} takes the place of {username}, which is shut out for good. Set it up with the card below."
    return _one(parts, code, made=made, done=done)


def _acted(parts: Parts, code: str, form: str, act: Callable[[Database], str]) -> Template:
    """Does it, and shows the vehicle with what was done or with the refusal."""
    try:
        with parts.db() as db:
            done = act(db)
    except DepotError as error:
        return _one(parts, code, form=refused(form, {}, error))
    return _one(parts, code, done=done)


def _list(
    parts: Parts, *, page: int = 1, show: str = "", q: str = "", done: str = "", form: Form | None = None
) -> Template:
    today = _today(parts)
    with parts.db() as db:
        every = vehicle_rows.every(db)
        seen = {one.code: one for one in fleet(db, parts)}
        counts = Counter(row["vehicle_id"] for row in devices.listed(db) if row["revoked_at"] is None)
    groups: dict[str, list[dict[str, Any]]] = {"": [], "papers": [], "disabled": []}
    for row in every:
        one = _shown(parts, row, seen.get(row["code"]), today) | {"devices": counts[row["id"]]}
        groups["disabled" if row["disabled_at"] else ""].append(one)
        if one["papers"].tone and not row["disabled_at"]:
            groups["papers"].append(one)
    words = q.casefold().split()
    found = [one for one in groups[show] if all(word in _searched(one["row"]) for word in words)]
    shown = found[offset(page) : offset(page) + ROWS]
    return shell.page(
        parts, "vehicles.html", here="/vehicles", done=done, form=form,
        listing=Listing("/vehicles", shown, len(found), page, (("show", show), ("q", q))),
        counts={group: len(members) for group, members in groups.items()},
        levels=list(LevelOfService), certificates=bool(parts.settings.mqtt.certificate_port),
    )  # fmt: skip


def _one(
    parts: Parts, code: str, *, made: Credentials | None = None, done: str = "", form: Form | None = None
) -> Template:
    with parts.db() as db:
        row = vehicle_rows.by_code(db, code)
        if row is None:
            raise NotFound("no such vehicle", subject=code)
        seen = next((one for one in fleet(db, parts) if one.code == code), None)
        its = [device for device in devices.listed(db) if device["vehicle_id"] == row["id"]]
        outages = alert_rows.of_vehicle(db, row["id"], OUTAGES_SHOWN)
    return shell.page(
        parts, "vehicle.html", here="/vehicles", done=done, form=form,
        vehicle=_shown(parts, row, seen, _today(parts)),
        devices=[_device(parts, device) for device in its] if parts.may(Permission.administer) else [],
        outages=[_outage(parts, alert) for alert in outages],
        card=_card(parts, made) if made else None,
        levels=list(LevelOfService), certificates=bool(parts.settings.mqtt.certificate_port),
    )  # fmt: skip


def _shown(parts: Parts, row: Row, seen: Vehicle | None, today: date) -> dict[str, Any]:
    """What list and page show of a vehicle; `state` is empty out of service."""
    position = seen.position if seen else None
    return {
        "row": row,
        "levels": levels(row["levels"]),
        "state": seen.state.value if seen else "",
        "at": cards.moment(position.at, parts.now(), parts.settings.zone) if position else None,
        "trip": seen.trip if seen else None,
        "driver": (seen.driver_name or seen.driver) if seen else None,
        "papers": paper("documents", row["documents_expire_on"], today),
    }


def _searched(row: Row) -> str:
    return "\n".join((row["code"], row["name"], row["plate"])).casefold()


def _device(parts: Parts, row: Row) -> dict[str, Any]:
    now, zone = parts.now(), parts.settings.zone
    revoked = parse_or_none(row["revoked_at"])
    return {
        "username": row["username"],
        "source": bool(row["position_source"]) and revoked is None,
        "added": cards.moment(parse(row["created_at"]), now, zone),
        "revoked": cards.moment(revoked, now, zone) if revoked else None,
    }


def _outage(parts: Parts, row: Row) -> dict[str, Any]:
    now, zone = parts.now(), parts.settings.zone
    since, closed = parse(row["since"]), parse_or_none(row["closed_at"])
    return {
        "text": alerts.told(row, parts.settings, now),
        "state": row["state"],
        "since": cards.moment(since, now, zone),
        "closed": cards.moment(closed, now, zone) if closed else None,
        "lasted": cards.minutes((closed or now) - since),
        "trip_id": row["trip_id"],
        "trip": row["trip_ref"] or f"#{row['trip_id']}",
        "driver": row["driver_name"] or row["driver"],
    }


def _card(parts: Parts, made: Credentials) -> dict[str, Any]:
    """All that a new device is set up with, for each model in its own words. It is shown now and never again."""
    shown = [model for model in MODELS if made.password or model is not Model.owntracks]
    files = [
        ("certificate", "crt", made.certificate),
        ("key", "key", made.key),
        ("CA certificate", "pem", made.ca_certificate),
    ]
    return {
        "made": made,
        "models": [
            {
                "key": model.value if model else "any",
                "title": MODELS[model],
                "lines": device_setup.lines(made, model),
                "qr": Markup(device_setup.qr_inline(device_setup.qr_code(made, model), f"QR code for {made.username}")),  # noqa: S704 - drawn by segno
            }
            for model in shown
        ],
        "files": [
            {
                "title": title,
                "name": f"{made.username}.{suffix}" if suffix != "pem" else "ca.crt",
                "address": f"data:application/x-pem-file;base64,{base64.b64encode(pem.encode()).decode()}",
            }
            for title, suffix, pem in files
            if pem
        ],
        "guessed": bool(made.ca_file) and not parts.settings.mqtt.public_host,
    }


def _levels(typed: Mapping[str, str]) -> list[LevelOfService]:
    found = [level for level in LevelOfService if f"level_{level}" in typed]
    if not found:
        raise InputError("expected at least one", subject="levels of service")
    return found


def _today(parts: Parts) -> date:
    return parts.now().astimezone(parts.settings.zone).date()


HANDLERS: list[Any] = [
    Router("/vehicles", route_handlers=[
        vehicles_page, vehicle_add, vehicle_page, vehicle_change, vehicle_disable, vehicle_enable,
        vehicle_device_add, vehicle_device_source, vehicle_device_revoke, vehicle_device_replace,
    ]),
]  # fmt: skip
