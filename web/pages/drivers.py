"""`/drivers`, and `/drivers/{code}`: one driver with licence, documents and shifts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Annotated, Any, Literal

from litestar import Router, get, post
from litestar.params import FromPath, QueryParameter
from litestar.response import Template

from appliance import driver_desk, shift_desk
from appliance.driver_desk import DriverDetails
from appliance.errors import DepotError
from appliance.storage import board, people, shifts, users, vehicles
from appliance.storage.db import Row, Tx, write_tx
from appliance.storage.times import parse
from web import cards
from web.forms import Form, refused
from web.lists import ROWS, Listing, PageNumber, Search, offset
from web.pages import shell
from web.papers import Paper, paper
from web.parts import Given, Parts
from web.typed import Fields, day, moment, needed_moment, text, version

SHIFTS_SHOWN = 30

Show = Annotated[Literal["", "papers", "disabled"], QueryParameter(name="show")]


@get("/", sync_to_thread=True, include_in_schema=False)
def drivers_page(parts: Given, page: PageNumber = 1, show: Show = "", q: Search = "") -> Template:
    return _list(parts, page=page, show=show, q=q.strip())


@post("/", sync_to_thread=True, status_code=200, include_in_schema=False)
def driver_add(parts: Given, data: Fields) -> Template:
    code = data.get("code", "").strip()
    try:
        with parts.db() as db, write_tx(db) as tx:
            driver_desk.add(tx, code, _details(data), who=parts.who, now=parts.now())
    except DepotError as error:
        return _list(parts, form=refused("add", data, error))
    page = _one(parts, code, done=f"{code} is added.")
    page.headers["HX-Push-Url"] = f"/drivers/{code}"
    return page


@get("/{code:str}", sync_to_thread=True, include_in_schema=False)
def driver_page(parts: Given, code: FromPath[str]) -> Template:
    return _one(parts, code)


@post("/{code:str}", sync_to_thread=True, status_code=200, include_in_schema=False)
def driver_change(parts: Given, code: FromPath[str], data: Fields) -> Template:
    def act(tx: Tx) -> str:
        driver_desk.change(tx, code, _details(data), version=version(data), who=parts.who, now=parts.now())
        return f"{code} is changed."

    return _acted(parts, code, "edit", data, act)


@post("/{code:str}/disable", sync_to_thread=True, status_code=200, include_in_schema=False)
def driver_disable(parts: Given, code: FromPath[str]) -> Template:
    def act(tx: Tx) -> str:
        ended = driver_desk.disable(tx, code, who=parts.who, now=parts.now())
        return f"{code} drives no more. {_shifts(ended)} ended."

    return _acted(parts, code, "disable", {}, act)


@post("/{code:str}/enable", sync_to_thread=True, status_code=200, include_in_schema=False)
def driver_enable(parts: Given, code: FromPath[str]) -> Template:
    def act(tx: Tx) -> str:
        driver_desk.enable(tx, code, who=parts.who, now=parts.now())
        return f"{code} drives again."

    return _acted(parts, code, "enable", {}, act)


@post("/{code:str}/shifts", sync_to_thread=True, status_code=200, include_in_schema=False)
def shift_add(parts: Given, code: FromPath[str], data: Fields) -> Template:
    zone = parts.settings.zone

    def act(tx: Tx) -> str:
        start, end = moment(data, "start", zone), needed_moment(data, "end", zone)
        shift_desk.add(tx, data.get("vehicle", ""), code, start, end, who=parts.who, now=parts.now())
        return f"The shift on {data['vehicle']} is added."

    return _acted(parts, code, "shift", data, act)


@post("/{code:str}/shifts/{shift_id:int}/end", sync_to_thread=True, status_code=200, include_in_schema=False)
def shift_end(parts: Given, code: FromPath[str], shift_id: FromPath[int]) -> Template:
    def act(tx: Tx) -> str:
        shift_desk.end(tx, shift_id, driver=code, who=parts.who, now=parts.now())
        return "The shift is over."

    return _acted(parts, code, "shift-end", {}, act)


def _acted(parts: Parts, code: str, form: str, typed: dict[str, str], act: Callable[[Tx], str]) -> Template:
    """Does it, and shows the driver with what was done or with the refusal."""
    try:
        with parts.db() as db, write_tx(db) as tx:
            done = act(tx)
    except DepotError as error:
        return _one(parts, code, form=refused(form, typed, error))
    return _one(parts, code, done=done)


def _details(typed: dict[str, str]) -> DriverDetails:
    given: dict[str, Any] = text(typed, ("name", "phone", "email", "licence_no"))
    if given.get("name") == "" and "code" in typed:
        del given["name"]  # a new driver's name is the code then
    if "user" in typed:
        given["user"] = typed["user"] or None
    given |= {name: day(typed, name) for name in ("licence_expires_on", "documents_expire_on") if name in typed}
    return DriverDetails(**given)


def _list(
    parts: Parts, *, page: int = 1, show: str = "", q: str = "", done: str = "", form: Form | None = None
) -> Template:
    today = _today(parts)
    with parts.db() as db:
        every = people.drivers(db)
        now_driving = {row["code"]: row for row in board.drivers(db)}
    groups: dict[str, list[dict[str, Any]]] = {"": [], "papers": [], "disabled": []}
    for row in every:
        papers = _papers(row, today)
        one = {"row": row, "papers": papers, "trip": now_driving.get(row["code"])}
        groups["disabled" if row["disabled_at"] else ""].append(one)
        if not row["disabled_at"] and any(each.tone for each in papers):
            groups["papers"].append(one)
    words = q.casefold().split()
    found = [one for one in groups[show] if all(word in _searched(one["row"]) for word in words)]
    shown = found[offset(page) : offset(page) + ROWS]
    return shell.page(
        parts, "drivers.html", here="/drivers", done=done, form=form,
        listing=Listing("/drivers", shown, len(found), page, (("show", show), ("q", q))),
        counts={group: len(members) for group, members in groups.items()},
    )  # fmt: skip


def _one(parts: Parts, code: str, *, done: str = "", form: Form | None = None) -> Template:
    with parts.db() as db:
        row = driver_desk.get(db, code)
        theirs = shifts.of_driver(db, row["id"], SHIFTS_SHOWN)
        fleet = [one["code"] for one in vehicles.every(db) if not one["disabled_at"]]
        known = users.listed(db)
        trip = next((one for one in board.drivers(db) if one["code"] == code), None)
    user = next((one["email"] for one in known if one["id"] == row["user_id"]), "")
    return shell.page(
        parts, "driver.html", here="/drivers", done=done, form=form,
        driver=row, user=user, trip=trip, papers=_papers(row, _today(parts)),
        shifts=[_shift(parts, one) for one in theirs],
        vehicles=[(one, one) for one in fleet],
        users=[(one["email"], f"{one['name']}, {one['email']}") for one in known if not one["disabled_at"]],
    )  # fmt: skip


def _shift(parts: Parts, row: Row) -> dict[str, Any]:
    now, zone = parts.now(), parts.settings.zone
    start, end = parse(row["starts_at"]), parse(row["ends_at"])
    return {
        "id": row["id"],
        "vehicle": row["vehicle"],
        "start": cards.moment(start, now, zone),
        "end": cards.moment(end, now, zone),
        "when": "over" if end <= now else "planned" if start > now else "now",
        "empty": start == end,
    }


def _papers(row: Row, today: date) -> list[Paper]:
    return [
        paper("licence", row["licence_expires_on"], today),
        paper("documents", row["documents_expire_on"], today),
    ]


def _searched(row: Row) -> str:
    return "\n".join((row["code"], row["name"], row["phone"], row["email"])).casefold()


def _shifts(count: int) -> str:
    return "1 shift" if count == 1 else f"{count} shifts"


def _today(parts: Parts) -> date:
    return parts.now().astimezone(parts.settings.zone).date()


HANDLERS: list[Any] = [
    Router("/drivers", route_handlers=[
        drivers_page, driver_add, driver_page, driver_change, driver_disable, driver_enable, shift_add, shift_end,
    ]),
]  # fmt: skip
