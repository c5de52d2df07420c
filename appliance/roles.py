"""The one table of roles: what runs on a box, in start order, what each waits for and how long it may take.

`depotbox run`, the systemd units, the PyInstaller recipe and the status page read this table. Entry points are names,
imported only in the process of the role itself, so that nothing here depends on what the roles are made of.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from appliance import settings_watch
from appliance.config import Settings
from appliance.errors import NotFound


@dataclass(frozen=True, slots=True)
class Role:
    """One process of the box.

    `entry` is "module:function", called as `function(settings, *args)` in a process of its own; or a function that
    returns the argument vector of another program. `after` names the roles that it waits for at the start. It must be
    ready `ready_s` after its start, and ended `stop_s` after SIGTERM. With `watchdog_s`, once it is ready it must say
    `WATCHDOG=1` at least that often, or it is killed and started again: systemd's WatchdogSec.
    """

    name: str
    entry: str | Callable[[], list[str]]
    args: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    ready_s: float = 60.0
    stop_s: float = 8.0
    watchdog_s: float | None = None
    once: bool = False
    """Runs to its end before the others start: ready when it exits with 0; anything else ends the run."""
    demo_only: bool = False
    """Runs only with `--demo`, and is done when it exits with 0."""
    reads_setup: bool = False
    """Ends, to be started again, when what is entered at the set-up has changed."""
    native: bool = False
    """Becomes a native server, which is asked to end (SIGTERM), not killed, when the supervisor dies."""


# A worker imports much, and a slow box needs long for it.
_WORKER: dict[str, Any] = {
    "after": ("redis",), "ready_s": 90, "stop_s": 12, "watchdog_s": 60, "reads_setup": True
}  # fmt: skip

# init may have to migrate years of data. The web role reads what was entered by itself: somebody waits for its answer.
ROLES: tuple[Role, ...] = (
    Role("init", "appliance.init:main", once=True, ready_s=600),
    Role("redis", "appliance.servers.redis:main", after=("init",), ready_s=15, stop_s=3, native=True),
    Role("mosquitto", "appliance.servers.mosquitto:main", after=("init",), ready_s=30, stop_s=5, native=True),
    Role("worker-high", "tasks.worker:main", ("high_priority",), **_WORKER),
    Role("worker-normal", "tasks.worker:main", ("normal",), **_WORKER),
    Role("worker-low", "tasks.worker:main", ("low_priority",), **_WORKER),
    Role("beat", "tasks.beat:main", after=("redis",), reads_setup=True),
    Role("bridge", "mqtt_bridge.main:main", after=("redis", "mosquitto"), reads_setup=True),
    Role("web", "web.main:main", after=("redis",)),
    Role("demo", "mqtt_bridge.demo:main", after=("bridge", "web"), ready_s=120, stop_s=3, demo_only=True),
)


def table(*, demo: bool) -> tuple[Role, ...]:
    """The roles of a run, in start order."""
    return tuple(role for role in ROLES if demo or not role.demo_only)


def find(name: str) -> Role:
    """The role of that name. Raises NotFound."""
    for role in ROLES:
        if role.name == name:
            return role
    raise NotFound("no such role", subject=name, hint="one of " + ", ".join(role.name for role in ROLES))


def command(role: Role) -> list[str]:
    """The argument vector that runs the role, from source and from the frozen program."""
    if not isinstance(role.entry, str):
        return role.entry()
    program = [sys.executable] if getattr(sys, "frozen", False) else [sys.executable, "-m", "appliance"]
    return [*program, "role", role.name]


def run(role: Role, settings: Settings) -> int:
    """Runs the role in this process and returns its exit code."""
    if not isinstance(role.entry, str):
        raise TypeError(f"role {role.name} is another program: {role.entry()}")
    module, _, function = role.entry.partition(":")
    main: Callable[..., int | None] = getattr(importlib.import_module(module), function)
    if role.reads_setup:
        settings_watch.begin(settings)
    return main(settings, *role.args) or 0


def ranks(roles: Sequence[Role]) -> dict[str, int]:
    """How many waits stand before each role; roles of one rank do not know each other. The stop goes down by rank."""
    found: dict[str, int] = {}
    for role in roles:
        found[role.name] = 1 + max((found[name] for name in role.after), default=-1)
    return found
