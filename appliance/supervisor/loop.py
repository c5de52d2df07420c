"""The supervisor: one loop in one thread over the roles, their readiness and their ends."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import cast

import psutil

from appliance import lifeline, log, roles
from appliance.errors import Unavailable
from appliance.roles import Role
from appliance.supervisor import statusfile
from appliance.supervisor.child import Child
from appliance.supervisor.unit import NEVER, State, Unit

STOP_S = 25.0
"""After this long, what is left of a stop is killed."""
GIVE_UP_S = 29.0
"""After this long, a stop is over: a process stuck in the kernel cannot hold it up."""
HASTE_S = 1.0
"""What a second signal leaves to the roles."""

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Supervisor:
    """Runs a role table until SIGTERM, SIGINT or SIGHUP.

    Roles start in order, each when those that it comes after are ready, and are restarted when they end (`restarts`);
    roles that come after a role which ended are left alone. `run_dir` gets the notification sockets and the status
    file. `on_started` is called once, when every role is ready or has turned out to crash.
    """

    def __init__(
        self,
        table: Sequence[Role],
        run_dir: Path,
        status_path: Path,
        *,
        on_started: Callable[[list[Unit]], None] = lambda units: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._run_dir = run_dir
        self._status_path = status_path
        self._on_started = on_started
        self._clock = clock
        self._selector = selectors.DefaultSelector()
        self._units = [Unit(role, self._spawn) for role in table]
        self._by_name = {unit.role.name: unit for unit in self._units}
        self._ranks = roles.ranks(table)
        self._demo = any(role.demo_only for role in table)
        self._began = (clock(), datetime.now(UTC))
        self._started = False
        self._stop_began: float | None = None
        self._problem: Unit | None = None
        self._written: statusfile.RunStatus | None = None
        self._log = log.get(__name__)

    def run(self) -> int:
        """Runs to the end of the stop and returns the exit code: 0, or that of a `once` role that failed, which has
        said why. Within 30 s of the first signal this returns and no process of the box is left. To be called in the
        main thread. Raises Unavailable when a `once` role was killed or took too long."""
        with self._signals() as wakeup:
            self._selector.register(wakeup, selectors.EVENT_READ, partial(self._on_signals, wakeup))
            lifeline.adopt_orphans()
            while self.step():
                pass
            self._end_strays()
        self._selector.close()
        if self._problem is None:
            return 0
        if self._problem.exit_code is not None and self._problem.exit_code > 0:
            return self._problem.exit_code
        raise Unavailable(f"the box cannot start: {self._problem.last_exit}", subject=self._problem.role.name)

    def step(self) -> bool:
        """One round: what is due, what may start, the status file; then waits for what comes next. False at the end."""
        now = self._clock()
        self._advance(now)
        self._publish()
        if self._over(now):
            return False
        due = min((unit.due for unit in self._units), default=NEVER)
        if self._stop_began is not None:
            due = min(due, self._stop_began + GIVE_UP_S)
        for key, _ in self._selector.select(None if due == NEVER else max(0.0, due - self._clock())):
            key.data()
        return True

    def _advance(self, now: float) -> None:
        for unit in self._units:
            if unit.due <= now and unit.process:
                self._on_notify(unit.role.name)  # this process may have been held up, not the role
            if unit.due <= now:
                unit.on_due(now)
            if unit.role.once and unit.state is State.FAILED and self._stop_began is None:
                self._problem, self._stop_began = unit, now
        if self._stop_began is not None:
            self._stop_next_rank(now)
            return
        for unit in self._units:
            if unit.state is State.WAITING and not any(self._by_name[name].holds_up(now) for name in unit.role.after):
                unit.start(now)
        if not self._started and all(unit.settled for unit in self._units):
            self._started = True
            failed = [unit.role.name for unit in self._units if unit.state is State.FAILED]
            self._log.info("supervisor.started", after_s=round(now - self._began[0], 3), failed=failed)
            self._on_started(self._units)

    def _stop_next_rank(self, now: float) -> None:
        """The roles of the highest rank that still has a process are asked to end, the others wait for them."""
        assert self._stop_began is not None
        left_s = max(0.0, self._stop_began + STOP_S - now)
        running = [self._ranks[unit.role.name] for unit in self._units if unit.process]
        for unit in self._units:
            if unit.process is None or self._ranks[unit.role.name] == max(running):
                unit.stop(now, left_s)

    def _over(self, now: float) -> bool:
        if self._stop_began is None:
            return False
        left = [unit.role.name for unit in self._units if unit.process]
        if left and now < self._stop_began + GIVE_UP_S:
            return False
        if left:
            self._log.error("supervisor.left_behind", names=left)
        tell = self._log.debug if self._problem else self._log.info
        tell("supervisor.stopped", after_s=round(now - self._stop_began, 3))
        return True

    def _spawn(self, role: Role) -> Child:
        child = Child(roles.command(role), self._run_dir / f"notify.{role.name}", role.watchdog_s)
        self._selector.register(child.channel, selectors.EVENT_READ, partial(self._on_notify, role.name))
        return child

    def _on_notify(self, name: str) -> None:
        unit = self._by_name[name]
        heard = cast(Child, unit.process).heard() if unit.process else set()
        if "READY=1" in heard:
            unit.on_ready(self._clock())
        if "WATCHDOG=1" in heard:
            unit.on_alive(self._clock())

    def _on_signals(self, wakeup: socket.socket) -> None:
        for signum in wakeup.recv(4096):
            if signum in _STOP_SIGNALS:
                self._stop(signal.Signals(signum).name)
        self._collect()  # SIGCHLD, of which several may count as one: look at all of them

    def _collect(self) -> None:
        for unit in self._units:
            if unit.process is None:
                continue
            self._on_notify(unit.role.name)  # it may have said that it is ready, and ended then
            child = cast(Child, unit.process)
            code = child.collect()
            if code is not None:
                self._selector.unregister(child.channel)
                child.close()
                unit.on_end(code, self._clock())

    def _stop(self, reason: str) -> None:
        now = self._clock()
        if self._stop_began is None:
            self._stop_began = now
            self._log.info("supervisor.stopping", signal=reason)
            return
        self._log.warning("supervisor.hastened", signal=reason)
        for unit in self._units:
            unit.stop(now, HASTE_S)

    def _end_strays(self) -> None:
        """What left its role's group and was adopted by this process is ended too."""
        strays = psutil.Process().children(recursive=True)
        for stray in strays:
            with suppress(psutil.NoSuchProcess):
                self._log.warning("supervisor.stray_killed", pid=stray.pid)
                stray.kill()
        psutil.wait_procs(strays, timeout=1)

    def _publish(self) -> None:
        """Writes the status file if something in it has changed."""
        began, began_at = self._began
        status = statusfile.RunStatus(
            supervisor_pid=os.getpid(),
            started_at=began_at.isoformat(timespec="seconds"),
            started_monotonic_s=began,
            demo=self._demo,
            roles=[self._status_of(unit) for unit in self._units],
        )
        if status != self._written:
            try:
                statusfile.write(self._status_path, status)
                self._written = status
            except OSError as error:  # a full disk ends no role
                self._log.error("supervisor.status_not_written", error=str(error))

    def _status_of(self, unit: Unit) -> statusfile.RoleStatus:
        began, began_at = self._began
        at = None if unit.started_at is None else began_at + timedelta(seconds=unit.started_at - began)
        return statusfile.RoleStatus(
            name=unit.role.name,
            state=unit.state,
            pid=unit.process.pid if unit.process else None,
            started_at=at.isoformat(timespec="seconds") if at else None,
            started_monotonic_s=unit.started_at,
            restarts=unit.restarts,
            last_exit=unit.last_exit,
        )

    @contextmanager
    def _signals(self) -> Iterator[socket.socket]:
        """Signals become bytes on a socket, so that the loop waits in one place."""
        read, write = socket.socketpair()
        with read, write:
            write.setblocking(False)
            before = {signum: signal.getsignal(signum) for signum in (*_STOP_SIGNALS, signal.SIGCHLD)}
            if before[signal.SIGHUP] is signal.SIG_IGN:
                del before[signal.SIGHUP]  # nohup: the end of the terminal is not the end of the box
            for signum in before:
                signal.signal(signum, lambda *_: None)
            fd = signal.set_wakeup_fd(write.fileno(), warn_on_full_buffer=False)
            try:
                yield read
            finally:
                signal.set_wakeup_fd(fd)
                for signum, handler in before.items():
                    signal.signal(signum, handler)
