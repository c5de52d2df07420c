"""What a device is set up with, as data, as lines for a person, as OwnTracks' link and as a QR code."""

from __future__ import annotations

import base64
import io
from enum import StrEnum
from typing import Literal

import msgspec
import segno
from msgspec import Struct


class Model(StrEnum):
    """Devices whose own settings the box can name."""

    owntracks = "owntracks"
    teltonika = "teltonika"


class Credentials(Struct, frozen=True, omit_defaults=True):
    """What a new device is set up with. Password and key are known here and nowhere else: the box keeps a hash of the
    one and nothing of the other.

    `topic` takes the device's fixes, `status_topic` its `online` and, as a last will, `offline`. With `ca_file`, host
    and port speak TLS, and the file is the certificate by which the device knows the box; `ca_url` is where it is
    served, `ca_sha256` its fingerprint, `ca_certificate` its text (PEM). A device logs in with its password, or
    with `certificate` and `key` (PEM). With a password a program on the box itself may also log in without TLS, at
    `local_host` and `local_port`. `warning` is there only when the broker could not be told: it then knows the device
    from its next start on.
    """

    host: str
    port: int
    topic: str
    client_id: str
    username: str
    password: str = ""
    ca_file: str = ""
    ca_url: str = ""
    ca_sha256: str = ""
    ca_certificate: str = ""
    certificate: str = ""
    key: str = ""
    status_topic: str = ""
    local_host: str = ""
    local_port: int = 0
    warning: str | None = None


def lines(credentials: Credentials, model: Model | None = None) -> list[tuple[str, str]]:
    """(name, value) of each setting: in the model's own words, or in those of `Credentials`."""
    if model is Model.owntracks:
        return _owntracks(credentials)
    if model is Model.teltonika:
        return _teltonika(credentials)
    names = ("host", "port", "topic", "status_topic", "client_id", "username", "password", "ca_url", "ca_sha256")
    named = {name: str(getattr(credentials, name)) for name in names}
    return [(name.replace("_", " "), value) for name, value in named.items() if value]


def owntracks_link(credentials: Credentials) -> str:
    """The link that sets the OwnTracks app up (https://owntracks.org/booklet/features/remoteconfig): its configuration
    as JSON in base64. Keys as in https://owntracks.org/booklet/tech/json."""
    letters = [letter for letter in credentials.username if letter.isalnum()]
    configuration = {
        "_type": "configuration",
        "mode": 0,  # MQTT
        "host": credentials.host,
        "port": credentials.port,
        "tls": bool(credentials.ca_file),
        "auth": True,
        "username": credentials.username,
        "password": credentials.password,
        "clientId": credentials.client_id,
        "deviceId": "phone",
        "tid": "".join(letters[-2:]),
        "cleanSession": False,
        "pubQos": 1,
    }
    return "owntracks:///config?inline=" + base64.b64encode(msgspec.json.encode(configuration)).decode()


def qr_code(credentials: Credentials, model: Model | None = None) -> segno.QRCode:
    """OwnTracks' link for a phone to open; for anything else the settings as text, to be read off and pasted."""
    if model is Model.owntracks:
        return segno.make(owntracks_link(credentials), error="l", micro=False)
    text = "\n".join(f"{name}: {value}" for name, value in lines(credentials, model))
    return segno.make(text, error="l", micro=False)


def qr_text(code: segno.QRCode) -> str:
    """For a terminal: two rows of modules in a line."""
    out = io.StringIO()
    code.terminal(out, border=2, compact=True)
    return out.getvalue()


def qr_inline(code: segno.QRCode, title: str) -> str:
    """For a page: an `<svg>` that takes the size of its place, black on nothing. The page puts white behind it."""
    return str(code.svg_inline(omitsize=True, border=2, title=title))


def qr_image(code: segno.QRCode, kind: Literal["svg", "png"]) -> bytes:
    out = io.BytesIO()
    code.save(out, kind=kind, scale=6)
    return out.getvalue()


def _owntracks(credentials: Credentials) -> list[tuple[str, str]]:
    return [
        ("Mode", "MQTT"),
        ("Host", credentials.host),
        ("Port", str(credentials.port)),
        ("TLS", f"on; first install the CA, {_ca(credentials)}" if credentials.ca_file else "off"),
        ("User ID", credentials.username),
        ("Password", credentials.password),
        ("Device ID", "phone"),
        ("Client ID", credentials.client_id),
        ("Link", owntracks_link(credentials)),
    ]


def _teltonika(credentials: Credentials) -> list[tuple[str, str]]:
    """In the words of Teltonika Configurator (https://wiki.teltonika-gps.com/view/Codec_JSON, and its guides to MQTT).
    "AWS IoT Custom" is its name for MQTT with topics of one's own, to whatever broker."""
    found = [
        ("System > Data Protocol", "Codec JSON"),
        ("GPRS > Server Settings > Domain", credentials.host),
        ("GPRS > Server Settings > Port", str(credentials.port)),
        ("GPRS > Server Settings > Protocol", "MQTT"),
        ("GPRS > Server Settings > TLS Encryption", "TLS/DTLS" if credentials.ca_file else "None"),
        ("GPRS > MQTT Settings > MQTT Client Type", "AWS IoT Custom"),
        ("GPRS > MQTT Settings > Device ID", credentials.client_id),
        ("GPRS > MQTT Settings > Data Topic", credentials.topic),
    ]
    if credentials.password:
        found.append(("GPRS > MQTT Settings > Username", credentials.username))
        found.append(("GPRS > MQTT Settings > Password", credentials.password))
    else:
        found.append(("Security > Client Certificate, Private Key", "the two files of this device"))
    if credentials.ca_file:
        found.append(("Security > Root Certificate", _ca(credentials)))
    return found


def _ca(credentials: Credentials) -> str:
    return f"{credentials.ca_url} (SHA-256 {credentials.ca_sha256})"
