"""Sending a mail once: three steps around its row in `mails`, so that a crash inside the sending is seen.

`begin` and then `delivered` or `failed` each run in a transaction; `mailer.send` runs between them, outside any. A
crash in between leaves the row `sending`: the next `begin` sends again, with the same Message-ID, or, for what must
never come twice, parks the mail for a person.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from appliance import clock, mailer
from appliance.config import Settings
from appliance.errors import Busy, Permanent
from appliance.mailer import Attachment
from appliance.storage import jobs, mails
from appliance.storage.db import Tx


class MaybeSent(Permanent):
    """A crash inside the sending: the mail may or may not have left, and must not leave twice."""

    def __init__(self, mail_id: int, subject: str) -> None:
        self.mail_id = mail_id
        super().__init__("it may have been sent before a crash", subject=subject, hint="retry it if it was not")


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail on its way: its row says `sending`."""

    mail_id: int
    message_id: str
    recipient: str
    subject: str
    text: str


def begin(
    tx: Tx,
    settings: Settings,
    *,
    kind: str,
    key: str,
    recipient: str,
    subject: str,
    text: str,
    job_id: str,
    now: datetime,
    repeat: bool = True,
) -> Letter | None:
    """Marks the mail about `key` as being sent by this job; None where it was sent before.

    Raises Busy while another job is sending it, and, without `repeat`, MaybeSent where a crash may have sent it: the
    caller parks the mail, and a person decides.
    """
    known = mails.find(tx, kind, key)
    if known and known["state"] == "sent":
        return None
    if known and known["state"] == "sending":
        rival = jobs.get(tx, known["sending_job"])
        if known["sending_job"] != job_id and rival and rival["state"] == "running":
            raise Busy("another job is sending it", subject=f"{kind} mail {key}")
        if not repeat:
            raise MaybeSent(known["id"], f"{kind} mail {key}")
    message_id = known["message_id"] if known else mailer.message_id(kind, key, settings)
    mail_id = mails.mark_sending(
        tx,
        kind=kind,
        key=key,
        message_id=message_id,
        recipient=recipient,
        subject=subject,
        job_id=job_id,
        now=now,
    )
    return Letter(mail_id, message_id, recipient, subject, text)


def deliver(letter: Letter, settings: Settings, attachments: Sequence[Attachment] = ()) -> None:
    """Hands the mail to the relay; never call it inside a transaction. Raises Transient and Permanent, see `mailer`."""
    mail = mailer.message(
        settings=settings,
        message_id=letter.message_id,
        recipient=letter.recipient,
        subject=letter.subject,
        text=letter.text,
        attachments=attachments,
        date=clock.now(),
    )
    mailer.send(settings, mail)


def delivered(tx: Tx, letter: Letter, now: datetime) -> None:
    """The relay has taken the mail."""
    mails.mark_sent(tx, letter.mail_id, now)


def failed(tx: Tx, letter: Letter, error: Exception) -> None:
    """The mail could not be handed over: it is tried again later, or parked until a person decides."""
    mails.mark_failed(tx, letter.mail_id, str(error), parked=isinstance(error, Permanent))
