"""A role that reads what is entered at the set-up ends when that changes, and is started again with the new values.

The supervisor and systemd both start a role that ended again; no role needs a right over another for it.
"""

from __future__ import annotations

import os
import signal
import threading

from appliance import config, log
from appliance.config import Settings
from appliance.errors import ConfigError

LOOK_S = 1.0

_log = log.get(__name__)


def begin(settings: Settings) -> None:
    """From now on this process gets SIGTERM within a second of a change."""
    threading.Thread(target=_watch, args=(settings,), name="settings", daemon=True).start()


def _watch(settings: Settings) -> None:
    never = threading.Event()
    while not never.wait(LOOK_S):
        if changed(settings):
            _log.info("settings.changed")
            os.kill(os.getpid(), signal.SIGTERM)
            return


def changed(settings: Settings) -> bool:
    """Whether something else was entered since these settings were read."""
    try:
        return config.read_own(settings.paths.own_config) != settings.own
    except ConfigError:
        return False  # the disk does not answer now
