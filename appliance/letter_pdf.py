"""What the box's letters about money have in common: the letterhead, the payer in the window of an envelope, the facts,
headings, and amounts in a column."""

from __future__ import annotations

from typing import Any

from fpdf.enums import XPos, YPos

from appliance.domain import invoice
from appliance.paper import ACCENT, BODY, GREY, LEFT, LINE, SMALL, TOP, WIDTH, Paper

Document = dict[str, Any]

# Millimetres. The window of a C5/6 or DL envelope shows 20..105 from the left, 45..90 from the top (DIN 5008 form B).
WINDOW_TOP, WINDOW_WIDTH, WINDOW_END = 47.0, 85.0, 92.0
FACTS_X, FACTS_WIDTH, FACTS_LABEL = 122.0, 68.0, 30.0


def begin(paper: Paper, kind: str, document: Document) -> None:
    """The first page of a letter, down to what stands beside the window."""
    issuer, payer = document["issuer"], document["payer"]
    paper.begin_letter(f"{kind} {document['number']}", f"{issuer['name']} · Tax ID {issuer['tax_id']}")
    _letterhead(paper, kind, issuer)
    _window(paper, issuer, payer)


def facts(
    paper: Paper, found: list[tuple[str, str]], amount_title: str, amount: str, label_width: float = FACTS_LABEL
) -> None:
    """Titles and values beside the window, the first one bold, and the amount that it is all about."""
    value_x, value_width = FACTS_X + label_width, FACTS_WIDTH - label_width
    paper.set_y(WINDOW_TOP)
    for label, value in found:
        paper.set_x(FACTS_X)
        paper.ink(BODY, GREY)
        paper.cell(label_width, LINE + 0.8, label)
        bold = label == found[0][0]
        text, size, _ = paper.fitting(value_width, LINE + 0.8, paper.clean(value)[:60], (BODY, 8, 7, 6), bold=bold)
        paper.ink(size, bold=bold)
        paper.block(value_x, value_width, text, LINE + 0.8, "R")
    paper.set_y(paper.y + 2)
    paper.rule(paper.y, ACCENT, 0.5, FACTS_X)
    paper.set_xy(FACTS_X, paper.y + 2)
    paper.ink(BODY, bold=True)
    paper.cell(label_width, 6, amount_title)
    paper.ink(11, bold=True)
    paper.block(value_x, value_width, amount, 6, "R")
    paper.set_y(max(WINDOW_END, paper.y + 6))


def sums(paper: Paper, rows: list[tuple[str, int]], total_title: str, total_cents: int, currency: str) -> None:
    """Net and taxes below the column of the amounts, and what they come to."""
    x, label = LEFT + 86, 44.0
    paper.set_y(paper.y + 2.5)
    paper.ink()
    for text, cents in rows:
        paper.set_x(x)
        paper.cell(label, LINE + 1, paper.clipped(paper.clean(text), label))
        paper.block(x + label, LEFT + WIDTH - x - label, bare(cents, currency), LINE + 1, "R")
    paper.set_y(paper.y + 1)
    paper.rule(paper.y, ACCENT, 0.5, x)
    paper.set_xy(x, paper.y + 1.5)
    paper.ink(11, bold=True)
    paper.cell(30, 7, total_title)
    paper.block(x + 30, LEFT + WIDTH - x - 30, invoice.money(total_cents, currency), 7, "R")


def heading(paper: Paper, text: str) -> None:
    paper.ink(10, ACCENT, bold=True)
    paper.block(LEFT, WIDTH, text, 5)
    paper.set_y(paper.y + 1.5)


def bare(cents: int, currency: str) -> str:
    """An amount without its currency, for a column that names it in its head."""
    return invoice.money(cents, currency).removeprefix(f"{currency} ")


def _letterhead(paper: Paper, title: str, issuer: Document) -> None:
    paper.set_y(TOP - 4)
    paper.ink(20, ACCENT, bold=True)
    paper.set_x(FACTS_X)
    paper.cell(FACTS_WIDTH, 9, title, align="R")
    paper.set_y(TOP - 3)
    width = FACTS_X - LEFT - 6
    name, size, line = paper.fitting(width, 18, paper.clean(issuer["name"]), (12, 10, 8), bold=True)
    paper.ink(size, bold=True)
    paper.block(LEFT, width, name, line)
    address = " · ".join(paper.lines_of(issuer["address"]))
    address, size, line = paper.fitting(width, WINDOW_TOP - 4 - paper.y, address, (SMALL, 6.5, 5.5))
    paper.ink(size, GREY)
    paper.block(LEFT, width, address, line)


def _window(paper: Paper, issuer: Document, payer: Document) -> None:
    """The payer, where a window envelope shows it, below one small line that says where to return the letter to."""
    paper.set_y(WINDOW_TOP)
    paper.ink(5.5, GREY)
    sender = " · ".join([paper.clean(issuer["name"]), *paper.lines_of(issuer["address"])])
    paper.cell(WINDOW_WIDTH, 3, paper.clipped(sender, WINDOW_WIDTH), new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    paper.set_y(paper.y + 2)
    text = "\n".join([paper.clean(payer["name"]), *paper.lines_of(payer["address"])])
    text, size, line = paper.fitting(WINDOW_WIDTH, WINDOW_END - 4 - paper.y, text, (10, 9, 8, 7, 6))
    paper.ink(size)
    paper.block(LEFT, WINDOW_WIDTH, text, line)
