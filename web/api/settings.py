"""`/api/v1/settings`: what only the depot knows, as it was entered at the set-up or later."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import get, put
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import RequestBody
from msgspec import Meta, Struct

from appliance import config, setup
from web.parts import Given, Parts
from web.problems import Problem

LONGEST_TEXT = 2000


class Setting(Struct, frozen=True, kw_only=True):
    """A key of the configuration. `value` is what counts now; a secret that is set shows as stars. `fixed_in` names the
    file or the environment variable that has the key and wins over what is entered; null where it can be changed."""

    key: str
    value: str | float
    description: str
    fixed_in: str | None


class DepotSettings(Struct, frozen=True, kw_only=True):
    """What can be entered. `version` is another one with each change."""

    items: list[Setting]
    version: str


class NewSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Values by their keys, such as `mail.host`; what is left out stays. With `version` it counts only if nobody else
    was faster."""

    values: dict[str, Annotated[str, Meta(max_length=LONGEST_TEXT)] | float]
    version: Annotated[str, Meta(max_length=64)] | None = None


@get("/settings", sync_to_thread=True, summary="What only the depot knows: its details, mail relay, central office")
def get_settings(parts: Given) -> DepotSettings:
    return shown(parts)


@put(
    "/settings",
    sync_to_thread=True,
    summary="Change what only the depot knows, in effect within seconds",
    responses={409: ResponseSpec(Problem, description="Somebody else was faster, or invoices stand on it")},
)
def put_settings(parts: Given, data: RequestBody[NewSettings]) -> DepotSettings:
    values: setup.Values = {
        key: int(value) if isinstance(value, float) and value.is_integer() else value
        for key, value in data.values.items()
    }
    with parts.db() as db:
        setup.change(db, parts.settings, values, seen=data.version, who=parts.who, now=parts.now())
    return shown(parts.reloaded())


def shown(parts: Parts) -> DepotSettings:
    """What can be entered, as it is now."""
    fixed = setup.fixed(parts.settings)
    items = [
        Setting(key=key, value=value, description=description, fixed_in=fixed.get(key))
        for section, name, value, description in config.effective(parts.settings)
        if (key := f"{section}.{name}") in setup.KEYS
    ]
    return DepotSettings(items=items, version=setup.version(parts.settings))


HANDLERS: list[Any] = [get_settings, put_settings]
