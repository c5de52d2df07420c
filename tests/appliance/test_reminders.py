"""Reminders of overdue invoices, the aging list, and what users and drivers are told."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlite_utils import Database

from appliance import billing, config, dispatch, jobs, keys, notices, post, reminders
from appliance.config import Settings
from appliance.dispatch import NewTrip
from appliance.domain.fare import Rate
from appliance.domain.invoice import Bucket
from appliance.domain.trip import Event, LevelOfService
from appliance.errors import Transient
from appliance.storage import identity, invoices, mails, notifications, payers, people, times, trips, users, vehicles
from appliance.storage import jobs as job_rows
from appliance.storage.db import insert, open_depot, row, rows, write_tx
from appliance.storage.migrations import migrate
from appliance.storage.uids import new as new_uid

ISSUED = datetime(2026, 1, 10, 9, tzinfo=UTC)
DUE = date(2026, 2, 9)
PATIENT = "Margaret O'Neill"
BASE = {
    "DEPOTBOX_DEPOT__CODE": "LIV",
    "DEPOTBOX_DEPOT__NAME": "Liverpool",
    "DEPOTBOX_DEPOT__LEGAL_NAME": "Liverpool Patient Transport Ltd",
    "DEPOTBOX_DEPOT__ADDRESS": "1 Example Yard",
    "DEPOTBOX_DEPOT__TAX_ID": "GB 123",
    "DEPOTBOX_DEPOT__BANK_DETAILS": "Example Bank 12-34-56",
    "DEPOTBOX_CLOCK__TRUST": "system",
}


def load(data_dir: Path, **more: str) -> Settings:
    return config.load(environ={"DEPOTBOX_STORAGE__DATA_DIR": str(data_dir), **BASE, **more})


@pytest.fixture
def settings(data_dir: Path) -> Settings:
    made = load(data_dir)
    made.paths.prepare()
    keys.own(made.paths, notices.LINK_KEY)
    return made


@pytest.fixture
def db(settings: Settings) -> Iterator[Database]:
    migrate(settings.paths.depot_db)
    opened = open_depot(settings.paths.depot_db)
    yield opened
    opened.conn.close()


@pytest.fixture
def invoice_id(db: Database, settings: Settings) -> int:
    """An invoice over 45.00, issued on 10 January, due on 9 February, to a broker with a mail address."""
    with write_tx(db) as tx:
        vehicles.add(tx, "V1", ISSUED)
        people.add_driver(tx, "D1", "Dee Frost", ISSUED, email="dee@drivers.example")
        payer = payers.add(tx, "Care Broker", "broker", ISSUED, email="bills@broker.example", terms_days=30)
        payers.add_rate(tx, payer, Rate(LevelOfService.ambulatory, date(2026, 1, 1), None, 4500, 0), ISSUED)
        trip = dispatch.create_trip(
            tx,
            NewTrip(
                pickup_at=ISSUED, pickup_address="12 Acacia Avenue", dropoff_address="Hospital", vehicle="V1",
                driver="D1", patient=PATIENT, payer="Care Broker",
            ),
            now=ISSUED,
            who="test",
        ).id  # fmt: skip
        for event in (Event.on_board, Event.completed):
            assert dispatch.apply(tx, trip, event, at=ISSUED, now=ISSUED, source="driver", who="V1").accepted
        trips.change(tx, trip, ISSUED, distance_m=5000.0)
        answer, _, _ = billing.generate(tx, trip, settings, ISSUED)
    return int(answer["invoice_id"])


def days_after_due(days: int) -> datetime:
    return datetime(DUE.year, DUE.month, DUE.day, 2, tzinfo=UTC) + timedelta(days=days)


def ask(db: Database, settings: Settings, now: datetime) -> list[jobs.Ask]:
    with write_tx(db) as tx:
        return reminders.ask_for_due(tx, settings, now)


def begin(db: Database, settings: Settings, now: datetime, job: str = "job-1") -> post.Letter | None:
    reminder = rows(db, "SELECT max(id) AS id FROM reminders")[0]["id"]
    with write_tx(db) as tx:
        return reminders.begin(tx, reminder, settings, now, job)


def pay(db: Database, invoice_id: int, cents: int) -> None:
    with write_tx(db) as tx:
        insert(
            tx, "payments", uid=new_uid(), invoice_id=invoice_id, amount_cents=cents, paid_on="2026-02-01",
            origin="depot", recorded_by="test", recorded_at=times.text(ISSUED),
        )  # fmt: skip


@pytest.mark.usefixtures("invoice_id")
def test_each_stage_is_asked_for_once_however_often_it_runs(db: Database, settings: Settings) -> None:
    """Run every day for 130 days: four reminders, on the days after due, 30, 60 and 90."""
    asked = [day for day in range(-5, 130) for _ in ask(db, settings, days_after_due(day))]
    assert asked == [1, 30, 60, 90]
    assert [r["stage"] for r in rows(db, "SELECT stage FROM reminders ORDER BY id")] == [0, 30, 60, 90]


@pytest.mark.usefixtures("invoice_id")
def test_after_weeks_off_only_the_highest_stage_is_sent(db: Database, settings: Settings) -> None:
    """No burst: one reminder, and none of the lower stages later."""
    assert len(ask(db, settings, days_after_due(65))) == 1
    assert ask(db, settings, days_after_due(66)) == []
    assert [r["stage"] for r in rows(db, "SELECT stage FROM reminders")] == [60]


def test_a_full_payment_stops_reminders_and_a_partial_one_lowers_the_sum(
    db: Database, settings: Settings, invoice_id: int
) -> None:
    """45.00 less 20.00 is reminded as 25.00; when the rest is paid, nothing is."""
    pay(db, invoice_id, 2000)
    assert len(ask(db, settings, days_after_due(1))) == 1
    letter = begin(db, settings, days_after_due(1))
    assert letter is not None
    assert "25.00" in letter.text
    assert PATIENT not in letter.text + letter.subject
    pay(db, invoice_id, 2500)
    assert ask(db, settings, days_after_due(30)) == []


def test_a_payment_between_asking_and_sending_stops_the_mail(db: Database, settings: Settings, invoice_id: int) -> None:
    """The state at the sending counts."""
    assert len(ask(db, settings, days_after_due(1))) == 1
    pay(db, invoice_id, 4500)
    assert begin(db, settings, days_after_due(1)) is None


@pytest.mark.parametrize("state", ["void", "disputed", "paid"])
def test_a_void_disputed_or_paid_invoice_is_not_reminded(
    db: Database, settings: Settings, invoice_id: int, state: str
) -> None:
    """Whatever is still unpaid on it."""
    db.conn.execute("UPDATE invoices SET state = ? WHERE id = ?", (state, invoice_id))
    assert ask(db, settings, days_after_due(40)) == []


@pytest.mark.usefixtures("invoice_id")
def test_a_reminder_caught_in_a_crash_is_not_sent_again(db: Database, settings: Settings) -> None:
    """The row says sending, the job comes again: MaybeSent. Once parked, a person may retry it."""
    ask(db, settings, days_after_due(1))
    assert begin(db, settings, days_after_due(1))
    with pytest.raises(post.MaybeSent) as caught:
        begin(db, settings, days_after_due(1))
    with write_tx(db) as tx:
        mails.mark_failed(tx, caught.value.mail_id, "crash", parked=True)
    assert begin(db, settings, days_after_due(1))


@pytest.mark.usefixtures("invoice_id")
def test_reminders_wait_for_a_trusted_clock(db: Database, data_dir: Path) -> None:
    """No decision about money from a clock that nobody set."""
    untrusted = load(data_dir, DEPOTBOX_CLOCK__TRUST="synchronized")
    with pytest.raises(Transient):
        ask(db, untrusted, days_after_due(1))


@pytest.mark.usefixtures("invoice_id")
def test_reminders_wait_while_news_about_payments_is_old(db: Database, data_dir: Path) -> None:
    """With a centre that takes payments: none, and old news wait; fresh news let them go."""
    settings = load(data_dir, DEPOTBOX_UPSTREAM__URL="https://centre.example")
    now = days_after_due(1)
    with pytest.raises(Transient):
        ask(db, settings, now)
    for age_h, reminded in ((49, False), (47, True)):
        with write_tx(db) as tx:
            identity.put(tx, reminders.PAYMENTS_NEWS, times.text(now - timedelta(hours=age_h)))
        if reminded:
            assert len(ask(db, settings, now)) == 1
        else:
            with pytest.raises(Transient):
                ask(db, settings, now)


@pytest.mark.usefixtures("invoice_id")
def test_reminders_that_waited_for_the_relay_do_not_all_go_at_once(db: Database, settings: Settings) -> None:
    """Only the highest stage that was reached goes; those before it have nothing more to say."""
    for days in (1, 31, 61):
        assert len(ask(db, settings, days_after_due(days))) == 1
    ids = [one["id"] for one in rows(db, "SELECT id FROM reminders ORDER BY stage")]
    with write_tx(db) as tx:
        sent = [reminders.begin(tx, id, settings, days_after_due(62), f"job-{id}") for id in ids]
    assert [letter is not None for letter in sent] == [False, False, True]


@pytest.mark.usefixtures("invoice_id")
def test_a_payer_without_mail_is_put_before_the_billers_once(db: Database, settings: Settings) -> None:
    with write_tx(db) as tx:
        tx.conn.execute("UPDATE payers SET delivery = 'print'")
        bea = users.add(tx, "bea@example.org", "Bea", "biller", ISSUED)
    for days in (1, 2):
        assert ask(db, settings, days_after_due(days)) == []
    (told,) = notifications.of_user(db, bea)
    assert (told["type"], "takes no mail" in told["message"]) == ("reminder_by_post", True)


def test_a_dispute_does_not_use_a_stage_up(db: Database, settings: Settings, invoice_id: int) -> None:
    ask(db, settings, days_after_due(1))
    with write_tx(db) as tx:
        tx.conn.execute("UPDATE invoices SET state = 'disputed' WHERE id = ?", (invoice_id,))
    assert begin(db, settings, days_after_due(1)) is None
    with write_tx(db) as tx:
        tx.conn.execute("UPDATE invoices SET state = 'issued' WHERE id = ?", (invoice_id,))
    assert len(ask(db, settings, days_after_due(2))) == 1


@pytest.mark.parametrize("hours", [-49, 1], ids=["old", "from the future"])
@pytest.mark.usefixtures("invoice_id")
def test_a_reminder_that_waited_is_not_sent_on_old_or_impossible_news(
    db: Database, settings: Settings, data_dir: Path, hours: int
) -> None:
    ask(db, settings, days_after_due(1))
    connected = load(data_dir, DEPOTBOX_UPSTREAM__URL="https://centre.example")
    with write_tx(db) as tx:
        identity.put(tx, reminders.PAYMENTS_NEWS, times.text(days_after_due(1) + timedelta(hours=hours)))
    with pytest.raises(Transient, match="too old"):
        begin(db, connected, days_after_due(1))
    with write_tx(db) as tx:
        identity.put(tx, reminders.PAYMENTS_NEWS, times.text(days_after_due(1)))
    assert begin(db, connected, days_after_due(1)) is not None


def test_the_aging_list_counts_what_is_owed(db: Database, settings: Settings, invoice_id: int) -> None:
    """One invoice, 45.00 less 20.00, moves through the buckets."""
    pay(db, invoice_id, 2000)
    for days, bucket in ((0, Bucket.current), (1, Bucket.days_1_30), (31, Bucket.days_31_60), (91, Bucket.over_90)):
        found = reminders.aging(db, settings, days_after_due(days))
        assert found[bucket] == (1, 2500)
        assert sum(count for count, _ in found.values()) == 1


def user(db: Database, **columns: Any) -> int:
    with write_tx(db) as tx:
        id = users.add(tx, "ada@depot.example", "Ada", "dispatcher", ISSUED)
    for name, value in columns.items():
        db.conn.execute(f"UPDATE users SET {name} = ? WHERE id = ?", (value, id))
    return id


def test_a_notification_is_in_the_inbox_once_a_job(db: Database, settings: Settings) -> None:
    """Also when the job is run again; the mail follows the user's wish."""
    id = user(db, wants_email=0)
    for _ in range(2):
        with write_tx(db) as tx:
            assert notices.begin_notification(tx, id, "trip_late", "Trip 3 is late", settings, ISSUED, "job-1") is None
    assert [n["message"] for n in notifications.of_user(db, id)] == ["Trip 3 is late"]


