"""`/api/v1/manifests`: seen, then done, by dispatchers; what the columns mean is remembered."""

from __future__ import annotations

from typing import Any

from tests.manifests import SEA
from tests.web import world
from tests.web.conftest import Client, problem, sign_in

PAYER = {"payer": world.BROKER}
CSV = {"content-type": "text/csv"}


def preview(client: Client, content: bytes = SEA, **params: Any) -> Any:
    answer = client.post("/api/v1/manifests/preview", content=content, params=PAYER | params, headers=CSV)
    assert answer.status_code == 200, answer.text
    return answer.json()


def apply(client: Client, digest: str, content: bytes = SEA, **params: Any) -> Any:
    given = PAYER | {"digest": digest} | params
    return client.post("/api/v1/manifests/apply", content=content, params=given, headers=CSV)


def test_what_was_seen_is_done_and_again_changes_nothing(client: Client) -> None:
    seen = preview(client)
    assert (seen["added"], [bad["line"] for bad in seen["bad"]]) == (4, [4])
    first = seen["entries"][0]
    assert (first["ref"], first["patient"], first["patient_new"]) == ("MB-301", "Zoë Brennan", True)
    done = apply(client, seen["digest"], file_name="day.csv")
    assert done.status_code == 200, done.text
    assert preview(client)["unchanged"] == 4
    (listed,) = client.get("/api/v1/manifests").json()["items"]
    assert (listed["payer"], listed["added"], listed["bad"], listed["file_name"]) == (world.BROKER, 4, 1, "day.csv")


def test_what_is_not_any_more_what_was_seen_is_refused(client: Client) -> None:
    detail = problem(apply(client, "0" * 64), 409)
    assert "ask for another preview" in detail
    assert client.get("/api/v1/manifests").json()["total"] == 0


def test_the_meaning_of_columns_is_kept_for_its_payer(client: Client) -> None:
    problem(client.get("/api/v1/manifests/mapping", params=PAYER), 404)
    layout = {"columns": {"ref": ["a"], "pickup_time": ["b"], "pickup_address": ["c", "d"], "dropoff_address": ["e"]},
              "date_format": "dmy", "levels": {"chair": "wheelchair"}}  # fmt: skip
    assert client.put("/api/v1/manifests/mapping", params=PAYER, json=layout).status_code == 200
    kept = client.get("/api/v1/manifests/mapping", params=PAYER).json()
    assert layout.items() <= kept.items()
    seen = preview(client, b"a,b,c,d,e\nT-1,09:00,1 Elm,Etna,Clinic\n", day="2026-02-03")
    assert (seen["added"], seen["entries"][0]["pickup_address"]) == (1, "1 Elm, Etna")


def test_a_meaning_that_cannot_be_is_refused_by_its_field(client: Client) -> None:
    answer = client.put("/api/v1/manifests/mapping", params=PAYER, json={"columns": {"ref": ["a"]}})
    assert "expected the column of the pickup time" in problem(answer, 400)


def test_only_dispatchers_import(client: Client, depot: world.World) -> None:
    sign_in(client, depot, "biller")
    problem(client.post("/api/v1/manifests/preview", content=SEA, params=PAYER, headers=CSV), 403)
    sign_in(client, depot, "dispatcher")
    assert preview(client)["added"] == 4
