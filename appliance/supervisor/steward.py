"""The steward: the one part of an installed box that runs as root, for what the roles may not do themselves.

systemd starts it for one request on a unix socket (`depotbox-steward.socket`) and it ends with the answer. A request is
one line, a verb of a fixed table and at most one argument, from a user that the verb names; the kernel says which user
that is. What it does is done by systemd's own commands, without a shell.
"""

from __future__ import annotations

import contextlib
import pwd
import re
import shutil
import socket
import struct
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from appliance import log, roles, units
from appliance.errors import DepotError, InputError, Refused, Unavailable
from appliance.servers import native
from appliance.steward import DONE, line

LONGEST = 128
"""Bytes of a request, with its newline."""
PATIENCE_S = 5.0
"""For a request to arrive whole."""
RUN_S = 30.0
"""For a command to end."""

ROOT, WEB, LOW = "root", "depotbox-web", "depotbox-worker-low"
INCOMING = Path("/var/lib/depotbox/incoming")
RESTORE, UPDATE = INCOMING / "restore.tar.gz", INCOMING / "update.raucb"
UPDATE_UNIT = Path("/usr/lib/systemd/system/depotbox-update.service")

_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid: SO_PEERCRED of unix(7)
_TIME = re.compile(r"20[2-9]\d-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-5]\dZ")
_log = log.get(__name__)

Command = Sequence[str]


@dataclass(frozen=True, slots=True)
class Verb:
    """`commands` are made of the argument, which may be refused (DepotError); only root and `users` may ask."""

    commands: Callable[[str], Sequence[Command]]
    users: tuple[str, ...] = (WEB,)


def _restart(role: str) -> Sequence[Command]:
    """Never `init`: it runs once, and takes every other role with it."""
    known = [one.name for one in roles.ROLES if not (one.once or one.demo_only)]
    if role not in known:
        raise InputError("no such role", subject=repr(role), hint="one of " + ", ".join(known))
    return [("systemctl", "--no-block", "restart", units.unit(role))]


def _broker(how: str, *command: str) -> Callable[[str], Sequence[Command]]:
    return lambda argument: _alone(how, argument, (*command, units.unit("mosquitto")))


def _clock(text: str) -> Sequence[Command]:
    """A time service that runs would not let the clock be set; it goes on after that, and knows better when it can."""
    try:
        at = datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC) if _TIME.fullmatch(text) else None
    except ValueError:
        at = None
    if at is None:
        raise InputError("expected a time like 2026-01-26T15:57:02Z", subject=repr(text))
    return [
        ("-timedatectl", "set-ntp", "false"),
        ("timedatectl", "set-time", f"{at:%Y-%m-%d %H:%M:%S} UTC"),
        ("-timedatectl", "set-ntp", "true"),
    ]


def _restore(argument: str) -> Sequence[Command]:
    if not RESTORE.is_file():
        raise Unavailable("there is no backup to restore", subject=str(RESTORE))
    return _alone("restore", argument, ("systemctl", "--no-block", "start", "depotbox-restore.service"))


def _update(argument: str) -> Sequence[Command]:
    if not UPDATE_UNIT.exists():
        hint = "this box was not installed from the image; apt installs a newer package"
        raise Unavailable("updates are not available here", subject="update", hint=hint)
    if not UPDATE.is_file():
        raise Unavailable("there is no update to install", subject=str(UPDATE))
    return _alone("update", argument, ("systemctl", "--no-block", "start", UPDATE_UNIT.name))


def _alone(verb: str, argument: str, command: Command) -> Sequence[Command]:
    if argument:
        raise InputError("takes no argument", subject=verb)
    return [command]


VERBS: Mapping[str, Verb] = {
    "restart": Verb(_restart),
    "reload-broker": Verb(
        _broker("reload-broker", "systemctl", "kill", "--signal=HUP", "--kill-whom=main"), users=(WEB, LOW)
    ),
    "restart-broker": Verb(_broker("restart-broker", "systemctl", "--no-block", "restart"), users=(WEB, LOW)),
    "set-clock": Verb(_clock),
    "restore": Verb(_restore),
    "update": Verb(_update),
    "reboot": Verb(lambda argument: _alone("reboot", argument, ("systemctl", "--no-block", "reboot"))),
    "power-off": Verb(lambda argument: _alone("power-off", argument, ("systemctl", "--no-block", "poweroff"))),
}


def serve(channel: socket.socket, run: Callable[[Command], None] | None = None) -> bool:
    """Answers the one request of this connection, and says whether it was done. Never raises."""
    channel.settimeout(PATIENCE_S)
    user, request = "?", ""
    try:
        user = _user(channel)
        request = line(channel, LONGEST)
        name, _, argument = request.partition(" ")
        verb = VERBS.get(name)
        if verb is None:
            raise InputError("no such request", hint="one of " + ", ".join(VERBS))
        if user not in (ROOT, *verb.users):
            raise Refused(f"{user} may not ask for it", subject=name)
        _run(verb.commands(argument), run or _execute)
    except (DepotError, OSError) as error:
        _log.warning("steward.refused", user=user, request=request[:LONGEST], reason=str(error))
        _answer(channel, " ".join(str(error).split()))
        return False
    _log.info("steward.done", user=user, request=request)
    _answer(channel, DONE)
    return True


def _user(channel: socket.socket) -> str:
    """Who asks, as the kernel knows it. Raises Refused for a user without a name."""
    packed = channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    uid = _CREDENTIALS.unpack(packed)[1]
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        raise Refused("nobody knows this user", subject=f"uid {uid}") from None


def _answer(channel: socket.socket, text: str) -> None:
    with contextlib.suppress(OSError):  # who asked has gone
        channel.sendall(text.encode() + b"\n")


def _run(commands: Sequence[Command], run: Callable[[Command], None]) -> None:
    """One after the other. One that begins with `-`, as in a unit, is tried whatever came before, and may fail. Raises
    the first error of the others."""
    problem: DepotError | None = None
    for program, *words in commands:
        try:
            if program.startswith("-") or problem is None:
                run((program.removeprefix("-"), *words))
        except DepotError as error:
            problem = problem or (None if program.startswith("-") else error)
    if problem is not None:
        raise problem


def _execute(command: Command) -> None:
    """Raises Unavailable with what the command complained of."""
    program = shutil.which(command[0], path="/usr/bin:/bin")
    if program is None:
        raise Unavailable("no such program here", subject=command[0])
    try:
        subprocess.run(
            [program, *command[1:]], check=True, capture_output=True, text=True, timeout=RUN_S,
            stdin=subprocess.DEVNULL, env=native.environment(Path(program)),
        )  # fmt: skip
    except subprocess.CalledProcessError as error:
        raise Unavailable(error.stderr.strip() or f"exit {error.returncode}", subject=" ".join(command)) from error
    except subprocess.TimeoutExpired as error:
        raise Unavailable("takes too long", subject=" ".join(command)) from error
