"""Who is believed: one-time codes, keys and their ends, by the centre's own clock."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from litestar.testing import TestClient

from appliance.central import db, enrol
from appliance.errors import InputError, NotFound, Refused
from appliance.wire import signing
from appliance.wire.answers import Enrolled
from tests.central.box import Box, trip
from tests.central.conftest import Clock, enrolled, one_time_code, with_settings
from tests.central.test_receive import refused
from web.central.app import create_app
from web.central.parts import Centre


def test_a_depot_enrols_once_with_its_code(client: TestClient, centre: Centre) -> None:
    code = one_time_code(centre, "LDS")
    box = Box(client)
    answer = Enrolled(**box.enrol(code).json())
    assert (answer.key_id, answer.name, answer.expires_at) == (box.key_id, "Central office", None)
    assert answer.centre_key == centre.centre_key
    box.tell("trips", "trip", trip())
    assert box.push("trips")["instance"] == answer.instance
    refused(Box(client).enrol(code), 403, "bad_code")


def test_the_same_enrolment_once_more_is_answered_the_same(client: TestClient, centre: Centre) -> None:
    box, code = Box(client), one_time_code(centre, "LDS")
    assert box.enrol(code).content == box.enrol(code).content
    assert box.positions().status_code == 200


def test_a_code_can_be_typed_as_people_type(client: TestClient, centre: Centre) -> None:
    assert Box(client).enrol(one_time_code(centre, "LDS").lower().replace("-", " ")).status_code == 201


def test_a_code_that_is_wrong_of_another_depot_or_ended_is_refused(
    client: TestClient, centre: Centre, now: Clock
) -> None:
    code = one_time_code(centre, "LDS")
    one_time_code(centre, "MAN")
    for depot, given in (("LDS", "AAAAA"), ("LDS", ""), ("MAN", code), ("YRK", code)):
        refused(Box(client, depot).enrol(given), 403, "bad_code")
    now.forward(timedelta(hours=72))
    refused(Box(client).enrol(code), 403, "bad_code")


def test_a_newer_code_ends_the_one_before(client: TestClient, centre: Centre) -> None:
    old = one_time_code(centre, "LDS")
    with db.write_tx(centre.engine) as tx:
        new = enrol.new_code(tx, "LDS", centre.settings, who="test", now=centre.now())
    refused(Box(client).enrol(old), 403, "bad_code")
    assert Box(client).enrol(new).status_code == 201


def test_an_enrolment_that_another_key_signed_is_refused(client: TestClient, centre: Centre) -> None:
    code = one_time_code(centre, "LDS")
    box, other = Box(client), Box(client)
    box.ask = other.ask  # type: ignore[method-assign]
    refused(box.enrol(code), 401, "unsigned")


def test_a_new_enrolment_ends_the_key_before(client: TestClient, centre: Centre, box: Box) -> None:
    with db.write_tx(centre.engine) as tx:
        code = enrol.new_code(tx, "LDS", centre.settings, who="test", now=centre.now())
    assert box.positions().status_code == 200
    new = Box(client)
    assert new.enrol(code).status_code == 201
    refused(box.positions(), 401, "unsigned")
    refused(box.enrol(code), 401, "unsigned")


def test_a_key_is_rotated_and_asked_again_by_either_key(box: Box) -> None:
    new = Ed25519PrivateKey.generate()
    first = box.rotate(new)
    assert first.status_code == 201
    assert box.rotate(new).content == first.content
    refused(box.positions(), 401, "unsigned")
    refused(box.rotate(Ed25519PrivateKey.generate()), 401, "unsigned")
    old, box.key = box.key, new
    assert box.positions().status_code == 200
    assert box.rotate(new).content == first.content
    refused(box.rotate(old), 401, "unsigned")


def test_a_key_ends_by_the_clock_of_the_centre(client: TestClient, centre: Centre, now: Clock) -> None:
    with TestClient(create_app(with_settings(centre, key_days=30))) as client:
        box = enrolled(client, centre, "LDS")
        now.forward(timedelta(days=29))
        assert box.positions().status_code == 200
        new = Ed25519PrivateKey.generate()
        now.forward(timedelta(days=1))
        assert "ended" in refused(box.positions(), 401, "unsigned")["detail"]
        refused(box.rotate(new), 401, "unsigned")


def test_a_depot_is_listed_with_what_it_has(box: Box, centre: Centre) -> None:
    box.tell("trips", "trip", "{")
    box.push("trips")
    with db.read(centre.engine) as connection:
        (found,) = enrol.listed(connection, centre.now())
    assert (found["code"], found["keys"], found["rejected"]) == ("LDS", 1, 1)
    assert found["seen_at"] == found["enrolled_at"] == "2026-01-27T12:00:00.000Z"


def test_a_depot_that_cannot_be_is_not_added(centre: Centre) -> None:
    with db.write_tx(centre.engine) as tx:
        for code, name in (("lds", "Leeds"), ("L", "Leeds"), ("LDS", " "), ("LDS", "a\x1b")):
            with pytest.raises(InputError):
                enrol.add(tx, code, name, centre.settings, who="test", now=centre.now())
        enrol.add(tx, "LDS", "Leeds", centre.settings, who="test", now=centre.now())
        with pytest.raises(Refused):
            enrol.add(tx, "LDS", "Leeds", centre.settings, who="test", now=centre.now())
        with pytest.raises(NotFound):
            enrol.revoke(tx, "MAN", who="test", now=centre.now())


def test_an_id_of_a_key_says_whose_it_is(box: Box) -> None:
    assert signing.key_id("LDS", box.public_key) == box.key_id
