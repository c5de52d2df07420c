"""A credit note as a PDF, drawn from the document that was frozen at issue, as an invoice is."""

from __future__ import annotations

from datetime import date

from appliance import letter_pdf
from appliance.domain import invoice
from appliance.letter_pdf import Document, heading
from appliance.paper import LEFT, WIDTH, Paper


def render(document: Document) -> bytes:
    """The PDF of a credit note; `document` as `credit_desk` froze it. The same document is the same file. Raises
    ConfigError where the fonts are missing."""
    paper = Paper(f"Credit note {document['number']}", date.fromisoformat(document["issued_on"]))
    paper.set_author(paper.clean(document["issuer"]["name"]))
    draw(paper, document)
    return bytes(paper.output())


def draw(paper: Paper, document: Document) -> None:
    """The credit note on pages of its own."""
    billed, currency = document["invoice"], document["currency"]
    letter_pdf.begin(paper, "Credit note", document)
    found = [
        ("Number", document["number"]),
        ("Date", invoice.day(document["issued_on"])),
        ("For invoice", billed["number"]),
        ("Invoice date", invoice.day(billed["issued_on"])),
        ("Tax ID", document["issuer"]["tax_id"]),
    ]
    letter_pdf.facts(paper, found, "Credited", invoice.money(document["amount_cents"], currency), 24.0)
    heading(paper, "Credit")
    paper.ink()
    whole = document["amount_cents"] == billed["total_cents"]
    part = "all of it" if whole else f"{invoice.money(document['amount_cents'], currency)} of it"
    text = (
        f"Our invoice {billed['number']} of {invoice.day(billed['issued_on'])} was for"
        f" {invoice.money(billed['total_cents'], currency)}. With this credit note we take back {part}."
    )
    paper.block(LEFT, WIDTH, paper.clean(text))
    paper.block(LEFT, WIDTH, paper.clean(f"Trip: {document['trip']['reference']}"))
    paper.block(LEFT, WIDTH, paper.clean(f"Reason: {document['reason']}"))
    paper.set_y(paper.y + 4)
    paper.rule(paper.y)
    tax = document["tax_cents"]
    rows = [("Net", document["amount_cents"] - tax), (document["tax_text"], tax)]
    letter_pdf.sums(paper, rows, "Credited", document["amount_cents"], currency)
    paper.set_y(paper.y + 8)
    paper.ink()
    text = "It is set off against what is owed on the invoice; what was paid beyond that is paid back."
    paper.block(LEFT, WIDTH, text)
