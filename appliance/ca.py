"""The box's own certificate authority: it vouches for the broker to the vehicles, and for devices to the broker.

All keys are RSA with 2048 bits, all signatures SHA-256. Every tracker that speaks TLS 1.2 takes these, also those whose
modem knows no elliptic curves; a handshake costs the box about a millisecond. The dates lie far apart, because neither
the box nor a tracker has a clock to be relied on, and because nobody comes to renew what is built into a van.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from appliance import atomicfile
from appliance.errors import ConfigError
from appliance.paths import Paths

# Of all but the servers'. Before 2050, from where on certificates write their dates in another way (RFC 5280, 4.1.2.5).
VALID_FROM = datetime(2020, 1, 1, tzinfo=UTC)
VALID_TO = datetime(2049, 12, 31, tzinfo=UTC)

# Apple's devices refuse a server's certificate that is valid for more than 825 days (support.apple.com/103769).
SERVER_BEFORE = timedelta(days=365)
SERVER_AFTER = timedelta(days=459)
RENEW = timedelta(days=180)
_NO_EARLIER = datetime(2026, 1, 1, tzinfo=UTC)  # a clock that says less has lost its time


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and its private key, both PEM."""

    certificate: str
    key: str


class Authority:
    """The authority of one box."""

    def __init__(self, key: rsa.RSAPrivateKey, certificate: x509.Certificate) -> None:
        self._key = key
        self._certificate = certificate

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate, as people compare it: `AB:CD:...`."""
        return self._certificate.fingerprint(hashes.SHA256()).hex(":").upper()

    def device(self, username: str, serial: int) -> Issued:
        """For a device: whoever holds the key is `username` to the broker."""
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
        return self._issue(username, serial, VALID_FROM, VALID_TO, usage)

    def server(self, names: Collection[str], now: datetime) -> Issued:
        """For the broker or the pages, reached by these names and addresses."""
        now = max(now, _NO_EARLIER)
        return self._issue(
            "depotbox",
            new_serial(),
            now - SERVER_BEFORE,
            now + SERVER_AFTER,
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]),
            x509.SubjectAlternativeName([_general_name(name) for name in names]),
        )

    def is_good(self, server: str, names: Collection[str], now: datetime) -> bool:
        """Whether this certificate (PEM) of a server is from here, for these names, and for a good while yet. It may
        have more names: an address that was given back is no reason for another one."""
        try:
            found = x509.load_pem_x509_certificate(server.encode())
            found.verify_directly_issued_by(self._certificate)
            held = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
            return False
        now = max(now, _NO_EARLIER)
        fits = {_general_name(name) for name in names} <= set(held)
        return fits and found.not_valid_before_utc <= now < found.not_valid_after_utc - RENEW

    def revocations(self, serials: Iterable[int]) -> str:
        """The list (PEM) of the certificates that count no more. It does not expire: an old one is better than none."""
        made = x509.CertificateRevocationListBuilder(
            issuer_name=self._certificate.subject, last_update=VALID_FROM, next_update=VALID_TO
        )
        for serial in serials:
            one = x509.RevokedCertificateBuilder(serial, VALID_FROM).build()
            made = made.add_revoked_certificate(one)
        return _pem(made.sign(self._key, hashes.SHA256()))

    def _issue(
        self,
        name: str,
        serial: int,
        valid_from: datetime,
        valid_to: datetime,
        *extensions: x509.ExtensionType,
    ) -> Issued:
        key = _new_key()
        made = _builder(name, self._certificate.subject, key, serial, valid_from, valid_to)
        made = made.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        for extension in extensions:
            made = made.add_extension(extension, critical=False)
        return Issued(_pem(made.sign(self._key, hashes.SHA256())), _key_pem(key))


def new_serial() -> int:
    """Of a certificate to come: random, so that it is the only one with it."""
    return x509.random_serial_number()


def own(paths: Paths) -> Authority:
    """The authority of this box, made the first time. `init` does that, before anybody else asks.

    Raises ConfigError where its files cannot be read: it is not made anew by itself, for then no tracker would know the
    box any more.
    """
    try:
        if not paths.ca_certificate.exists():
            _make(paths)
        key = serialization.load_pem_private_key(paths.ca_key.read_bytes(), password=None)
        certificate = x509.load_pem_x509_certificate(paths.ca_certificate.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"the box's certificate authority cannot be read: {error}",
            subject=str(paths.secrets_dir),
            hint="restore ca.key and ca.crt from a backup",
        ) from error
    assert isinstance(key, rsa.RSAPrivateKey)
    return Authority(key, certificate)


def public(paths: Paths) -> str:
    """The authority's certificate (PEM), which anybody may have. Raises ConfigError before `init` has made it."""
    try:
        return paths.ca_certificate.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        hint = "start the box once: depotbox run"
        raise ConfigError("no certificate here", subject=str(paths.ca_certificate), hint=hint) from error


def _make(paths: Paths) -> None:
    """The certificate is written last: while it is not there, nobody has seen the key."""
    key = _new_key()
    public = key.public_key()
    digest = hashlib.sha256(public.public_bytes(*_SPKI)).hexdigest()
    name = f"Depot box {digest[:8]}"  # two boxes' authorities are told apart in a phone's settings
    made = _builder(name, _name(name), key, new_serial(), VALID_FROM, VALID_TO)
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    made = made.add_extension(_SIGNS, critical=True)
    made = made.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    atomicfile.write(paths.ca_key, _key_pem(key))
    atomicfile.write(paths.ca_certificate, _pem(made.sign(key, hashes.SHA256())), mode=0o644)


_SPKI = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
_SIGNS = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


def _new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _builder(
    name: str, issuer: x509.Name, key: rsa.RSAPrivateKey, serial: int, valid_from: datetime, valid_to: datetime
) -> x509.CertificateBuilder:
    return x509.CertificateBuilder(issuer, _name(name), key.public_key(), serial, valid_from, valid_to)


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(signed: x509.Certificate | x509.CertificateRevocationList) -> str:
    return signed.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: rsa.RSAPrivateKey) -> str:
    """PKCS #1 (`BEGIN RSA PRIVATE KEY`), which old trackers read too."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    ).decode()
