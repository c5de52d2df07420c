"""Restarting one role: it is asked to end, and whoever looks after it starts it again, as after any other end."""

from __future__ import annotations

import contextlib
import os
import signal
from datetime import datetime

from appliance import roles, steward, units
from appliance.config import Settings
from appliance.errors import Refused, Unavailable
from appliance.storage import audit
from appliance.storage.db import Tx
from appliance.supervisor import statusfile


def restart(tx: Tx, settings: Settings, name: str, *, who: str, now: datetime) -> None:
    """Asks the role to end (SIGTERM); a worker finishes its job first. The supervisor, or systemd, starts it again.
    Raises NotFound for an unknown role, Refused for one that runs once, Unavailable where it does not run under the
    box's supervisor, or the steward does not answer."""
    role = roles.find(name)
    if role.once or role.demo_only:
        raise Refused("it runs once, when the box starts", subject=f"role {name}")
    if units.in_charge(settings.paths) and statusfile.of_supervisor(settings.paths) is None:
        audit.record(tx, who, "role.restarted", "role", name, now)
        steward.ask("restart", name)
        return
    pid = statusfile.pid_of(settings.paths, name)
    if pid is None:
        hint = "it is started again by itself; depotbox status shows it"
        raise Unavailable("it does not run now under the box's supervisor", subject=f"role {name}", hint=hint)
    audit.record(tx, who, "role.restarted", "role", name, now)
    with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
        end = os.pidfd_open(pid)
        try:
            if statusfile.pid_of(settings.paths, name) == pid:
                signal.pidfd_send_signal(end, signal.SIGTERM)
        finally:
            os.close(end)
