"""`/api/v1/vehicles/{code}/devices`: what reports from a vehicle."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from litestar import get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, RequestBody
from msgspec import Struct
from sqlite_utils import Database

from appliance import fleet
from appliance.device_setup import Credentials
from appliance.errors import NotFound
from appliance.storage import devices, vehicles
from web.api.answers import Page, make
from web.parts import Given
from web.problems import Problem


class NewDevice(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A device to add. With `source` the vehicle's position comes from it at once; the first one is it anyway. With
    `certificate` it logs in with one."""

    source: bool = False
    certificate: bool = False


class Replacement(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The device that takes the place of another."""

    certificate: bool = False


class Device(Struct, frozen=True, kw_only=True):
    """A device; nothing secret."""

    username: str
    position_source: bool
    created_at: datetime
    revoked_at: datetime | None


@get("/vehicles/{code:str}/devices", sync_to_thread=True, summary="The devices of a vehicle, the revoked ones too")
def list_devices(parts: Given, code: FromPath[str]) -> Page[Device]:
    with parts.db() as db:
        return _devices(db, code)


@post(
    "/vehicles/{code:str}/devices",
    sync_to_thread=True,
    summary="Add a device to a vehicle",
    responses={409: ResponseSpec(Problem, description="No listener for certificates, or the vehicle is disabled")},
)
def add_device(parts: Given, code: FromPath[str], data: RequestBody[NewDevice]) -> Credentials:
    """What the device is set up with, told now and never again, as for a new vehicle."""
    with parts.db() as db:
        return fleet.add_device(
            db, parts.settings, code, source=data.source, certificate=data.certificate, now=parts.now(), who=parts.who
        )


@post(
    "/vehicles/{code:str}/devices/{username:str}/revoke",
    sync_to_thread=True,
    status_code=200,
    summary="Shut a device out for good, at once",
)
def revoke_device(parts: Given, code: FromPath[str], username: FromPath[str]) -> Page[Device]:
    """When it was the position source, the oldest device that the vehicle still has becomes it."""
    with parts.db() as db:
        must_be_of(db, code, username)
        fleet.revoke_device(db, parts.settings, username, now=parts.now(), who=parts.who)
        return _devices(db, code)


@post(
    "/vehicles/{code:str}/devices/{username:str}/source",
    sync_to_thread=True,
    status_code=200,
    summary="Let the vehicle's position come from this device",
)
def make_source(parts: Given, code: FromPath[str], username: FromPath[str]) -> Page[Device]:
    with parts.db() as db:
        must_be_of(db, code, username)
        fleet.make_source(db, username, now=parts.now(), who=parts.who)
        return _devices(db, code)


@post(
    "/vehicles/{code:str}/devices/{username:str}/replace",
    sync_to_thread=True,
    summary="Shut a device out for good, and add another in its place",
    responses={409: ResponseSpec(Problem, description="No listener for certificates, or the vehicle is disabled")},
)
def replace_device(
    parts: Given, code: FromPath[str], username: FromPath[str], data: RequestBody[Replacement]
) -> Credentials:
    """What the new device is set up with, told now and never again. It is the position source where the old one was."""
    with parts.db() as db:
        must_be_of(db, code, username)
        return fleet.replace_device(
            db, parts.settings, username, certificate=data.certificate, now=parts.now(), who=parts.who
        )


def _devices(db: Database, code: str) -> Page[Device]:
    vehicle = vehicles.by_code(db, code)
    if vehicle is None:
        raise NotFound("no such vehicle", subject=code)
    of_it = [row for row in devices.listed(db) if row["vehicle_id"] == vehicle["id"]]
    found = [make(Device, row, position_source=bool(row["position_source"]) and not row["revoked_at"]) for row in of_it]
    return Page(found, len(found))


def must_be_of(db: Database, code: str, username: str) -> None:
    """Raises NotFound where it is no device of that vehicle."""
    if username not in {device.username for device in _devices(db, code).items}:
        raise NotFound("the vehicle has no such device", subject=username)


HANDLERS: list[Any] = [list_devices, add_device, revoke_device, make_source, replace_device]
