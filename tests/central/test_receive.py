"""Batches: what is taken, what is refused, and that the same again changes nothing."""

from __future__ import annotations

import gzip
from typing import Any
from urllib.parse import urlencode

import pytest
import structlog
from hypothesis import HealthCheck, given
from hypothesis import settings as searched
from hypothesis import strategies as st
from litestar.testing import TestClient
from sqlalchemy import func, select

from appliance import wire
from appliance.central import apply, db, enrol
from appliance.central.tables import batches, entries
from appliance.wire.answers import Whereabouts
from tests.central.box import JSON, Box, credit, invoice, trip
from tests.central.conftest import Clock, enrolled
from web.central.parts import Centre


def refused(answer: Any, status: int, code: str) -> dict[str, Any]:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = answer.json()
    return found


def kept(centre: Centre, table: Any = entries) -> int:
    with db.read(centre.engine) as connection:
        return db.count(connection, table)


def trips(box: Box, number: int) -> None:
    for _ in range(number):
        box.tell("trips", "trip", trip())


def test_rows_are_there_when_the_batch_is_answered(box: Box, centre: Centre, received: list[int]) -> None:
    trips(box, 3)
    answer = box.push("trips")
    assert (answer["acked_through"], answer["rejected"], answer["news"]) == (3, [], [])
    with db.read(centre.engine) as connection:
        found = db.rows(connection, select(entries).order_by(entries.c.seq))
    assert [(one["seq"], one["snapshot"], one["chain"]) for one in found] == [
        (row.seq, row.snapshot, row.chain) for row in box.rows("trips")
    ]
    assert len(received) == 1


def test_the_same_batch_again_has_the_same_answer_and_is_taken_once(
    box: Box, centre: Centre, received: list[int]
) -> None:
    trips(box, 3)
    first, again = box.send(box.packed("trips")), box.send(box.packed("trips"))
    assert first.content == again.content
    assert (kept(centre), kept(centre, batches), len(received)) == (3, 1, 1)


def test_the_same_rows_in_another_batch_are_passed_over(box: Box, centre: Centre) -> None:
    trips(box, 5)
    box.push("trips", 1, 3)
    assert box.push("trips", 2, 5)["acked_through"] == 5
    assert box.push("trips", 1, 2)["acked_through"] == 5
    assert kept(centre) == 5


def test_a_key_for_another_body_is_refused(box: Box, centre: Centre) -> None:
    trips(box, 2)
    assert box.send(box.packed("trips", 1, 1), "one").status_code == 200
    refused(box.send(box.packed("trips", 2, 2), "one"), 422, "key_reused")
    assert kept(centre) == 1


def test_a_gap_is_answered_with_the_row_that_is_missing_and_never_passed(box: Box, centre: Centre) -> None:
    trips(box, 5)
    assert refused(box.send(box.packed("trips", 2)), 409, "gap")["expected_seq"] == 1
    box.push("trips", 1, 2)
    assert refused(box.send(box.packed("trips", 4)), 409, "gap")["expected_seq"] == 3
    assert kept(centre) == 2
    assert box.push("trips", 3)["acked_through"] == 5


def test_a_row_that_is_there_with_another_content_is_a_conflict(box: Box, centre: Centre) -> None:
    trips(box, 2)
    box.push("trips")
    box.log.clear()
    trips(box, 3)
    assert "row 1" in refused(box.send(box.packed("trips")), 409, "conflict")["detail"]
    assert kept(centre) == 2


def test_a_row_that_does_not_go_on_with_the_chain_is_refused(box: Box, centre: Centre) -> None:
    trips(box, 1)
    box.push("trips")
    other = Box(box.client, key=box.key)
    trips(other, 3)
    refused(box.send(box.pack("trips", other.rows("trips", 2))), 422, "chain_broken")
    assert kept(centre) == 1


def test_streams_and_epochs_do_not_wait_for_each_other(box: Box, centre: Centre) -> None:
    trips(box, 2)
    box.tell("reference", "driver", {"code": "D7", "disabled_at": None})
    box.push("reference")
    box.push("trips")
    box.epoch = 2
    trips(box, 1)
    assert box.push("trips")["acked_through"] == 1
    found = Whereabouts(**box.positions().json())
    assert [(one["epoch"], one["stream"], one["last_seq"]) for one in box.positions().json()["positions"]] == [
        (1, "reference", 1),
        (1, "trips", 2),
        (2, "trips", 1),
    ]
    assert len(found.instance) == 26


def test_a_row_that_does_not_fit_is_rejected_and_the_rest_goes_on(box: Box, centre: Centre) -> None:
    for snapshot in (trip(), trip("flown"), trip(contact_attempts=2**70), trip(ref="a\0b"), "{", trip()):
        box.tell("trips", "trip", snapshot)
    box.tell("trips", "driver", {"code": "D7", "disabled_at": None})
    answer = box.push("trips")
    assert answer["acked_through"] == 7
    assert [one["seq"] for one in answer["rejected"]] == [2, 3, 4, 5, 7]
    assert "flown" in answer["rejected"][0]["reason"]
    assert kept(centre) == 7


