"""A small, strict receiver of the protocol on loopback, written from docs/protocol.md; it misbehaves when it is told.

It keeps what it takes in memory. `faults` are used up one a request: `lose` (takes the request and answers nothing),
`cut` (half of the answer), a status (503), or a status with Retry-After ((429, 7)).
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from ulid import ULID

from appliance.domain import chain
from appliance.errors import InputError, Refused
from appliance.storage import times
from appliance.wire import batch, signing, snapshots
from appliance.wire.answers import (
    Answer,
    Difference,
    Enrol,
    Enrolled,
    NewKey,
    News,
    Position,
    Problem,
    Receipt,
    Receipted,
    Reconcile,
    Rejected,
    Sums,
    Whereabouts,
)  # fmt: skip
from appliance.wire.batch import Envelope, Row

CODE = "one-time-code"
Place = tuple[int, str]
Fault = str | int | tuple[int, int]


class Refusal(Exception):
    def __init__(self, status: int, code: str, detail: str = "", expected_seq: int | None = None) -> None:
        self.problem = Problem(title=code, status=status, code=code, detail=detail, expected_seq=expected_seq)


class FakeCentre:
    """Everything that the tests look at and turn."""

    def __init__(self) -> None:
        self.instance = str(ULID())
        self.key = Ed25519PrivateKey.generate()
        self.keys: dict[str, tuple[str, Ed25519PublicKey]] = {}
        self.codes = {"LIV": CODE}
        self.rows: dict[Place, list[Row]] = {}
        self.rejected: dict[tuple[int, str, int], str] = {}
        self.answers: dict[str, tuple[str, bytes]] = {}
        self.news: list[News] = []
        self.sums: list[Sums] | None = None
        self.faults: deque[Fault] = deque()
        self.received: list[bytes] = []
        self.paths: list[str] = []
        self.envelopes: list[Envelope] = []
        self.reconciled: list[Reconcile] = []
        self.reject: Callable[[Row], str | None] = lambda _row: None
        self.forged = False
        self.on_batch: Callable[[], None] = lambda: None
        self._lock = threading.Lock()
        centre = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                centre._handle(self)

            do_GET = do_POST  # noqa: N815  its name in http.server

            def log_message(self, *_args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def seqs(self, stream: str, epoch: int = 1) -> list[int]:
        return [row.seq for row in self.rows.get((epoch, stream), [])]

    def forget(self, stream: str, after: int, epoch: int = 1) -> None:
        """As if the database were that of a day before: rows, answers and numbers of batches are gone."""
        self.rows[epoch, stream] = self.rows[epoch, stream][:after]
        self.answers.clear()

    def _handle(self, http: BaseHTTPRequestHandler) -> None:
        body = http.rfile.read(int(http.headers.get("content-length") or 0))
        with self._lock:
            fault = self.faults.popleft() if self.faults else None
            if isinstance(fault, int | tuple):
                status, wait = fault if isinstance(fault, tuple) else (fault, None)
                _answer(http, status, b"", {"Retry-After": str(wait)} if wait is not None else {})
                return
            try:
                status, content = self._answered(http, body)
            except Refusal as refusal:
                status, content = refusal.problem.status, msgspec.json.encode(refusal.problem)
        if fault == "lose":
            http.close_connection = True
        elif fault == "cut":
            http.send_response(status)
            http.send_header("Content-Length", str(len(content)))
            http.end_headers()
            http.wfile.write(content[: len(content) // 2])
            http.close_connection = True
        else:
            _answer(http, status, content, {})

    def _answered(self, http: BaseHTTPRequestHandler, body: bytes) -> tuple[int, bytes]:
        path, query = urlsplit(http.path).path, parse_qs(urlsplit(http.path).query)
        self.paths.append(path)
        if path == "/depot/v1/enrol":
            return self._enrol(http, body)
        named = re.fullmatch(r"/depot/v1/([A-Z0-9]+)/(\w+)", path)
        if not named:
            raise Refusal(404, "")
        depot, what = named.groups()
        covered = {"batches": signing.COVERED_BATCH, "reconciliations": signing.COVERED_WITH_BODY,
                   "keys": signing.COVERED_WITH_BODY}.get(what, signing.COVERED)  # fmt: skip
        id = self._verify(http, body, lambda given: self.keys[given][1] if given in self.keys else None, covered)
        if self.keys[id][0] != depot:
            raise Refusal(403, "wrong_depot")
        if what == "keys":
            public = msgspec.json.decode(body, type=NewKey).public_key
            new = signing.key_id(depot, public)
            self.keys[new] = (depot, signing.verifying(public))
            if id != new:
                del self.keys[id]
            return 201, msgspec.json.encode(self._enrolled(new))
        if what == "positions":
            return 200, msgspec.json.encode(Whereabouts(instance=self.instance, positions=self.positions()))
        if what == "rows":
            return self._rows(depot, int(query["epoch"][0]), query["stream"][0], int(query["after"][0]))
        if what == "reconciliations":
            return 200, self._reconcile(msgspec.json.decode(body, type=Reconcile))
        return 200, self._batch(http, depot, body)

    def _verify(self, http: BaseHTTPRequestHandler, body: bytes, key_of: Any, covered: tuple[str, ...]) -> str:
        headers = {name.lower(): value for name, value in http.headers.items()}
        message = signing.Message(http.command, self.url + http.path, headers)
        try:
            return signing.verify(message, key_of, body=body if http.command == "POST" else None, covered=covered)
        except Refused as error:
            raise Refusal(401, "unsigned", str(error)) from error

    def _enrol(self, http: BaseHTTPRequestHandler, body: bytes) -> tuple[int, bytes]:
        said = msgspec.json.decode(body, type=Enrol)
        id = signing.key_id(said.depot, said.public_key)
        key = signing.verifying(said.public_key)
        self._verify(http, body, lambda given: key if given == id else None, signing.COVERED_WITH_BODY)
        if self.codes.get(said.depot) != said.code:
            raise Refusal(403, "bad_code", "the code is wrong, used or over")
        del self.codes[said.depot]
        self.keys[id] = (said.depot, key)
        return 201, msgspec.json.encode(self._enrolled(id))

    def _enrolled(self, id: str) -> Enrolled:
        return Enrolled(instance=self.instance, name="Central", key_id=id, centre_key=signing.public_text(self.key))

    def _batch(self, http: BaseHTTPRequestHandler, depot: str, body: bytes) -> bytes:
        self.received.append(body)
        self.on_batch()
        try:
            envelope, rows = batch.unpack(body)
        except InputError as error:
            raise Refusal(422, "malformed", str(error)) from error
        if envelope.depot != depot:
            raise Refusal(403, "wrong_depot")
        self.envelopes.append(envelope)
        key, digest = http.headers["idempotency-key"], hashlib.sha256(body).hexdigest()
        if key in self.answers:
            if self.answers[key][0] != digest:
                raise Refusal(422, "key_reused")
            return self.answers[key][1]
        place = (envelope.epoch, envelope.stream)
        have = self.rows.setdefault(place, [])
        if envelope.first_seq > len(have) + 1:
            raise Refusal(409, "gap", expected_seq=len(have) + 1)
        for row in rows:
            if row.seq <= len(have) and have[row.seq - 1].chain != row.chain:
                raise Refusal(409, "conflict", str(row.seq))
        before = have[envelope.first_seq - 2].chain if envelope.first_seq > 1 else chain.START
        for row in rows:
            before = chain.link(before, chain.row_hash(row.snapshot))
            if before != row.chain:
                raise Refusal(422, "chain_broken")
        rejected = []
        for row in rows:
            mark = (*place, row.seq)
            if row.seq <= len(have) and mark not in self.rejected:
                continue
            reason = self.reject(row) or _unfit(envelope, row)
            if reason:
                self.rejected[mark] = reason
                rejected.append(Rejected(seq=row.seq, reason=reason))
            else:
                self.rejected.pop(mark, None)
            if row.seq > len(have):
                have.append(row)
        news = [one for one in self.news if one.id > envelope.news_after]
        said = Answer(
            instance=self.instance,
            acked_through=len(have),
            rejected=rejected,
            news=news[:100],
            more_news=len(news) > 100,
        )
        self.answers[key] = (digest, msgspec.json.encode(said))
        return self.answers[key][1]

    def positions(self) -> list[Position]:
        return [
            Position(epoch=epoch, stream=stream, last_seq=len(rows), chain=rows[-1].chain)  # type: ignore[arg-type]
            for (epoch, stream), rows in sorted(self.rows.items())
            if rows
        ]

    def _rows(self, depot: str, epoch: int, stream: Any, after: int) -> tuple[int, bytes]:
        rows = self.rows.get((epoch, stream), [])[after : after + 3]
        if not rows:
            return 204, b""
        envelope = Envelope(depot=depot, epoch=epoch, stream=stream, first_seq=after + 1, last_seq=rows[-1].seq)
        return 200, batch.pack(envelope, rows)

    def _reconcile(self, said: Reconcile) -> bytes:
        self.reconciled.append(said)
        mine = {(one.epoch, one.stream): one for one in self.positions()}
        differences = []
        for one in said.books.positions:
            there = mine.get((one.epoch, one.stream))
            if there is None or (there.last_seq, there.chain) != (one.last_seq, one.chain):
                differences.append(Difference(what="rows are missing", epoch=one.epoch, stream=one.stream))
        if self.sums is not None and self.sums != said.books.sums:
            differences.append(Difference(what="the sums differ"))
        receipt = Receipt(
            instance=self.instance, depot=said.depot, night=said.night, at=said.at,
            received_at=times.text(datetime.now(UTC)), whole=not differences, positions=self.positions(),
            sums=said.books.sums, differences=differences,
        )  # fmt: skip
        text = msgspec.json.encode(receipt).decode()
        signature = signing.signature(Ed25519PrivateKey.generate() if self.forged else self.key, text)
        news = [one for one in self.news if one.id > said.news_after]
        return msgspec.json.encode(
            Receipted(receipt=text, signature=signature, news=news[:100], more_news=len(news) > 100)
        )


def _unfit(envelope: Envelope, row: Row) -> str | None:
    try:
        snapshots.parse(envelope.stream, row.kind, row.snapshot)
    except InputError as error:
        return str(error)
    return None


def _answer(http: BaseHTTPRequestHandler, status: int, content: bytes, headers: dict[str, str]) -> None:
    http.send_response(status)
    for name, value in headers.items():
        http.send_header(name, value)
    if status != 204:
        http.send_header("Content-Length", str(len(content)))
    http.end_headers()
    http.wfile.write(content)
