"""Sending one message: through the SMTP relay, or as a file into the outbox folder where no relay is set."""

from __future__ import annotations

import contextlib
import hashlib
import re
import smtplib
import ssl
from collections.abc import Iterable, Sequence
from datetime import datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path
from typing import Any

from appliance import atomicfile, sharing
from appliance.config import Mail, Settings
from appliance.errors import Permanent, Transient, Unavailable

TIMEOUT_S = 20.0
"""For the connection and for each answer of the relay but the last."""

CONFIRM_S = 300.0
"""For the answer to the whole message: a relay that scans it takes its time (RFC 5321, 4.5.3.2, says up to 600 s)."""

Attachment = tuple[str, bytes, str]
"""File name, content, MIME type."""

_ADDRESS = re.compile(r"[^\s<>()\[\],;:\"']+@[^\s<>()\[\],;:\"']+")


class _Unconfirmed(Exception):
    """The message has been handed over, and the relay has not said whether it took it."""


def _data(smtp: smtplib.SMTP, msg: Any) -> tuple[int, bytes]:
    """Hands the message over. Waits longer for the last answer, and tells a missing one from what broke before it."""
    if smtp.sock is not None:
        smtp.sock.settimeout(CONFIRM_S)
    try:
        return smtplib.SMTP.data(smtp, msg)
    except (OSError, smtplib.SMTPServerDisconnected) as error:
        raise _Unconfirmed from error


class _Plain(smtplib.SMTP):
    def data(self, msg: Any) -> tuple[int, bytes]:
        return _data(self, msg)


class _Tls(smtplib.SMTP_SSL):
    def data(self, msg: Any) -> tuple[int, bytes]:
        return _data(self, msg)


def message_id(kind: str, uid: str, settings: Settings) -> str:
    """The Message-ID of what is sent about one thing: the same each time, so that a receiver can tell a repetition."""
    return f"<{kind}.{uid}@{_domain(settings.mail)}>"


def message(
    *,
    settings: Settings,
    message_id: str,
    recipient: str,
    subject: str,
    text: str,
    attachments: Sequence[Attachment] = (),
    date: datetime,
) -> EmailMessage:
    """A message from the depot to one recipient; `date` is aware. The same arguments make the same bytes.

    Raises Permanent where `recipient` is not one address; the error does not repeat it.
    """
    mail = EmailMessage(policy=SMTP)
    mail["From"] = Address(settings.depot.legal_name or settings.depot.name, addr_spec=settings.mail.sender)
    mail["To"] = _recipient(recipient)
    mail["Subject"] = " ".join(subject.split())
    mail["Date"] = format_datetime(date)
    mail["Message-ID"] = message_id
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: out-of-office replies stay away
    mail.set_content(text, cte="quoted-printable")
    for name, content, kind in attachments:
        main, _, sub = kind.partition("/")
        mail.add_attachment(content, maintype=main, subtype=sub, filename=name)
    if mail.is_multipart():
        mail.set_boundary("=_" + hashlib.sha256(message_id.encode()).hexdigest()[:32])
    return mail


def send(settings: Settings, mail: EmailMessage, *, timeout_s: float = TIMEOUT_S) -> None:
    """Hands the message to the relay of `[mail]`, or writes `<Message-ID>.eml` into `mail.outbox_dir` without one.

    When it returns, the relay has taken it (or the file is on disk; the same message again is the same file). Raises
    Transient for trouble with the network, the relay's certificate or the disk and for 4xx answers, Permanent for 5xx
    ones and where the relay was given the message and never answered; with the relay's words but without the
    recipient's address.
    """
    if settings.mail.host:
        _relay(settings.mail, mail, timeout_s)
    else:
        _store(settings, mail)


def forget(settings: Settings, message_ids: Iterable[str]) -> None:
    """Deletes these messages from the outbox, where they are in it. Raises Unavailable where that cannot be."""
    for message_id in message_ids:
        try:
            _file(settings, message_id).unlink(missing_ok=True)
        except OSError as error:
            subject = str(settings.outbox_dir)
            raise Unavailable(f"a mail cannot be deleted: {error.strerror}", subject=subject) from error


def _file(settings: Settings, message_id: str) -> Path:
    name = re.sub(r"[^A-Za-z0-9._@-]", "_", message_id.strip("<>"))
    return settings.outbox_dir / f"{name}.eml"


