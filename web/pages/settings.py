"""`/system/depot`: what only the depot knows, after the set-up: its details, its mail relay, its central office."""

from __future__ import annotations

from typing import Any

from litestar import Router, get, post
from litestar.response import Template

from appliance import setup as setups
from appliance.errors import DepotError
from web import setup
from web.forms import Form, refused
from web.pages import sections
from web.parts import Given, Parts
from web.typed import Fields

FORM = "depot"


@get("/", sync_to_thread=True, include_in_schema=False)
def settings_page(parts: Given) -> Template:
    return _page(parts)


@post("/", sync_to_thread=True, status_code=200, include_in_schema=False)
def settings_change(parts: Given, data: Fields) -> Template:
    typed = {name: text.replace("\r\n", "\n").strip()[: setup.LONGEST_TEXT] for name, text in data.items()}
    values = setup.values_of(parts, typed)
    if "forget" in typed:
        values["mail.password"] = ""
    elif not values.get("mail.password"):
        values.pop("mail.password", None)  # the page never shows it: empty is as it was
    if said := setups.complaints(parts.settings, values):
        problems = {key: f"{text[0].upper()}{text[1:]}." for key, text in said.items()}
        return _page(parts, form=Form(FORM, _shown_again(typed), {"": "Something is not right yet."} | problems))
    try:
        with parts.db() as db:
            changed = setups.change(
                db, parts.settings, values, seen=typed.get("version", ""), who=parts.who, now=parts.now()
            )
    except DepotError as error:
        return _page(parts.reloaded(), form=refused(FORM, _shown_again(typed), error))
    done = "Saved. The whole box goes by it within seconds; invoices that were issued stay as they are."
    return _page(parts.reloaded() if changed else parts, done=done if changed else "Nothing was changed.")


def _shown_again(typed: dict[str, str]) -> dict[str, str]:
    return {name: text for name, text in typed.items() if name not in ("mail.password", "version")}


def _page(parts: Parts, *, done: str = "", form: Form | None = None) -> Template:
    return sections.page(
        parts,
        "system_depot.html",
        here="/system/depot",
        done=done,
        form=form,
        values=setup.present(parts),
        fixed=setups.fixed(parts.settings),
        has_password=bool(parts.settings.mail.password),
        version=setups.version(parts.settings),
        zones=setup.zones(),
        name=FORM,
    )


HANDLERS: list[Any] = [Router("/system/depot", route_handlers=[settings_page, settings_change])]
