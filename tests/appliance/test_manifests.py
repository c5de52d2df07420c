"""A broker's manifest against the day: what is planned is done, all of it or nothing, and never twice."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlite_utils import Database

from appliance import dispatch, manifests, patient_desk
from appliance.domain.manifest import Layout
from appliance.domain.trip import STEPS, Event
from appliance.errors import InputError, NotFound
from appliance.manifests import Done, Outdated, Plan, Request
from appliance.patient_desk import PatientDetails
from appliance.storage import erasure, payers, people, times, trips, vehicles
from appliance.storage import manifests as rows_of
from appliance.storage.db import open_depot, row, rows, write_tx
from appliance.storage.migrations import migrate
from tests.manifests import SEA

NOW = datetime(2026, 2, 2, 18, 0, tzinfo=UTC)
ZONE = ZoneInfo("Europe/London")
BROKER = "Care Broker"
HEADER = "Trip ID,Date,Pickup Time,Appt Time,Patient,Member ID,DOB,Phone,From,To,Level,Status,Notes"
A1 = "A1,2026-02-03,09:00,09:30,Grace Okafor,M-1,1948-04-17,0151 496 0148,1 Elm St,Clinic,wheelchair,,Ramp"
A2 = "A2,2026-02-03,11:00,,Leon Brandt,M-2,1961-11-02,0151 496 0190,2 Oak St,Clinic,walks,,"
A3 = "A3,2026-02-03,WC,,Grace Okafor,M-1,1948-04-17,0151 496 0148,Clinic,1 Elm St,wheelchair,,"


@pytest.fixture
def db() -> Iterator[Database]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "depot.db"
        migrate(file)
        opened = open_depot(file)
        with write_tx(opened) as tx:
            vehicles.add(tx, "V1", NOW, levels=("ambulatory", "wheelchair"))
            people.add_driver(tx, "D1", "Alex Rowe", NOW)
            payers.add(tx, BROKER, "broker", NOW)
            payers.add(tx, "Other Broker", "broker", NOW)
        yield opened
        opened.conn.close()


def asked(*lines: str, header: str = HEADER, **more: Any) -> Request:
    content = "\n".join([header, *lines]).encode()
    return Request(content=content, payer=more.pop("payer", BROKER), file_name="day.csv", **more)


def planned(db: Database, wanted: Request) -> Plan:
    return manifests.plan(db, wanted, zone=ZONE, now=NOW)


def load(db: Database, wanted: Request) -> Done:
    digest = planned(db, wanted).digest
    done = manifests.apply(db, wanted, digest, zone=ZONE, now=NOW, who="ann")
    assert isinstance(done, Done)
    return done


def counts(plan: Plan) -> dict[str, int]:
    return {what: count for what, count in plan.counts.items() if count}


def trip(db: Database, ref: str) -> dict[str, Any]:
    found = row(db, "SELECT trips.*, name AS patient FROM trips LEFT JOIN patients ON patients.id = patient_id"
                    " WHERE ref = ?", ref)  # fmt: skip
    assert found is not None
    return found


def say(db: Database, ref: str, event: Event, **more: Any) -> None:
    with write_tx(db) as tx:
        found = trip(tx, ref)
        at = times.parse(found["pickup_at"]) if event in STEPS else NOW
        outcome = dispatch.apply(tx, found["id"], event, at=at, now=at, source="dispatcher", who="bob", **more)
        assert outcome.accepted, outcome.reason


def everything(db: Database) -> dict[str, Any]:
    """All that an import could change, besides the list of imports."""
    names = ("trips", "trip_events", "patients", "members", "manifest_trips", "sync_log", "jobs")
    return {name: rows(db, f"SELECT * FROM {name}") for name in names}


def test_a_plan_changes_nothing_and_its_import_does_just_that(db: Database) -> None:
    before = everything(db)
    plan = planned(db, asked(A1, A2, A3))
    assert counts(plan) == {"added": 3}
    assert everything(db) == before
    load(db, asked(A1, A2, A3))
    first, back = trip(db, "A1"), trip(db, "A3")
    assert (first["state"], first["pickup_at"], first["notes"]) == ("scheduled", "2026-02-03T09:00:00.000Z", "Ramp")
    assert (first["patient"], first["level"]) == ("Grace Okafor", "wheelchair")
    assert (back["state"], back["patient_id"]) == ("will_call", first["patient_id"])


def test_the_same_file_again_changes_nothing(db: Database) -> None:
    load(db, asked(A1, A2, A3))
    before = everything(db)
    done = load(db, asked(A1, A2, A3))
    assert counts(done.plan) == {"unchanged": 3}
    assert everything(db) == before
    assert (done.jobs, done.events) == ([], [])


def test_only_what_the_broker_changed_is_changed(db: Database) -> None:
    load(db, asked(A1, A2))
    before = trip(db, "A2")
    plan = load(db, asked(A1.replace("09:00,09:30", "08:45,09:15"), A2)).plan
    assert counts(plan) == {"changed": 1, "unchanged": 1}
    (entry,) = plan.of("changed")
    assert [(one.field, one.old, one.new) for one in entry.changes] == [
        ("pickup_at", "2026-02-03T09:00:00.000Z", "2026-02-03T08:45:00.000Z"),
        ("appointment_at", "2026-02-03T09:30:00.000Z", "2026-02-03T09:15:00.000Z"),
    ]
    assert trip(db, "A1")["pickup_at"] == "2026-02-03T08:45:00.000Z"
    assert trip(db, "A2") == before


def test_what_the_depot_moved_stays_until_the_broker_moves_it(db: Database) -> None:
    load(db, asked(A1))
    with write_tx(db) as tx:
        trips.change(tx, trip(tx, "A1")["id"], NOW, pickup_at="2026-02-03T08:50:00.000Z")
    assert counts(load(db, asked(A1)).plan) == {"unchanged": 1}
    assert trip(db, "A1")["pickup_at"] == "2026-02-03T08:50:00.000Z"
    (entry,) = load(db, asked(A1.replace("09:00,", "08:40,"))).plan.of("changed")
    assert entry.changes[0].old == "2026-02-03T08:50:00.000Z"
    assert trip(db, "A1")["pickup_at"] == "2026-02-03T08:40:00.000Z"


def test_a_patient_who_called_is_not_made_to_wait_again(db: Database) -> None:
    load(db, asked(A1, A3))
    say(db, "A3", Event.ready)
    before = trip(db, "A3")
    assert counts(load(db, asked(A1, A3)).plan) == {"unchanged": 2}
    assert trip(db, "A3") == before


def test_a_will_call_that_gets_a_time_is_scheduled(db: Database) -> None:
    load(db, asked(A3))
    load(db, asked(A3.replace("WC", "13:15")))
    assert (trip(db, "A3")["state"], trip(db, "A3")["pickup_at"]) == ("scheduled", "2026-02-03T13:15:00.000Z")


def test_a_trip_that_is_marked_cancelled_is_cancelled_by_the_broker(db: Database) -> None:
    load(db, asked(A1, A2))
    plan = load(db, asked(A1.replace("wheelchair,,", "wheelchair,Cancelled,"), A2)).plan
    assert counts(plan) == {"cancelled": 1, "unchanged": 1}
    assert (trip(db, "A1")["state"], trip(db, "A1")["cancelled_by"]) == ("cancelled", "broker")
    event = rows(db, "SELECT source, who, note FROM trip_events WHERE event = 'cancel'")
    assert event == [{"source": "import", "who": "ann", "note": "marked as cancelled in the file"}]
    assert counts(load(db, asked(A1.replace("wheelchair,,", "wheelchair,Cancelled,"), A2)).plan) == {"unchanged": 2}


def test_a_trip_that_the_broker_cancelled_and_wants_again_comes_back(db: Database) -> None:
    load(db, asked(A1))
    load(db, asked(A1.replace("wheelchair,,", "wheelchair,Cancelled,")))
    (entry,) = load(db, asked(A1)).plan.of("changed")
    assert [one.field for one in entry.changes] == ["state"]
    assert (trip(db, "A1")["state"], trip(db, "A1")["cancelled_by"]) == ("scheduled", None)


def test_a_trip_that_the_depot_cancelled_stays_so(db: Database) -> None:
    load(db, asked(A1))
    say(db, "A1", Event.cancel)
    assert counts(load(db, asked(A1)).plan) == {"unchanged": 1}
    (entry,) = planned(db, asked(A1.replace("09:00,", "08:40,"))).of("kept")
    assert entry.said == "the trip is cancelled"


def test_a_row_that_is_missing_cancels_only_where_it_was_asked_for(db: Database) -> None:
    load(db, asked(A1, A2))
    assert counts(planned(db, asked(A1))) == {"unchanged": 1}
    plan = load(db, asked(A1, missing_cancelled=True)).plan
    assert [(one.ref, one.line, one.said) for one in plan.of("cancelled")] == [("A2", None, "not in the file any more")]
    assert trip(db, "A2")["state"] == "cancelled"


def test_missing_rows_are_those_of_the_files_days_and_of_its_payer(db: Database) -> None:
    load(db, asked(A1, A2.replace("2026-02-03", "2026-02-04")))
    load(db, asked(A2, payer="Other Broker"))
    assert counts(planned(db, asked(A1, missing_cancelled=True))) == {"unchanged": 1}


def test_a_bad_row_never_cancels_its_own_trip(db: Database) -> None:
    load(db, asked(A1, A2))
    plan = planned(db, asked(A1, A2.replace("11:00", "noonish"), missing_cancelled=True))
    assert counts(plan) == {"unchanged": 1, "bad": 1}
    plan = planned(db, asked(A1, A2.replace("A2,", ","), missing_cancelled=True))
    assert counts(plan) == {"unchanged": 1, "bad": 1}
    assert plan.hint == "No trip is cancelled as missing: the trip number of 1 row cannot be read."


@pytest.mark.parametrize("steps", [(Event.en_route,), (Event.on_board, Event.completed)])
def test_a_trip_under_way_or_done_is_told_and_left_alone(db: Database, steps: tuple[Event, ...]) -> None:
    load(db, asked(A1, A2))
    say(db, "A1", Event.assign, vehicle="V1")
    for step in steps:
        say(db, "A1", step)
    before = trip(db, "A1")
    moved = load(db, asked(A1.replace("09:00,", "08:40,"), A2)).plan
    assert [one.ref for one in moved.of("kept")] == ["A1"]
    assert "the trip is" in moved.of("kept")[0].said
    gone = load(db, asked(A1.replace("wheelchair,,", "wheelchair,Cancelled,"), A2, missing_cancelled=True)).plan
    assert counts(gone) == {"kept": 1, "unchanged": 1}
    assert trip(db, "A1") == before


def test_a_level_that_the_vehicle_cannot_take_frees_the_trip(db: Database) -> None:
    load(db, asked(A1))
    say(db, "A1", Event.assign, vehicle="V1", driver="D1")
    done = load(db, asked(A1.replace("wheelchair", "stretcher")))
    assert done.plan.of("changed")[0].hints == ["comes off V1, which is not fitted for stretcher"]
    found = trip(db, "A1")
    assert (found["state"], found["vehicle_id"], found["level"]) == ("scheduled", None, "stretcher")
    assert ("assignment", "V1") in [(event.kind, event.key) for event in done.events]


def test_a_changed_trip_keeps_its_vehicle_and_the_vehicle_hears_of_it(db: Database) -> None:
    load(db, asked(A1))
    say(db, "A1", Event.assign, vehicle="V1", driver="D1")
    done = load(db, asked(A1.replace("09:00,", "08:40,")))
    assert trip(db, "A1")["state"] == "assigned"
    assert [(event.kind, event.key) for event in done.events] == [("trip", "1"), ("assignment", "V1")]


def test_what_was_not_seen_is_not_done(db: Database) -> None:
    load(db, asked(A1, A2))
    wanted = asked(A1.replace("09:00,", "08:40,"), A2)
    digest = planned(db, wanted).digest
    say(db, "A1", Event.assign, vehicle="V1")
    before = everything(db)
    answer = manifests.apply(db, wanted, digest, zone=ZONE, now=NOW, who="ann")
    assert isinstance(answer, Outdated)
    assert everything(db) == before
    done = manifests.apply(db, wanted, answer.plan.digest, zone=ZONE, now=NOW, who="ann")
    assert isinstance(done, Done)


def test_what_happens_to_other_trips_meanwhile_does_not_matter(db: Database) -> None:
    load(db, asked(A1, A2))
    wanted = asked(A1.replace("09:00,", "08:40,"), A2)
    digest = planned(db, wanted).digest
    say(db, "A2", Event.assign, vehicle="V1")
    assert isinstance(manifests.apply(db, wanted, digest, zone=ZONE, now=NOW, who="ann"), Done)


def test_another_file_is_not_what_was_seen(db: Database) -> None:
    digest = planned(db, asked(A1)).digest
    assert isinstance(manifests.apply(db, asked(A2), digest, zone=ZONE, now=NOW, who="ann"), Outdated)


def test_good_rows_are_made_beside_bad_ones(db: Database) -> None:
    plan = load(db, asked(A1, A2.replace("walks", "rollerskates"), A3.replace("2026-", "2999-"))).plan
    assert counts(plan) == {"added": 1, "bad": 2}
    assert [(bad.line, bad.column) for bad in plan.bad] == [(3, "Level"), (4, "Date")]


def test_a_day_beyond_what_a_trip_may_have_is_a_bad_row(db: Database) -> None:
    plan = load(db, asked(A1, A2.replace("2026-", "2036-"))).plan
    assert [(bad.line, bad.expected) for bad in plan.bad] == [(3, "a day from 2000 to 2028")]


def test_two_payers_may_give_the_same_number(db: Database) -> None:
    load(db, asked(A1))
    load(db, asked(A1, payer="Other Broker"))
    assert len(rows(db, "SELECT id FROM trips WHERE ref = 'A1'")) == 2


def test_a_way_back_is_tied_to_its_way_there(db: Database) -> None:
    wanted = Request(content=SEA, payer=BROKER)
    plan = load(db, wanted).plan
    assert counts(plan) == {"added": 4, "bad": 1}
    assert trip(db, "MB-301-R")["outbound_trip_id"] == trip(db, "MB-301")["id"]
    assert counts(load(db, wanted).plan) == {"unchanged": 4, "bad": 1}


# Who is who


def known(db: Database, **details: Any) -> int:
    with write_tx(db) as tx:
        id = patient_desk.add(
            tx, PatientDetails(**{k: v for k, v in details.items() if k != "born_on"}), who="x", now=NOW
        )
        if born := details.get("born_on"):
            people.change_patient(tx, id, born_on=born)
    return id


def match(db: Database, line: str) -> Any:
    (entry,) = planned(db, asked(line)).entries
    assert entry.patient is not None
    return entry.patient


def test_a_patient_is_known_by_the_payers_number_whatever_the_name(db: Database) -> None:
    load(db, asked(A1))
    found = match(db, A2.replace("Leon Brandt,M-2", "G. Okafor,M-1"))
    assert (found.how, found.by, found.name) == ("known", "member id", "Grace Okafor")


def test_a_number_means_a_patient_of_its_own_payer_only(db: Database) -> None:
    load(db, asked(A1))
    (entry,) = planned(db, asked(A2.replace("M-2", "M-1"), payer="Other Broker")).entries
    assert entry.patient is not None
    assert entry.patient.how == "new"


@pytest.mark.parametrize(
    ("details", "how", "by"),
    [
        ({"born_on": "1948-04-17"}, "known", "name and date of birth"),
        ({"born_on": "1975-04-17"}, "new", ""),
        ({"born_on": "1975-04-17", "phone": "0151 496 0148"}, "new", ""),  # a daughter in the same house
        ({"phone": "+44 151 496-0148"}, "known", "name and phone"),
        ({"phone": "0151 496 9999"}, "new", ""),
        ({}, "known", "name"),
    ],
)
def test_a_name_alone_joins_nobody_who_differs(db: Database, details: dict[str, str], how: str, by: str) -> None:
    id = known(db, name="GRACE  Okafor", **details)
    found = match(db, A1)
    assert (found.how, found.by) == (how, by)
    assert (found.id == id) is (how == "known")


def test_of_two_with_one_name_each_keeps_their_own_trips(db: Database) -> None:
    first = known(db, name="Grace Okafor", born_on="1975-01-01")
    load(db, asked(A1))
    found = trip(db, "A1")
    assert found["patient_id"] != first
    assert found["patient"] == "Grace Okafor (1948)"
    assert counts(load(db, asked(A1)).plan) == {"unchanged": 1}


def test_what_the_box_did_not_know_of_a_patient_is_learned_and_nothing_is_overwritten(db: Database) -> None:
    id = known(db, name="Grace Okafor", address="9 Old Rd")
    plan = load(db, asked(A1)).plan
    assert plan.entries[0].patient is not None
    assert set(plan.entries[0].patient.learned) == {"phone", "born_on", "member_id"}
    found = people.patient(db, id)
    assert found is not None
    assert (found["phone"], found["born_on"], found["address"]) == ("0151 496 0148", "1948-04-17", "9 Old Rd")
    load(db, asked(A1.replace("0151 496 0148", "0151 496 7777")))
    again = people.patient(db, id)
    assert again is not None
    assert again["phone"] == "0151 496 0148"


def test_the_audit_log_names_no_patient(db: Database) -> None:
    load(db, asked(A1))
    load(db, asked(A1.replace("09:00,", "08:40,")))
    text = str(rows(db, "SELECT * FROM audit_log"))
    assert "trip.changed" in text
    assert "manifest.imported" in text
    assert "Okafor" not in text
    assert "Elm St" not in text


def test_an_import_is_recorded_without_the_file(db: Database) -> None:
    load(db, asked(A1, A2.replace("walks", "flies")))
    (found,), total = rows_of.imports(db, 10)
    assert (total, found["payer"], found["who"], found["file_name"]) == (1, BROKER, "ann", "day.csv")
    assert (found["added"], found["bad"], found["days"]) == (1, 1, "2026-02-03")
    assert "Okafor" not in str(found)


def test_an_erased_patient_is_in_no_table_of_manifests(db: Database) -> None:
    load(db, asked(A1))
    say(db, "A1", Event.cancel)
    id = trip(db, "A1")["patient_id"]
    with write_tx(db) as tx:
        erasure.manifests(tx, id)
        erasure.addresses_of_trips(tx, id)
    assert rows(db, "SELECT * FROM members") == rows(db, "SELECT * FROM manifest_trips") == []
    assert trip(db, "A1")["notes"] == ""


# The columns


def test_columns_are_remembered_for_the_payer(db: Database) -> None:
    payer = payers.by_name(db, BROKER)
    assert payer is not None
    own = Layout(
        {"ref": ("a",), "pickup_time": ("b",), "pickup_address": ("c",), "dropoff_address": ("d",)}, "dmy",
        levels={"chair": "wheelchair"},
    )  # fmt: skip
    with write_tx(db) as tx:
        manifests.remember(tx, payer["id"], own, who="ann", now=NOW)
    assert manifests.remembered(db, payer["id"]) == own
    plan = planned(db, asked("T1,10:00,x,y", header="a,b,c,d", day=date(2026, 2, 3)))
    assert counts(plan) == {"added": 1}
    with pytest.raises(InputError, match="expected the column of the trip number"):
        planned(db, asked("T1,10:00,x,y", header="a,b,c,d", payer="Other Broker"))


def test_a_layout_that_cannot_be_is_not_remembered(db: Database) -> None:
    with write_tx(db) as tx, pytest.raises(InputError, match="expected the column of the trip number"):
        manifests.remember(tx, 1, replace(Layout(), date_format="dmy"), who="ann", now=NOW)


def test_a_file_without_a_day_asks_for_it(db: Database) -> None:
    wanted = asked("T1,10:00,x,y", header="Trip ID,Pickup Time,From,To")
    with pytest.raises(InputError, match="the file does not say the day"):
        planned(db, wanted)


def test_an_unknown_payer_is_said(db: Database) -> None:
    with pytest.raises(NotFound, match="no such broker or facility"):
        planned(db, asked(A1, payer="Nobody"))


def test_five_thousand_rows_are_planned_and_done_in_seconds(db: Database) -> None:
    lines = [f"N{n},2026-02-03,09:00,,Patient {n % 900},M{n % 900},,,{n} Elm St,Clinic,walks,," for n in range(5000)]
    begun = datetime.now(UTC)
    assert counts(load(db, asked(*lines)).plan) == {"added": 5000}
    assert counts(load(db, asked(*lines)).plan) == {"unchanged": 5000}
    assert datetime.now(UTC) - begun < timedelta(seconds=30)
