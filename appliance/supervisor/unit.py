"""The life of one role under the supervisor: states and what moves between them. No clock, no system calls."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

from appliance import log
from appliance.roles import Role
from appliance.supervisor.restarts import Restarts

NEVER = math.inf


class State(StrEnum):
    WAITING = "waiting"  # for the roles it comes after
    STARTING = "starting"
    READY = "ready"
    BACKOFF = "backoff"  # ended; about to be started again
    FAILED = "failed"  # in a crash loop; still tried, but rarely
    STOPPED = "stopped"
    DONE = "done"  # ended well, and was meant to


class Process(Protocol):
    """What a unit asks of its process; `child.Child` is the real one."""

    pid: int

    def terminate(self) -> None: ...
    def kill(self) -> None: ...


class Unit:
    """One role. `now` is always seconds of a clock that only goes forward. At `due`, `on_due` wants to be called."""

    def __init__(self, role: Role, spawn: Callable[[Role], Process]) -> None:
        self.role = role
        self.state = State.WAITING
        self.process: Process | None = None
        self.due = NEVER
        self.restarts = 0
        self.started_at: float | None = None
        self.last_exit: str | None = None
        self.exit_code: int | None = None
        self._ready_at: float | None = None
        self._first_start: float | None = None
        self._overdue = False
        self._silent = False
        self._stopping = False
        self._killed = False
        self._patience = Restarts()
        self._spawn = spawn
        # What happens before the first role stands is told by the error, if there is one: one line, not five.
        self._log = log.get(__name__).bind(name=role.name)
        self._tell = self._log.debug if role.once else self._log.info

    @property
    def settled(self) -> bool:
        """Whether the start of the box need not wait for it any longer."""
        return self.state in (State.READY, State.DONE, State.FAILED)

    def holds_up(self, now: float) -> bool:
        """Whether roles that come after this one still wait for it: until it is ready for the first time, but no longer
        than `ready_s`. Each of them lives without it once it runs, and a page with a red light beats no page."""
        if self.role.once:
            return self.state is not State.DONE
        if self._ready_at is not None:
            return False
        return self._first_start is None or now < self._first_start + self.role.ready_s

    def start(self, now: float) -> None:
        """Starts the process, which then has `ready_s` to become ready."""
        if self._first_start is None:
            self._first_start = now
        else:
            self.restarts += 1
        self._overdue = self._silent = False
        self.exit_code = None
        self.started_at = now
        try:
            self.process = self._spawn(self.role)
        except OSError as error:
            self._over(f"cannot be started: {error.strerror}", now, ran_from=None)
            return
        self.state = State.STARTING
        self.due = now + self.role.ready_s
        self._tell("role.started", pid=self.process.pid, restarts=self.restarts)

    def on_ready(self, now: float) -> None:
        """The process says that it is ready. A `once` role is ready when it has ended."""
        if self.state is State.STARTING and not (self.role.once or self._overdue or self._stopping):
            self.state = State.READY
            self._ready_at = now
            self.on_alive(now)
            self._log.info("role.ready", after_s=self._since(self.started_at, now))

    def on_alive(self, now: float) -> None:
        """The process says that it is well. A role with a watchdog must say so again and again once it is ready."""
        if self.state is State.READY and not (self._stopping or self._silent):
            self.due = NEVER if self.role.watchdog_s is None else now + self.role.watchdog_s

    def on_end(self, code: int, now: float) -> None:
        """The process and all it started have ended with this exit code (negative: a signal)."""
        ran_from = self._ready_at if self.state is State.READY else None
        self.process = None
        self.exit_code = None if self._overdue else code
        well = code == 0 and not self._overdue and (self.role.once or self.role.demo_only)
        said = describe(code)
        if self._overdue:
            said = f"not ready within {self.role.ready_s:g} s"
        elif self._silent:
            said = f"silent for {self.role.watchdog_s:g} s"
        if well and not self._stopping:
            self.state, self.due, self.last_exit = State.DONE, NEVER, said
            self._tell("role.done", after_s=self._since(self.started_at, now))
        else:
            self._over(said, now, ran_from)

    def on_due(self, now: float) -> None:
        """The time `due` has come."""
        self.due = NEVER
        if self.process is None:
            self.start(now)
            return
        if self._stopping:
            self._killed = True
            self._log.warning("role.killed", stop_s=self.role.stop_s)
        elif self.state is State.READY:
            self._silent = True
            self._log.error("role.watchdog", watchdog_s=self.role.watchdog_s)
        else:
            self._overdue = True
            self._log.error("role.not_ready", ready_s=self.role.ready_s)
        self.process.kill()

    def stop(self, now: float, at_most_s: float) -> None:
        """Asks the process to end; it is killed after `stop_s`, or `at_most_s` if that is less. A call in between can
        only bring that forward."""
        if self.process is None:
            self._stopping = True
            self.due = NEVER
            if self.state is not State.DONE:
                self.state = State.STOPPED
            return
        kill_at = now + min(self.role.stop_s, at_most_s)
        if not self._stopping:
            self._stopping = True
            self.due = kill_at
            self.process.terminate()
        elif not self._killed:
            self.due = min(self.due, kill_at)

    def _over(self, said: str, now: float, ran_from: float | None) -> None:
        """What comes after an end that was not meant to be, or that was asked for."""
        self.last_exit = said
        if self._stopping:
            self.state, self.due = State.STOPPED, NEVER
            self._log.info("role.exited", exit=said)
            return
        if self.role.once:
            self.state, self.due = State.FAILED, NEVER
            return
        self._log.warning("role.exited", exit=said, after_s=self._since(self.started_at, now))
        looped_before = self._patience.looping
        delay_s = self._patience.after_end(now, ran_from)
        if self._patience.looping and not looped_before:
            self._log.error("role.crash_loop", exit=said, retry_s=delay_s)
        self.state = State.FAILED if self._patience.looping else State.BACKOFF
        self.due = now + delay_s
        self._log.info("role.restarting", in_s=delay_s)

    @staticmethod
    def _since(then: float | None, now: float) -> float:
        return 0.0 if then is None else round(now - then, 3)


def describe(code: int) -> str:
    """An exit code in words: `exit 78`, `SIGKILL`."""
    if code >= 0:
        return f"exit {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
