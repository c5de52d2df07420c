"""With what certificate the pages are served over HTTPS: one that somebody gave to the box, else one of its own.

The configuration's files come first, then what was uploaded, then what the box's own authority made. Each is tried
whole before it is used: one that turned unusable is passed over, and said, and never a reason for no page.
"""

from __future__ import annotations

import re
import socket
import ssl
import tempfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from ipaddress import ip_address
from itertools import pairwise
from pathlib import Path
from typing import Literal

import psutil
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from msgspec import Struct

from appliance import atomicfile, ca, clock, log
from appliance.config import Settings
from appliance.errors import InputError, NotFound
from appliance.storage import audit
from appliance.storage.db import Tx

Source = Literal["configured", "uploaded", "own"]
WARN = timedelta(days=30)
"""So long before its end a certificate that somebody gave is told."""
LARGEST = 200_000
"""Characters of a certificate with its chain, and of a key."""
SMALLEST_RSA = 2048

_NAME = re.compile(r"[A-Za-z0-9.:-]+")
_log = log.get(__name__)


class Certificate(Struct, frozen=True, kw_only=True):
    """`names`: all names and addresses that it is for; `sha256`: as browsers show it, `AB:CD:...`."""

    names: list[str]
    issuer: str
    valid_from: datetime
    valid_to: datetime
    sha256: str


class Chosen(Struct, frozen=True, kw_only=True):
    """What is served. `file` holds the certificate with its chain, `key` the private key (None: in the same file);
    `problems` has one line for each that was passed over."""

    source: Source
    certificate: Certificate
    file: Path
    key: Path | None
    problems: list[str]


def names(settings: Settings) -> list[str]:
    """By what browsers reach the pages: the configured names, the host's and that with `.local`, and its addresses.
    IPv6 addresses come and go by themselves, and are left out unless configured."""
    host, fixed = socket.gethostname(), settings.web.tls_host
    known = [settings.mqtt.public_host, fixed, host, host if "." in host else f"{host}.local"]
    known += ["localhost", "127.0.0.1", "::1", *([] if fixed else _addresses())]
    return [name for name in dict.fromkeys(known) if _NAME.fullmatch(name)]


def url(settings: Settings) -> str:
    """Where people open the pages over HTTPS; empty where the box serves this machine alone."""
    if not settings.web.tls_port:
        return ""
    name = settings.mqtt.public_host or settings.web.tls_host or socket.gethostname()
    return f"https://{f'[{name}]' if ':' in name else name}:{settings.web.tls_port}/"


def renew(settings: Settings, now: datetime) -> None:
    """Makes the box's own certificate where there is none, where its end is near, or where a name was added."""
    file, wanted, authority = settings.paths.own_certificate, names(settings), ca.own(settings.paths)
    try:
        good = authority.is_good(file.read_text(encoding="ascii"), wanted, now)
    except (OSError, UnicodeDecodeError):
        good = False
    if not good:
        made = authority.server(wanted, now)
        atomicfile.write(file, made.certificate + made.key)
        _log.info("web.certificate_made", names=wanted)


def chosen(settings: Settings, now: datetime) -> Chosen:
    """The certificate to serve now. Raises InputError where not even the box's own can be used."""
    problems: list[str] = []
    for source, file, key in _candidates(settings):
        try:
            judged = source != "own" and clock.trusted(settings)  # its own is renewed in time, and is the last one
            found = _read(file, key, now if judged else None)
        except InputError as error:
            if source == "own":
                raise
            problems.append(f"the {source} certificate is not used: {error}")
            continue
        return Chosen(source=source, certificate=found, file=file, key=key, problems=problems)
    raise AssertionError("the box's own certificate is always a candidate")


def install(tx: Tx, settings: Settings, certificate: str, key: str, *, who: str, now: datetime) -> Certificate:
    """Keeps an uploaded certificate, which is served from then on, within seconds, in new connections. Raises
    InputError with what is wrong with it, before anything is changed."""
    found = examine(certificate, key, now if clock.trusted(settings) else None)
    audit.record(tx, who, "certificate.installed", "certificate", "", now, found.sha256)
    kept = "\n".join(part.strip() for part in (key, certificate)) + "\n"
    atomicfile.write(settings.paths.uploaded_certificate, kept)  # before the commit: one file, so key and chain fit
    return found


def remove(tx: Tx, settings: Settings, *, who: str, now: datetime) -> None:
    """The uploaded certificate is gone; the box's own is served. Raises NotFound where none was uploaded."""
    audit.record(tx, who, "certificate.removed", "certificate", "", now)
    try:
        settings.paths.uploaded_certificate.unlink()
    except FileNotFoundError:
        raise NotFound("no certificate was uploaded", subject="certificate") from None


def unknown(settings: Settings, certificate: Certificate) -> bool:
    """Whether it has no name by which the box knows itself. It may be right all the same: a name in an office's DNS."""
    return not any(matches(certificate.names, name) for name in names(settings))


def matches(patterns: list[str], host: str) -> bool:
    """Whether a certificate with these names is for the host; `*` stands for one label (RFC 6125, 6.4.3)."""
    host = host.lower().rstrip(".")
    rest = host.partition(".")[2]
    return any(one.lower() == host or (one.startswith("*.") and one[2:].lower() == rest) for one in patterns)


