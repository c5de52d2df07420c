"""The states and the alerts of the vehicles, as the API, the strip and the metrics have them."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from appliance.domain.fix import Fix
from appliance.events import Publisher
from appliance.storage import alerts, devices
from appliance.storage.db import open_depot, write_tx
from appliance.storage.gps_writer import Arrival, Batch, Writer
from tests.web import world
from tests.web.conftest import NEW_TRIP, NOON, Client
from tests.web.serving import Redis


@pytest.fixture
def troubled(depot: world.World, client: Client) -> world.World:
    Publisher(depot.settings.paths.redis_socket).publish(*world.troubled(depot))
    return depot


def states(client: Client) -> dict[str, str]:
    return {vehicle["code"]: vehicle["state"] for vehicle in client.get("/api/v1/vehicles").json()["items"]}


def strip(client: Client) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", client.get("/strip").text).split())


def test_the_api_tells_each_state(client: Client, troubled: world.World) -> None:
    assert states(client) == {
        "V1": "live", "V2": "live", "V3": "parked", "V4": "stuck", "V5": "offline", "V6": "stale", "V7": "silent",
        "V8": "never",
    }  # fmt: skip


def test_a_bridge_that_has_died_leaves_nobody_live(client: Client, depot: world.World) -> None:
    """What it told last stands in Redis, and says `live`; the pages know better after a while."""
    late = world.vehicle_event("V1", depot.now - timedelta(minutes=11), 53.4, -2.9, state="live")
    Publisher(depot.settings.paths.redis_socket).publish(late)
    assert states(client)["V1"] == "silent"


def test_without_redis_only_the_position_source_says_where_a_vehicle_is(
    client: Client, depot: world.World, redis_server: Redis
) -> None:
    db = open_depot(depot.settings.paths.depot_db)
    with write_tx(db) as tx:
        devices.add(tx, depot.vehicles["V1"], "V1", "no password", NOON)
    tablet = (devices.by_username(db, "V1-2") or {})["id"]
    db.conn.close()
    writer = Writer(depot.settings.paths.gps_dir, late_s=10.0)
    writer.commit(Batch([Arrival(depot.vehicles["V1"], tablet, Fix(NOON, 1.0, 1.0), NOON)]), NOON)
    writer.close()
    redis_server.kill()
    first = client.get("/api/v1/vehicles").json()["items"][0]
    redis_server.start()
    assert first["position"]["lat"] > 50
    assert first["state"] == "live"


def test_the_strip_says_whom_to_call(client: Client, troubled: world.World) -> None:
    page = client.get("/strip").text
    assert 'href="tel:+441514960150"' in page
    words = strip(client)
    assert "2 live 1 stale 2 silent 1 stuck 1 parked 1 offline 1 to call" in words
    assert "V5 offline, its device has been cut off since 11:53, on trip T-1012" in words
    assert "Eli Stone, +44 151 496 0150" in words


def test_an_alert_that_is_closed_or_off_duty_is_listed_only_when_asked_for(
    client: Client, troubled: world.World
) -> None:
    (alert,) = client.get("/api/v1/alerts").json()["items"]
    assert (alert["vehicle"], alert["state"], alert["driver_phone"]) == ("V5", "offline", "+44 151 496 0150")
    db = open_depot(troubled.settings.paths.depot_db)
    with write_tx(db) as tx:
        alerts.change(tx, alert["id"], "offline", alert["trip_id"], None, "2026-01-26T11:59:00.000Z")
    assert client.get("/api/v1/alerts").json()["total"] == 0
    with write_tx(db) as tx:
        assert alerts.close(tx, alert["id"], NOON)
        assert not alerts.close(tx, alert["id"], NOON)
    db.conn.close()
    assert client.get("/api/v1/alerts", params={"open": "false"}).json()["items"][0]["closed_at"] is not None
    assert "to call" not in strip(client)


def test_the_metrics_count_vehicles_by_state_and_open_alerts(client: Client, troubled: world.World) -> None:
    page = client.get("/metrics").text
    found = dict(re.findall(r'^depot_vehicles\{state="(\w+)"\} (\S+)$', page, re.MULTILINE))
    assert found == {
        "live": "2.0", "stale": "1.0", "silent": "1.0", "stuck": "1.0", "parked": "1.0", "offline": "1.0",
        "never": "1.0",
    }  # fmt: skip
    assert "depot_alerts_open 1.0" in page


def test_the_notice_of_an_assignment_is_sent_with_the_trip_and_not_by_the_sweeper(
    client: Client, depot: world.World, redis_server: Redis
) -> None:
    csv = "ref,pickup_at,pickup_address,dropoff_address,vehicle,driver\nM-1,2026-01-26 15:00,1 High St,Clinic,V1,D1\n"
    before = redis_server.queued("normal")
    assert client.post("/api/v1/trips", json=NEW_TRIP | {"vehicle": "V1", "driver": "D1"}).status_code == 201
    assert redis_server.queued("normal") == before + 1
    assert client.post("/api/v1/trips/import", content=csv).json()["added"] == 1
    assert redis_server.queued("normal") == before + 2
