"""Papers that end: drivers' licences and documents, vehicles' documents."""

from __future__ import annotations

from datetime import date, timedelta

from sqlite_utils import Database

from appliance.storage.db import Row, rows


def expiring(db: Database, today: date, within_days: int) -> list[Row]:
    """What ends within so many days, or has ended, of drivers and vehicles in service, the first to end first:
    `subject` (driver, vehicle), `code`, `name`, `what` (licence, documents), `expires_on`, and `days` from today on
    which it is still valid, below zero once it has ended."""
    found = rows(
        db,
        """SELECT * FROM (
             SELECT 'driver' AS subject, code, name, 'licence' AS what, licence_expires_on AS expires_on
               FROM drivers WHERE disabled_at IS NULL
             UNION ALL SELECT 'driver', code, name, 'documents', documents_expire_on
               FROM drivers WHERE disabled_at IS NULL
             UNION ALL SELECT 'vehicle', code, name, 'documents', documents_expire_on
               FROM vehicles WHERE disabled_at IS NULL)
           WHERE expires_on <= ? ORDER BY expires_on, subject, code, what""",
        (today + timedelta(days=within_days)).isoformat(),
    )
    return [{**one, "days": (date.fromisoformat(one["expires_on"]) - today).days} for one in found]
