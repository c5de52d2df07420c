"""What systemd knows of the roles of an installed box, in the form in which the supervisor tells of its own."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from appliance import roles, units
from appliance.roles import Role
from appliance.supervisor.statusfile import RoleStatus, RunStatus
from appliance.supervisor.unit import State, describe

_CLD_EXITED = 1  # waitid(2)
_STATES = {
    "activating": State.STARTING,
    "reloading": State.READY,
    "active": State.READY,
    "failed": State.FAILED,
}


def read() -> RunStatus | None:
    """The units of the roles; None when none of them runs, or systemd does not answer."""
    table = roles.table(demo=False)
    shown = units.show(role.name for role in table)
    found = [_of_unit(role, shown.get(role.name, {})) for role in table]
    if all(one.state == State.STOPPED for one in found):
        return None
    began = min((one.started_monotonic_s for one in found if one.started_monotonic_s is not None), default=0.0)
    return RunStatus(
        supervisor_pid=0, started_at=_wall(began), started_monotonic_s=began, demo=False, roles=found
    )  # fmt: skip


def _of_unit(role: Role, shown: Mapping[str, str]) -> RoleStatus:
    state = _STATES.get(shown.get("ActiveState", ""), State.STOPPED)
    if shown.get("SubState") == "auto-restart":
        state = State.BACKOFF
    elif role.once and shown.get("SubState") == "exited":
        state = State.DONE
    started = units.number(shown, "ExecMainStartTimestampMonotonic") or None
    began = None if started is None else started / 1e6
    pid = units.number(shown, "MainPID") or None
    return RoleStatus(
        name=role.name,
        state=state,
        pid=pid,
        started_at=None if began is None else _wall(began),
        started_monotonic_s=began,
        restarts=units.number(shown, "NRestarts") or 0,
        last_exit=None if pid is not None or began is None else _exit(shown),
        memory_bytes=units.number(shown, "MemoryCurrent") if pid is not None else None,
    )


def _exit(shown: Mapping[str, str]) -> str:
    status = units.number(shown, "ExecMainStatus") or 0
    return describe(status if units.number(shown, "ExecMainCode") == _CLD_EXITED else -status)


def _wall(monotonic_s: float) -> str:
    at = datetime.now(UTC) - timedelta(seconds=time.monotonic() - monotonic_s)
    return at.isoformat(timespec="seconds")
