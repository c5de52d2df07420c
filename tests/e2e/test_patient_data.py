"""Patient data stands in the database, on the pages and in the documents meant for it, and nowhere else."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import threading
import time
import zlib
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import httpx
import paho.mqtt.client as paho
import pytest
import redis
from aiosmtpd.controller import Controller
from paho.mqtt.enums import CallbackAPIVersion
from running_box import RunningBox, wait_for

from appliance.domain.fare import Rate
from appliance.domain.trip import LevelOfService
from appliance.paths import Paths
from appliance.servers.mosquitto import own_password
from appliance.storage import payers, people
from appliance.storage.db import open_depot, write_tx
from tests.ports import free_port

pytestmark = pytest.mark.timeout(180)

MARKS = ("Zyxquilla", "Quorvex", "Unmistakable", "zq-mail", "Vlormund")
PATIENT, HOME, CLINIC = "Zyxquilla Quorvex", "77 Unmistakable Lane", "Vlormund Clinic"
EMAIL = "zq-mail@zq-mail.example"


class Relay:
    """An SMTP server that refuses the first mail for now, the second for good, and repeats the address each time."""

    def __init__(self) -> None:
        self.taken = 0
        self.refused: list[str] = []

    async def handle_DATA(self, _server: object, _session: object, envelope: object) -> str:  # noqa: N802
        recipient = envelope.rcpt_tos[0]  # type: ignore[attr-defined]
        if len(self.refused) < 2:
            code = ("451 later for", "550 no such user")[len(self.refused)]
            self.refused.append(code)
            return f"{code} <{recipient}>"
        self.taken += 1
        return "250 OK"


class Ears:
    """Everything that Redis is told, and every MQTT message."""

    def __init__(self, paths: Paths) -> None:
        self.heard: list[bytes] = []
        self.topics: set[str] = set()
        self._paths = paths
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._monitor, daemon=True)
        self._mqtt = paho.Client(CallbackAPIVersion.VERSION2, client_id="ears", protocol=paho.MQTTv5, transport="unix")
        self._mqtt.username_pw_set("loopback", own_password(paths, "loopback"))
        self._mqtt.on_message = self._message

    def __enter__(self) -> Ears:
        self._thread.start()
        self._mqtt.connect(str(self._paths.mqtt_socket))
        self._mqtt.subscribe([("depot/v1/#", 0)])
        self._mqtt.loop_start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._mqtt.disconnect()
        self._mqtt.loop_stop()
        self._thread.join(5)

    def _message(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        self.topics.add(message.topic)
        self.heard.append(message.topic.encode() + b" " + bytes(message.payload))

    def _monitor(self) -> None:
        with socket.socket(socket.AF_UNIX) as channel:
            channel.connect(str(self._paths.redis_socket))
            channel.sendall(b"MONITOR\r\n")
            channel.settimeout(0.5)
            rest = b""
            while not self._stop.is_set():
                with contextlib.suppress(TimeoutError):
                    *lines, rest = (rest + channel.recv(1 << 16)).split(b"\r\n")
                    self.heard += [plain(line.decode("latin-1")) for line in lines]


def plain(command: str) -> bytes:
    """A Redis command with the bodies of Celery's messages unpacked: zlib data in base64, which Celery calls gzip."""
    raw = command.encode()
    start = command.find('{\\"body\\": \\"')
    start = start if start >= 0 else command.find('{"body": "')
    if start < 0:
        return raw
    body = command[start:].replace('\\"', '"')[len('{"body": "') :].partition('"')[0]
    packed = base64.b64decode(body)
    try:
        return raw + zlib.decompress(packed)
    except zlib.error:
        return raw + packed  # remote control is not compressed


@pytest.fixture
def relay() -> Iterator[tuple[Relay, int]]:
    found, port = Relay(), free_port()
    controller = Controller(found, hostname="127.0.0.1", port=port)
    controller.start()
    yield found, port
    controller.stop()


def hire(box: RunningBox) -> None:
    """A patient who pays and agreed to mail, and a van."""
    now = datetime.now(UTC)
    box.json("vehicle", "add", "VAN-1")
    db = open_depot(Paths(box.data_dir).depot_db)
    with write_tx(db) as tx:
        patient = people.add_patient(tx, PATIENT, now, address=HOME, email=EMAIL)
        people.record_consent(tx, patient, True, "test", now)
        people.add_driver(tx, "D1", "Dee Frost", now, email="dee@drivers.example")
        payer = payers.add(tx, PATIENT, "patient", now, patient_id=patient, email=EMAIL, address=HOME)
        payers.add_rate(tx, payer, Rate(LevelOfService.ambulatory, date(2020, 1, 1), None, 4500, 0), now)
    db.conn.close()


