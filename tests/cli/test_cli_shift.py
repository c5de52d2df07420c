"""`depotbox shift`: a driver has a vehicle for a time, which is in the depot's zone."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlite_utils import Database

from appliance import clock
from appliance.storage import people, shifts, vehicles
from appliance.storage.db import value, write_tx
from tests.cli.conftest import Box


@pytest.fixture(autouse=True)
def fleet(db: Database) -> None:
    with write_tx(db) as tx:
        vehicles.add(tx, "VAN-1", clock.now())
        people.add_driver(tx, "D1", "Dee Frost", clock.now(), phone="+44 1")


def local(hours: float) -> str:
    return f"{clock.now() + timedelta(hours=hours):%Y-%m-%dT%H:%M}"


def test_a_shift_is_added_listed_and_ended(box: Box, db: Database) -> None:
    said = box("shift", "add", "VAN-1", "D1", "--end", local(8))
    assert (said.code, said.out) == (0, "1\n")
    assert shifts.at_work(db, clock.now())["VAN-1"]["phone"] == "+44 1"
    assert shifts.at_work(db, clock.now() + timedelta(hours=9)) == {}
    assert shifts.at_work(db, None) == {}  # nobody knows the time
    (item,) = box("shift", "list", "--json").items
    assert (item["id"], item["vehicle"], item["driver"]) == (1, "VAN-1", "D1")
    assert box("shift", "end", "1").code == 0
    assert shifts.at_work(db, clock.now()) == {}
    assert box("shift", "list", "--json").items == []
    assert len(box("shift", "list", "--all", "--json").items) == 1
    assert box("shift", "end", "1").code != 0
    assert value(db, "SELECT count(*) FROM audit_log WHERE action IN ('shift.added', 'shift.ended')") == 2


def test_a_shift_that_has_not_begun_is_taken_back(box: Box, db: Database) -> None:
    assert box("shift", "add", "VAN-1", "D1", "--start", local(2), "--end", local(8)).code == 0
    assert shifts.at_work(db, clock.now()) == {}
    assert box("shift", "end", "1").code == 0
    assert shifts.at_work(db, clock.now() + timedelta(hours=3)) == {}


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("VAN-9", "D1", "--end", local(8)), "VAN-9: no such vehicle"),
        (("VAN-1", "D9", "--end", local(8)), "D9: no such driver"),
        (("VAN-1", "D1", "--end", "2020-01-01T00:00"), "expected a time after the start"),
        (("VAN-1", "D1"), "Missing option '--end'"),
        (("VAN-1", "D1", "--end", "evening"), "does not match the format"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(box: Box, args: tuple[str, ...], said: str) -> None:
    answer = box("shift", "add", *args)
    assert answer.code != 0
    assert said in answer.err
