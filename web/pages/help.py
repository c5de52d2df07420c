"""`/help`: what each state and colour means, and the keys."""

from __future__ import annotations

from typing import Any

from litestar import get
from litestar.response import Template

from web import cards, signs
from web.pages import shell
from web.parts import Given


@get("/help", sync_to_thread=True, include_in_schema=False)
def help_page(parts: Given) -> Template:
    return shell.page(
        parts,
        "help_page.html",
        here="/help",
        trips=[(cards.STATE_TITLES[state], text) for state, text in signs.TRIPS.items()],
        jobs=signs.JOBS,
        invoices=signs.INVOICES,
        health=signs.HEALTH,
        colours=signs.COLOURS,
    )


HANDLERS: list[Any] = [help_page]
