"""The hash chain over what the central office must learn: no row can be changed, left out or put in unseen."""

from __future__ import annotations

import hashlib

START = ""
"""What stands before the first row of a stream in an epoch."""


def row_hash(snapshot: str) -> str:
    """SHA-256 of a snapshot's canonical text (UTF-8), as hex."""
    return hashlib.sha256(snapshot.encode()).hexdigest()


def link(before: str, hash: str) -> str:
    """The chain up to a row: SHA-256 of the chain up to the row before it, followed by the row's hash; all as hex."""
    return hashlib.sha256(f"{before}{hash}".encode()).hexdigest()
