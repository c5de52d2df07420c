"""`depotbox vehicle`: what it prints is what lets a device in, and what it revokes is out at once."""

from __future__ import annotations

import hashlib
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from sqlite_utils import Database

from appliance import ca, clock, config, dispatch
from appliance.config import Settings
from appliance.errors import InputError, NotFound, Refused, Unavailable
from appliance.servers import access
from appliance.storage.db import value, write_tx

KEYS = ["host", "port", "topic", "client_id", "username", "password", "status_topic"]


class Device:
    """A tracker that was set up with what `vehicle add --json` printed."""

    def __init__(self, credentials: dict[str, Any]) -> None:
        self.connected: bool | None = None
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, credentials["client_id"])
        if "ca_file" in credentials:
            self.client.tls_set(
                credentials["ca_file"], credentials.get("certificate_file"), credentials.get("key_file")
            )
        if "password" in credentials:
            self.client.username_pw_set(credentials["username"], credentials["password"])
        self.client.on_connect = lambda _c, _u, _f, reason, _p: setattr(self, "connected", not reason.is_failure)
        self.client.on_disconnect = lambda *_: setattr(self, "connected", False)
        reached = credentials.get("tls", credentials)
        self.client.connect(reached["host"], reached["port"])
        self.client.loop_start()

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def connect() -> Iterator[Callable[[dict[str, Any]], Device]]:
    devices: list[Device] = []

    def begin(credentials: dict[str, Any]) -> Device:
        devices.append(Device(credentials))
        return devices[-1]

    yield begin
    for device in devices:
        device.close()


def test_a_vehicle_gets_a_device_and_its_credentials_are_printed(box: Any, settings: Settings) -> None:
    said = box("vehicle", "add", "V1", "--name", "Van 1", "--plate", "DX71 ABC", "--level", "wheelchair", "--json")
    assert said.code == 0
    assert list(said.json) == KEYS
    assert said.json["port"] == settings.mqtt.port
    assert said.json["topic"] == "depot/v1/vehicles/V1/gps"
    assert said.json["username"] == said.json["client_id"] == "V1-1"
    (listed,) = box("vehicle", "list", "--json").items
    assert listed == {
        "code": "V1",
        "name": "Van 1",
        "plate": "DX71 ABC",
        "documents_expire_on": None,
        "disabled_at": None,
        "levels": ["wheelchair"],
        "devices": [{"username": "V1-1", "position_source": True, "revoked_at": None}],
    }


def test_people_read_each_credential_on_a_line_of_its_own(box: Any) -> None:
    said = box("vehicle", "add", "V1")
    names = [line.rsplit(maxsplit=1)[0] for line in said.out.splitlines()[:7]]
    assert sorted(names) == sorted(key.replace("_", " ") for key in KEYS)
    assert "V1-1*" in box("vehicle", "list").out


def test_the_password_is_kept_as_a_hash_only(box: Any, db: Database) -> None:
    password = box("vehicle", "add", "V1", "--json").json["password"]
    assert password not in "\n".join(db.conn.iterdump())
    (device,) = db.query("SELECT password_hash FROM devices")
    assert device["password_hash"].startswith("$7$")


def test_a_running_broker_lets_a_new_device_in_and_a_revoked_one_out(
    box: Any, role: Callable[[str], None], connect: Callable[[dict[str, Any]], Device], wait_for: Any
) -> None:
    role("mosquitto")
    credentials = box("vehicle", "add", "V1", "--json").json
    device = connect(credentials)
    wait_for(lambda: device.connected)
    assert box("vehicle", "revoke", "V1-1").code == 0
    wait_for(lambda: device.connected is False)
    again = connect(credentials)
    wait_for(lambda: again.connected is False)


def test_a_disabled_vehicles_devices_are_out_until_it_is_enabled(
    box: Any, db: Database, role: Callable[[str], None], connect: Callable[[dict[str, Any]], Device], wait_for: Any
) -> None:
    role("mosquitto")
    credentials = box("vehicle", "add", "V1", "--json").json
    device = connect(credentials)
    wait_for(lambda: device.connected)
    assert box("vehicle", "disable", "V1").code == 0
    wait_for(lambda: device.connected is False, 5)
    again = connect(credentials)
    wait_for(lambda: again.connected is False)
    assert "it is disabled" in box("vehicle", "add", "V1", "--another-device").err
    assert box("vehicle", "disable", "V1").code == Refused.exit_code
    assert box("vehicle", "enable", "V1").code == 0
    assert box("vehicle", "enable", "V1").code == Refused.exit_code
    back = connect(credentials)
    wait_for(lambda: back.connected)


