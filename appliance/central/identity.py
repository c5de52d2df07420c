"""What the centre is: the instance of its database, and the key that signs its receipts."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, select, update
from ulid import ULID

from appliance import atomicfile
from appliance.central import audit
from appliance.central.config import Settings
from appliance.central.db import Tx, is_postgresql, value
from appliance.central.tables import adjustments, centre, credit_notes, invoices, payments, trips
from appliance.errors import ConfigError
from appliance.storage import times

_SHOWN = (invoices, payments, credit_notes, adjustments, trips)


def instance(connection: Connection) -> str:
    """A ULID. Raises ConfigError before the first migration."""
    found = value(connection, select(centre.c.instance))
    if found is None:
        raise ConfigError("not set up yet", subject="central.database", hint="depotbox central migrate")
    return str(found)


def restored(tx: Tx, *, who: str, now: datetime) -> str:
    """The database was put back from a backup: gives it a new instance, so that the boxes look what it lacks, and
    revisions beyond all that were given before. Returns the instance."""
    last = max(value(tx, select(table.c.revision).order_by(table.c.revision.desc()).limit(1)) or 0 for table in _SHOWN)
    before = value(tx, select(centre.c.revision))
    # Readers may have seen revisions that this copy never had: far beyond those, so that none comes a second time.
    beyond = max(last, before) + 2**32
    made = str(ULID())
    tx.execute(update(centre).values(instance=made, restored_at=times.text(now), revision=beyond))
    audit.record(tx, who, "centre.restored", "centre", made, now, "PostgreSQL" if is_postgresql(tx) else "SQLite")
    return made


def make_signing_key(settings: Settings) -> None:
    """Makes the key that signs receipts, where there is none and none is named in the configuration."""
    file = settings.signing_key
    if settings.central.signing_key or file.exists():
        return
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    atomicfile.write(file, pem)


def signing_key(file: Path) -> Ed25519PrivateKey:
    """Raises ConfigError where it cannot be had."""
    subject = f"central.signing_key = {file}"
    try:
        found = serialization.load_pem_private_key(file.read_bytes(), password=None)
    except OSError as error:
        raise ConfigError(
            f"cannot be read: {error.strerror}", subject=subject, hint="depotbox central migrate"
        ) from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError("expected a PEM file of an Ed25519 private key", subject=subject) from error
    if not isinstance(found, Ed25519PrivateKey):
        raise ConfigError("expected a PEM file of an Ed25519 private key", subject=subject)
    return found
