"""An invoice as a PDF: A4, the payer's address in the window of an envelope, the amounts in one column.

The page is drawn from the document that was frozen at issue and from nothing else, so the same document is the same
file, byte for byte, whenever and wherever this version of the program draws it.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import cast

from fpdf import FontFace
from fpdf.enums import TableBordersLayout

from appliance import letter_pdf
from appliance.domain import invoice
from appliance.letter_pdf import Document, bare, heading
from appliance.paper import GREY, LEFT, LINE, RULE, SMALL, WIDTH, Paper


def render(document: Document) -> bytes:
    """The PDF of an issued invoice; `document` as `billing` froze it. No clock, no network, no randomness.

    The patient's name is on it only where the document has one. Characters that the font lacks (it has Latin, Greek,
    Cyrillic, Arabic, Hebrew, Armenian, Georgian, but no Chinese or Japanese) show as a replacement mark. Raises
    ConfigError where the fonts are missing.
    """
    paper = Paper(f"Invoice {document['number']}", date.fromisoformat(document["issued_on"]))
    paper.set_author(paper.clean(document["issuer"]["name"]))
    draw(paper, document)
    return bytes(paper.output())


def draw(paper: Paper, document: Document) -> None:
    """The invoice on pages of its own."""
    letter_pdf.begin(paper, "Invoice", document)
    found = [
        ("Invoice number", document["number"]),
        ("Invoice date", invoice.day(document["issued_on"])),
        ("Payment due", invoice.day(document["due_on"])),
        ("Tax ID", document["issuer"]["tax_id"]),
    ]
    letter_pdf.facts(paper, found, "Amount due", invoice.money(document["total_cents"], document["currency"]))
    _trip(paper, document["trip"])
    _lines(paper, document)
    with paper.offset_rendering() as trial:
        _closing(cast("Paper", trial), document)
    if trial.page_break_triggered:
        paper.add_page()
    _closing(paper, document)


def _trip(paper: Paper, trip: Document) -> None:
    heading(paper, "Trip")
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
        row.cell(invoice.plural(trip["distance"]) if trip["distance"] else "not measured")
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
                quantity = invoice.plural(f"{line['quantity']} {line['unit']}".strip())
                amounts = (bare(line["unit_cents"], currency), bare(line["amount_cents"], currency))
                table.row((paper.clean(line["text"]), quantity, *amounts))
    paper.rule(paper.y)


def _closing(paper: Paper, document: Document) -> None:
    """The sums and how to pay: they stand on one page."""
    _sums(paper, document)
    _payment(paper, document)


def _sums(paper: Paper, document: Document) -> None:
    total = document["total_cents"]
    taxes = [(line["text"], line["amount_cents"]) for line in document["lines"] if line["kind"] == "tax"]
    rows = [("Net", total - document["tax_cents"]), *(taxes or [("Tax", 0)])]
    letter_pdf.sums(paper, rows, "Total", total, document["currency"])


def _payment(paper: Paper, document: Document) -> None:
    paper.set_y(paper.y + 8)
    heading(paper, "Payment")
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


def _minute(iso: str) -> str:
    return f"{invoice.day(iso)}, {datetime.fromisoformat(iso):%H:%M}"
