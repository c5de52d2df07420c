"""Drivers, patients and the consent that patients gave."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlite_utils import Database

from appliance.storage import sync_log, times, uids
from appliance.storage.db import Row, Tx, insert, revise, row, rows, value


def add_driver(tx: Tx, code: str, name: str, now: datetime, **columns: Any) -> int:
    id = insert(tx, "drivers", uid=uids.new(), code=code, name=name, created_at=times.text(now), **columns)
    _log_driver(tx, id, now)
    return id


def change_driver(tx: Tx, id: int, now: datetime, **columns: Any) -> None:
    """Sets columns. The centre learns only whether the driver is in service."""
    revise(tx, "drivers", id, **columns)
    if "disabled_at" in columns:
        _log_driver(tx, id, now)


def _log_driver(tx: Tx, id: int, now: datetime) -> None:
    found = row(tx, "SELECT uid, code, disabled_at FROM drivers WHERE id = ?", id)
    assert found is not None
    found["code"] = sync_log.code(found["code"])
    sync_log.append(tx, "reference", "driver", found.pop("uid"), found, now)


def drivers(db: Database) -> list[Row]:
    """All drivers by code, those out of service too, with the e-mail address of their user as `user`."""
    return rows(
        db,
        "SELECT drivers.*, users.email AS user FROM drivers LEFT JOIN users ON users.id = user_id ORDER BY code",
    )


def driver_by_code(db: Database, code: str) -> Row | None:
    return row(db, "SELECT * FROM drivers WHERE code = ?", code)


def driver(db: Database, id: int) -> Row | None:
    return row(db, "SELECT * FROM drivers WHERE id = ?", id)


def add_patient(tx: Tx, name: str, now: datetime, **columns: Any) -> int:
    return insert(tx, "patients", uid=uids.new(), name=name, created_at=times.text(now), **columns)


def change_patient(tx: Tx, id: int, **columns: Any) -> None:
    """Sets columns. The centre learns nothing of patients."""
    revise(tx, "patients", id, **columns)


def patients(db: Database) -> list[Row]:
    """All patients who were not erased, by name."""
    return rows(db, "SELECT * FROM patients WHERE erased_at IS NULL ORDER BY name COLLATE NOCASE, id")


def count_patients(db: Database) -> int:
    """How many patients there are who were not erased."""
    return int(value(db, "SELECT count(*) FROM patients WHERE erased_at IS NULL"))


def patient_by_name(db: Database, name: str) -> Row | None:
    return row(db, "SELECT * FROM patients WHERE name = ? AND erased_at IS NULL ORDER BY id LIMIT 1", name)


def patient_written_otherwise(db: Database, name: str) -> Row | None:
    """Who has this name in other capitals, the first of several; in any script, so not by SQLite's own comparison."""
    wanted = name.casefold()
    found = rows(db, "SELECT id, name FROM patients WHERE erased_at IS NULL ORDER BY id")
    return next((patient(db, one["id"]) for one in found if one["name"].casefold() == wanted), None)


def patient(db: Database, id: int | None) -> Row | None:
    return row(db, "SELECT * FROM patients WHERE id = ?", id)


def record_consent(tx: Tx, patient_id: int, given: bool, who: str, now: datetime) -> None:
    """Records that the patient allowed or withdrew e-mail. The newest record counts."""
    insert(
        tx,
        "consents",
        uid=uids.new(),
        patient_id=patient_id,
        purpose="email",
        given=int(given),
        recorded_by=who,
        recorded_at=times.text(now),
    )


def consents_to_email(db: Database, patient_id: int) -> bool:
    """True only where the newest record says so; nothing recorded means no."""
    return bool(
        value(
            db,
            "SELECT given FROM consents WHERE patient_id = ? AND purpose = 'email' ORDER BY id DESC LIMIT 1",
            patient_id,
        )
    )
