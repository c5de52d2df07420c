"""An invoice as a PDF: A4, the payer's address in the window of an envelope, the amounts in one column.

The page is drawn from the document that was frozen at issue and from nothing else, so the same document is the same
file, byte for byte, whenever and wherever this version of the program draws it.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, cast

from fpdf import FontFace
from fpdf.enums import TableBordersLayout, XPos, YPos

from appliance.domain import invoice
from appliance.paper import ACCENT, BODY, GREY, LEFT, LINE, RULE, SMALL, TOP, WIDTH, Paper

Document = dict[str, Any]

# Millimetres. The window of a C5/6 or DL envelope shows 20..105 from the left, 45..90 from the top (DIN 5008 form B).
WINDOW_TOP, WINDOW_WIDTH, WINDOW_END = 47.0, 85.0, 92.0
FACTS_X, FACTS_WIDTH, FACTS_LABEL = 122.0, 68.0, 30.0


def render(document: Document) -> bytes:
    """The PDF of an issued invoice; `document` as `billing` froze it. No clock, no network, no randomness.

    The patient's name is on it only where the document has one. Characters that the font lacks (it has Latin, Greek,
    Cyrillic, Arabic, Hebrew, Armenian, Georgian, but no Chinese or Japanese) show as a replacement mark. Raises
    ConfigError where the fonts are missing.
    """
    issuer = document["issuer"]
    paper = Paper(f"Invoice {document['number']}", date.fromisoformat(document["issued_on"]))
    paper.set_author(paper.clean(issuer["name"]))
    paper.imprint = paper.clean(f"{issuer['name']} · Tax ID {issuer['tax_id']}")
    paper.add_page()
    _letterhead(paper, issuer)
    _window(paper, issuer, document["payer"])
    _facts(paper, document)
    paper.set_y(max(WINDOW_END, paper.y + 6))
    _trip(paper, document["trip"])
    _lines(paper, document)
    with paper.offset_rendering() as trial:
        _closing(cast("Paper", trial), document)
    if trial.page_break_triggered:
        paper.add_page()
    _closing(paper, document)
    return bytes(paper.output())


def _letterhead(paper: Paper, issuer: Document) -> None:
    paper.set_y(TOP - 4)
    paper.ink(20, ACCENT, bold=True)
    paper.set_x(FACTS_X)
    paper.cell(FACTS_WIDTH, 9, "Invoice", align="R")
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


def _facts(paper: Paper, document: Document) -> None:
    paper.set_y(WINDOW_TOP)
    facts = [
        ("Invoice number", document["number"]),
        ("Invoice date", invoice.day(document["issued_on"])),
        ("Payment due", invoice.day(document["due_on"])),
        ("Tax ID", document["issuer"]["tax_id"]),
    ]
    for label, value in facts:
        paper.set_x(FACTS_X)
        paper.ink(BODY, GREY)
        paper.cell(FACTS_LABEL, LINE + 0.8, label)
        paper.ink(bold=label == "Invoice number")
        paper.block(FACTS_X + FACTS_LABEL, FACTS_WIDTH - FACTS_LABEL, paper.clean(value)[:60], LINE + 0.8, "R")
    paper.set_y(paper.y + 2)
    paper.rule(paper.y, ACCENT, 0.5, FACTS_X)
    paper.set_xy(FACTS_X, paper.y + 2)
    paper.ink(BODY, bold=True)
    paper.cell(FACTS_LABEL, 6, "Amount due")
    paper.ink(11, bold=True)
    amount = invoice.money(document["total_cents"], document["currency"])
    paper.block(FACTS_X + FACTS_LABEL, FACTS_WIDTH - FACTS_LABEL, amount, 6, "R")


def _trip(paper: Paper, trip: Document) -> None:
    _heading(paper, "Trip")
    wide = [("Patient", trip["patient"]), ("From", trip["from"]), ("To", trip["to"])]
    label = FontFace(color=GREY)
    paper.ink()
    with paper.table(
        borders_layout=TableBordersLayout.NONE,
        col_widths=(24, 76, 28, 42),
        first_row_as_headings=False,
        line_height=LINE,
        text_align="LEFT",
        v_align="TOP",
        width=int(WIDTH),
        padding=(0.4, 3, 0.4, 0),
    ) as table:
        row = table.row()
        row.cell("Reference", style=label)
        row.cell(paper.clean(trip["reference"]))
        row.cell("Level of service", style=label)
        row.cell(paper.clean(trip["level"]).capitalize())
        row = table.row()
        row.cell("Pickup", style=label)
        row.cell(_minute(trip["pickup"]))
        row.cell("Distance", style=label)
        row.cell(_plural(trip["distance"]) if trip["distance"] else "not measured")
        for name, value in wide:
            if value is not None:
                row = table.row()
                row.cell(name, style=label)
                row.cell(paper.clean(value), colspan=3)
    paper.set_y(paper.y + 6)


def _lines(paper: Paper, document: Document) -> None:
    currency = document["currency"]
    paper.ink()
    paper.set_draw_color(*RULE)
    paper.set_line_width(0.2)
    with paper.table(
        borders_layout=TableBordersLayout.HORIZONTAL_LINES,
        col_widths=(86, 28, 28, 28),
        headings_style=FontFace(emphasis="", color=GREY, size_pt=SMALL),
        line_height=LINE,
        text_align=("LEFT", "RIGHT", "RIGHT", "RIGHT"),
        v_align="TOP",
        width=int(WIDTH),
        padding=(1.1, 0, 1.1, 0),
    ) as table:
        table.row(("Description", "Quantity", f"Price, {currency}", f"Amount, {currency}"))
        for line in document["lines"]:
            if line["kind"] != "tax":
                quantity = _plural(f"{line['quantity']} {line['unit']}".strip())
                amounts = (_bare(line["unit_cents"], currency), _bare(line["amount_cents"], currency))
                table.row((paper.clean(line["text"]), quantity, *amounts))
    paper.rule(paper.y)


def _closing(paper: Paper, document: Document) -> None:
    """The sums and how to pay: they stand on one page."""
    _sums(paper, document)
    _payment(paper, document)


def _sums(paper: Paper, document: Document) -> None:
    currency, total = document["currency"], document["total_cents"]
    x, label = LEFT + 86, 44.0
    paper.set_y(paper.y + 2.5)
    taxes = [(line["text"], line["amount_cents"]) for line in document["lines"] if line["kind"] == "tax"]
    rows = [("Net", total - document["tax_cents"]), *(taxes or [("Tax", 0)])]
    paper.ink()
    for text, cents in rows:
        paper.set_x(x)
        paper.cell(label, LINE + 1, paper.clipped(paper.clean(text), label))
        paper.block(x + label, LEFT + WIDTH - x - label, _bare(cents, currency), LINE + 1, "R")
    paper.set_y(paper.y + 1)
    paper.rule(paper.y, ACCENT, 0.5, x)
    paper.set_xy(x, paper.y + 1.5)
    paper.ink(11, bold=True)
    paper.cell(30, 7, "Total")
    paper.block(x + 30, LEFT + WIDTH - x - 30, invoice.money(total, currency), 7, "R")


def _payment(paper: Paper, document: Document) -> None:
    paper.set_y(paper.y + 8)
    _heading(paper, "Payment")
    amount = invoice.money(document["total_cents"], document["currency"])
    paper.ink()
    if document["total_cents"] <= 0:
        paper.block(LEFT, WIDTH, "Nothing is to be paid for this invoice.")
        return
    paper.block(LEFT, WIDTH, f"Please pay {amount} by {invoice.day(document['due_on'])} to:")
    paper.set_y(paper.y + 1.5)
    for line in paper.lines_of(document["issuer"]["bank_details"]):
        paper.block(LEFT, WIDTH, line)
    paper.set_y(paper.y + 1.5)
    paper.block(LEFT, WIDTH, f"Payment reference: {document['number']}")


def _heading(paper: Paper, text: str) -> None:
    paper.ink(10, ACCENT, bold=True)
    paper.block(LEFT, WIDTH, text, 5)
    paper.set_y(paper.y + 1.5)


def _bare(cents: int, currency: str) -> str:
    """An amount without its currency, for a column that names it in its head."""
    return invoice.money(cents, currency).removeprefix(f"{currency} ")


def _plural(quantity: str) -> str:
    """`12.3 mile` as people write it."""
    return quantity + "s" if quantity.endswith(" mile") and quantity not in ("1 mile", "1.0 mile") else quantity


def _minute(iso: str) -> str:
    return f"{invoice.day(iso)}, {datetime.fromisoformat(iso):%H:%M}"
