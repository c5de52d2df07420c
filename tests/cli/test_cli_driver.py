"""`depotbox driver`: a box gets its drivers, and one who left is shut out of trips and shifts."""

from __future__ import annotations

from datetime import date, timedelta

from sqlite_utils import Database

from appliance import clock, dispatch
from appliance.domain.trip import Event
from appliance.errors import InputError, NotFound, Refused
from appliance.storage import shifts, users, vehicles
from appliance.storage.db import rows, value, write_tx
from appliance.storage.expiring import expiring
from tests.cli.conftest import Box


def audited(db: Database) -> list[tuple[str, str]]:
    found = rows(db, "SELECT action, detail FROM audit_log WHERE subject = 'driver' ORDER BY id")
    return [(one["action"], one["detail"]) for one in found]


def test_a_driver_is_added_listed_and_changed(box: Box, db: Database) -> None:
    with write_tx(db) as tx:
        users.add(tx, "dee@example.org", "Dee", "viewer", clock.now())
    said = box("driver", "add", "D1", "--name", " Dee  Frost", "--phone", "+44 1", "--user", "Dee@example.org",
               "--licence", "FROST 12", "--licence-expires", "2027-03-31")  # fmt: skip
    assert said.code == 0
    (found,) = box("driver", "list", "--json").items
    assert found == {
        "code": "D1", "name": "Dee Frost", "phone": "+44 1", "email": "", "user": "dee@example.org",
        "licence_no": "FROST 12", "licence_expires_on": "2027-03-31", "documents_expire_on": None, "disabled_at": None,
    }  # fmt: skip
    assert box("driver", "set", "D1", "--email", "d@example.org", "--user", "", "--licence-expires", "").code == 0
    assert box("driver", "set", "D1", "--email", "d@example.org").code == 0
    (changed,) = box("driver", "list", "--json").items
    assert changed == {**found, "email": "d@example.org", "user": None, "licence_expires_on": None}
    assert audited(db) == [("driver.added", ""), ("driver.changed", "email, licence_expires_on, user_id")]


def test_what_is_wrong_is_one_line_and_changes_nothing(box: Box) -> None:
    assert box("driver", "add", "D 1").code == InputError.exit_code
    assert box("driver", "add", "D1", "--name", " ").code == InputError.exit_code
    assert box("driver", "add", "D1", "--email", "nobody").code == InputError.exit_code
    assert box("driver", "add", "D1", "--user", "nobody@example.org").code == NotFound.exit_code
    assert box("driver", "add", "D1", "--licence-expires", "31.3.2027").code == 2
    assert "depotbox driver add" in box("driver", "list").out
    assert box("driver", "set", "D1", "--name", "Dee").code == NotFound.exit_code
    assert box("driver", "add", "D1").code == 0
    assert "already a driver" in box("driver", "add", "D1").err


def test_who_has_trips_hands_them_over_before_driving_no_more(box: Box, db: Database) -> None:
    now = clock.now()
    box("driver", "add", "D1")
    with write_tx(db) as tx:
        vehicles.add(tx, "V1", now)
        new = dispatch.NewTrip(pickup_at=now, pickup_address="a", dropoff_address="b", vehicle="V1", driver="D1")
        trip = dispatch.create_trip(tx, new, now=now, who="test").id
    assert box("shift", "add", "V1", "D1", "--end", f"{now + timedelta(hours=8):%Y-%m-%dT%H:%M}").code == 0
    said = box("driver", "disable", "D1")
    assert said.code == Refused.exit_code
    assert f"D1: trip {trip} is assigned" in said.err
    with write_tx(db) as tx:
        assert dispatch.apply(tx, trip, Event.unassign, at=now, now=now, source="dispatcher", who="test").accepted
    assert "shifts that ended: 1" in box("driver", "disable", "D1").out
    assert shifts.listed(db, clock.now()) == []
    assert (
        "no such driver" in box("shift", "add", "V1", "D1", "--end", f"{now + timedelta(hours=8):%Y-%m-%dT%H:%M}").err
    )
    with write_tx(db) as tx:
        again = dispatch.apply(
            tx, trip, Event.assign, at=now, now=now, source="dispatcher", who="test", vehicle="V1", driver="D1"
        )
        assert not again.accepted
    assert box("driver", "disable", "D1").code == Refused.exit_code
    assert box("driver", "enable", "D1").code == 0
    assert box("driver", "enable", "D1").code == Refused.exit_code
    assert [action for action, _ in audited(db)] == ["driver.added", "driver.disabled", "driver.enabled"]
    assert value(db, "SELECT count(*) FROM sync_log WHERE kind = 'driver'") == 3


def test_papers_that_end_are_listed_before_they_do_and_not_of_those_who_are_disabled(box: Box, db: Database) -> None:
    for code, day in (("D1", "2026-02-10"), ("D2", "2026-01-20"), ("D3", "2026-03-10"), ("D4", "2026-01-20")):
        box("driver", "add", code, "--licence-expires", day)
    box("driver", "disable", "D4")
    with write_tx(db) as tx:
        id = vehicles.add(tx, "V1", clock.now())
        tx.conn.execute("UPDATE vehicles SET documents_expire_on = '2026-01-26' WHERE id = ?", (id,))
    found = [(one["code"], one["what"], one["days"]) for one in expiring(db, date(2026, 1, 26), 15)]
    assert found == [("D2", "licence", -6), ("V1", "documents", 0), ("D1", "licence", 15)]