def test_the_welcome_mail_has_the_same_link_each_time_and_keeps_only_its_hash(db: Database, settings: Settings) -> None:
    """A repeated mail must not make the first one useless."""
    id = user(db)
    links = []
    for _ in range(2):
        with write_tx(db) as tx:
            letter = notices.begin_welcome(tx, id, settings, ISSUED, "job-1")
        assert letter is not None
        links.append(re.findall(r"/password/([0-9a-f]{64})", letter.text)[0])
    assert links[0] == links[1]
    (stored,) = rows(db, "SELECT * FROM password_links")
    assert stored["token_hash"] == hashlib.sha256(links[0].encode()).hexdigest()
    assert links[0] not in repr(stored)


@pytest.mark.usefixtures("invoice_id")
def test_an_assignment_asks_for_the_drivers_notification(db: Database, settings: Settings) -> None:
    """The job stands with the assignment; the mail has number and time, and no patient."""
    job = row(db, "SELECT * FROM jobs WHERE name LIKE '%assignment%'")
    assert job is not None
    with write_tx(db) as tx:
        letter = notices.begin_assignment(tx, **job_rows.arguments(job), settings=settings, now=ISSUED, job_id="j")
    assert letter is not None
    assert letter.recipient == "dee@drivers.example"
    assert PATIENT not in letter.text
    assert "Acacia" not in letter.text


@pytest.mark.usefixtures("invoice_id")
def test_the_digest_counts_the_days_trips_without_names(db: Database, settings: Settings) -> None:
    """One completed trip."""
    id = user(db)
    with write_tx(db) as tx:
        letter = notices.begin_digest(tx, id, settings, ISSUED, "job-1")
    assert letter is not None
    assert re.search(r"completed +1", letter.text)
    assert PATIENT not in letter.text


def test_nobody_is_mailed_after_the_account_was_disabled(db: Database, settings: Settings) -> None:
    """Welcome, digest and notification."""
    id = user(db, disabled_at="2026-01-01T00:00:00.000Z")
    with write_tx(db) as tx:
        assert notices.begin_welcome(tx, id, settings, ISSUED, "1") is None
        assert notices.begin_digest(tx, id, settings, ISSUED, "2") is None
        assert notices.begin_notification(tx, id, "t", "m", settings, ISSUED, "3") is None
    assert invoices.unpaid(db) == []
