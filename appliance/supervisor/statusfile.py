"""What the supervisor lets others know: one small JSON file, replaced as a whole at each change."""

from __future__ import annotations

from pathlib import Path

import msgspec

from appliance import atomicfile, units
from appliance.errors import Unavailable
from appliance.paths import Paths
from appliance.supervisor import lock


class RoleStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One role. `started_monotonic_s` is of the system's monotonic clock, which every process of this boot shares: an
    uptime counted from it is right whatever was done to the wall clock meanwhile. `memory_bytes`: as systemd counts it,
    the kernel's caches included, where it looks after the roles."""

    name: str
    state: str
    pid: int | None
    started_at: str | None
    started_monotonic_s: float | None
    restarts: int
    last_exit: str | None
    memory_bytes: int | None = None


class RunStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A run of the supervisor."""

    supervisor_pid: int
    started_at: str
    started_monotonic_s: float
    demo: bool
    roles: list[RoleStatus]


def write(path: Path, status: RunStatus) -> None:
    atomicfile.write(path, msgspec.json.format(msgspec.json.encode(status)))


def read(paths: Paths) -> RunStatus | None:
    """The run on this data folder, whoever looks after it: `depotbox run`, or systemd. None when there is none. Raises
    like `of_supervisor`."""
    found = of_supervisor(paths)
    if found is None and units.in_charge(paths):
        from appliance.supervisor import unitstatus  # here: it makes what is defined here

        return unitstatus.read()
    return found


def of_supervisor(paths: Paths) -> RunStatus | None:
    """The run of `depotbox run`; None when there is none (the file of an earlier run does not count).

    Raises Unavailable to a user who may not look: "not running" could be untrue.
    """
    try:
        status = msgspec.json.decode(paths.status_file.read_bytes(), type=RunStatus)
    except PermissionError as error:
        raise Unavailable(
            "this user may not read it", subject=str(paths.status_file), hint="ask as the user that the box runs as"
        ) from error
    except (OSError, msgspec.DecodeError):
        return None
    if not lock.held_by(paths, status.supervisor_pid):
        return None
    # On a full disk the file cannot be replaced: a process that has ended is not believed.
    roles = [
        msgspec.structs.replace(role, state="ended", pid=None)
        if role.pid is not None and not Path(f"/proc/{role.pid}").exists()
        else role
        for role in status.roles
    ]
    return msgspec.structs.replace(status, roles=roles)


def pid_of(paths: Paths, role: str) -> int | None:
    """The process of a role of the run on this data folder; None when it does not run."""
    status = read(paths)
    return next((one.pid for one in status.roles if one.name == role), None) if status else None