def examine(certificate: str, key: str, now: datetime | None) -> Certificate:
    """What the certificate (PEM, with its chain) is, once it is known to be fit for browsers and to belong to the key.
    Without `now`, a clock that cannot be trusted, its dates are not judged. Raises InputError."""
    if max(len(certificate), len(key)) > LARGEST:
        raise InputError("that is too long for one", subject="certificate")
    found = _fit(certificate, key)
    if now and now >= found.valid_to:
        raise InputError(f"it ended on {found.valid_to:%Y-%m-%d}", subject="certificate")
    if now and now < found.valid_from:
        raise InputError(f"it begins only on {found.valid_from:%Y-%m-%d}", subject="certificate")
    return found


@lru_cache(maxsize=4)
def _fit(certificate: str, key: str) -> Certificate:
    """Kept for the ones in use: every page asks how the box is, and to check an RSA key takes 20 ms and more."""
    chain = _chain(certificate)
    leaf = chain[0]
    _check_key(leaf, key)
    try:
        held = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        raise InputError("it has no subjectAltName, so no browser takes it", subject="certificate") from None
    found = Certificate(
        names=[*held.get_values_for_type(x509.DNSName), *map(str, held.get_values_for_type(x509.IPAddress))],
        issuer=_called(leaf.issuer),
        valid_from=leaf.not_valid_before_utc,
        valid_to=leaf.not_valid_after_utc,
        sha256=leaf.fingerprint(hashes.SHA256()).hex(":").upper(),
    )
    if not found.names:
        raise InputError("it is for no name and no address", subject="certificate")
    _try(certificate, key)
    return found


def context(file: Path, key: Path | None) -> ssl.SSLContext:
    """For a server; TLS 1.2 at least. Raises OSError, which SSLError is."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.load_cert_chain(file, key, password="")  # else a key with a password would ask for it on the terminal
    return made


def _candidates(settings: Settings) -> Iterator[tuple[Source, Path, Path | None]]:
    web, paths = settings.web, settings.paths
    if web.certificate:
        yield "configured", Path(web.certificate), Path(web.certificate_key)
    if paths.uploaded_certificate.exists():
        yield "uploaded", paths.uploaded_certificate, None
    yield "own", paths.own_certificate, None


def _read(file: Path, key: Path | None, now: datetime | None) -> Certificate:
    texts = []
    for one in (file, key or file):
        try:
            texts.append(one.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            said = error.strerror if isinstance(error, OSError) else "it is no text"
            raise InputError(f"cannot be read: {said}", subject=str(one)) from error
    return examine(texts[0], texts[1], now)


def _chain(text: str) -> list[x509.Certificate]:
    """The certificates of a PEM file, each signed by the one after it."""
    try:
        chain = x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        expected = "expected PEM: -----BEGIN CERTIFICATE-----"
        raise InputError(expected, subject="certificate") from None
    for one, issuer in pairwise(chain):
        try:
            one.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature):
            raise InputError(
                f"{_called(one.subject)!r} is not signed by {_called(issuer.subject)!r}, which follows it",
                subject="certificate",
                hint="expected the box's certificate first, then the one that signed it, and so on",
            ) from None
    return chain


def _check_key(leaf: x509.Certificate, text: str) -> None:
    try:
        key = load_pem_private_key(text.encode(), password=None)
    except TypeError:
        hint = "openssl pkey -in key.pem -out open.pem takes it off"
        raise InputError("it is protected by a password", subject="key", hint=hint) from None
    except ValueError:
        raise InputError("expected PEM: -----BEGIN PRIVATE KEY-----", subject="key") from None
    if key.public_key() != leaf.public_key():
        raise InputError("it does not belong to the certificate", subject="key")
    fit = isinstance(key, rsa.RSAPrivateKey) and key.key_size >= SMALLEST_RSA
    if not fit and not (isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in ("secp256r1", "secp384r1")):
        expected = f"expected RSA with {SMALLEST_RSA} bits or more, or an elliptic curve P-256 or P-384"
        raise InputError(expected, subject="key")


def _try(certificate: str, key: str) -> None:
    """As the server will load it: the last word is OpenSSL's."""
    with tempfile.NamedTemporaryFile("w", encoding="utf-8") as file:  # 0600, as mkstemp makes it
        file.write(f"{key.strip()}\n{certificate.strip()}\n")
        file.flush()
        try:
            context(Path(file.name), None)
        except OSError as error:
            raise InputError(f"OpenSSL does not take it: {error}", subject="certificate") from error


def _called(name: x509.Name) -> str:
    common = name.get_attributes_for_oid(x509.oid.NameOID.COMMON_NAME)
    return str(common[0].value) if common else name.rfc4514_string()


def _addresses() -> list[str]:
    """The IPv4 addresses of this machine that others can reach."""
    found = [one.address for each in psutil.net_if_addrs().values() for one in each if one.family == socket.AF_INET]
    return sorted(address for address in found if not (ip := ip_address(address)).is_loopback and not ip.is_link_local)
