"""Vehicles and devices through the API: what it says lets a device in at the running broker, and out."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from litestar.testing import TestClient
from paho.mqtt.enums import CallbackAPIVersion
from sqlite_utils import Database

from appliance.domain.presence import VehicleState
from appliance.servers import mosquitto
from appliance.storage import alerts, shifts, users
from appliance.storage.db import open_depot, value, write_tx
from tests import cast as play
from tests.ports import free_port
from tests.servers import wait_for
from tests.web import world
from tests.web.conftest import Client, problem
from web.app import create_app

ALL_LEVELS = ["ambulatory", "wheelchair", "stretcher", "bariatric"]


@pytest.fixture
def with_broker(data_dir: Path) -> Iterator[Client]:
    """The application beside a running broker."""
    data_dir.mkdir()
    settings = play.depot(data_dir, DEPOTBOX_MQTT__PORT=str(free_port()))
    environ = {**os.environ, **play.environ(settings)}
    broker = subprocess.Popen([sys.executable, "-m", "appliance", "role", "mosquitto"], env=environ)
    try:
        wait_for(lambda: mosquitto.running_pid(settings.paths), "the broker runs")
        db = open_depot(settings.paths.depot_db)
        with write_tx(db) as tx:
            users.add(tx, world.address_of("administrator"), "Ann", "administrator", datetime.now(UTC))
        db.conn.close()
        signed_in = world.as_user(settings)
        with TestClient(create_app(settings), base_url="http://127.0.0.1:8080") as client:
            client.cookies.update(signed_in.cookies)
            client.headers.update(signed_in.headers)
            yield client
    finally:
        broker.kill()
        broker.wait()


class Device:
    """A tracker that was set up with what the API said."""

    def __init__(self, credentials: dict[str, Any]) -> None:
        self.connected: bool | None = None
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, credentials["client_id"])
        self.client.username_pw_set(credentials["username"], credentials["password"])
        self.client.on_connect = lambda _c, _u, _f, reason, _p: setattr(self, "connected", not reason.is_failure)
        self.client.on_disconnect = lambda *_: setattr(self, "connected", False)
        wait_for(lambda: self._connects(credentials), "the broker listens")
        self.client.loop_start()

    def _connects(self, credentials: dict[str, Any]) -> bool:
        try:
            self.client.connect(credentials["local_host"], credentials["local_port"])
        except ConnectionRefusedError:
            return False
        return True

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def test_what_the_api_says_lets_a_device_in_and_what_it_revokes_or_disables_is_out(with_broker: Client) -> None:
    def tried(credentials: dict[str, Any]) -> bool:
        device = Device(credentials)
        wait_for(lambda: device.connected is not None, "the broker answers")
        found = device.connected
        device.close()
        return bool(found)

    first = with_broker.post("/api/v1/vehicles", json={"code": "V1", "plate": "AB12 CDE"})
    assert first.status_code == 201
    assert "warning" not in first.json()
    second = with_broker.post("/api/v1/vehicles/V1/devices", json={"source": True}).json()
    assert (second["username"], second["topic"]) == ("V1-2", "depot/v1/vehicles/V1/gps/V1-2")
    device = Device(first.json())
    wait_for(lambda: device.connected, "it is let in")
    devices = with_broker.post("/api/v1/vehicles/V1/devices/V1-1/revoke").json()["items"]
    assert [(one["username"], one["revoked_at"] is None) for one in devices] == [("V1-1", False), ("V1-2", True)]
    wait_for(lambda: device.connected is False, "it is out", 5)
    device.close()
    assert tried(second)
    assert with_broker.post("/api/v1/vehicles/V1/disable").json()["disabled_at"]
    assert not tried(second)
    assert with_broker.post("/api/v1/vehicles/V1/enable").json()["disabled_at"] is None
    assert tried(second)
    third = with_broker.post("/api/v1/vehicles/V1/devices/V1-2/replace", json={}).json()
    assert "warning" not in third
    assert not tried(second)
    assert tried(third)


def test_a_secret_is_told_once(client: Client) -> None:
    said = client.post("/api/v1/vehicles", json={"code": "V20"})
    password = said.json()["password"]
    assert said.headers["cache-control"] == "no-store"
    for path in ("vehicles", "records/vehicles", "vehicles/V20/devices"):
        assert password not in client.get(f"/api/v1/{path}").text


def test_another_device_becomes_the_position_source(client: Client) -> None:
    client.post("/api/v1/vehicles/V1/devices", json={})
    sources = client.post("/api/v1/vehicles/V1/devices/V1-2/source").json()["items"]
    assert [one["position_source"] for one in sources] == [False, True]
    problem(client.post("/api/v1/vehicles/V2/devices/V1-2/source"), 404)
    problem(client.post("/api/v1/vehicles/V2/devices/V1-2/revoke"), 404)
    problem(client.get("/api/v1/vehicles/V99/devices"), 404)


def test_a_vehicle_is_changed(client: Client) -> None:
    changed = client.patch("/api/v1/vehicles/V1", json={"name": "Van One", "documents_expire_on": "2027-03-31"}).json()
    assert (changed["name"], changed["plate"], changed["levels"]) == ("Van One", "DX71 ABC", ALL_LEVELS)
    assert client.get("/api/v1/vehicles").json()["items"][0]["name"] == "Van One"
    problem(client.patch("/api/v1/vehicles/V1", json={"levels": []}), 400)
    problem(client.patch("/api/v1/vehicles/V1", json={"code": "V2"}), 400)
    problem(client.patch("/api/v1/vehicles/V99", json={}), 404)


def test_a_vehicle_with_trips_stays_in_service(client: Client) -> None:
    assert "under way" in problem(client.post("/api/v1/vehicles/V1/disable"), 409)


def test_a_disabled_vehicle_leaves_lists_shifts_and_alerts_and_its_history_stays(
    client: Client, depot: world.World, depot_db: Database
) -> None:
    with write_tx(depot_db) as tx:
        shifts.add(tx, depot.vehicles["V8"], 1, depot.now, depot.now + timedelta(hours=8), "test", depot.now)
        duty = shifts.at_work(tx, depot.now)["V8"]
        assert alerts.add(tx, duty["vehicle_id"], VehicleState.silent, depot.now, depot.now, None, 1)
    assert client.post("/api/v1/vehicles/V8/disable").json()["disabled_at"]
    assert "V8" not in {one["code"] for one in client.get("/api/v1/vehicles").json()["items"]}
    assert "V8" in {one["code"] for one in client.get("/api/v1/records/vehicles").json()["items"]}
    assert client.get("/api/v1/alerts").json()["total"] == 0
    assert shifts.listed(depot_db, depot.now) == []
    assert client.get("/api/v1/vehicles/V8/trail").status_code == 200
    who = value(depot_db, "SELECT who FROM audit_log WHERE action = 'vehicle.disabled'")
    assert who == "administrator@depot.example"