def test_a_number_is_of_one_invoice_of_one_depot(box: Box, client: TestClient, centre: Centre) -> None:
    first = box.invoice()
    box.tell("invoices", "issued", first)
    box.tell("invoices", "issued", invoice(first["number"]))
    box.tell("invoices", "sent", first)
    answer = box.push("invoices")
    assert [(one["seq"], first["number"] in one["reason"]) for one in answer["rejected"]] == [(2, True)]
    other = enrolled(client, centre, "MAN")
    other.tell("invoices", "issued", first)
    other.tell("invoices", "credit", credit(first, first["number"]))
    assert [one["seq"] for one in other.push("invoices")["rejected"]] == [1, 2]


def test_a_rejected_row_is_looked_at_again_when_it_comes_again(box: Box, centre: Centre, received: list[int]) -> None:
    first, second = box.invoice(), box.invoice()
    second["number"] = first["number"]
    box.tell("invoices", "issued", first)
    box.tell("invoices", "issued", second)
    assert [one["seq"] for one in box.push("invoices")["rejected"]] == [2]
    assert [one["seq"] for one in box.push("invoices", again=1)["rejected"]] == [2]
    with db.write_tx(centre.engine) as tx:
        tx.exec_driver_sql("DELETE FROM numbers")
    assert box.push("invoices", 2, 2, again=2)["rejected"] == []
    assert len(received) == 2
    with db.read(centre.engine) as connection:
        assert db.value(connection, select(func.count()).where(entries.c.rejected_reason.is_not(None))) == 0


@pytest.mark.parametrize("name", ["Content-Digest", "Signature", "Signature-Input", "Idempotency-Key"])
def test_a_request_without_a_part_of_its_signature_is_refused(box: Box, name: str) -> None:
    trips(box, 1)
    sent = box.send(box.packed("trips")).request
    headers = {key: value for key, value in sent.headers.items() if key.lower() != name.lower()}
    refused(box.client.request("POST", sent.url.path, content=sent.content, headers=headers), 401, "unsigned")


def test_a_tampered_body_is_refused_and_the_reason_is_logged(box: Box, centre: Centre) -> None:
    trips(box, 2)
    good = box.packed("trips", 1, 1)
    with structlog.testing.capture_logs() as said:
        refused(box.send(box.packed("trips"), "k", signed_body=good), 401, "unsigned")
    (line,) = [one for one in said if one["event"] == "centre.refused"]
    assert (line["depot"], line["code"]) == ("LDS", "unsigned")
    assert "digest" in line["detail"].lower()
    assert kept(centre) == 0


def test_a_batch_of_another_depot_is_refused_however_it_is_sent(box: Box, client: TestClient, centre: Centre) -> None:
    trips(box, 1)
    sent = box.send(box.packed("trips")).request
    other = enrolled(client, centre, "MAN")
    # Replayed as it was to the other's address; sent by the other as its own; sent by the other to this one's address.
    path = wire.BATCHES.format(depot="MAN")
    refused(client.request("POST", path, content=sent.content, headers=sent.headers), 401, "unsigned")
    refused(other.send(box.packed("trips")), 403, "wrong_depot")
    other.code, id = "LDS", other.key_id
    refused(other.send(box.packed("trips"), key_id=id.replace("LDS", "MAN")), 403, "wrong_depot")
    assert kept(centre) == 1


def test_a_revoked_an_ended_and_an_unknown_key_are_refused(
    client: TestClient, centre: Centre, now: Clock, box: Box
) -> None:
    trips(box, 1)
    stranger = Box(client)
    refused(stranger.send(box.packed("trips")), 401, "unsigned")
    with db.write_tx(centre.engine) as tx:
        assert enrol.revoke(tx, "LDS", who="test", now=now()) == 1
    assert "revoked" in refused(box.send(box.packed("trips")), 401, "unsigned")["detail"]
    refused(box.positions(), 401, "unsigned")
    assert kept(centre) == 0


@given(st.binary(max_size=200), st.booleans())
@searched(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_bytes_make_the_server_fail(box: Box, body: bytes, packed: bool) -> None:
    sent = gzip.compress(body) if packed else body
    assert box.send(sent).status_code == 422
    for path in (wire.ENROL, wire.KEYS.format(depot="LDS"), wire.RECONCILIATIONS.format(depot="LDS")):
        assert box.ask("POST", path, body, headers=JSON).status_code in (401, 422)
        assert box.client.post(path, content=body).status_code in (401, 422)


# Any text that JSON can carry, also what no database likes to keep.
_TEXT = st.text(st.characters(codec="utf-8"), max_size=50)


@given(st.lists(_TEXT, min_size=1, max_size=5), st.lists(_TEXT, min_size=1, max_size=5))
@searched(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_text_in_a_row_is_kept_rejected_or_refused(
    box: Box, centre: Centre, texts: list[str], refs: list[str]
) -> None:
    box.epoch += 1
    for text in texts:
        box.tell("trips", "trip", text)
    for ref in refs:
        box.tell("trips", "trip", trip(ref=ref))
    answer = box.send(box.packed("trips"))
    if any("\0" in text for text in texts):
        refused(answer, 422, "malformed")
    else:
        assert [one["seq"] for one in answer.json()["rejected"]][: len(texts)] == list(range(1, len(texts) + 1))
        assert apply.apply_waiting(centre.engine, centre.now()) == 1


@given(epoch=_TEXT, stream=_TEXT, after=_TEXT)
@searched(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_question_for_rows_is_answered_or_refused(box: Box, epoch: str, stream: str, after: str) -> None:
    query = urlencode({"epoch": epoch, "stream": stream, "after": after})
    assert box.ask("GET", f"{wire.ROWS.format(depot='LDS')}?{query}").status_code in (200, 204, 422)
