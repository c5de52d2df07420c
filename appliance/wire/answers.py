"""What else goes between the two: answers to batches, enrolment, news from the centre, and the nightly reconciliation.

Errors are RFC 9457 problem documents with `code` beside the members of the RFC.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from appliance.wire import Stream
from appliance.wire.batch import At, DepotCode, Epoch, Seq, Uid
from appliance.wire.snapshots import Cents, Currency, Day, Number, Text

PublicKey = Annotated[str, Meta(pattern="^[A-Za-z0-9+/]{43}=$", description="Ed25519, 32 bytes in Base64")]
KeyId = Annotated[str, Meta(pattern="^[A-Z0-9]{2,8}/[0-9a-f]{16}$", description="depot, first 64 bits of SHA-256")]


class _Message(Struct, frozen=True, kw_only=True):
    """Members that one end does not know yet are left alone."""


class News(_Message, frozen=True, kw_only=True):
    """Something that the centre has to say about an invoice; annotations only. `id` grows; the box applies each once.

    `payment`: `amount_cents` were paid at the centre, `uid` is the payment's. `dispute` and `dispute_resolved`: the
    payer disputes the invoice, or does not any more.
    """

    id: Annotated[int, Meta(ge=1)]
    kind: Literal["payment", "dispute", "dispute_resolved"]
    number: Number
    at: At
    uid: Uid
    amount_cents: Cents = 0
    paid_on: Day | None = None
    reference: Text = ""


class Rejected(_Message, frozen=True, kw_only=True):
    """A row that was not taken: it counts as acknowledged, and can be sent again when what is wrong is mended."""

    seq: Seq
    reason: Text


class Answer(_Message, frozen=True, kw_only=True):
    """To a batch that is on the centre's disk now: 200.

    `acked_through`: each row of the epoch and stream up to there is, but for the rejected ones. `instance` changes when
    the centre's database was restored or is another one. `more_news`: not all of it fitted in.
    """

    instance: Uid
    acked_through: Annotated[int, Meta(ge=0)]
    rejected: list[Rejected] = []
    news: list[News] = []
    more_news: bool = False


class Problem(_Message, frozen=True, kw_only=True):
    """RFC 9457. `code` is one of those in docs/protocol.md; `expected_seq` comes with `gap`."""

    title: str
    status: int
    code: str = ""
    detail: str = ""
    type: str = "about:blank"
    expected_seq: int | None = None


class Enrol(_Message, frozen=True, kw_only=True):
    """A depot with its one-time code. The request is signed by the key that it brings."""

    depot: DepotCode
    name: Text
    code: Annotated[str, Meta(max_length=100, description="one-time code from the centre")]
    public_key: PublicKey


class NewKey(_Message, frozen=True, kw_only=True):
    """Signed by the key that it takes the place of, which counts no more after the answer."""

    public_key: PublicKey


class Enrolled(_Message, frozen=True, kw_only=True):
    """`centre_key` signs the receipts. `expires_at`: when the depot's key ends, by the centre's clock."""

    instance: Uid
    name: Text
    key_id: KeyId
    centre_key: PublicKey
    expires_at: At | None = None


class Position(_Message, frozen=True, kw_only=True):
    """How far a stream of an epoch is at one end. `chain` is that of the row `last_seq`, empty for 0."""

    epoch: Epoch
    stream: Stream
    last_seq: Annotated[int, Meta(ge=0)]
    chain: Annotated[str, Meta(pattern="^([0-9a-f]{64})?$")]


class Sums(_Message, frozen=True, kw_only=True):
    """Of a depot in one currency, all epochs. Invoices that are void count in `void_cents` alone."""

    currency: Currency
    invoices: Annotated[int, Meta(ge=0)]
    total_cents: Cents
    void: Annotated[int, Meta(ge=0)]
    void_cents: Cents
    paid_cents: Annotated[Cents, Meta(description="payments that the depot took")]
    credited_cents: Cents


class Books(_Message, frozen=True, kw_only=True):
    """What one end has of a depot: each stream that it knows, the sums of money, and how many trips in each state."""

    positions: list[Position]
    sums: list[Sums]
    trips: dict[str, int]


class Reconcile(_Message, frozen=True, kw_only=True):
    """A night's books of the box. `at` is the moment that they are of, by its clock; `night` the day that ends."""

    depot: DepotCode
    night: Day
    at: At
    books: Books
    news_after: Annotated[int, Meta(ge=0)] = 0


class Difference(_Message, frozen=True, kw_only=True):
    """What is not the same at both ends: `what` in words; `stream` and `seqs` where rows are meant."""

    what: Text
    epoch: int | None = None
    stream: Stream | None = None
    seqs: Annotated[list[int], Meta(max_length=1000)] = []


class Receipt(_Message, frozen=True, kw_only=True):
    """What the centre signs: at `received_at`, by its clock, it had what `positions` says. `whole`: so had the box."""

    instance: Uid
    depot: DepotCode
    night: Day
    at: At
    received_at: At
    whole: bool
    positions: list[Position]
    sums: list[Sums]
    differences: list[Difference] = []


class Receipted(_Message, frozen=True, kw_only=True):
    """`receipt` is the JSON text of a Receipt; `signature` is Ed25519 over its bytes, by the centre's key, Base64."""

    receipt: str
    signature: str
    news: list[News] = []
    more_news: bool = False


class Whereabouts(_Message, frozen=True, kw_only=True):
    """What the centre has of a depot: for a box that was restored, and for one that wonders."""

    instance: Uid
    positions: list[Position]
