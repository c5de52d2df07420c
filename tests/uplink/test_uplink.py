"""The box's end of the protocol, against a strict receiver over real sockets that loses, cuts, refuses and forgets."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import date, timedelta
from typing import Any

import pytest
from sqlite_utils import Database
from ulid import ULID

from appliance import clock, credit_desk, invoice_desk, reminders, uplink, uplink_desk, uplink_key
from appliance.config import Settings
from appliance.errors import Busy, Refused, Transient
from appliance.paths import PROJECT_ROOT
from appliance.storage import identity, invoices, people, sync_log, times
from appliance.storage import uplink as line
from appliance.storage.db import rows, value, write_tx
from appliance.wire.answers import News
from tests.cast import NOON, Cast, environ, issue, new_trip
from tests.uplink.fake_centre import FakeCentre

UID = "01JB2QAAAAAAAAAAAAAAAAAAA"
HOUR = timedelta(hours=1)


def work(db: Database, cast: Cast, trips_: int = 3) -> list[int]:
    """Trips, each with an invoice: rows in three streams."""
    with write_tx(db) as tx:
        ids = [new_trip(tx, ref=f"R-{value(tx, 'SELECT count(*) FROM trips')}") for _ in range(trips_)]
        return [issue(tx, cast, id) for id in ids]


def equal(db: Database, centre: FakeCentre) -> bool:
    """Whether the centre has each row of the box once, byte for byte."""
    here = rows(db, "SELECT epoch, stream, seq, snapshot, chain FROM sync_log ORDER BY epoch, stream, seq")
    there = [
        {"epoch": epoch, "stream": stream, "seq": found.seq, "snapshot": found.snapshot, "chain": found.chain}
        for (epoch, stream), kept in sorted(centre.rows.items())
        for found in kept
    ]
    return here == there


def waiting(db: Database) -> int:
    return sync_log.waiting(db)


def news(id: int, kind: str, number: str, cents: int = 0) -> News:
    return News(id=id, kind=kind, number=number, at="2026-01-26T15:57:02.000Z", uid=f"{UID}{id}", amount_cents=cents)  # type: ignore[arg-type]


def test_what_waits_comes_to_the_centre_once_and_byte_for_byte(
    enrolled: Settings, depot_db: Database, cast: Cast, centre: FakeCentre
) -> None:
    work(depot_db, cast)
    pushed = uplink.push(enrolled, depot_db)
    assert equal(depot_db, centre)
    assert waiting(depot_db) == 0
    assert (pushed.rows, pushed.batches) == (value(depot_db, "SELECT count(*) FROM sync_log"), 3)
    assert [one.stream for one in centre.envelopes] == ["invoices", "trips", "reference"]
    assert uplink.push(enrolled, depot_db).batches == 0


def test_a_box_that_works_alone_or_is_not_enrolled_sends_nothing(
    depot: Settings, depot_db: Database, cast: Cast, centre: FakeCentre
) -> None:
    with pytest.raises(Refused, match="does not know this box"):
        uplink.push(depot, depot_db)
    with pytest.raises(Refused, match="the code is wrong"):
        uplink.enrol(depot, depot_db, "guess", who="ann")
    assert centre.rows == {}


def test_the_key_is_the_boxs_own_and_nobody_elses_to_read(enrolled: Settings, centre: FakeCentre) -> None:
    assert enrolled.paths.depot_key.stat().st_mode & 0o777 == 0o600
    assert list(centre.keys) == [line_key(enrolled)]


def line_key(settings: Settings) -> str:
    key = uplink_key.read(settings.paths.depot_key)
    assert key is not None
    return uplink.signing.key_id("LIV", uplink.signing.public_text(key))


@pytest.mark.parametrize("fault", ["lose", "cut", 500, 502])
def test_without_a_whole_answer_the_same_bytes_go_again(
    enrolled: Settings, depot_db: Database, cast: Cast, centre: FakeCentre, fault: Any
) -> None:
    work(depot_db, cast)
    centre.faults.append(fault)
    with pytest.raises(Transient) as raised:
        uplink.push(enrolled, depot_db, by_hand=True)
    assert raised.value.retry_s is not None
    assert 0 <= raised.value.retry_s <= 60
    assert len(sync_log.run_of(depot_db, 1, "invoices", 1, 99)) == sync_log.backlog(depot_db)["invoices"]
    work(depot_db, cast)
    uplink.push(enrolled, depot_db, by_hand=True)
    assert equal(depot_db, centre)
    if fault in ("lose", "cut"):
        assert centre.received[0] == centre.received[1]
        assert [one.first_seq for one in centre.envelopes if one.stream == "invoices"] == [1, 1, 4]


def test_the_wait_grows_to_a_quarter_of_an_hour(
    enrolled: Settings, depot_db: Database, cast: Cast, centre: FakeCentre, monkeypatch: pytest.MonkeyPatch
) -> None:
    longest = []
    monkeypatch.setattr(uplink._jitter, "uniform", lambda _least, most: longest.append(most) or most)
    centre.faults.extend([500] * 6)
    for _ in range(6):
        with pytest.raises(Transient):
            uplink.push(enrolled, depot_db, by_hand=True)
    assert longest == [60, 120, 240, 480, 900, 900]
    with pytest.raises(Transient):  # it is not the time yet
        uplink.push(enrolled, depot_db)
    assert centre.received == []


@pytest.mark.parametrize("status", [429, 503])
def test_the_centre_says_how_long_to_wait(
    enrolled: Settings, depot_db: Database, cast: Cast, centre: FakeCentre, status: int
) -> None:
    centre.faults.append((status, 77))
    with pytest.raises(Transient) as raised:
        uplink.push(enrolled, depot_db)
    assert raised.value.retry_s == 77.0
    with pytest.raises(Transient) as raised:
        uplink.push(enrolled, depot_db)
    assert raised.value.retry_s is not None
    assert 70 < raised.value.retry_s <= 77
    assert centre.received == []


def test_a_key_that_is_not_let_in_asks_once_an_hour(
    enrolled: Settings, depot_db: Database, cast: Cast, centre: FakeCentre, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = dict(centre.keys)
    centre.keys.clear()
    for _ in range(3):
        with pytest.raises(Refused, match="unsigned"):
            uplink.push(enrolled, depot_db)
    assert len(centre.paths) == 2  # the enrolment, and one batch
    centre.keys.update(kept)
    later = clock.now() + HOUR
    monkeypatch.setattr(clock, "now", lambda: later)
    uplink.push(enrolled, depot_db)
    assert line.state(depot_db)["problem"] is None
    assert equal(depot_db, centre)


def test_rejected_rows_are_parked_and_the_rest_goes_on_until_they_are_sent_again(
    enrolled: Settings, depot_db: Database, cast: Cast, centre: FakeCentre
) -> None:
    work(depot_db, cast)
    centre.reject = lambda found: "the number is taken" if found.kind == "issued" and found.seq == 2 else None
    assert uplink.push(enrolled, depot_db).parked == 1
    (parked,) = sync_log.parked(depot_db)
    assert (parked["seq"], parked["number"], parked["reason"]) == (2, "LIV-2026-A000002", "the number is taken")
    assert waiting(depot_db) == 0
    with write_tx(depot_db) as tx:
        assert uplink_desk.retry_parked(tx, None, who="ann", now=NOON) == 1
    uplink.push(enrolled, depot_db)
    assert sync_log.count_parked(depot_db) == 1
    centre.reject = lambda _found: None
    with write_tx(depot_db) as tx:
        assert uplink_desk.retry_parked(tx, [("invoices", 1, 2)], who="ann", now=NOON) == 1
    uplink.push(enrolled, depot_db)
    assert (sync_log.count_parked(depot_db), centre.rejected) == (0, {})


def test_rows_that_the_centre_lost_are_found_missing_and_sent_again(
    enrolled: Settings, depot_db: Database, cast: Cast, centre: FakeCentre
) -> None:
    work(depot_db, cast)
    uplink.push(enrolled, depot_db)
    centre.forget("invoices", 1)  # a gap, once there is more to send
    work(depot_db, cast, 1)
    centre.forget("trips", 2)  # nothing waits there: the night's books show it
    centre.instance = str(ULID())
    assert uplink.push(enrolled, depot_db).whole
    assert equal(depot_db, centre)
    assert waiting(depot_db) == 0


def test_the_books_bring_to_light_what_no_batch_did(
    enrolled: Settings, depot_db: Database, cast: Cast, centre: FakeCentre
) -> None:
    work(depot_db, cast)
    uplink.push(enrolled, depot_db)
    centre.forget("trips", 2)
    assert uplink.push(enrolled, depot_db).whole
    assert equal(depot_db, centre)
    assert len(centre.reconciled) == 3


def test_a_stream_in_conflict_stops_and_the_others_go_on(
    enrolled: Settings, depot_db: Database, cast: Cast, centre: FakeCentre
) -> None:
    work(depot_db, cast)
    uplink.push(enrolled, depot_db)
    centre.rows[1, "trips"][-1] = uplink.msgspec.structs.replace(centre.rows[1, "trips"][-1], chain="0" * 64)
    with write_tx(depot_db) as tx:
        assert uplink_desk.resend(tx, NOON, NOON + HOUR, ["trips"], who="ann", now=NOON) > 0
    work(depot_db, cast, 1)
    pushed = uplink.push(enrolled, depot_db)
    assert pushed.stopped == ["trips"]
    assert pushed.whole is False
    assert sync_log.backlog(depot_db).keys() == {"trips"}
    (stopped,) = line.stops(depot_db)
    assert stopped["code"] == "conflict"
    tried = len(centre.envelopes)
    assert uplink.push(enrolled, depot_db, ["trips"]).stopped == ["trips"]
    assert len(centre.envelopes) == tried


def test_a_past_range_is_sent_again_when_a_person_asks(
    enrolled: Settings, depot_db: Database, cast: Cast, centre: FakeCentre
) -> None:
    work(depot_db, cast)
    uplink.push(enrolled, depot_db)
    with write_tx(depot_db) as tx:
        assert uplink_desk.resend(tx, NOON - HOUR, NOON, who="ann", now=NOON) == 0
        count = uplink_desk.resend(tx, NOON, NOON + HOUR, ["invoices"], who="ann", now=NOON)
    uplink.push(enrolled, depot_db)
    assert count == 3
    assert [(one.first_seq, one.last_seq, one.again) for one in centre.envelopes[-1:]] == [(1, 3, 1)]
    assert equal(depot_db, centre)


def test_news_are_applied_once_by_the_rules_of_the_desk(
    enrolled: Settings, depot_db: Database, cast: Cast, centre: FakeCentre
) -> None:
    first, second, third = work(depot_db, cast)
    numbers = [one["number"] for one in rows(depot_db, "SELECT number FROM invoices ORDER BY id")]
    centre.news = [
        news(1, "payment", numbers[0], 1800), news(2, "dispute", numbers[1]), news(3, "payment", "LIV-2026-Z000001", 5),
        news(4, "dispute", numbers[2]), news(5, "dispute_resolved", numbers[2]), news(6, "payment", numbers[1], 100),
    ]  # fmt: skip
    for _ in range(2):
        uplink.push(enrolled, depot_db)
        centre.instance = str(ULID())  # and all of them come once more
        work(depot_db, cast, 1)
    uplink.push(enrolled, depot_db)
    assert [invoices.get(depot_db, id)["state"] for id in (first, second, third)] == ["paid", "disputed", "issued"]  # type: ignore[index]
    paid = rows(depot_db, "SELECT uid, invoice_id, amount_cents, origin FROM payments ORDER BY id")
    assert [(one["uid"], one["invoice_id"], one["amount_cents"], one["origin"]) for one in paid] == [
        (f"{UID}1", first, 1800, "centre"), (f"{UID}6", second, 100, "centre"),
    ]  # fmt: skip
    assert value(depot_db, "SELECT count(*) FROM sync_log WHERE kind = 'payment'") == 0
    (kept,) = line.kept_news(depot_db)
    assert (kept["number"], kept["reason"]) == ("LIV-2026-Z000001", "no such invoice here")
    assert line.state(depot_db)["news_after"] == 6
    assert identity.get(depot_db, reminders.PAYMENTS_NEWS, "") > "2026"


def test_reminders_wait_until_all_news_are_here(
    enrolled: Settings, depot_db: Database, cast: Cast, centre: FakeCentre
) -> None:
    centre.news = [news(id, "payment", "LIV-2026-Z000001", 5) for id in range(1, 10)]
    centre.news += [
        News(id=id, kind="payment", number="LIV-2026-Z000001", at=times.text(NOON), uid=str(ULID()), amount_cents=1)
        for id in range(10, 251)
    ]
    with write_tx(depot_db) as tx:
        new_trip(tx)
    uplink.push(enrolled, depot_db, ["trips"])
    assert identity.get(depot_db, reminders.PAYMENTS_NEWS, "") == ""
    uplink.push(enrolled, depot_db)
    assert line.state(depot_db)["news_after"] == 250
    assert identity.get(depot_db, reminders.PAYMENTS_NEWS, "") != ""


def test_a_receipt_is_kept_that_the_centre_signed_and_no_other(
    enrolled: Settings, depot_db: Database, cast: Cast, centre: FakeCentre
) -> None:
    work(depot_db, cast)
    centre.forged = True
    with pytest.raises(Transient, match="signature of its receipt"):
        uplink.push(enrolled, depot_db)
    assert line.count_receipts(depot_db) == 0
    centre.forged = False
    uplink.push(enrolled, depot_db, by_hand=True)
    found = uplink_desk.status(depot_db, enrolled, clock.now())
    assert found["last_receipt"]["whole"] is True
    assert found["complete_through"] == centre.reconciled[-1].at
    assert (found["backlog"], found["oldest_waiting_at"], found["missed_nights"]) == (0, None, 0)
    later = uplink_desk.status(depot_db, enrolled, clock.now() + timedelta(hours=50))
    assert later["missed_nights"] == 2


def test_the_sums_are_those_of_the_invoices_that_count(
    enrolled: Settings, depot_db: Database, cast: Cast, centre: FakeCentre
) -> None:
    first, second, third = work(depot_db, cast)
    with write_tx(depot_db) as tx:
        invoice_desk.pay(tx, first, 500, date(2026, 1, 26), "", "ann", NOON, today=NOON.date())
        invoice_desk.void(tx, second, "wrong payer", replace=False, who="ann", now=NOON)
        invoices.add_centre_payment(tx, third, UID + "9", 700, date(2026, 1, 26), "", NOON)
        tx.conn.execute("UPDATE invoices SET document = json_object('trip', json_object('reference', 'R'), 'payer',"
                        " json_object('name', 'P'), 'lines', json_array())")  # fmt: skip
        credit_desk.issue(tx, third, 300, "late", enrolled, who="ann", now=NOON)
    uplink.push(enrolled, depot_db)
    (sums,) = centre.reconciled[-1].books.sums
    assert uplink.msgspec.structs.asdict(sums) == {
        "currency": "GBP", "invoices": 2, "total_cents": 3600, "void": 1, "void_cents": 1800, "paid_cents": 500,
        "credited_cents": 300,
    }  # fmt: skip
    assert centre.reconciled[-1].books.trips == {"assigned": 3}


def test_a_new_key_takes_the_place_of_the_old_one_also_when_the_answer_was_lost(
    enrolled: Settings, depot_db: Database, cast: Cast, centre: FakeCentre
) -> None:
    old = line_key(enrolled)
    centre.faults.append("lose")
    with pytest.raises(Transient):
        uplink.rotate_key(enrolled, depot_db, who="ann")
    assert line_key(enrolled) == old
    uplink.push(enrolled, depot_db)  # goes on with what was begun
    assert list(centre.keys) == [line_key(enrolled)] != [old]
    assert uplink.rotate_key(enrolled, depot_db, who="ann") == line_key(enrolled)
    assert equal(depot_db, centre)


def test_nobody_else_speaks_meanwhile(enrolled: Settings, depot_db: Database, cast: Cast, centre: FakeCentre) -> None:
    said = []

    def meanwhile() -> None:
        with pytest.raises(Busy):
            uplink.rotate_key(enrolled, depot_db, who="ann")
        said.append(True)

    centre.on_batch = meanwhile
    uplink.push(enrolled, depot_db)
    assert said


def test_a_batch_holds_no_more_than_the_protocol_allows(
    enrolled: Settings, depot_db: Database, cast: Cast, centre: FakeCentre
) -> None:
    with write_tx(depot_db) as tx:
        for number in range(1200):
            people.add_driver(tx, f"N{number}", "x", NOON)
        for number in range(4):
            sync_log.append(tx, "trails", "trail", UID + "0", {"points": ["x" * 70_000], "n": number}, NOON)
    uplink.push(enrolled, depot_db, ["reference", "trails"])
    sizes = [(one.stream, one.last_seq - one.first_seq + 1) for one in centre.envelopes]
    assert sizes == [("trails", 3), ("trails", 1), ("reference", 500), ("reference", 500), ("reference", 205)]
    assert waiting(depot_db) == 0


def test_an_end_between_the_answer_and_the_marking_sends_one_batch_again(
    enrolled: Settings, depot_db: Database, cast: Cast, centre: FakeCentre
) -> None:
    work(depot_db, cast)
    program = (
        "import os, signal\n"
        "from appliance import config, uplink\n"
        "from appliance.storage.db import open_depot\n"
        "settings = config.load()\n"
        "uplink._take = lambda *given: os.kill(os.getpid(), signal.SIGKILL)\n"
        "uplink.push(settings, open_depot(settings.paths.depot_db))\n"
    )
    given = os.environ | environ(enrolled) | {"DEPOTBOX_UPSTREAM__URL": enrolled.upstream.url}
    done = subprocess.run([sys.executable, "-c", program], env=given, cwd=PROJECT_ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    assert centre.seqs("invoices") == [1, 2, 3]
    assert sync_log.backlog(depot_db)["invoices"] == 3
    uplink.push(enrolled, depot_db)
    assert centre.received[0] == centre.received[1]
    assert len(centre.received) == 4
    assert equal(depot_db, centre)


def test_depots_come_some_minutes_apart(depot: Settings) -> None:
    named = uplink.msgspec.structs.replace
    times_of = {uplink_desk.crontab(named(depot, depot=named(depot.depot, code=f"D{number}"))) for number in range(100)}
    assert len(times_of) > 20
    assert all(one.split()[1] == "3" and int(one.split()[0]) <= 30 for one in times_of)
    late = named(depot, upstream=named(depot.upstream, night="23:55", jitter_min=0))
    assert uplink_desk.crontab(late) == "55 23 * * *"
