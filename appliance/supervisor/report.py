"""What runs on a data folder, with the memory that it takes."""

from __future__ import annotations

import time
from datetime import date

import msgspec
import psutil

from appliance.paths import Paths
from appliance.storage.gps import Store
from appliance.supervisor import statusfile


class RoleReport(msgspec.Struct, frozen=True, kw_only=True):
    """One role. `memory_bytes` is the proportional set size of its process and all below it: pages that several
    processes share count once in the sum; under systemd it is what its unit takes. None where it does not run, or where
    this user may not look."""

    name: str
    state: str
    pid: int | None
    uptime_s: float | None
    restarts: int
    last_exit: str | None
    memory_bytes: int | None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """`memory_bytes` is that of all roles and of the supervisor itself; of `damaged_days` (UTC) a part of the fixes is
    damaged."""

    running: bool
    roles: list[RoleReport]
    memory_bytes: int
    damaged_days: list[date]


def measure(paths: Paths) -> Report:
    """The run on this data folder, as it is now."""
    status, damaged = statusfile.read(paths), Store(paths.gps_dir).damaged_days()
    if status is None:
        return Report(running=False, roles=[], memory_bytes=0, damaged_days=damaged)
    found = [_measure_role(role) for role in status.roles]
    own = _memory_bytes(status.supervisor_pid, below=False) or 0
    memory = own + sum(role.memory_bytes or 0 for role in found)
    return Report(running=True, roles=found, memory_bytes=memory, damaged_days=damaged)


def _measure_role(role: statusfile.RoleStatus) -> RoleReport:
    running = role.pid is not None and role.started_monotonic_s is not None
    return RoleReport(
        name=role.name,
        state=role.state,
        pid=role.pid,
        uptime_s=round(time.monotonic() - role.started_monotonic_s, 1)
        if running and role.started_monotonic_s
        else None,
        restarts=role.restarts,
        last_exit=role.last_exit,
        memory_bytes=role.memory_bytes or (_memory_bytes(role.pid, below=True) if role.pid is not None else None),
    )


def _memory_bytes(pid: int, *, below: bool) -> int | None:
    try:
        process = psutil.Process(pid)
        tree = [process, *process.children(recursive=True)] if below else [process]
    except psutil.Error:
        return None
    total, seen = 0, False
    for one in tree:
        try:
            total += int(one.memory_full_info().pss)
            seen = True
        except psutil.Error:
            continue  # it ended meanwhile, or belongs to another user
    return total if seen else None
