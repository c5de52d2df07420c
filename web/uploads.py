"""Files of brokers between the steps of the page Import: in memory only, for a while, each its user's own.

They are full of names and addresses: no disk, no database and no log ever has them.
"""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass, field
from datetime import date
from io import BytesIO

from multipart import MultipartError, MultipartParser  # type: ignore[import-untyped]  # Litestar's own parser

from appliance.domain.manifest import Layout
from appliance.errors import InputError

KEPT_S = 30 * 60.0
MOST = 8
"""Files at a time; the oldest makes room."""
LARGEST = 6 * 1024 * 1024


@dataclass(slots=True)
class Upload:
    """A file on its way, with what was chosen for it so far."""

    token: str
    user_id: int
    payer: str
    file_name: str
    content: bytes
    layout: Layout | None = None
    day: date | None = None
    missing_cancelled: bool = False
    timer: threading.Timer | None = field(default=None, repr=False)


class Uploads:
    """The files that are on their way. A user has one at a time; each goes by itself after `kept_s`."""

    def __init__(self, kept_s: float = KEPT_S) -> None:
        self._kept_s = kept_s
        self._held: dict[str, Upload] = {}
        self._lock = threading.Lock()

    def put(self, user_id: int, payer: str, file_name: str, content: bytes) -> Upload:
        made = Upload(secrets.token_urlsafe(16), user_id, payer, file_name, content)
        made.timer = threading.Timer(self._kept_s, self.drop, [made.token])
        made.timer.daemon = True
        with self._lock:
            gone = [one.token for one in self._held.values() if one.user_id == user_id]
            gone += list(self._held)[: max(0, len(self._held) - len(gone) - MOST + 1)]
            self._held[made.token] = made
        for token in gone:
            self.drop(token)
        made.timer.start()
        return made

    def get(self, token: str, user_id: int) -> Upload | None:
        """None where it is gone, or somebody else's."""
        found = self._held.get(token)
        return found if found and found.user_id == user_id else None

    def drop(self, token: str) -> None:
        with self._lock:
            found = self._held.pop(token, None)
        if found and found.timer:
            found.timer.cancel()

    def __len__(self) -> int:
        return len(self._held)


def parts_of(body: bytes, boundary: str) -> tuple[dict[str, str], str, bytes]:
    """The fields of a form, and its file with its name, read in memory: Litestar's own reading would put a large file
    onto the disk for a moment. Raises InputError."""
    fields: dict[str, str] = {}
    name, content = "", b""
    try:
        parser = MultipartParser(BytesIO(body), boundary, memory_limit=LARGEST, spool_limit=LARGEST, disk_limit=0)
        for part in parser:
            if part.filename is not None:
                name, content = part.filename, part.raw
            else:
                fields[part.name] = part.value[:1000]
    except (MultipartError, ValueError) as error:
        raise InputError("the form cannot be read", hint="load the page again") from error
    return fields, name, content