def _store(settings: Settings, mail: EmailMessage) -> None:
    folder = settings.outbox_dir
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        sharing.make_folder(folder)
        atomicfile.write(_file(settings, str(mail["Message-ID"])), mail.as_bytes())
    except OSError as error:
        raise Transient(f"the mail cannot be stored: {error.strerror}", subject=str(folder)) from error


def _relay(relay: Mail, mail: EmailMessage, timeout_s: float) -> None:
    subject = f"mail relay {relay.host}:{relay.port}"
    smtp: smtplib.SMTP | None = None
    try:
        smtp = _connect(relay, timeout_s)
        smtp.send_message(mail)
    except _Unconfirmed as error:
        # Sent again it might arrive twice: a person decides.
        hint = "ask whether it arrived; retry it if it did not"
        raise Permanent("the relay did not confirm the mail", subject=subject, hint=hint) from error
    except smtplib.SMTPRecipientsRefused as error:
        code, said = next(iter(error.recipients.values()))
        raise _refused(code, said, mail, subject) from None  # the cause would carry the address
    except smtplib.SMTPResponseException as error:
        raise _refused(error.smtp_code, error.smtp_error, mail, subject) from None
    except smtplib.SMTPServerDisconnected as error:
        raise Transient(f"the connection broke off: {error}", subject=subject) from error
    except smtplib.SMTPException as error:  # something the relay cannot do: TLS, a login, an address beyond ASCII
        raise Permanent(_without_addresses(str(error), mail), subject=subject) from None
    except ssl.SSLCertVerificationError as error:
        what = f"the relay's certificate is not trusted: {error.verify_message}"
        raise Transient(what, subject=subject, hint="correct mail.host, or the relay's certificate") from error
    except OSError as error:
        raise Transient(f"cannot be reached: {error.strerror or error}", subject=subject) from error
    else:
        # The message is taken. A relay that cannot say goodbye must not make it look unsent.
        with contextlib.suppress(OSError):
            smtp.quit()
    finally:
        if smtp is not None:
            smtp.close()


def _connect(relay: Mail, timeout_s: float) -> smtplib.SMTP:
    # Named, because smtplib would ask the resolver for the machine's own name, and wait for it without an uplink.
    name = _domain(relay)
    if relay.security == "tls":
        context = ssl.create_default_context()
        smtp: smtplib.SMTP = _Tls(relay.host, relay.port, name, timeout=timeout_s, context=context)
    else:
        smtp = _Plain(relay.host, relay.port, name, timeout=timeout_s)
    try:
        if relay.security == "starttls":
            smtp.starttls(context=ssl.create_default_context())
        if relay.username:
            smtp.login(relay.username, relay.password)
    except BaseException:
        smtp.close()
        raise
    return smtp


def _refused(code: int, said: bytes | str, mail: EmailMessage, subject: str) -> Transient | Permanent:
    words = said.decode(errors="replace") if isinstance(said, bytes) else said
    kind = Permanent if 500 <= code < 600 else Transient
    return kind(f"refused with {code} {_without_addresses(words, mail)}".strip(), subject=subject)


def _without_addresses(words: str, mail: EmailMessage) -> str:
    """The relay's words on one line of a bounded length, without any address: relays like to repeat it."""
    line = " ".join("".join(char if char.isprintable() else " " for char in words).split())
    line = _ADDRESS.sub("<address>", line)
    for address in mail["To"].addresses:
        if address.username:
            line = re.sub(rf"(?<!\w){re.escape(address.username)}(?!\w)", "<address>", line, flags=re.IGNORECASE)
    return line[:300]


def _recipient(recipient: str) -> Address:
    try:
        name, at, domain = recipient.strip().rpartition("@")
        ascii_domain = domain.encode("idna").decode("ascii")
        if not (name and at and ascii_domain) or not recipient.strip().isprintable():
            raise ValueError
        return Address(addr_spec=f"{name}@{ascii_domain}")
    except (ValueError, MessageError, IndexError):
        hint = "expected name@example.org, plain ASCII before the @"
        raise Permanent("the recipient's mail address is not valid", hint=hint) from None


def _domain(mail: Mail) -> str:
    """The sender's domain, safe to stand in a Message-ID."""
    return re.sub(r"[^A-Za-z0-9.-]", "-", mail.sender.rpartition("@")[2])