def test_no_name_or_address_leaves_its_place(tmp_path: Path, relay: tuple[Relay, int]) -> None:
    """Trips planned, driven, refused, invoiced, mailed, refused by the relay for now and for good, and looked at: none
    of the marks is in Redis (its traffic and its data), in MQTT, in the logs, or in what the health and metrics say."""
    mail = {"DEPOTBOX_MAIL__HOST": "127.0.0.1", "DEPOTBOX_MAIL__PORT": str(relay[1]), "DEPOTBOX_LOG__LEVEL": "debug"}
    with RunningBox(tmp_path / "data", **mail) as box, Ears(Paths(box.data_dir)) as ears:
        hire(box)
        with httpx.Client(base_url=f"http://127.0.0.1:{box.web_port}", timeout=20, headers=box.token()) as client:
            drive(client, count=3)
            wait_for(lambda: relay[0].refused, "the relay has refused one", 60)
            retry_mails(box)
            wait_for(lambda: relay[0].taken >= 1, "the relay has taken one", 60)
            for path in ("/healthz", "/metrics", "/api/v1/system", "/api/v1/jobs"):
                answer = client.get(path)
                nowhere(answer.content, f"GET {path}")
            assert PATIENT in client.get("/").text  # where it belongs
        store = redis.Redis(unix_socket_path=str(Paths(box.data_dir).redis_socket))
        for db in (0, 1, 2):
            store.select(db)
            for key in store.scan_iter():
                nowhere(key + bytes(store.dump(key) or b""), f"Redis key {key!r}")
        assert len(ears.heard) > 50
        assert any(b"send_invoice_email" in heard and b"LPUSH" in heard for heard in ears.heard)
        assert any("assignment" in topic for topic in ears.topics)
        for heard in ears.heard:
            nowhere(heard, "Redis or MQTT")
    nowhere(box.log.read_bytes(), "the log")
    arguments = "".join(row[0] for row in box.query("SELECT arguments FROM jobs"))
    nowhere(arguments.encode(), "task arguments")


def drive(client: httpx.Client, count: int) -> None:
    for number in range(count):
        now = datetime.now(UTC) - timedelta(minutes=30)
        new = {
            "pickup_at": now.isoformat(), "pickup_address": HOME, "dropoff_address": CLINIC, "patient": PATIENT,
            "vehicle": "VAN-1", "driver": "D1", "ref": f"R{number}",
        }  # fmt: skip
        trip = client.post("/api/v1/trips", json=new)
        assert trip.status_code == 201, trip.text
        path = f"/api/v1/trips/{trip.json()['id']}/events"
        assert client.post(path, json={"event": "completed"}).status_code == 409
        for event in ("on_board", "arrived_dropoff", "completed"):
            assert client.post(path, json={"event": event}).status_code == 200
    bad = client.post("/api/v1/trips", json={"pickup_at": "soon", "pickup_address": HOME, "patient": PATIENT})
    assert bad.status_code == 400
    unknown = client.post(
        "/api/v1/trips",
        json={"pickup_at": "2026-01-01T00:00:00Z", "pickup_address": HOME, "dropoff_address": CLINIC, "driver": "?",
              "patient": PATIENT, "vehicle": "VAN-1"},
    )  # fmt: skip
    assert 400 <= unknown.status_code < 500


def retry_mails(box: RunningBox) -> None:
    """What waits or was parked is tried again, until something has gone through."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        open_ = box.query("SELECT id, state FROM jobs WHERE name LIKE '%send_invoice%' AND state <> 'done'")
        for id, state in open_:
            if state == "failed":
                box.run("jobs", "retry", id)
        if box.query("SELECT count(*) FROM mails WHERE state = 'sent' AND kind = 'invoice'") != [(0,)]:
            return
        time.sleep(0.2)
    raise AssertionError(json.dumps(box.query("SELECT state, last_error FROM mails")))


def nowhere(content: bytes, where: str) -> None:
    lower = content.lower()
    for mark in MARKS:
        at = lower.find(mark.lower().encode())
        assert at < 0, f"{mark} in {where}: ...{content[max(0, at - 120) : at + 60]!r}"