def test_a_vehicle_is_changed_and_keeps_what_its_trips_need(box: Any, db: Database) -> None:
    box("vehicle", "add", "V1", "--level", "wheelchair")
    now = clock.now()
    with write_tx(db) as tx:
        new = dispatch.NewTrip(pickup_at=now, pickup_address="a", dropoff_address="b", level="wheelchair", vehicle="V1")
        trip = dispatch.create_trip(tx, new, now=now, who="test").id
    said = box("vehicle", "set", "V1", "--levels", "ambulatory,stretcher")
    assert (said.code, f"trip {trip} needs wheelchair" in said.err) == (Refused.exit_code, True)
    assert f"trip {trip} is assigned" in box("vehicle", "disable", "V1").err
    assert "'flying'" in box("vehicle", "set", "V1", "--levels", "flying").err
    assert box("vehicle", "set", "V1", "--levels", "").code == InputError.exit_code
    done = box("vehicle", "set", "V1", "--name", "Van One", "--plate", "AB12 CDE", "--levels", "wheelchair ambulatory",
               "--documents-expire", "2027-03-31")  # fmt: skip
    assert done.code == 0
    (listed,) = box("vehicle", "list", "--json").items
    assert (listed["name"], listed["plate"], listed["levels"]) == ("Van One", "AB12 CDE", ["wheelchair", "ambulatory"])
    assert listed["documents_expire_on"] == "2027-03-31"
    assert value(db, "SELECT detail FROM audit_log WHERE action = 'vehicle.changed'") == (
        "documents_expire_on, levels, name, plate"
    )
    assert box("vehicle", "set", "V9", "--name", "x").code == NotFound.exit_code


