"""A whole box in a real browser: its map follows its devices, and work that failed is found and done after all."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from statistics import median
from typing import Any

import paho.mqtt.client as paho
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import Envelope
from paho.mqtt.enums import CallbackAPIVersion
from playwright.sync_api import Browser, Page
from running_box import RunningBox, wait_for

from appliance import config
from tests.e2e.browser import chromium
from tests.ports import free_port
from tests.web import world

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

WITHIN_S = 1.0
NEWCOMER = "nora@depot.example"


class Relay:
    """An SMTP server that knows nobody until `knows` is set."""

    def __init__(self) -> None:
        self.knows = False
        self.taken: list[Envelope] = []

    async def handle_RCPT(  # noqa: N802, aiosmtpd's name
        self, _server: Any, _session: Any, envelope: Envelope, address: str, _options: Any
    ) -> str:
        if not self.knows:
            return "550 5.1.1 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Envelope) -> str:  # noqa: N802, aiosmtpd's name
        self.taken.append(envelope)
        return "250 OK"


@pytest.fixture(scope="module")
def relay() -> Iterator[tuple[Relay, int]]:
    found, port = Relay(), free_port()
    controller = Controller(found, hostname="127.0.0.1", port=port)
    controller.start()
    yield found, port
    controller.stop()


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory, relay: tuple[Relay, int]) -> Iterator[RunningBox]:
    data_dir = tmp_path_factory.mktemp("whole") / "data"
    world.empty(data_dir)
    mail = {"DEPOTBOX_MAIL__HOST": "127.0.0.1", "DEPOTBOX_MAIL__PORT": str(relay[1])}
    with RunningBox(data_dir, **mail) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


def open_page(box: RunningBox, browser: Browser, role: str) -> Page:
    """The start page as somebody with that role sees it."""
    url = f"http://127.0.0.1:{box.web_port}"
    page = browser.new_page(viewport={"width": 1440, "height": 900}, base_url=url)
    page.context.add_cookies([world.as_user(config.load(environ=box.environment), role).cookie(url)])
    page.goto("/")
    page.locator("body[data-link=up]").wait_for()
    return page


@contextmanager
def device(box: RunningBox, code: str) -> Iterator[Any]:
    """The device of a new vehicle, connected to the broker: a function that publishes a position of it."""
    card = box.json("vehicle", "add", code)
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=card["client_id"], protocol=paho.MQTTv5)
    client.username_pw_set(card["username"], card["password"])
    client.connect(card["host"], int(card["port"]))
    client.loop_start()

    def publish(lat: float, lon: float, heading: int) -> None:
        fix = {"lat": lat, "lon": lon, "t": datetime.now(UTC).isoformat(), "heading": heading, "speed_kmh": 30}
        client.publish(card["topic"], json.dumps(fix), qos=1)

    try:
        yield publish
    finally:
        client.disconnect()
        client.loop_stop()


def test_a_van_moves_on_the_map_within_a_second_of_what_its_device_publishes(box: RunningBox, browser: Browser) -> None:
    """From the device through broker, bridge, Redis and web to the marker; most of ten, as one that came while the
    machine did something else says nothing."""
    page = open_page(box, browser, "dispatcher")
    page.locator("#map[data-ready=yes]").wait_for()
    with device(box, "VAN-1") as publish:
        publish(53.41, -2.93, 0)
        marker = page.locator(".van-marker", has=page.locator(".label", has_text="VAN-1"))
        marker.wait_for()
        page.evaluate(
            """() => { window.turned = {}; window.moved = {};
                 const van = [...document.querySelectorAll(".van-marker")].find(e => e.textContent.includes("VAN-1"));
                 const note = (seen, now) => { seen[now] ??= Date.now(); };
                 new MutationObserver(() => note(window.moved, van.style.transform))
                   .observe(van, {attributeFilter: ["style"]});
                 new MutationObserver(() => note(window.turned, van.querySelector("svg").style.transform))
                   .observe(van.querySelector("svg"), {attributeFilter: ["style"]}); }"""
        )
        places, took_s = page.evaluate("Object.keys(window.moved).length"), []
        for number in range(1, 11):
            turned = f"window.turned['rotate({10 * number}deg)']"
            said = time.time()
            publish(53.41 + number / 2000, -2.93, 10 * number)
            wait_for(lambda: page.evaluate(turned), "the marker has turned", 10)  # noqa: B023
            took_s.append(page.evaluate(turned) / 1000 - said)
        assert page.evaluate("Object.keys(window.moved).length") > places, "it has not only turned: it has moved"
    print(f"\nMQTT publish to marker: median {median(took_s) * 1000:.0f} ms, longest {max(took_s) * 1000:.0f} ms")
    assert median(took_s) < WITHIN_S


def test_a_failed_job_is_found_on_the_work_page_and_retried_until_it_is_done(
    box: RunningBox, browser: Browser, relay: tuple[Relay, int]
) -> None:
    """The mail relay does not know a new colleague's mailbox; the office mends that, and the welcome goes out."""
    page = open_page(box, browser, "administrator")
    assert box.run("user", "add", NEWCOMER, "--name", "Nora New", "--role", "viewer").returncode == 0
    page.locator("#strip a.trouble", has_text="1 failed").click(timeout=60_000)  # the strip says so by itself
    (job,) = page.locator("#list tbody a").all()
    assert job.inner_text() == "users.tasks.send_welcome_email"
    job.click()
    assert "no such mailbox" in page.locator(".complaint").inner_text()

    page.get_by_role("button", name="Retry").click()
    page.locator(".done").wait_for()
    wait_for(lambda: states(box) == {("failed", 2)}, "it has failed once more", 30)
    relay[0].knows = True
    page.reload()
    page.get_by_role("button", name="Retry").click()
    page.locator(".done").wait_for()
    wait_for(lambda: states(box) == {("done", 3)}, "it is done", 30)
    page.reload()
    assert page.locator("h1 + .badge").inner_text().strip() == "done"
    assert page.get_by_role("button", name="Retry").count() == 0
    page.goto("/work")
    assert page.locator("#strip a.trouble", has_text="failed").count() == 0
    assert [envelope.rcpt_tos for envelope in relay[0].taken] == [[NEWCOMER]]


def states(box: RunningBox) -> set[tuple[Any, ...]]:
    """The state of the welcome mail's job, and how often it was tried."""
    return set(box.query("SELECT state, attempts FROM jobs WHERE name = 'users.tasks.send_welcome_email'"))
