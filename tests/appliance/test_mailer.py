"""Sending one message: a real SMTP server that accepts, refuses, hangs, or is not there; and the outbox folder."""

from __future__ import annotations

import email
import email.policy
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope

from appliance import config, mailer
from appliance.config import Settings
from appliance.errors import DepotError, Permanent, Transient

NOW = datetime(2026, 1, 27, 9, 30, tzinfo=UTC)
RECIPIENT = "accounts.payable@broker.example"


class Relay:
    """What the server does: it keeps what it takes, and answers RCPT and DATA as the test says."""

    def __init__(self) -> None:
        self.taken: list[Envelope] = []
        self.to_rcpt = ""
        self.to_data = ""

    async def handle_RCPT(  # noqa: N802, aiosmtpd's name
        self, _server: Any, _session: Any, envelope: Envelope, address: str, _options: Any
    ) -> str:
        if not self.to_rcpt:
            envelope.rcpt_tos.append(address)
        return self.to_rcpt.format(address=address) or "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Envelope) -> str:  # noqa: N802, aiosmtpd's name
        if not self.to_data:
            self.taken.append(envelope)
        return self.to_data or "250 OK"


Serve = Callable[..., tuple[Relay, int]]


@pytest.fixture
def serve(free_port: Callable[[], int]) -> Iterator[Serve]:
    """`serve(**options)` starts a relay on 127.0.0.1 and returns it with its port."""
    with ExitStack() as cleanup:

        def begin(hostname: str = "127.0.0.1", **options: Any) -> tuple[Relay, int]:
            relay, port = Relay(), free_port()
            controller = Controller(relay, hostname=hostname, port=port, ready_timeout=20, **options)
            controller.start()
            cleanup.callback(controller.stop)
            return relay, port

        yield begin


def settings_with(data_dir: Path, **mail: str | int) -> Settings:
    environ = {f"DEPOTBOX_MAIL__{key.upper()}": str(value) for key, value in mail.items()}
    environ |= {
        "DEPOTBOX_STORAGE__DATA_DIR": str(data_dir),
        "DEPOTBOX_MAIL__SENDER": "billing@depot.example",
        "DEPOTBOX_DEPOT__LEGAL_NAME": "Krankenfahrten Müller, GmbH",
    }
    return config.load(environ=environ)


def make(settings: Settings, **changes: Any) -> EmailMessage:
    message_id = mailer.message_id("invoice", "01JABC", settings)
    whole: dict[str, Any] = {
        "settings": settings,
        "message_id": message_id,
        "recipient": RECIPIENT,
        "subject": "Invoice LIV-2026-A000012",
        "text": "Grüße\n",
        "attachments": [("LIV-2026-A000012.pdf", b"%PDF-1.4 \x00\xff", "application/pdf")],
        "date": NOW,
    }
    return mailer.message(**whole | changes)


def fails(settings: Settings, mail: EmailMessage | None = None, **kwargs: Any) -> DepotError:
    with pytest.raises(DepotError) as caught:
        mailer.send(settings, mail or make(settings), **kwargs)
    assert "accounts.payable" not in str(caught.value)
    assert "broker.example" not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    return caught.value


def test_the_message_id_is_the_same_each_time_and_another_for_each_kind_and_thing(data_dir: Path) -> None:
    settings = settings_with(data_dir)
    assert mailer.message_id("invoice", "01JABC", settings) == "<invoice.01JABC@depot.example>"
    ids = {mailer.message_id(kind, uid, settings) for kind in ("invoice", "reminder") for uid in ("1", "2")}
    assert len(ids) == 4


def test_the_same_arguments_make_the_same_bytes(data_dir: Path) -> None:
    settings = settings_with(data_dir)
    assert make(settings).as_bytes() == make(settings).as_bytes()


def test_what_the_relay_takes_is_what_was_given(data_dir: Path, serve: Serve) -> None:
    relay, port = serve()
    settings = settings_with(data_dir, host="127.0.0.1", port=port)
    mailer.send(settings, make(settings))
    (envelope,) = relay.taken
    assert envelope.mail_from == "billing@depot.example"
    assert envelope.rcpt_tos == [RECIPIENT]
    assert isinstance(envelope.content, bytes)
    assert envelope.content.isascii()
    taken = email.message_from_bytes(envelope.content, policy=email.policy.default)
    assert taken["Message-ID"] == "<invoice.01JABC@depot.example>"
    assert taken["From"] == '"Krankenfahrten Müller, GmbH" <billing@depot.example>'
    assert taken["Date"].datetime == NOW
    assert taken["Auto-Submitted"] == "auto-generated"
    assert isinstance(taken, EmailMessage)
    body = taken.get_body()
    assert body is not None
    assert body.get_content().splitlines() == ["Grüße"]
    (pdf,) = taken.iter_attachments()
    assert pdf.get_filename() == "LIV-2026-A000012.pdf"
    assert pdf.get_content() == b"%PDF-1.4 \x00\xff"


