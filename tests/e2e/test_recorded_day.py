"""A recorded day of real vehicles becomes trips, invoices and mail."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from aiosmtpd.controller import Controller
from recorded_day import FIXES, RECORDING, TRIPS, assert_complete, assert_mails, needs_recording
from running_box import RunningBox, wait_for

from tests.ports import free_port

pytestmark = [needs_recording, pytest.mark.timeout(240)]

SPEED = "600"


class Relay:
    """A real SMTP server that keeps what it is given."""

    def __init__(self) -> None:
        self.mails: list[bytes] = []

    async def handle_DATA(self, _server: object, _session: object, envelope: object) -> str:  # noqa: N802
        self.mails.append(envelope.content)  # type: ignore[attr-defined]
        return "250 OK"


@pytest.fixture(scope="module")
def relay() -> Iterator[tuple[Relay, int]]:
    found = Relay()
    port = free_port()
    controller = Controller(found, hostname="127.0.0.1", port=port)
    controller.start()
    yield found, port
    controller.stop()


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory, relay: tuple[Relay, int]) -> Iterator[RunningBox]:
    folder = tmp_path_factory.mktemp("day") / "data"
    mail = {"DEPOTBOX_MAIL__HOST": "127.0.0.1", "DEPOTBOX_MAIL__PORT": str(relay[1])}
    with RunningBox(folder, **mail) as running:
        yield running


def test_the_recorded_day_becomes_trips_invoices_and_mail(box: RunningBox, relay: tuple[Relay, int]) -> None:
    """16 trips, 16 consecutive invoices, 16 mails through the relay, every fix once, distances within 0.5 %."""
    report = box.json("replay", str(RECORDING), "--speed", SPEED, "--create-trips", timeout_s=180)
    assert (report["acknowledged"], report["stored"], report["rejected"]) == (FIXES, FIXES, 0)
    assert (report["trips_completed"], report["invoices"], report["mails"]) == (TRIPS, TRIPS, TRIPS)
    assert_complete(box)
    mails = relay[0].mails
    assert len(mails) == TRIPS
    assert_mails(mails, [number for (number,) in box.query("SELECT number FROM invoices")])


def test_the_same_replay_again_adds_nothing(box: RunningBox, relay: tuple[Relay, int]) -> None:
    """0 further fixes, 0 further invoices, 0 further mails."""
    report = box.json("replay", str(RECORDING), "--speed", "5000", "--create-trips", timeout_s=180)
    assert (report["acknowledged"], report["stored"], report["rejected"]) == (FIXES, 0, 0)
    assert report["refused_events"] == []
    assert_complete(box)
    assert len(relay[0].mails) == TRIPS


def test_the_api_shows_the_day(box: RunningBox) -> None:
    """Trips, trail and invoice PDF are what the database has."""
    token = box.token("viewer", "read")
    box.token()  # an administrator: the box is set up
    with httpx.Client(base_url=f"http://127.0.0.1:{box.web_port}", timeout=10, headers=token) as client:
        trips = client.get("/api/v1/trips", params={"limit": 50}).json()
        assert trips["total"] == TRIPS
        trip = trips["items"][0]["id"]
        trail = client.get(f"/api/v1/trips/{trip}/trail").json()
        line = next(f for f in trail["features"] if f["geometry"]["type"] == "LineString")
        (stored,) = box.query("SELECT fixes FROM trips WHERE id = ?", trip)
        assert len(line["geometry"]["coordinates"]) == stored[0]
        invoices = client.get("/api/v1/invoices").json()
        assert invoices["total"] == TRIPS
        pdf = client.get(f"/api/v1/invoices/{invoices['items'][0]['id']}/pdf")
        assert pdf.content.startswith(b"%PDF")


def test_no_passenger_or_payer_address_is_in_the_log(box: RunningBox) -> None:
    """What the day's mail went to stands in no log line."""
    log = box.log.read_text()
    assert "trip.event" in log
    assert "recorded-day@example.invalid" not in log
    assert "Archive Road" not in log


def test_a_stop_is_clean_and_leaves_no_process(box: RunningBox) -> None:
    """SIGTERM ends every role within 30 s, with exit code 0."""
    assert box.stop() == 0
    wait_for(lambda: not box.processes(), "no process of the box is left", 5)
