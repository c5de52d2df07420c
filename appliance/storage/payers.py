"""Payers (a patient, a broker, a facility) and their effective-dated rates."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Any, Literal

from sqlite_utils import Database

from appliance.domain.fare import Rate
from appliance.domain.trip import LevelOfService
from appliance.storage import sync_log, times, uids
from appliance.storage.db import Row, Tx, insert, revise, row, rows, value

_CHOSEN = "kind = coalesce(?1, kind) AND (?2 = '' OR kind <> 'patient' AND instr(lower(name), lower(?2)) > 0)"


def add(
    tx: Tx,
    name: str,
    kind: Literal["patient", "broker", "facility"],
    now: datetime,
    *,
    patient_id: int | None = None,
    address: str = "",
    email: str = "",
    delivery: Literal["mail", "print"] = "mail",
    terms_days: int = 30,
) -> int:
    id = insert(
        tx,
        "payers",
        uid=uids.new(),
        name=name,
        kind=kind,
        patient_id=patient_id,
        address=address,
        email=email,
        delivery=delivery,
        terms_days=terms_days,
        created_at=times.text(now),
    )
    _log(tx, id, now)
    return id


def change(tx: Tx, id: int, now: datetime, **columns: Any) -> None:
    revise(tx, "payers", id, **columns)
    _log(tx, id, now)


def listed(db: Database, kind: str | None = None, q: str = "", limit: int = -1, offset: int = 0) -> list[Row]:
    """Payers by name, patients who pay last and by their number; of one kind, or with `q` in their name. A patient is
    not found by name."""
    return rows(
        db,
        f"SELECT * FROM payers WHERE {_CHOSEN} ORDER BY patient_id, name LIMIT ?3 OFFSET ?4",
        kind, q, limit, offset,
    )  # fmt: skip


def count(db: Database, kind: str | None = None, q: str = "") -> int:
    """How many `listed` has in all."""
    return int(value(db, f"SELECT count(*) FROM payers WHERE {_CHOSEN}", kind, q))


def by_name(db: Database, name: str) -> Row | None:
    return row(db, "SELECT * FROM payers WHERE name = ? AND kind <> 'patient'", name)


def of_patient(db: Database, patient_id: int) -> Row | None:
    return row(db, "SELECT * FROM payers WHERE patient_id = ?", patient_id)


def get(db: Database, id: int) -> Row | None:
    return row(db, "SELECT * FROM payers WHERE id = ?", id)


def add_rate(tx: Tx, payer_id: int, rate: Rate, now: datetime) -> int:
    id = insert(tx, "rates", uid=uids.new(), payer_id=payer_id, **_columns(rate))
    _log_rate(tx, id, now)
    return id


def change_rate(tx: Tx, id: int, rate: Rate, now: datetime) -> None:
    """Puts other days and prices in the place of a rate's."""
    revise(tx, "rates", id, **_columns(rate))
    _log_rate(tx, id, now)


def rate_row(db: Database, id: int) -> Row | None:
    return row(db, "SELECT * FROM rates WHERE id = ?", id)


def _columns(rate: Rate) -> dict[str, Any]:
    return {
        "level": rate.level.value,
        "valid_from": rate.valid_from.isoformat(),
        "valid_to": rate.valid_to.isoformat() if rate.valid_to else None,
        "base_cents": rate.base_cents,
        "per_unit_cents": rate.per_unit_cents,
        "unit": rate.unit,
        "free_units": rate.free_units,
        "wait_per_min_cents": rate.wait_per_min_cents,
        "free_wait_min": rate.free_wait_min,
        "after_hours_cents": rate.after_hours_cents,
        "after_hours_from": rate.after_hours_from.isoformat("minutes"),
        "after_hours_to": rate.after_hours_to.isoformat("minutes"),
        "no_show_cents": rate.no_show_cents,
        "tax_bp": rate.tax_bp,
    }


def close_rate(tx: Tx, id: int, valid_to: date, now: datetime) -> None:
    """The rate ends on that day."""
    revise(tx, "rates", id, valid_to=valid_to.isoformat())
    _log_rate(tx, id, now)


def rate_rows(db: Database, payer_id: int) -> list[Row]:
    """The rates of a payer as they are stored, with their ids, by level and first day."""
    return rows(db, "SELECT * FROM rates WHERE payer_id = ? ORDER BY level, valid_from, id", payer_id)


def _log(tx: Tx, id: int, now: datetime) -> None:
    """What the centre learns of a payer: the name of a broker or a facility, none of a patient."""
    found = row(
        tx,
        "SELECT uid, kind, iif(kind = 'patient', '', name) AS name, delivery, terms_days FROM payers WHERE id = ?",
        id,
    )
    assert found is not None
    sync_log.append(tx, "reference", "payer", found.pop("uid"), found, now)


def _log_rate(tx: Tx, id: int, now: datetime) -> None:
    found = row(
        tx,
        "SELECT rates.*, payers.uid AS payer_uid FROM rates JOIN payers ON payers.id = payer_id WHERE rates.id = ?",
        id,
    )
    assert found is not None
    del found["id"], found["payer_id"], found["version"]
    sync_log.append(tx, "reference", "rate", found.pop("uid"), found, now)


def rates(db: Database, payer_id: int) -> list[Rate]:
    found = rows(db, "SELECT * FROM rates WHERE payer_id = ? ORDER BY valid_from", payer_id)
    return [
        Rate(
            level=LevelOfService(r["level"]),
            valid_from=date.fromisoformat(r["valid_from"]),
            valid_to=date.fromisoformat(r["valid_to"]) if r["valid_to"] else None,
            base_cents=r["base_cents"],
            per_unit_cents=r["per_unit_cents"],
            unit=r["unit"],
            free_units=r["free_units"],
            wait_per_min_cents=r["wait_per_min_cents"],
            free_wait_min=r["free_wait_min"],
            after_hours_cents=r["after_hours_cents"],
            after_hours_from=time.fromisoformat(r["after_hours_from"]),
            after_hours_to=time.fromisoformat(r["after_hours_to"]),
            no_show_cents=r["no_show_cents"],
            tax_bp=r["tax_bp"],
        )
        for r in found
    ]