def test_a_recipient_put_off_is_transient(data_dir: Path, serve: Serve) -> None:
    relay, port = serve()
    relay.to_rcpt = "451 4.7.1 {address} is greylisted, come back later"
    error = fails(settings_with(data_dir, host="127.0.0.1", port=port))
    assert isinstance(error, Transient)
    assert "451 4.7.1 <address> is greylisted" in str(error)


def test_a_refused_recipient_is_permanent_and_not_repeated(data_dir: Path, serve: Serve) -> None:
    relay, port = serve()
    relay.to_rcpt = "550 5.1.1 <{address}>: no mailbox Accounts.Payable here"
    error = fails(settings_with(data_dir, host="127.0.0.1", port=port))
    assert isinstance(error, Permanent)
    assert "550 5.1.1" in str(error)
    assert "no mailbox <address> here" in str(error)
    assert error.__cause__ is None


@pytest.mark.parametrize(("answer", "kind"), [("452 disk full", Transient), ("554 looks like spam", Permanent)])
def test_an_answer_to_the_content_decides_by_its_code(
    data_dir: Path, serve: Serve, answer: str, kind: type[DepotError]
) -> None:
    relay, port = serve()
    relay.to_data = answer
    error = fails(settings_with(data_dir, host="127.0.0.1", port=port))
    assert isinstance(error, kind)
    assert answer in str(error)


def test_a_relay_that_is_not_there_is_transient(data_dir: Path, free_port: Callable[[], int]) -> None:
    error = fails(settings_with(data_dir, host="127.0.0.1", port=free_port()))
    assert isinstance(error, Transient)
    assert "Connection refused" in str(error)


def test_a_relay_without_an_address_is_transient(data_dir: Path) -> None:
    assert isinstance(fails(settings_with(data_dir, host="relay.invalid")), Transient)


