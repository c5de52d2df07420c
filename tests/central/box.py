"""A box as the centre sees it: it has a key, keeps its rows in chained streams, and signs what it sends."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from ulid import ULID

from appliance import wire
from appliance.domain import chain
from appliance.wire import batch, signing
from appliance.wire.batch import Envelope, Row
from appliance.wire.signing import Message

AT = "2026-01-26T15:57:02.000Z"
HOST = "http://centre.test"
JSON = {"Content-Type": "application/json"}


def uid() -> str:
    return str(ULID())


class Box:
    """Of the depot `code`; `client` leads to the centre."""

    def __init__(self, client: httpx.Client, code: str = "LDS", key: Ed25519PrivateKey | None = None) -> None:
        self.client = client
        self.code = code
        self.key = key or Ed25519PrivateKey.generate()
        self.epoch = 1
        self.log: dict[tuple[int, str], list[Row]] = {}
        self.invoiced = 0

    @property
    def public_key(self) -> str:
        return signing.public_text(self.key)

    @property
    def key_id(self) -> str:
        return signing.key_id(self.code, self.public_key)

    def tell(self, stream: str, kind: str, snapshot: Mapping[str, Any] | str, of: str = "") -> Row:
        """Writes a row, as the box does with a change; a text is taken as it is."""
        rows = self.log.setdefault((self.epoch, stream), [])
        before = rows[-1].chain if rows else chain.START
        text = snapshot if isinstance(snapshot, str) else canonical(snapshot)
        about = (
            of or (snapshot.get("uid") or snapshot.get("trip_uid") if isinstance(snapshot, Mapping) else "") or uid()
        )
        rows.append(
            Row(
                seq=len(rows) + 1,
                kind=kind,
                uid=about,
                created_at=AT,
                snapshot=text,
                chain=chain.link(before, chain.row_hash(text)),
            )
        )
        return rows[-1]

    def rows(self, stream: str, first: int = 1, last: int | None = None) -> list[Row]:
        return self.log.get((self.epoch, stream), [])[first - 1 : last]

    def packed(self, stream: str, first: int = 1, last: int | None = None, **more: Any) -> bytes:
        return self.pack(stream, self.rows(stream, first, last), **more)

    def pack(self, stream: str, rows: Sequence[Row], **more: Any) -> bytes:
        given = {"depot": self.code, "epoch": self.epoch, "stream": stream} | more
        return batch.pack(Envelope(first_seq=rows[0].seq, last_seq=rows[-1].seq, **given), rows)

    def send(self, body: bytes, idempotency_key: str = "", **more: Any) -> httpx.Response:
        headers = {
            "Content-Type": "application/x-ndjson",
            "Content-Encoding": "gzip",
            "Idempotency-Key": idempotency_key or hashlib.sha256(body).hexdigest()[:32],
        }
        path = wire.BATCHES.format(depot=self.code)
        return self.ask("POST", path, body, covered=signing.COVERED_BATCH, headers=headers, **more)

    def push(self, stream: str, first: int = 1, last: int | None = None, **more: Any) -> dict[str, Any]:
        """Sends rows that must be taken; returns the answer."""
        answer = self.send(self.packed(stream, first, last, **more))
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def enrol(self, one_time_code: str, depot: str = "") -> httpx.Response:
        given = {"depot": depot or self.code, "name": "Leeds", "code": one_time_code, "public_key": self.public_key}
        return self.ask("POST", wire.ENROL, json.dumps(given).encode(), headers=JSON)

    def rotate(self, new: Ed25519PrivateKey) -> httpx.Response:
        body = json.dumps({"public_key": signing.public_text(new)}).encode()
        return self.ask("POST", wire.KEYS.format(depot=self.code), body, headers=JSON)

    def positions(self) -> httpx.Response:
        return self.ask("GET", wire.POSITIONS.format(depot=self.code))

    def pull(self, epoch: int, stream: str, after: int) -> httpx.Response:
        return self.ask("GET", f"{wire.ROWS.format(depot=self.code)}?epoch={epoch}&stream={stream}&after={after}")

    def reconcile(self, books: Mapping[str, Any], night: str = "2026-01-26", **more: Any) -> httpx.Response:
        given = {"depot": self.code, "night": night, "at": AT, "books": books} | more
        return self.ask("POST", wire.RECONCILIATIONS.format(depot=self.code), json.dumps(given).encode(), headers=JSON)

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        covered: tuple[str, ...] = (),
        signed_body: bytes | None = None,
        key_id: str = "",
    ) -> httpx.Response:
        """A signed request. `signed_body`: the signature is over another body than is sent."""
        message = Message(method, HOST + path, dict(headers or {}))
        covered = covered or (signing.COVERED if body is None else signing.COVERED_WITH_BODY)
        over = body if signed_body is None else signed_body
        signing.sign(message, self.key, key_id or self.key_id, datetime.now(UTC), body=over, covered=covered)
        return self.client.request(method, path, content=body, headers=dict(message.headers))

    def books(self) -> dict[str, Any]:
        """Its books, worked out from its own rows as the centre must from what it was sent."""
        positions = [
            {"epoch": epoch, "stream": stream, "last_seq": rows[-1].seq, "chain": rows[-1].chain}
            for (epoch, stream), rows in self.log.items()
            if rows
        ]
        newest: dict[tuple[str, str], dict[str, Any]] = {}
        for (_, stream), rows in sorted(self.log.items()):
            for row in rows:
                kind = "invoice" if "lines" in row.snapshot else row.kind
                newest[kind, row.uid] = json.loads(row.snapshot) if stream in ("invoices", "trips") else {}
        sums = {"currency": "GBP", "invoices": 0, "total_cents": 0, "void": 0, "void_cents": 0}
        sums |= {"paid_cents": 0, "credited_cents": 0}
        trips: dict[str, int] = {}
        for (kind, _), one in newest.items():
            if kind == "invoice":
                void = one["state"] == "void"
                sums["void" if void else "invoices"] += 1
                sums["void_cents" if void else "total_cents"] += one["total_cents"]
            elif kind == "payment":
                sums["paid_cents"] += one["amount_cents"]
            elif kind == "credit":
                sums["credited_cents"] += one["amount_cents"]
            elif kind == "trip":
                trips[one["state"]] = trips.get(one["state"], 0) + 1
        return {"positions": positions, "sums": [sums], "trips": trips}

    def invoice(self, **more: Any) -> dict[str, Any]:
        """The next invoice."""
        self.invoiced += 1
        return invoice(f"{self.code}-2026-A{self.invoiced:06}") | more


def canonical(snapshot: Mapping[str, Any]) -> str:
    return json.dumps(snapshot, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def invoice(number: str) -> dict[str, Any]:
    line = {"kind": "base", "quantity": "1", "unit": "trip", "unit_cents": 4200, "amount_cents": 4200}
    return {
        "uid": uid(), "number": number, "trip_uid": uid(), "payer_uid": uid(), "state": "issued",
        "issued_on": "2026-01-26", "due_on": "2026-02-25", "issued_at": AT, "currency": "GBP", "total_cents": 4200,
        "tax_cents": 700, "distance_m": 5120.5, "lines": [line], "replaces": None, "sent_at": None, "voided_at": None,
        "void_reason": None,
    }  # fmt: skip


def payment(of: Mapping[str, Any], cents: int = 4200, **more: Any) -> dict[str, Any]:
    return {
        "uid": uid(), "invoice_uid": of["uid"], "number": of["number"], "amount_cents": cents, "currency": "GBP",
        "paid_on": "2026-01-27", "reference": "", "recorded_at": AT,
    } | more  # fmt: skip


def credit(of: Mapping[str, Any], number: str, cents: int = 1000) -> dict[str, Any]:
    return {
        "uid": uid(), "number": number, "invoice_uid": of["uid"], "invoice": of["number"], "issued_on": "2026-01-27",
        "issued_at": AT, "currency": "GBP", "amount_cents": cents, "tax_cents": 0, "reason": "waited less",
    }  # fmt: skip


def trip(state: str = "scheduled", **more: Any) -> dict[str, Any]:
    times = ("appointment_at", "accepted_at", "en_route_at", "arrived_pickup_at", "on_board_at", "arrived_dropoff_at",
             "completed_at", "cancelled_at", "cancelled_by", "no_show_at", "distance_m", "duration_s", "payer_uid",
             "patient_uid", "vehicle_uid", "driver_uid", "outbound_uid", "ref")  # fmt: skip
    return {
        **dict.fromkeys(times), "uid": uid(), "state": state, "level": "wheelchair", "pickup_at": AT,
        "contact_attempts": 0,
    } | more  # fmt: skip


def unpacked(response: httpx.Response) -> tuple[Envelope, list[Row]]:
    """A batch that was answered. httpx has undone the compression."""
    lines = response.content.splitlines()
    return msgspec.json.decode(lines[0], type=Envelope), [msgspec.json.decode(line, type=Row) for line in lines[1:]]
