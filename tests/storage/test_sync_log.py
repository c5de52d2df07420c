"""The chain of what the central office must learn, reckoned anew by a reader who trusts nothing."""

from __future__ import annotations

import hashlib
import json
from itertools import groupby

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlite_utils import Database

from appliance.domain.trip import Event
from appliance.storage import identity, sync_log, trips
from appliance.storage.db import Row, connect, rows, write_tx
from appliance.storage.migrations import migrate
from tests.cast import NOON, Cast, new_trip, say

ORDER = "SELECT * FROM sync_log ORDER BY epoch, stream, seq"


def faults(found: list[Row]) -> list[str]:
    """What is wrong with the rows of a log, by the rule of the protocol alone."""
    wrong = []
    for (epoch, stream), group in groupby(found, lambda row: (row["epoch"], row["stream"])):
        chain = ""
        for expected, row in enumerate(group, 1):
            where = f"{epoch} {stream} {row['seq']}"
            if row["seq"] != expected:
                wrong.append(f"{where}: after {expected - 1}")
            if row["hash"] != hashlib.sha256(row["snapshot"].encode()).hexdigest():
                wrong.append(f"{where}: not its hash")
            chain = hashlib.sha256(f"{chain}{row['hash']}".encode()).hexdigest()
            if row["chain"] != chain:
                wrong.append(f"{where}: chain broken")
    return wrong


def test_the_life_of_a_trip_is_a_chain_without_a_gap(depot_db: Database, cast: Cast) -> None:
    with write_tx(depot_db) as tx:
        trip_id = new_trip(tx)
        for event in (Event.accepted, Event.en_route, Event.on_board, Event.completed):
            assert say(tx, trip_id, event, NOON).accepted
    found = rows(depot_db, ORDER)
    assert faults(found) == []
    states = [json.loads(row["snapshot"])["state"] for row in found if row["stream"] == "trips"]
    assert states == ["scheduled", "assigned", "assigned", "in_progress", "in_progress", "completed"]


def test_a_changed_or_missing_row_is_seen(depot_db: Database, cast: Cast) -> None:
    with write_tx(depot_db) as tx:
        for _ in range(3):
            new_trip(tx)
    found = rows(depot_db, ORDER)
    assert faults(found) == []
    forged = [row | {"snapshot": row["snapshot"].replace("scheduled", "cancelled")} for row in found]
    assert len(faults(forged)) == 3
    assert faults(found[:1] + found[2:]) != []
    dressed = dict(found[1])
    dressed["hash"] = hashlib.sha256(dressed["snapshot"].encode() + b"x").hexdigest()
    assert faults([found[0], dressed, *found[2:]]) != []


def test_a_change_that_is_undone_leaves_no_snapshot_and_no_gap(depot_db: Database, cast: Cast) -> None:
    with write_tx(depot_db) as tx:
        trip_id = new_trip(tx)
    before = rows(depot_db, ORDER)
    with pytest.raises(ZeroDivisionError), write_tx(depot_db) as tx:  # noqa: PT012  the transaction is what is tested
        trips.change(tx, trip_id, NOON, state="cancelled")
        raise ZeroDivisionError
    assert rows(depot_db, ORDER) == before
    with write_tx(depot_db) as tx:
        trips.change(tx, trip_id, NOON, state="cancelled")
    assert faults(rows(depot_db, ORDER)) == []


def test_a_restored_box_begins_new_chains(depot_db: Database, cast: Cast) -> None:
    with write_tx(depot_db) as tx:
        new_trip(tx)
        identity.put(tx, "epoch", "2")
        new_trip(tx)
    found = rows(depot_db, ORDER)
    assert faults(found) == []
    assert [(row["epoch"], row["seq"]) for row in found if row["stream"] == "trips"] == [(1, 1), (1, 2), (2, 1), (2, 2)]


def test_no_snapshot_of_a_trip_or_a_payer_names_anybody(depot_db: Database, cast: Cast) -> None:
    with write_tx(depot_db) as tx:
        new_trip(tx)
    text = " ".join(row["snapshot"] for row in rows(depot_db, ORDER))
    for personal in ("Ada Marsh", "Dee Frost", "Utting Avenue", "bills@county.example"):
        assert personal not in text


JSON = st.recursive(st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(), st.lists, max_leaves=5)
APPENDED = st.tuples(st.sampled_from(["invoices", "trips", "trails", "reference"]), st.dictionaries(st.text(), JSON))


@pytest.fixture(scope="module")
def log_db(tmp_path_factory: pytest.TempPathFactory) -> Database:
    path = tmp_path_factory.mktemp("log") / "depot.db"
    migrate(path)
    db = connect(path)
    db.conn.execute("PRAGMA synchronous=OFF")
    return db


@settings(max_examples=30, deadline=None)
@given(appended=st.lists(APPENDED, max_size=12))
def test_whatever_is_appended_verifies_and_reads_as_it_was(log_db: Database, appended: list[tuple[str, dict]]) -> None:
    with write_tx(log_db) as tx:
        identity.put(tx, "epoch", str(identity.epoch(tx) + 1))
        epoch = identity.epoch(tx)
        for stream, snapshot in appended:
            sync_log.append(tx, stream, "kind", "uid", snapshot, NOON)
    found = rows(log_db, "SELECT * FROM sync_log WHERE epoch = ? ORDER BY stream, seq", epoch)
    assert faults(found) == []
    read = [(row["stream"], json.loads(row["snapshot"])) for row in found]
    assert read == sorted(appended, key=lambda one: one[0])
