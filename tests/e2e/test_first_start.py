"""The first start of a box: set up by its page in a real browser, and every role works with what was entered."""

from __future__ import annotations

from pathlib import Path

import pytest
from running_box import RunningBox, wait_for

from appliance.paths import Paths
from tests.e2e.browser import chromium

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

GOOD = "correct horse battery"
ENTERED = {
    "email": "ada@example.org", "name": "Ada King", "password": GOOD, "again": GOOD, "depot.name": "Leeds depot",
    "depot.code": "LDS", "depot.timezone": "Europe/London", "depot.currency": "GBP",
}  # fmt: skip


def test_a_new_box_is_set_up_on_one_page_and_its_workers_know_it(tmp_path: Path) -> None:
    with RunningBox(tmp_path / "data") as box, chromium() as browser:
        code = Paths(box.data_dir).setup_code.read_text().strip()
        wait_for(lambda: code in box.log.read_text(), "the code is shown where the box was started", 20)
        url, complaints = f"http://127.0.0.1:{box.web_port}", []
        page = browser.new_page()
        page.on("console", lambda said: complaints.append(said.text) if "Content Security" in said.text else None)
        page.goto(url)
        assert page.url == f"{url}/setup"
        page.locator("input:focus").wait_for()  # the first field
        page.keyboard.type(code)
        for field, text in ENTERED.items():
            page.fill(f"[id='{field}']", text)
        page.fill("[id='depot.currency']", "pounds")
        page.get_by_role("button", name="Set it up").click()
        page.locator("[id='said-depot.currency']").get_by_text("three capital letters").wait_for()
        assert page.locator("[id='depot.name']").input_value() == "Leeds depot"
        for field in ("password", "again"):
            page.fill(f"#{field}", GOOD)
        page.fill("[id='depot.currency']", "GBP")
        page.get_by_role("button", name="Set it up").click()
        page.get_by_role("heading", name="The box is set up").wait_for()

        page.get_by_role("link", name="Log in").click()
        page.get_by_role("heading", name="Leeds depot").wait_for()
        page.fill("#email", ENTERED["email"])
        page.fill("#password", GOOD)
        page.keyboard.press("Enter")
        page.locator("#board").wait_for()
        assert "LDS" in page.locator("#strip").inner_text()

        wait_for(lambda: box.roles()["worker-low"]["restarts"] == 1 and box.is_ready(), "the workers start again", 60)
        assert box.roles()["web"]["restarts"] == box.roles()["redis"]["restarts"] == 0
        assert box.run("user", "add", "bob@example.org", "--name", "Bob", "--role", "viewer").returncode == 0
        outbox = box.data_dir / "outbox"
        wait_for(lambda: list(outbox.glob("*.eml")), "the welcome mail", 30)
        (mail,) = outbox.glob("*.eml")
        assert "Your account at Leeds depot" in mail.read_text()
        assert complaints == []
        assert GOOD not in box.log.read_text()
