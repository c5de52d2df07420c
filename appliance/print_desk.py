"""The print list: invoices and credit notes of payers who get paper, as one file, and marked once they are printed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from sqlite_utils import Database

from appliance.errors import NotFound
from appliance.storage import audit, credit_notes, invoices, ledger
from appliance.storage.db import Row, Tx

AT_ONCE = 100
"""How many documents are printed as one file: drawing it takes a few seconds."""


def waiting(db: Database) -> tuple[list[Row], int]:
    """The oldest that wait to be printed, AT_ONCE of them, and how many there are in all; see `ledger.to_print`."""
    return ledger.to_print(db, AT_ONCE)


def pdf(found: Iterable[Row], shown: Callable[[dict[str, Any], str], dict[str, Any]], now: datetime) -> bytes:
    """All of them as one file, each with page numbers of its own. `shown` makes of a document, with the kind of its
    payer, what whoever asks may see of it. Raises ConfigError where the fonts are missing."""
    from appliance import credit_pdf, invoice_pdf  # here: what draws takes 30 MB, and most of the time nobody asks
    from appliance.paper import Paper

    drawn = {"invoice": invoice_pdf, "credit": credit_pdf}
    letters = [(drawn[one["kind"]], shown(json.loads(one["document"]), one["payer_kind"])) for one in found]
    trial, paper = Paper("Print list", now.date()), Paper("Print list", now.date())
    for module, document in letters:
        before = trial.page
        module.draw(trial, document)
        paper.page_counts.append(trial.page - before)
    trial.throw_away()
    for module, document in letters:
        module.draw(paper, document)
    return bytes(paper.output())


def mark_printed(tx: Tx, invoice_ids: Iterable[int], credit_note_ids: Iterable[int], who: str, now: datetime) -> int:
    """These were printed: they leave the list. Returns how many did; one that was not on it (any more) stays as it is.
    Raises NotFound for one that there is not."""
    count = 0
    for id in invoice_ids:
        found = invoices.get(tx, id)
        if found is None:
            raise NotFound("no such invoice", subject=f"invoice {id}")
        if invoices.mark_printed(tx, id, now):
            audit.record(tx, who, "invoice.printed", "invoice", found["uid"], now)
            count += 1
    for id in credit_note_ids:
        credit = credit_notes.get(tx, id)
        if credit is None:
            raise NotFound("no such credit note", subject=f"credit note {id}")
        if credit_notes.mark_printed(tx, id, now):
            audit.record(tx, who, "credit_note.printed", "credit_note", credit["uid"], now)
            count += 1
    return count