def test_a_broker_that_cannot_be_told_does_not_cost_the_password(
    box: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = settings.paths.mosquitto_dir
    folder.rename(folder.with_name("away"))
    said = box("vehicle", "add", "V1", "--json")
    assert said.code == Unavailable.exit_code
    assert list(said.json) == [*KEYS, "warning"]
    assert "before its next start" in said.err
    folder.with_name("away").rename(folder)
    access.refresh(settings)
    assert "V1-1:" in (folder / "devices.passwords").read_text()


@pytest.mark.parametrize("code", ["a/b", "", "V1 ", "x" * 33, "#"])
def test_a_code_that_cannot_stand_in_a_topic_is_one_line(box: Any, code: str) -> None:
    said = box("vehicle", "add", "--", code)
    assert said.code == InputError.exit_code
    assert len(said.err.splitlines()) == 1
    assert box("vehicle", "list", "--json").items == []


def test_a_code_that_is_taken_is_one_line(box: Any) -> None:
    box("vehicle", "add", "V1")
    said = box("vehicle", "add", "V1")
    assert (said.code, said.err) == (
        InputError.exit_code,
        "depotbox: code 'V1': there is already a vehicle with this code\n",
    )


def test_another_device_has_a_topic_of_its_own_and_is_the_source_once_the_first_is_revoked(box: Any) -> None:
    box("vehicle", "add", "V1")
    second = box("vehicle", "add", "V1", "--another-device", "--json").json
    assert (second["username"], second["topic"]) == ("V1-2", "depot/v1/vehicles/V1/gps/V1-2")
    assert "now comes from V1-2" in box("vehicle", "revoke", "V1-1").out
    (listed,) = box("vehicle", "list", "--json").items
    assert [device["position_source"] for device in listed["devices"]] == [False, True]
    assert "--another-device" in box("vehicle", "revoke", "V1-2").out
    assert box("vehicle", "add", "V1", "--another-device", "--json").json["topic"] == "depot/v1/vehicles/V1/gps/V1-3"


def test_a_device_that_is_not_in_use_cannot_be_revoked(box: Any) -> None:
    said = box("vehicle", "revoke", "V1-1")
    assert said.code == NotFound.exit_code
    assert "V1-1: no such device in use" in said.err


def test_a_device_for_an_unknown_vehicle_is_refused(box: Any) -> None:
    assert box("vehicle", "add", "V9", "--another-device").code == NotFound.exit_code


def test_adding_and_revoking_are_in_the_audit_log(box: Any, db: Database) -> None:
    box("vehicle", "add", "V1")
    box("vehicle", "revoke", "V1-1")
    found = [(row["action"], row["detail"]) for row in db.query("SELECT action, detail FROM audit_log ORDER BY id")]
    assert found == [("device.added", "V1-1"), ("device.revoked", "V1-1")]


def test_an_empty_depot_says_what_to_do(box: Any) -> None:
    assert "depotbox vehicle add CODE" in box("vehicle", "list").out


# over TLS


@pytest.fixture
def over_tls(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for key in ("TLS_PORT", "CERTIFICATE_PORT"):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            monkeypatch.setenv(f"DEPOTBOX_MQTT__{key}", str(probe.getsockname()[1]))
    monkeypatch.setenv("DEPOTBOX_MQTT__PUBLIC_HOST", "localhost")
    return config.load()


def test_a_card_whose_host_is_a_guess_says_so_in_a_line(
    box: Any, over_tls: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "public_host" not in box("vehicle", "add", "V1").err
    monkeypatch.setenv("DEPOTBOX_MQTT__PUBLIC_HOST", "")
    said = [line for line in box("vehicle", "add", "V2").err.splitlines() if "public_host" in line]
    assert said == [
        "depotbox: mqtt.public_host is not set: vehicles outside may not reach the box as 127.0.0.1",
    ]


def test_what_is_printed_lets_both_kinds_of_device_in(
    box: Any, over_tls: Settings, role: Callable[[str], None], tmp_path: Path, wait_for: Any
) -> None:
    role("mosquitto")
    tracker = box("vehicle", "add", "V1", "--json").json
    authority = ["tls", "ca_url", "ca_sha256", "ca_certificate", "ca_file"]
    assert list(tracker) == [*KEYS, *authority]
    assert tracker["ca_certificate"] == Path(tracker["ca_file"]).read_text()
    assert tracker["ca_url"] == f"http://localhost:{over_tls.web.port}/ca.crt"
    assert tracker["tls"] == {"host": "localhost", "port": over_tls.mqtt.tls_port}
    assert (tracker["host"], tracker["port"]) == (over_tls.mqtt.host, over_tls.mqtt.port)
    tablet = box("vehicle", "add", "V1", "--another-device", "--certificate", "--into", str(tmp_path), "--json").json
    assert list(tablet) == [*KEYS[:-2], "status_topic", *authority, "certificate_file", "key_file"]
    assert tablet["port"] == over_tls.mqtt.certificate_port
    assert Path(tablet["key_file"]).stat().st_mode & 0o777 == 0o600
    here = {key: tracker[key] for key in KEYS}  # as a program on the box may, without TLS
    devices = [Device(tracker), Device(tablet)]
    wait_for(lambda: all(device.connected for device in devices))
    assert box("vehicle", "revoke", "V1-2").code == 0
    wait_for(lambda: not devices[1].connected)
    assert devices[0].connected
    devices.append(Device(here))
    wait_for(lambda: devices[2].connected)
    for device in devices:
        device.close()


def test_nothing_of_the_key_is_kept(box: Any, over_tls: Settings, db: Database, tmp_path: Path) -> None:
    said = box("vehicle", "add", "V1", "--certificate", "--into", str(tmp_path), "--json").json
    secret = Path(said["key_file"]).read_text().splitlines()[5]
    assert secret not in "\n".join(db.conn.iterdump())
    for file in over_tls.paths.data_dir.rglob("*"):
        assert not file.is_file() or secret.encode() not in file.read_bytes(), file


def test_a_person_gets_a_qr_code_and_a_file_of_it_for_the_owner_only(
    box: Any, over_tls: Settings, tmp_path: Path
) -> None:
    image = tmp_path / "v1.svg"
    said = box("vehicle", "add", "V1", "--for", "owntracks", "--qr", str(image))
    assert "▄" in said.out
    assert "owntracks:///config?inline=" in said.out
    assert "/ca.crt" in said.out
    assert ca.own(over_tls.paths).fingerprint in said.out
    assert str(over_tls.paths.data_dir) not in said.out
    assert image.stat().st_mode & 0o777 == 0o600
    assert b"<svg" in image.read_bytes()


@pytest.mark.parametrize("options", [
    ("--qr", "x.jpeg"), ("--qr", "/nowhere/x.svg"), ("--into", "/nowhere"), ("--for", "sextant"), ("--source",),
    ("--certificate", "--for", "owntracks"),
])  # fmt: skip
def test_a_wrong_option_adds_nothing(box: Any, options: tuple[str, ...]) -> None:
    assert box("vehicle", "add", "V1", *options).code == 2
    assert box("vehicle", "list", "--json").items == []


def test_a_certificate_without_a_listener_for_it_is_one_line(box: Any) -> None:
    said = box("vehicle", "add", "V1", "--certificate")
    assert (said.code, said.err) == (
        Refused.exit_code,
        "depotbox: mqtt.certificate_port = 0: there is no listener for certificates\n",
    )
    assert box("vehicle", "list", "--json").items == []


def test_another_device_becomes_the_position_source(box: Any, db: Database) -> None:
    box("vehicle", "add", "V1")
    second = box("vehicle", "add", "V1", "--another-device", "--source", "--json").json
    assert second["topic"] == "depot/v1/vehicles/V1/gps/V1-2"
    made = box("vehicle", "source", "V1-1")
    assert made.out == "The position of V1 now comes from V1-1.\n"
    assert "no fix from V1-1" in made.err
    assert box("vehicle", "source", "V1-1").code == 0
    (listed,) = box("vehicle", "list", "--json").items
    assert [device["position_source"] for device in listed["devices"]] == [True, False]
    sources = [row["device_id"] for row in db.query("SELECT device_id FROM position_sources ORDER BY id")]
    assert sources == [1, 2, 1]
    assert box("vehicle", "source", "V9-1").code == NotFound.exit_code


def test_the_authority_is_printed_with_its_fingerprint(box: Any, settings: Settings) -> None:
    said = box("vehicle", "ca")
    assert said.out == settings.paths.ca_certificate.read_text()
    as_json = box("vehicle", "ca", "--json").json
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(said.out)).hexdigest().upper()
    assert as_json["sha256"].replace(":", "") == digest
    assert as_json["sha256"] in said.err
