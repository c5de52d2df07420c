"""The pages as the server makes them."""

from __future__ import annotations

import os
import re
from html import unescape
from pathlib import Path

from litestar.testing import TestClient

from appliance.supervisor import lock, statusfile
from tests.web import world
from tests.web.conftest import Client
from web.app import create_app


def column(page: str, name: str) -> str:
    return page.partition(f'id="cards-{name}"')[2].partition("</ul>")[0]


def refs(text: str) -> list[str]:
    return re.findall(r'data-title="([^"]+)"', text)


def test_each_trip_stands_in_its_column(client: Client) -> None:
    page = client.get("/board").text
    assert refs(column(page, "unassigned")) == ["T-1017", "T-1018", "T-1019", "T-1020"]
    assert refs(column(page, "assigned")) == ["T-1013", "T-1014", "T-1015", "T-1016"]
    assert refs(column(page, "progress")) == ["T-1008", "T-1009", "T-1010", "T-1011", "T-1012"]
    assert sorted(refs(column(page, "done"))) == [f"T-100{n}" for n in range(1, 8)]


def test_the_page_and_its_fragment_show_the_same_board(client: Client) -> None:
    assert " ".join(client.get("/board").text.split()) in " ".join(client.get("/").text.split())


def test_an_invoice_is_linked_from_its_card(client: Client) -> None:
    done = column(client.get("/board").text, "done")
    assert len(re.findall(r'href="/invoices/\d+"', done)) == 4
    assert "DEMO-2026-A000001" in done


def test_an_event_moves_the_card(client: Client, depot: world.World) -> None:
    client.post(f"/api/v1/trips/{depot.trips['T-1017']}/events", json={"event": "assign", "vehicle": "V8"})
    page = client.get("/board").text
    assert "T-1017" not in refs(column(page, "unassigned"))
    assert "T-1017" in refs(column(page, "assigned"))


def test_the_strip_counts_vehicles_work_and_invoices(client: Client) -> None:
    strip = re.sub(r"<[^>]+>", " ", client.get("/strip").text)
    words = " ".join(strip.split())
    assert "5 live 1 stale 2 silent 0 stuck 0 parked 0 offline" in words
    assert "4 invoices today" in words
    assert "in work" in words


def test_an_empty_board_says_what_will_appear_and_the_first_step(data_dir: Path) -> None:
    settings = world.empty(data_dir)
    cookies = world.as_user(settings).cookies
    with TestClient(create_app(settings), base_url="http://127.0.0.1", cookies=cookies) as client:
        page = client.get("/").text
    assert "depotbox trip import FILE.csv" in page
    assert "depotbox run --demo" in page


def test_the_page_of_a_trip_tells_its_history(client: Client, depot: world.World) -> None:
    page = client.get(f"/trips/{depot.trips['T-1005']}").text
    assert "Trip T-1005" in page
    assert page.index("En route to the pickup") < page.index("Arrived at drop-off") < page.index("Completed</b>")


def test_an_unknown_trip_is_a_page_for_people(client: Client) -> None:
    answer = client.get("/trips/999", headers={"accept": "text/html"})
    assert answer.status_code == 404
    assert "no such trip" in answer.text


def test_a_role_that_is_not_ready_is_named_in_the_strip(client: Client, depot: world.World) -> None:
    roles = [
        statusfile.RoleStatus(
            name=name, state=state, pid=1, started_at=None, started_monotonic_s=None, restarts=0, last_exit=None
        )
        for name, state in (("redis", "ready"), ("beat", "backoff"), ("init", "done"))
    ]
    run = statusfile.RunStatus(
        supervisor_pid=os.getpid(), started_at="", started_monotonic_s=0.0, demo=False, roles=roles
    )
    with lock.hold(depot.settings.paths):
        statusfile.write(depot.settings.paths.status_file, run)
        assert "Not ready: beat" in client.get("/strip").text
        assert [one["ready"] for one in client.get("/api/v1/system").json()["roles"]] == [True, False, True]


def test_a_board_that_the_page_has_is_not_sent_again(client: Client, depot: world.World) -> None:
    page = client.get("/").text
    state = unescape(re.findall(r'data-state="([^"]+)"', page)[0])
    assert client.get("/board", headers={"If-None-Match": state}).status_code == 204
    act = {"event": "cancel", "cancelled_by": "depot", "note": "twice"}
    said = client.post(f"/api/v1/trips/{depot.trips['T-1018']}/events", json=act)
    assert said.status_code == 200, said.text
    other = client.get("/board", headers={"If-None-Match": state})
    assert other.status_code == 200
    assert other.headers["etag"] != state


def test_a_long_page_is_sent_compressed(client: Client) -> None:
    answer = client.get("/board", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert int(answer.headers["content-length"]) < len(answer.text) / 4
    assert "content-encoding" not in client.get("/board", headers={"Accept-Encoding": "identity"}).headers
