"""`/api/v1/system/backup`: a backup of the running box, to download. `depotbox restore` puts it back, on the box."""

from __future__ import annotations

from typing import Any

from litestar import post
from litestar.background_tasks import BackgroundTask
from litestar.response import File

from appliance import backup
from web.parts import Given, Parts


@post(
    "/system/backup",
    sync_to_thread=True,
    status_code=200,
    media_type="application/gzip",
    summary="Make a backup of the box and download it; it holds patients and keys",
)
def make_backup(parts: Given) -> File:
    return made(parts)


def made(parts: Parts) -> File:
    """A whole and checked backup, which is deleted from the box once it was sent."""
    now = parts.now()
    file = backup.to_hand_out(parts.who, parts.settings, now)
    return File(
        path=file,
        filename=backup.file_name(parts.settings, now),
        media_type="application/gzip",
        background=BackgroundTask(file.unlink, missing_ok=True),
    )


HANDLERS: list[Any] = [make_backup]
