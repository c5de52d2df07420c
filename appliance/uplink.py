"""The line to the central office: enrolment, batches of `sync_log` in order, and the nightly reconciliation.

`docs/protocol.md` is the contract. Whatever ends this process at whatever moment, a row is marked only after the centre
said that it has it, and what is not marked is sent again. One process at a time speaks (a kernel file lock); no request
is made inside a transaction.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlite_utils import Database

from appliance import atomicfile, clock, downlink, log, recovery, reminders, uplink_desk, uplink_key
from appliance.config import Settings
from appliance.errors import Busy, Refused, Transient
from appliance.events import Event
from appliance.storage import audit, identity, sync_log, times
from appliance.storage import uplink as rows_of
from appliance.storage.db import Row, Tx, write_tx
from appliance.uplink_http import Centre, Declined, Unanswered
from appliance.wire import MAX_BYTES, MAX_ROWS, STREAMS, Stream, batch, signing
from appliance.wire.answers import Answer, Books, Enrol, News, Position, Receipt, Receipted, Reconcile, Sums
from appliance.wire.batch import Envelope

FIRST_WAIT_S, LONGEST_WAIT_S = 60.0, 900.0
REFUSED_WAIT = timedelta(hours=1)
LONGEST_GATE = timedelta(hours=24)
"""A wait that is to end later than that was written by a wrong clock."""
ROUNDS = 3
"""So often in a row the books are compared while rows are sent that the centre lacked."""
NEWS_ROUNDS = 100
NEW_KEY = timedelta(days=30)
"""So long before the key ends it is replaced."""
AT_ONCE_S = 20 * 60.0
"""So long one push goes on at most."""
_STREAM_PROBLEMS = (409, 413, 422)

Publish = Callable[[Sequence[Event]], object]
_jitter = random.SystemRandom()
_log = log.get(__name__)


@dataclass(slots=True)
class Pushed:
    """What a push did. `stopped`: streams that the centre does not take as they are."""

    rows: int = 0
    batches: int = 0
    parked: int = 0
    news: int = 0
    stopped: list[str] = field(default_factory=list)
    night: str = ""
    whole: bool | None = None


@dataclass(slots=True)
class _Line:
    """One push."""

    settings: Settings
    db: Database
    centre: Centre
    key: Ed25519PrivateKey
    publish: Publish
    end: float
    pushed: Pushed = field(default_factory=Pushed)


def enrol(settings: Settings, db: Database, code: str, *, who: str) -> Row:
    """Makes the box known to the central office by a one-time code and its public key, and returns the state of the
    line. Raises Refused for a code that does not count, and Transient where the centre does not answer."""
    uplink_desk.check_url(settings)
    key = uplink_key.own(settings.paths.depot_key)
    said = Enrol(
        depot=settings.depot.code,
        name=settings.depot.name,
        code=code.strip(),
        public_key=signing.public_text(key),
    )
    with _alone(settings), Centre(settings) as centre:
        try:
            answer = centre.enrol(key, said)
        except Unanswered as error:
            raise Transient(error.what, subject=error.subject, hint="try again later") from error
        except Declined as error:
            raise Refused(error.problem.detail or error.problem.title, subject=settings.upstream.url) from error
        settings.paths.next_depot_key.unlink(missing_ok=True)
        now = clock.now()
        with write_tx(db) as tx:
            before = rows_of.state(tx)
            _of_instance(tx, before, answer.instance)
            rows_of.answered(tx, now)
            rows_of.put(
                tx,
                centre=answer.name,
                centre_key=answer.centre_key,
                key_id=answer.key_id,
                expires_at=answer.expires_at,
                enrolled_at=times.text(now),
                receipts_from=times.text(now),
            )
            audit.record(tx, who, "uplink.enrolled", "box", "", now, f"{answer.name}, {answer.key_id}")
    _log.info("uplink.enrolled", key=answer.key_id)
    return rows_of.state(db)


def rotate_key(settings: Settings, db: Database, *, who: str) -> str:
    """Puts a new key in the place of the box's own, and returns its id. Where the answer is lost, the next push or
    rotation goes on with the same new key. Raises Refused and Transient."""
    uplink_desk.check_enrolled(settings, db)
    with _alone(settings), Centre(settings) as centre:
        try:
            return _rotate(settings, db, centre, who)
        except Unanswered as error:
            raise Transient(error.what, subject=error.subject, hint="try again later") from error
        except Declined as error:
            raise Refused(str(error), subject=settings.upstream.url) from error


def push(
    settings: Settings,
    db: Database,
    streams: Sequence[Stream] | None = None,
    *,
    by_hand: bool = False,
    publish: Publish = lambda _events: None,
) -> Pushed:
    """Sends what waits in these streams, money first; in all of them, and then the books, where None.

    Raises Refused where the box is not enrolled or the centre does not let it in (then it is asked once an hour, or by
    hand), Busy while another process sends, and Transient with the time to wait where no whole answer came.
    """
    uplink_desk.check_enrolled(settings, db)
    chosen = [stream for stream in STREAMS if streams is None or stream in streams]
    with _alone(settings):
        if not by_hand:
            _check_wait(db)
        key = uplink_key.own(settings.paths.depot_key)
        with Centre(settings) as centre:
            line = _Line(settings, db, centre, key, publish, time.monotonic() + AT_ONCE_S)
            try:
                _push(line, chosen, books=streams is None, by_hand=by_hand)
            except Unanswered as error:
                raise _unanswered(db, error) from error
            except Declined as error:
                raise _refused(db, error) from error
            except Refused as error:  # what a restored box found there is not its own
                now = clock.now()
                with write_tx(db) as tx:
                    rows_of.trouble(tx, str(error), 409, now + REFUSED_WAIT, now)
                raise
    return line.pushed


def books(db: Database) -> Books:
    """What the box has: read inside one transaction, so that all of it is of one moment."""
    return Books(
        positions=[Position(**one) for one in sync_log.positions(db)],
        sums=[Sums(**one) for one in rows_of.sums(db)],
        trips=rows_of.trip_states(db),
    )


def night_of(now: datetime, settings: Settings) -> date:
    """The day that a reconciliation at this time is of: until noon the day before."""
    return (now.astimezone(settings.zone) - timedelta(hours=12)).date()


def _push(line: _Line, streams: Sequence[Stream], *, books: bool, by_hand: bool) -> None:
    if line.settings.paths.next_depot_key.exists() or (books and _ends_soon(line.db)):
        _rotate(line.settings, line.db, line.centre, "box")
        line.key = uplink_key.own(line.settings.paths.depot_key)
    if recovery.is_needed(line.db, line.settings):
        recovery.run(line.db, line.settings, line.centre, line.key)
    with write_tx(line.db) as tx:
        events = downlink.try_again(tx, clock.now())
    line.publish(events)
    _ask_where(line)
    _send(line, streams, by_hand=by_hand)
    if books:
        _reconcile(line, streams, by_hand=by_hand)


def _send(line: _Line, streams: Sequence[Stream], *, by_hand: bool) -> None:
    """Sends all that waits."""
    stops = {one["stream"]: one for one in rows_of.stops(line.db)}
    for stream in streams:
        if stream in line.pushed.stopped:
            continue
        stopped = stops.get(stream)
        if stopped and not by_hand and _waits(stopped["retry_at"], REFUSED_WAIT):
            line.pushed.stopped.append(stream)
            continue
        while following := _next(line.db, line.settings, stream):
            if time.monotonic() > line.end:
                raise Transient("more is waiting", subject="uplink", retry_s=1.0)
            if not _send_one(line, *following):
                line.pushed.stopped.append(stream)
                break


def _next(db: Database, settings: Settings, stream: Stream) -> tuple[Envelope, list[batch.Row]] | None:
    """The batch to send: the one in flight, so that the same bytes go again, or the oldest rows that wait."""
    state = rows_of.state(db)
    if state["flight"]:
        envelope = msgspec.json.decode(state["flight"], type=Envelope)
        if envelope.stream == stream:
            found = sync_log.run_of(db, envelope.epoch, stream, envelope.first_seq, envelope.last_seq)
            if all(one["waiting"] and one["again"] == envelope.again for one in found):
                return envelope, [_row(one) for one in found]
    first = sync_log.oldest_waiting(db, stream)
    if first is None:
        return None
    rows: list[batch.Row] = []
    size = 512  # the envelope
    for one in sync_log.run_of(db, first["epoch"], stream, first["seq"], first["seq"] + MAX_ROWS - 1):
        row = _row(one)
        size += len(msgspec.json.encode(row)) + 1
        if not one["waiting"] or one["again"] != first["again"] or (rows and size > MAX_BYTES):
            break
        rows.append(row)
    envelope = Envelope(
        depot=settings.depot.code,
        epoch=first["epoch"],
        stream=stream,
        first_seq=first["seq"],
        last_seq=rows[-1].seq,
        news_after=state["news_after"],
        again=first["again"],
    )
    return envelope, rows


def _row(found: Row) -> batch.Row:
    return batch.Row(**{name: found[name] for name in ("seq", "kind", "uid", "created_at", "snapshot", "chain")})


def _send_one(line: _Line, envelope: Envelope, rows: Sequence[batch.Row]) -> bool:
    """Sends a batch and takes the answer in. False where its stream cannot go on as it is."""
    body = batch.pack(envelope, rows)
    with write_tx(line.db) as tx:
        rows_of.put(tx, flight=msgspec.json.encode(envelope).decode())
    try:
        answer = line.centre.batch(line.key, body, hashlib.sha256(body).hexdigest()[:32])
    except Declined as error:
        if error.problem.status not in _STREAM_PROBLEMS:
            raise
        expected = error.problem.expected_seq
        if error.problem.code == "gap" and expected is not None and 1 <= expected < envelope.first_seq:
            _go_back(line.db, envelope, expected)
            return True
        _stop(line.db, envelope, error.problem.code or str(error.problem.status), error.problem.detail)
        return False
    line.pushed.batches += 1
    return _take(line, envelope, answer)


def _take(line: _Line, envelope: Envelope, answer: Answer) -> bool:
    """Marks what the centre has, parks what it does not take, and applies its news: all of it or nothing."""
    now = clock.now()
    first, last = envelope.first_seq, min(envelope.last_seq, answer.acked_through)
    with write_tx(line.db) as tx:
        state = rows_of.state(tx)
        marked = sync_log.acknowledge(tx, envelope.epoch, envelope.stream, first, last, now)
        rejected = [one for one in answer.rejected if first <= one.seq <= last]
        for one in rejected:
            sync_log.park(tx, envelope.epoch, envelope.stream, one.seq, one.reason)
        lost = 0
        if answer.acked_through < sync_log.last_marked(tx, envelope.epoch, envelope.stream):
            lost = sync_log.unmark_from(tx, envelope.epoch, envelope.stream, answer.acked_through + 1)
        rows_of.answered(tx, now)
        rows_of.put(tx, flight=None)
        rows_of.go_on(tx, envelope.stream)
        known = _of_instance(tx, state, answer.instance)
        events = _news(tx, line, answer.news, more=answer.more_news, now=now) if known else []
    line.publish(events)
    line.pushed.rows += marked
    line.pushed.parked += len(rejected)
    for one in rejected:
        _log.warning("uplink.row_parked", stream=envelope.stream, seq=one.seq)
    if lost:
        _log.warning("uplink.rows_lost", stream=envelope.stream, after=answer.acked_through, rows=lost)
    _ask_where(line)
    if not marked and not lost:
        _stop(
            line.db, envelope, "nothing_taken", f"the centre has rows up to {answer.acked_through}, and takes no more"
        )
        return False
    return True


def _news(tx: Tx, line: _Line, news: Sequence[News], *, more: bool, now: datetime) -> list[Event]:
    """Applies what is new, each in its turn."""
    after = rows_of.state(tx)["news_after"]
    events: list[Event] = []
    for one in sorted(news, key=lambda one: one.id):
        if one.id > after:
            events += downlink.take(tx, one, line.settings, now)
            after = one.id
            line.pushed.news += 1
    rows_of.put(tx, news_after=after)
    if not more:
        identity.put(tx, reminders.PAYMENTS_NEWS, times.text(now))
    return events


def _of_instance(tx: Tx, state: Row, instance: str) -> bool:
    """False where the centre's database is another one than before: its news count from the beginning (each is known by
    its uid), and what it has must be asked."""
    if state["instance"] == instance:
        return True
    rows_of.put(tx, instance=instance, news_after=0, doubted=int(state["instance"] is not None))
    if state["instance"] is not None:
        _log.warning("uplink.centre_changed", instance=instance)
    return state["instance"] is None


def _ask_where(line: _Line) -> None:
    """What the centre does not have (any more) waits again, where its database is not the one that it was."""
    if not rows_of.state(line.db)["doubted"]:
        return
    found = line.centre.positions(line.key)
    with write_tx(line.db) as tx:
        _unmark_lacking(tx, found.positions)
        rows_of.put(tx, doubted=0, flight=None, instance=found.instance)


def _unmark_lacking(tx: Tx, positions: Sequence[Position]) -> int:
    there = {(one.epoch, one.stream): one.last_seq for one in positions}
    lacking = 0
    for mine in sync_log.positions(tx):
        last = there.get((mine["epoch"], mine["stream"]), 0)
        if last < mine["last_seq"]:
            lost = sync_log.unmark_from(tx, mine["epoch"], mine["stream"], last + 1)
            if lost:
                _log.warning("uplink.rows_lost", stream=mine["stream"], after=last, rows=lost)
            lacking += lost
    return lacking


def _go_back(db: Database, envelope: Envelope, expected: int) -> None:
    with write_tx(db) as tx:
        lost = sync_log.unmark_from(tx, envelope.epoch, envelope.stream, expected)
        rows_of.put(tx, flight=None)
    _log.warning("uplink.rows_lost", stream=envelope.stream, after=expected - 1, rows=lost)


def _stop(db: Database, envelope: Envelope, code: str, detail: str) -> None:
    now = clock.now()
    with write_tx(db) as tx:
        rows_of.stop(tx, envelope.stream, code, detail, now + REFUSED_WAIT, now)
        rows_of.put(tx, flight=None)
    _log.error("uplink.stream_stopped", stream=envelope.stream, first_seq=envelope.first_seq, code=code)


def _reconcile(line: _Line, streams: Sequence[Stream], *, by_hand: bool) -> None:
    """Compares the books; rows that the centre lacks are sent, and the books compared again."""
    for _ in range(ROUNDS):
        receipt = _compare(line)
        if receipt.whole:
            return
        with write_tx(line.db) as tx:
            lacking = _unmark_lacking(tx, receipt.positions)
            for one in receipt.differences:
                if one.epoch and one.stream:
                    lacking += sync_log.unmark(tx, one.epoch, one.stream, one.seqs)
            rows_of.put(tx, flight=None)
        waiting = sync_log.backlog(line.db)
        if not lacking and not any(waiting.get(stream) for stream in streams if stream not in line.pushed.stopped):
            return
        _send(line, streams, by_hand=by_hand)


def _compare(line: _Line) -> Receipt:
    """Sends the books until the centre has no more news, and keeps the receipt."""
    for _ in range(NEWS_ROUNDS):
        now = clock.now()
        with write_tx(line.db, synced=False) as tx:  # nothing is written between the parts of the books
            mine, state = books(tx), rows_of.state(tx)
        said = Reconcile(
            depot=line.settings.depot.code,
            night=night_of(now, line.settings).isoformat(),
            at=times.text(now),
            books=mine,
            news_after=state["news_after"],
        )
        answer = line.centre.reconcile(line.key, said)
        receipt = _checked(answer, said, state)
        now = clock.now()
        with write_tx(line.db) as tx:
            rows_of.keep_receipt(
                tx,
                night=receipt.night,
                at=receipt.at,
                received_at=receipt.received_at,
                instance=receipt.instance,
                whole=receipt.whole,
                receipt=answer.receipt,
                signature=answer.signature,
                now=now,
            )
            rows_of.answered(tx, now)
            known = _of_instance(tx, state, receipt.instance)
            events = _news(tx, line, answer.news, more=answer.more_news, now=now) if known else []
        line.publish(events)
        line.pushed.night, line.pushed.whole = receipt.night, receipt.whole
        if not answer.more_news or not answer.news:
            break
    if receipt.whole:
        _log.info("uplink.receipt", night=receipt.night)
    else:
        _log.warning("uplink.receipt_differs", night=receipt.night, differences=len(receipt.differences))
    return receipt


def _checked(answer: Receipted, said: Reconcile, state: Row) -> Receipt:
    """The receipt, if the centre signed it over what was asked. Raises Unanswered."""
    try:
        receipt = msgspec.json.decode(answer.receipt, type=Receipt)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unanswered(f"its receipt cannot be read: {error}", subject="receipt") from error
    if not signing.holds(state["centre_key"], answer.receipt, answer.signature):
        raise Unanswered("the signature of its receipt does not hold", subject="receipt")
    if (receipt.depot, receipt.night, receipt.at) != (said.depot, said.night, said.at):
        raise Unanswered("its receipt is of something else", subject="receipt")
    return receipt


def _rotate(settings: Settings, db: Database, centre: Centre, who: str) -> str:
    paths = settings.paths
    new = uplink_key.own(paths.next_depot_key)
    public = signing.public_text(new)
    try:
        answer = centre.new_key(uplink_key.own(paths.depot_key), public)
    except Declined as error:
        if error.problem.status != 401:
            raise
        answer = centre.new_key(new, public)  # the answer to the first time was lost: it signs already
    os.replace(paths.next_depot_key, paths.depot_key)
    atomicfile.sync_folder(paths.secrets_dir)
    now = clock.now()
    with write_tx(db) as tx:
        rows_of.put(tx, key_id=answer.key_id, expires_at=answer.expires_at, centre_key=answer.centre_key)
        audit.record(tx, who, "uplink.key_rotated", "box", "", now, answer.key_id)
    _log.info("uplink.key_rotated", key=answer.key_id)
    return answer.key_id


def _ends_soon(db: Database) -> bool:
    ends = times.parse_or_none(rows_of.state(db)["expires_at"])
    return ends is not None and ends - clock.now() < NEW_KEY


def _check_wait(db: Database) -> None:
    """Raises Refused or Transient while the centre is not to be asked again."""
    state = rows_of.state(db)
    left = _waits(state["retry_at"], LONGEST_GATE)
    if left and state["problem_status"] is not None:
        raise Refused(
            state["problem"], subject="uplink", hint="it is asked once an hour; depotbox sync now asks at once"
        )
    if left:
        raise Transient(state["problem"], subject="uplink", retry_s=left)


def _waits(retry_at: str | None, longest: timedelta) -> float:
    """Seconds until then; 0 where that is over, or too far ahead to be true."""
    until = times.parse_or_none(retry_at)
    left = (until - clock.now()) if until else timedelta(0)
    return left.total_seconds() if timedelta(0) < left <= longest else 0.0


def _unanswered(db: Database, error: Unanswered) -> Transient:
    """Full jitter: a random time of up to 1 minute, then 2, 4, 8, and 15 at most; or as the centre says."""
    now, failures = clock.now(), rows_of.state(db)["failures"]
    wait_s = error.retry_s
    if wait_s is None:
        wait_s = _jitter.uniform(0, min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** min(failures, 10)))
    with write_tx(db) as tx:
        rows_of.trouble(tx, error.what, None, now + timedelta(seconds=wait_s), now)
    _log.warning("uplink.unanswered", error=error.what, failures=failures + 1, wait_s=round(wait_s, 1))
    return Transient(error.what, subject=error.subject, retry_s=wait_s)


def _refused(db: Database, error: Declined) -> Refused:
    now = clock.now()
    with write_tx(db) as tx:
        rows_of.trouble(tx, error.what, error.problem.status, now + REFUSED_WAIT, now)
    _log.error("uplink.refused", status=error.problem.status, code=error.problem.code)
    return Refused(error.what, subject=error.subject, hint="the central office must let this box in")


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """Nobody else speaks to the centre meanwhile. Raises Busy."""
    fd = os.open(Path(settings.paths.uplink_lock), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(fd)
        raise Busy("it is being sent to already", subject="central office", hint="see depotbox sync status") from error
    try:
        yield
    finally:
        os.close(fd)