def test_a_relay_that_hangs_is_transient_after_the_timeout(data_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = settings_with(data_dir, host="127.0.0.1", port=silent.getsockname()[1])
        error = fails(settings, timeout_s=0.2)
    assert isinstance(error, Transient)
    assert "timed out" in str(error)


def test_a_relay_that_cannot_do_tls_gets_no_mail(data_dir: Path, serve: Serve) -> None:
    relay, port = serve()
    assert isinstance(fails(settings_with(data_dir, host="127.0.0.1", port=port, security="starttls")), Permanent)
    assert not relay.taken


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS:UserWarning")
def test_a_refused_login_is_permanent_and_does_not_show_the_password(data_dir: Path, serve: Serve) -> None:
    relay, port = serve(
        authenticator=lambda *_: AuthResult(success=False, handled=False), auth_required=True, auth_require_tls=False
    )
    error = fails(settings_with(data_dir, host="127.0.0.1", port=port, username="depot", password="hunter2hunter2"))
    assert isinstance(error, Permanent)
    assert "535" in str(error)
    assert "hunter2" not in str(error)
    assert not relay.taken


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS:UserWarning")
def test_a_login_that_is_accepted_opens_the_relay(data_dir: Path, serve: Serve) -> None:
    relay, port = serve(authenticator=lambda *_: AuthResult(success=True), auth_required=True, auth_require_tls=False)
    settings = settings_with(data_dir, host="127.0.0.1", port=port, username="depot", password="right")
    mailer.send(settings, make(settings))
    assert len(relay.taken) == 1


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for localhost, and its key."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("needs the program openssl")
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "relay.pem", folder / "relay.key"
    subprocess.run(
        [
            *(program, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key


@pytest.fixture
def server_context(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    return context


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_relay_with_a_trusted_certificate_gets_the_mail(
    data_dir: Path,
    serve: Serve,
    server_context: ssl.SSLContext,
    certificate: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    security: str,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    key = "ssl_context" if security == "tls" else "tls_context"
    relay, port = serve("localhost", **{key: server_context})
    settings = settings_with(data_dir, host="localhost", port=port, security=security)
    mailer.send(settings, make(settings))
    assert len(relay.taken) == 1


def test_a_relay_with_an_unknown_certificate_gets_no_mail(
    data_dir: Path, serve: Serve, server_context: ssl.SSLContext
) -> None:
    relay, port = serve("localhost", tls_context=server_context)
    error = fails(settings_with(data_dir, host="localhost", port=port, security="starttls"))
    assert isinstance(error, Transient)
    assert "certificate is not trusted" in str(error)
    assert not relay.taken


@pytest.fixture
def raw_relay() -> Iterator[Callable[[bytes], int]]:
    """`raw_relay(last)` listens once, takes a whole message, says `last`, hangs up, and returns its port."""
    with ExitStack() as cleanup:

        def begin(last: bytes) -> int:
            listener = cleanup.enter_context(socket.create_server(("127.0.0.1", 0)))

            def serve_one() -> None:
                connection, _ = listener.accept()
                with connection, connection.makefile("rwb") as stream:
                    stream.write(b"220 relay\r\n")
                    stream.flush()
                    for answer in (b"250 relay", b"250 OK", b"250 OK", b"354 go on"):
                        stream.readline()
                        stream.write(answer + b"\r\n")
                        stream.flush()
                    while stream.readline() != b".\r\n":
                        pass
                    stream.write(last)
                    stream.flush()

            thread = threading.Thread(target=serve_one)
            thread.start()
            cleanup.callback(thread.join, 20)
            port: int = listener.getsockname()[1]
            return port

        yield begin


def test_a_relay_that_cannot_say_goodbye_has_the_mail_all_the_same(
    data_dir: Path, raw_relay: Callable[[bytes], int]
) -> None:
    """A lost answer to QUIT must not look like a mail that was not sent: it would be sent again."""
    settings = settings_with(data_dir, host="127.0.0.1", port=raw_relay(b"250 taken\r\n"))
    mailer.send(settings, make(settings))


def test_a_mail_that_the_relay_did_not_confirm_is_not_sent_again_by_itself(
    data_dir: Path, raw_relay: Callable[[bytes], int]
) -> None:
    """The relay has the whole message and its answer is lost: a person decides."""
    settings = settings_with(data_dir, host="127.0.0.1", port=raw_relay(b""))
    error = fails(settings)
    assert isinstance(error, Permanent)
    assert "did not confirm" in str(error)


def test_without_a_relay_the_same_mail_twice_is_one_file(data_dir: Path) -> None:
    settings = settings_with(data_dir)
    mailer.send(settings, make(settings))
    mailer.send(settings, make(settings))
    (file,) = (data_dir / "outbox").iterdir()
    assert file.name == "invoice.01JABC@depot.example.eml"
    assert file.read_bytes() == make(settings).as_bytes()
    assert file.stat().st_mode & 0o077 == 0


def test_a_message_id_cannot_lead_out_of_the_outbox(data_dir: Path) -> None:
    settings = settings_with(data_dir)
    mailer.send(settings, make(settings, message_id="<../../x/y@depot.example>"))
    (file,) = (data_dir / "outbox").iterdir()
    assert file.name == ".._.._x_y@depot.example.eml"


def test_an_outbox_that_cannot_be_written_is_transient(data_dir: Path) -> None:
    data_dir.mkdir(parents=True)
    (data_dir / "outbox").write_text("a file in the way")
    assert isinstance(fails(settings_with(data_dir)), Transient)


@pytest.mark.parametrize(
    "recipient",
    [
        "",
        "nobody",
        "@broker.example",
        "a@b.example, c@d.example",
        "a@b.example\r\nBcc: c@d.example",
        "Jo <a@b.example>",
    ],
)
def test_what_is_not_one_address_is_permanent_and_not_repeated(data_dir: Path, recipient: str) -> None:
    with pytest.raises(Permanent, match="address is not valid") as caught:
        make(settings_with(data_dir), recipient=recipient)
    assert "example" not in str(caught.value).replace("example.org", "")


def test_a_domain_with_umlauts_is_written_as_mail_servers_know_it(data_dir: Path) -> None:
    assert make(settings_with(data_dir), recipient="buero@müller.example")["To"] == "buero@xn--mller-kva.example"


def test_a_subject_with_a_line_break_stays_one_header(data_dir: Path) -> None:
    mail = make(settings_with(data_dir), subject="Invoice\r\nBcc: c@d.example")
    assert mail["Subject"] == "Invoice Bcc: c@d.example"
    assert mail["Bcc"] is None
