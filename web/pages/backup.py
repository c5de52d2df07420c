"""`/system/backup`: a backup to download, and how a box is restored from one."""

from __future__ import annotations

from typing import Any

from litestar import get, post
from litestar.response import File, Template

from web.api.backups import made
from web.pages import sections
from web.parts import Given


@get("/system/backup", sync_to_thread=True, include_in_schema=False)
def backup_page(parts: Given) -> Template:
    return sections.page(parts, "system_backup.html", here="/system/backup")


@post("/system/backup/file", sync_to_thread=True, status_code=200, include_in_schema=False)
def backup_file(parts: Given) -> File:
    return made(parts)


HANDLERS: list[Any] = [backup_page, backup_file]
