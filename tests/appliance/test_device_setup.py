"""What a device is set up with, in the forms that people and devices take."""

from __future__ import annotations

import base64
import json

import pytest

from appliance import device_setup
from appliance.device_setup import Credentials, Model

CA = {
    "ca_file": "/data/secrets/ca.crt", "ca_url": "http://box.example:8080/ca.crt", "ca_sha256": "AB:CD:EF",
    "ca_certificate": "-----BEGIN",
}  # fmt: skip
TLS = Credentials(
    host="box.example", port=8883, topic="depot/v1/vehicles/VAN-20/gps", client_id="VAN-20-1", username="VAN-20-1",
    password="a secret", **CA,
)  # fmt: skip
CERTIFICATE = Credentials(
    host="box.example", port=8884, topic="depot/v1/vehicles/VAN-20/gps", client_id="VAN-20-1", username="VAN-20-1",
    certificate="-----BEGIN", key="-----BEGIN", **CA,
)  # fmt: skip


def test_the_link_of_owntracks_is_its_configuration_in_base64() -> None:
    head, _, inline = device_setup.owntracks_link(TLS).partition("?inline=")
    assert head == "owntracks:///config"
    found = json.loads(base64.b64decode(inline))
    assert found == {
        "_type": "configuration", "mode": 0, "host": "box.example", "port": 8883, "tls": True, "auth": True,
        "username": "VAN-20-1", "password": "a secret", "clientId": "VAN-20-1", "deviceId": "phone", "tid": "01",
        "cleanSession": False, "pubQos": 1,
    }  # fmt: skip


def test_the_qr_code_of_owntracks_fits_a_terminal() -> None:
    lines = device_setup.qr_text(device_setup.qr_code(TLS, Model.owntracks)).splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 40


@pytest.mark.parametrize(("kind", "head"), [("svg", b"<?xml"), ("png", b"\x89PNG")])
def test_the_qr_code_is_an_image_too(kind: str, head: bytes) -> None:
    code = device_setup.qr_code(TLS)
    assert device_setup.qr_image(code, kind).startswith(head)  # type: ignore[arg-type]


def test_teltonikas_settings_name_every_value() -> None:
    values = [value for _, value in device_setup.lines(TLS, Model.teltonika)]
    for needed in (TLS.host, "8883", "MQTT", "TLS/DTLS", "Codec JSON", TLS.topic, TLS.username, TLS.password):
        assert needed in values
    names = [name for name, _ in device_setup.lines(CERTIFICATE, Model.teltonika)]
    assert "Security > Client Certificate, Private Key" in names
    assert not any("Password" in name for name in names)


def test_each_card_says_where_the_authority_is_had_and_by_what_it_is_known() -> None:
    for model in (None, *Model):
        card = str(device_setup.lines(TLS, model))
        assert CA["ca_url"] in card
        assert CA["ca_sha256"] in card
        assert CA["ca_file"] not in card


def test_a_key_never_stands_on_the_card() -> None:
    for model in (None, *Model):
        assert "BEGIN" not in str(device_setup.lines(CERTIFICATE, model))
