"""The read models: whatever order rows come in, and however often, they show the newest of each thing."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as searched
from hypothesis import strategies as st
from sqlalchemy import Table, select

from appliance.central import apply, db, models, tables
from tests.central.box import Box, credit, payment, trip, uid
from tests.servers import wait_for
from web.central.parts import Centre


def shown(centre: Centre) -> dict[str, list[dict[str, Any]]]:
    """All read models; revisions tell in what order they were made, and nothing else."""
    found = {}
    with db.read(centre.engine) as connection:
        for table in models.TABLES:
            columns = [column for column in table.c if column.name != "revision"]
            found[table.name] = db.rows(connection, select(*columns).order_by(*table.primary_key))
    return found


def of(centre: Centre, table: Table) -> list[dict[str, Any]]:
    return shown(centre)[table.name]


def apply_all(centre: Centre) -> None:
    while apply.apply_waiting(centre.engine, centre.now()):
        pass


def a_day(box: Box, seed: int) -> None:
    """A day of a depot, with a restore in it."""
    chance = random.Random(seed)
    invoices: list[dict[str, Any]] = []
    trips = [trip() for _ in range(3)]
    for _ in range(20):
        match chance.choice(["invoice", "change", "payment", "credit", "trip", "reference", "trail", "restore"]):
            case "invoice":
                invoices.append(box.invoice())
                box.tell("invoices", "issued", invoices[-1])
            case "change" if invoices:
                one = chance.choice(invoices)
                one |= {"state": chance.choice(["paid", "issued", "void"])}
                box.tell("invoices", "paid", one)
            case "payment" if invoices:
                box.tell("invoices", "payment", payment(chance.choice(invoices)))
            case "credit" if invoices:
                one = chance.choice(invoices)
                box.tell("invoices", "credit", credit(one, f"{one['number']}-C{chance.random()}"))
            case "trip":
                one = chance.choice(trips)
                one |= {"state": chance.choice(["assigned", "in_progress", "completed"])}
                box.tell("trips", "trip", one)
            case "reference":
                box.tell("reference", "driver", {"code": f"D{chance.randint(1, 9)}", "disabled_at": None}, of=DRIVER)
            case "trail":
                points = [[-2.9, 53.4, chance.randint(1, 10**9)]]
                box.tell("trails", "trail", {"trip_uid": trips[0]["uid"], "tolerance_m": 50.0, "points": points})
            case "restore" if box.epoch == 1:
                box.epoch = 2
            case _:
                pass


DRIVER = uid()


@given(seed=st.integers(0, 2**32))
@searched(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_order_and_doubling_of_batches_shows_the_same(box: Box, centre: Centre, seed: int) -> None:
    """Streams and epochs in any order, batches of any cut, each as often as one likes, applied at any moment; and
    made anew from the beginning."""
    with db.write_tx(centre.engine) as tx:
        for table in [*models.TABLES, tables.entries, tables.batches, tables.streams, tables.numbers]:
            tx.execute(table.delete())
    box.log.clear()
    box.epoch = 1
    a_day(box, seed)
    expected: dict[tuple[str, ...], tuple[int, int, str]] = {}
    for (epoch, stream), rows in sorted(box.log.items()):
        for row in rows:
            table, values = models.of(stream, row.kind, row.uid, row.snapshot)  # type: ignore[arg-type]
            key = (table.name, *(str(values[column.name]) for column in table.primary_key if column.name in values))
            expected[key] = max(expected.get(key, (0, 0, "")), (epoch, row.seq, row.snapshot))

    chance = random.Random(seed)
    sent = dict.fromkeys(box.log, 0)
    answered: dict[bytes, int] = {}
    while any(done < len(box.log[place]) for place, done in sent.items()):
        place = chance.choice(list(sent))
        box.epoch, rows = place[0], box.log[place]
        first = chance.randint(1, min(sent[place] + 1, len(rows)))
        last = chance.randint(first, min(first + 5, len(rows)))
        body = box.pack(place[1], rows[first - 1 : last])
        for _ in range(chance.randint(1, 2)):
            acked = answered.setdefault(body, max(sent[place], last))
            assert box.send(body).json()["acked_through"] == acked
        sent[place] = max(sent[place], last)
        if chance.random() < 0.3:
            apply.apply_waiting(centre.engine, centre.now())
    apply_all(centre)

    found = shown(centre)
    newest = {}
    for name, rows in found.items():
        key = [column.name for column in tables.metadata.tables[name].primary_key if column.name != "depot_id"]
        newest |= {(name, *(one[part] for part in key)): (one["epoch"], one["seq"]) for one in rows}
    assert newest == {key: place[:2] for key, place in expected.items()}
    apply.rebuild(centre.engine, centre.now())
    assert shown(centre) == found


def test_batches_applied_in_every_order_show_the_same(box: Box, centre: Centre) -> None:
    one = trip()
    for state in ("scheduled", "assigned", "in_progress", "completed"):
        box.tell("trips", "trip", one | {"state": state})
        box.push("trips", len(box.rows("trips")))
    with db.read(centre.engine) as connection:
        ids = [found["id"] for found in db.rows(connection, select(tables.batches.c.id))]
    for order in itertools.permutations(ids):
        with db.write_tx(centre.engine) as tx:
            tx.execute(tables.trips.delete())
            tx.execute(tables.batches.update().values(applied_at=None))
        assert all(apply.apply_one(centre.engine, id, centre.now()) for id in order)
        assert not apply.apply_one(centre.engine, order[0], centre.now())
        assert [found["state"] for found in of(centre, tables.trips)] == ["completed"]


def test_a_row_of_a_later_epoch_is_the_newer_one(box: Box, centre: Centre) -> None:
    one = trip()
    for _ in range(5):
        box.tell("trips", "trip", one | {"state": "completed"})
    box.epoch = 2
    box.tell("trips", "trip", one | {"state": "cancelled"})
    box.push("trips")
    apply_all(centre)
    box.epoch = 1
    box.push("trips")
    apply_all(centre)
    assert [found["state"] for found in of(centre, tables.trips)] == ["cancelled"]


def test_a_rejected_row_is_not_shown_until_it_is_taken(box: Box, centre: Centre) -> None:
    first, second = box.invoice(), box.invoice()
    second["number"] = first["number"]
    box.tell("invoices", "issued", first)
    box.tell("invoices", "issued", second)
    box.push("invoices")
    apply_all(centre)
    assert [found["uid"] for found in of(centre, tables.invoices)] == [first["uid"]]
    with db.write_tx(centre.engine) as tx:
        tx.execute(tables.numbers.delete())
    box.push("invoices", 2, 2, again=1)
    apply_all(centre)
    assert {found["uid"] for found in of(centre, tables.invoices)} == {first["uid"], second["uid"]}


def test_the_thread_applies_what_is_there_and_what_comes(box: Box, centre: Centre) -> None:
    box.tell("trips", "trip", trip())
    box.push("trips")
    applier = apply.Applier(centre.engine)
    applier.start()
    try:
        wait_for(lambda: len(of(centre, tables.trips)) == 1, "what was there is applied")
        box.tell("trips", "trip", trip())
        box.push("trips", 2)
        applier.wake()
        wait_for(lambda: len(of(centre, tables.trips)) == 2, "what came is applied", apply.AGAIN_S / 2)
    finally:
        applier.stop()


@pytest.mark.parametrize("text", ["{", '{"code":"D","disabled_at":null,"x":1}'])
def test_what_could_not_be_parsed_is_never_applied(box: Box, centre: Centre, text: str) -> None:
    box.tell("reference", "driver", text)
    assert len(box.push("reference")["rejected"]) == 1
    apply_all(centre)
    assert of(centre, tables.drivers) == []
