"""What a task works with: settings, database, fixes, and the two ways to say that something happened.

`celery -A tasks ...` has no `main()` of ours to build these, so they are built once a process, on first use, and
never carried over a fork.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from sqlite_utils import Database

from appliance import config
from appliance.config import Settings
from appliance.events import Publisher
from appliance.sender import Sender
from appliance.storage.db import open_depot
from appliance.storage.gps import Store
from appliance.worker_lock import WorkerLock


@dataclass(frozen=True, slots=True)
class Box:
    """The parts of one process."""

    settings: Settings
    db: Database
    fixes: Store
    sender: Sender
    publisher: Publisher
    lock: WorkerLock


_boxes: dict[int, Box] = {}


def box() -> Box:
    """This process' parts."""
    pid = os.getpid()
    if pid not in _boxes:
        settings = config.load()
        _boxes[pid] = Box(
            settings,
            open_depot(settings.paths.depot_db),
            Store(settings.paths.gps_dir),
            Sender(settings),
            Publisher(settings.paths.redis_socket),
            WorkerLock(settings.paths.worker_locks_dir),
        )
    return _boxes[pid]
