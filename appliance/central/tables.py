"""The tables of the central office, for SQLite and PostgreSQL alike.

Conventions: those of the box (`*_at` UTC text, `*_cents` minor units, `uid` a ULID). What came from a depot is named by
`depot_id` and the depot's own uid. `epoch` and `seq` of a read model are those of the row that it shows: the newest.
`revision` grows with each change of a read model, in the order in which changes can be seen (db.py).
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite counts an id up by itself only where it is an INTEGER.
_Id = BigInteger().with_variant(Integer(), "sqlite")


def _text(name: str, *, null: bool = False, **more: Any) -> Column[Any]:
    return Column(name, Text, nullable=null, **more)


def _big(name: str, *, null: bool = False, **more: Any) -> Column[Any]:
    return Column(name, BigInteger, nullable=null, **more)


def _depot() -> Column[Any]:
    return Column("depot_id", _Id, ForeignKey("depots.id"), nullable=False)


centre = Table(
    "centre",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    _text("instance"),  # a ULID; another one after a restore
    _big("revision", server_default="0"),  # SQLite: the last one given; PostgreSQL: what is added to its own
    _text("created_at"),
    _text("restored_at", null=True),
    CheckConstraint("id = 1", name="one"),
)

# ---- depots and their keys

depots = Table(
    "depots",
    metadata,
    Column("id", _Id, primary_key=True),
    _text("code", unique=True),
    _text("name"),
    _text("code_hash", null=True),  # of the one-time code
    _text("code_expires_at", null=True),
    _text("enrolled_at", null=True),
    _text("seen_at", null=True),  # its last request that held
    _big("news_last", server_default="0"),  # id of the last news for it
    _big("news_applied", server_default="0"),  # as it said itself
    _text("created_at"),
)

depot_keys = Table(
    "depot_keys",
    metadata,
    Column("key_id", Text, primary_key=True),
    _depot(),
    _text("public_key"),
    _text("created_at"),
    _text("expires_at", null=True),
    _text("revoked_at", null=True),
    _text("replaced_by", null=True),  # the key that was signed by this one
    Index(None, "depot_id"),
)

# ---- what came, as it came

streams = Table(
    "streams",
    metadata,
    _depot(),
    Column("epoch", BigInteger, nullable=False),
    _text("stream"),
    _big("last_seq"),
    _text("chain"),
    PrimaryKeyConstraint("depot_id", "epoch", "stream"),
)

batches = Table(
    "batches",
    metadata,
    Column("id", _Id, primary_key=True),
    _depot(),
    _text("idempotency_key"),
    _text("digest"),  # SHA-256 of the body, hex
    _big("epoch"),
    _text("stream"),
    _big("first_seq"),
    _big("last_seq"),
    _text("answer"),  # JSON, as it was given
    _text("received_at"),
    _text("applied_at", null=True),
    UniqueConstraint("depot_id", "idempotency_key"),
    Index(
        "ix_batches_waiting", "id", sqlite_where=text("applied_at IS NULL"), postgresql_where=text("applied_at IS NULL")
    ),
    Index(None, "depot_id", "received_at"),
)

entries = Table(
    "entries",
    metadata,
    _depot(),
    _big("epoch"),
    _text("stream"),
    _big("seq"),
    _text("kind"),
    _text("uid"),
    _text("snapshot"),
    _text("chain"),
    _text("created_at"),
    _text("rejected_reason", null=True),
    _big("batch_id"),
    PrimaryKeyConstraint("depot_id", "epoch", "stream", "seq"),
    Index(
        "ix_entries_rejected",
        "depot_id",
        sqlite_where=text("rejected_reason IS NOT NULL"),
        postgresql_where=text("rejected_reason IS NOT NULL"),
    ),
)

numbers = Table(
    "numbers",
    metadata,
    Column("number", Text, primary_key=True),  # of an invoice or a credit note, of all depots
    _depot(),
    _text("uid"),
)

# ---- read models: what the rows say, made again from them at any time


def _model(name: str, *columns: Any, key: str = "uid", indexes: tuple[tuple[str, ...], ...] = ()) -> Table:
    """One row a thing, as its newest row says."""
    return Table(
        name,
        metadata,
        _depot(),
        _text(key),
        *columns,
        _big("epoch"),
        _big("seq"),
        _big("revision"),
        PrimaryKeyConstraint("depot_id", key),
        Index(None, "revision"),
        *(Index(None, *of) for of in indexes),
    )


invoices = _model(
    "invoices",
    _text("number"),
    _text("trip_uid"),
    _text("payer_uid"),
    _text("state"),
    _text("issued_on"),
    _text("due_on"),
    _text("issued_at"),
    _text("currency"),
    _big("total_cents"),
    _big("tax_cents"),
    Column("distance_m", Float),
    _text("lines"),  # JSON
    _text("replaces", null=True),
    _text("sent_at", null=True),
    _text("voided_at", null=True),
    _text("void_reason", null=True),
    indexes=(
        ("number",),
        ("issued_on",),
        ("depot_id", "issued_on"),
        ("depot_id", "trip_uid"),
        ("depot_id", "payer_uid"),
    ),
)

payments = _model(
    "payments",
    _text("origin"),  # depot or centre; those of the centre are its own and have epoch and seq 0
    _text("invoice_uid", null=True),
    _text("number"),
    _big("amount_cents"),
    _text("currency"),
    _text("paid_on"),
    _text("reference"),
    _text("recorded_at"),
    _text("recorded_by"),  # empty for the depot's
    _text("flag"),  # why it does not count (yet): `double`, `unknown`, `currency`; empty: it counts
    _text("decided_by", null=True),  # who looked at a flagged one
    _text("decided_at", null=True),
    _text("dismissed_at", null=True),
    indexes=(("number",), ("depot_id", "paid_on"), ("paid_on",)),
)

credit_notes = _model(
    "credit_notes",
    _text("number"),
    _text("invoice_uid"),
    _text("invoice"),
    _text("issued_on"),
    _text("issued_at"),
    _text("currency"),
    _big("amount_cents"),
    _big("tax_cents"),
    _text("reason"),
    indexes=(("number",), ("invoice",), ("issued_on",), ("depot_id", "issued_on")),
)

adjustments = _model(
    "adjustments",
    _text("invoice_uid"),
    _text("number"),
    _text("state"),
    Column("old_distance_m", Float, nullable=False),
    Column("new_distance_m", Float, nullable=False),
    _big("new_total_cents"),
    _text("raised_at"),
    _text("decided_at", null=True),
    indexes=(("number",),),
)

_TRIP_TIMES = (
    "appointment_at",
    "accepted_at",
    "en_route_at",
    "arrived_pickup_at",
    "on_board_at",
    "arrived_dropoff_at",
    "completed_at",
    "cancelled_at",
    "cancelled_by",
    "no_show_at",
)
trips = _model(
    "trips",
    _text("ref", null=True),
    _text("state"),
    _text("level"),
    *(_text(f"{whose}_uid", null=True) for whose in ("payer", "patient", "vehicle", "driver", "outbound")),
    _text("pickup_at"),
    *(_text(name, null=True) for name in _TRIP_TIMES),
    _big("contact_attempts"),
    Column("distance_m", Float),
    Column("duration_s", Float),
    indexes=(("ref",), ("pickup_at",), ("depot_id", "pickup_at"), ("depot_id", "patient_uid", "pickup_at")),
)

trails = _model(
    "trails",
    Column("tolerance_m", Float, nullable=False),
    _text("points"),  # JSON: [[longitude, latitude, Unix seconds], ...]
    key="trip_uid",
)

vehicles = _model(
    "vehicles", _text("code"), _text("name"), _text("plate"), _text("levels"), _text("disabled_at", null=True)
)

drivers = _model("drivers", _text("code"), _text("disabled_at", null=True))

payers = _model("payers", _text("kind"), _text("name"), _text("delivery"), _big("terms_days"), indexes=(("name",),))

rates = _model(
    "rates",
    _text("payer_uid"),
    _text("level"),
    _text("valid_from"),
    _text("valid_to", null=True),
    _big("base_cents"),
    _big("per_unit_cents"),
    _text("unit"),
    Column("free_units", Float, nullable=False),
    _big("wait_per_min_cents"),
    Column("free_wait_min", Float, nullable=False),
    _big("after_hours_cents"),
    _text("after_hours_from"),
    _text("after_hours_to"),
    _big("no_show_cents"),
    _big("tax_bp"),
)

# ---- what the centre says: news, disputes, receipts

news = Table(
    "news",
    metadata,
    _depot(),
    _big("id"),  # 1, 2, 3, ... in each depot
    _text("kind"),
    _text("number"),
    _text("at"),
    _text("uid"),
    _big("amount_cents"),
    _text("paid_on", null=True),
    _text("reference"),
    PrimaryKeyConstraint("depot_id", "id"),
)

disputes = Table(
    "disputes",
    metadata,
    Column("uid", Text, primary_key=True),
    _depot(),
    _text("number"),
    _text("reason"),
    _text("opened_at"),
    _text("opened_by"),
    _text("resolved_at", null=True),
    _text("resolved_by", null=True),
    Index(None, "depot_id", "number"),
    # One at a time an invoice.
    Index(
        "ix_disputes_open",
        "number",
        unique=True,
        sqlite_where=text("resolved_at IS NULL"),
        postgresql_where=text("resolved_at IS NULL"),
    ),
)

receipts = Table(
    "receipts",
    metadata,
    Column("id", _Id, primary_key=True),
    _depot(),
    _text("night"),
    _text("at"),
    _text("received_at"),
    Column("whole", Boolean, nullable=False),
    _text("text"),  # JSON of a Receipt, as it was signed
    _text("signature"),
    Index(None, "depot_id", "night", "id"),
    Index(None, "night"),
)

# ---- the people and programs of the centre

users = Table(
    "users",
    metadata,
    Column("id", _Id, primary_key=True),
    _text("uid", unique=True),
    _text("email", unique=True),  # in lower case
    _text("name"),
    _text("role"),
    _text("password_hash", null=True),
    Column("wants_email", Boolean, nullable=False, server_default=text("true")),
    _text("disabled_at", null=True),
    _text("created_at"),
)

password_links = Table(
    "password_links",
    metadata,
    Column("token_hash", Text, primary_key=True),
    Column("user_id", _Id, ForeignKey("users.id"), nullable=False),
    _text("created_at"),
    _text("expires_at"),
    _text("used_at", null=True),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", _Id, primary_key=True),
    _text("token_hash", unique=True),
    Column("user_id", _Id, ForeignKey("users.id"), nullable=False),
    _text("created_at"),
    _text("browser", server_default=""),
    _text("seen_at"),
    Index(None, "user_id", "id"),
)

api_tokens = Table(
    "api_tokens",
    metadata,
    Column("id", _Id, primary_key=True),
    _text("name"),
    _text("scope"),  # read, or write: also payments and disputes
    _text("token_hash", unique=True),
    _text("created_by"),
    _text("created_at"),
    _text("expires_at", null=True),
    _text("last_used_at", null=True),
    _text("revoked_at", null=True),
)

audit_log = Table(
    "audit_log",
    metadata,
    Column("id", _Id, primary_key=True),
    _text("at"),
    _text("who"),
    _text("action"),
    _text("subject"),
    _text("subject_uid"),
    _text("detail", server_default=""),
    Index(None, "subject", "subject_uid", "id"),
)

mails = Table(
    "mails",
    metadata,
    Column("id", _Id, primary_key=True),
    _text("kind"),
    _text("key"),  # what it is about: one mail a kind and key
    _text("recipient"),
    _text("message_id", unique=True),
    _text("created_at"),
    _text("sent_at", null=True),
    UniqueConstraint("kind", "key"),
)
