"""Secrets that the box makes for itself: one file each in the data folder, readable by its owner only."""

from __future__ import annotations

import secrets

from appliance import atomicfile
from appliance.paths import Paths


def own(paths: Paths, name: str) -> str:
    """The secret of that name, made the first time: 256 random bits as URL-safe text. Survives restarts."""
    file = paths.secrets_dir / name
    if not file.exists():
        atomicfile.write(file, secrets.token_urlsafe(32))
    return file.read_text(encoding="ascii").strip()
