"""The middle of every task that mails: a row that says `sending`, the mail itself outside any transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from appliance import post
from appliance.post import Letter
from appliance.storage import mails
from appliance.storage.db import Tx, write_tx
from tasks.box import box

L = TypeVar("L", bound=Letter)


def send(begin: Callable[[Tx], L | None], deliver: Callable[[L], None]) -> L | None:
    """Begins a letter in a transaction of its own, delivers it, and returns it; the caller marks it delivered in the
    transaction that finishes the job. None where there is nothing to send. What goes wrong stands in the mail's row."""
    parts = box()
    try:
        with write_tx(parts.db) as tx:
            letter = begin(tx)
    except post.MaybeSent as error:
        with write_tx(parts.db) as tx:
            mails.mark_failed(tx, error.mail_id, str(error), parked=True)
        raise
    if letter is None:
        return None
    try:
        deliver(letter)
    except Exception as error:
        with write_tx(parts.db) as tx:
            post.failed(tx, letter, error)
        raise
    return letter
