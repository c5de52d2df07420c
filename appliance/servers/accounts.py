"""Who may log in to the broker, and what each may read and write: the text of mosquitto's files."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import secrets
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from appliance.errors import InputError, Refused

if TYPE_CHECKING:
    from appliance.storage.devices import Account

ROOT = "depot/v1"

CANARY = "canary"
OWN, FOREIGN = f"{ROOT}/canary/own", f"{ROOT}/canary/foreign"
"""An account beside the devices' that must be able to use the one branch and not the other (`probe.py`)."""

CANARY_RULES = (f"write {OWN}/out", f"read {OWN}/in")

OWN_RULES: dict[str, tuple[str, ...]] = {
    "bridge": (
        f"read {ROOT}/vehicles/+/gps",
        f"read {ROOT}/vehicles/+/gps/+",
        f"read {ROOT}/vehicles/+/trip",
        f"read {ROOT}/vehicles/+/status",
        f"read {ROOT}/vehicles/+/status/+",
        "read owntracks/#",
        f"write {ROOT}/vehicles/+/ack/+",
        f"write {ROOT}/vehicles/+/trip/reply",
        f"write {ROOT}/vehicles/+/assignment",
        f"write {ROOT}/trips/#",
    ),
    "loopback": (
        f"write {ROOT}/vehicles/+/gps",
        f"write {ROOT}/vehicles/+/gps/+",
        f"write {ROOT}/vehicles/+/trip",
        f"write {ROOT}/vehicles/+/status",
        f"write {ROOT}/vehicles/+/status/+",
        f"read {ROOT}/vehicles/+/ack/+",
        f"read {ROOT}/vehicles/+/trip/reply",
        f"read {ROOT}/vehicles/+/assignment",
        f"read {ROOT}/trips/#",
    ),
    "warden": (f"read {ROOT}/canary/+/out", f"write {ROOT}/canary/+/in"),
}
"""The box's own accounts, on its unix socket only: the bridge, what plays vehicles (replay, simulation), and who tries
out the rules."""

_VEHICLE = re.compile(r"[A-Za-z0-9_-]{1,32}")
_USERNAME = re.compile(r"[A-Za-z0-9_-]{1,40}")  # a vehicle's code, a dash and a number

# The passwords are 32 random bytes, which nobody can guess however fast the hash is; the broker checks each login in
# its one thread. 101 is the number of rounds that mosquitto itself uses.
_ROUNDS = 101
_SALT_BYTES = 12


def new_password() -> str:
    return secrets.token_urlsafe(32)


def password_hash(password: str) -> str:
    """`password` as mosquitto's password files hold it: `$7$rounds$salt$hash`, PBKDF2 with SHA-512, base64."""
    salt = os.urandom(_SALT_BYTES)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ROUNDS)
    return f"$7${_ROUNDS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def own_passwords_file(passwords: Mapping[str, str]) -> str:
    """`passwords`: the password of each of the box's own accounts."""
    return "".join(f"{name}:{password_hash(password)}\n" for name, password in passwords.items())


def own_acl_file() -> str:
    return _acl(OWN_RULES.items())


def passwords_file(accounts: Iterable[Account]) -> str:
    """The devices that log in with a password. Raises InputError where a name or a hash could change the meaning of the
    file."""
    lines = []
    for account in accounts:
        _check(_USERNAME, "username", account.username)
        if account.password_hash is None:
            continue
        if not re.fullmatch(r"\$7\$[0-9]+\$[A-Za-z0-9+/=]+\$[A-Za-z0-9+/=]+", account.password_hash):
            raise InputError("not a password hash of mosquitto", subject=account.username)
        lines.append(f"{account.username}:{account.password_hash}\n")
    return "".join(lines)


def acl_file(accounts: Iterable[Account]) -> str:
    """The rules of all devices: each stays in its vehicle's branch and under its own name there; the topics without a
    name are those of the vehicle's first device. Raises InputError for an unfit name."""
    return _acl((account.username, _device_rules(account)) for account in accounts)


def canary_files(password: str) -> tuple[str, str]:
    """The canary's part of the devices' password and ACL files."""
    return f"{CANARY}:{password_hash(password)}\n", _acl([(CANARY, CANARY_RULES)])


def audit(passwords: str, acl: str, accounts: Iterable[Account]) -> None:
    """Reads the files as mosquitto does, and raises Refused unless each device is let in with its own password only,
    and given nothing outside its vehicle's branch and its own OwnTracks one. A second look at what was generated."""
    known = {account.username: account for account in accounts}
    own: dict[str, tuple[str, ...]] = {CANARY: (f"{OWN}/",)}
    own |= {name: (f"{ROOT}/vehicles/{account.vehicle}/", f"owntracks/{name}/") for name, account in known.items()}
    branches: tuple[str, ...] = ()
    for line in filter(None, acl.splitlines()):
        match line.split(" "):
            case ["user", name] if name in own:
                branches = own[name]
            case ["topic", "read" | "write", topic] if _is_below(topic, branches):
                pass
            case _:
                raise Refused("gives a device what is not its own", subject=f"ACL line {line!r}")
    for line in passwords.splitlines():
        name, _, hashed = line.partition(":")
        if name != CANARY and (name not in known or hashed != known[name].password_hash):
            raise Refused("lets in somebody else", subject=f"password line of {name!r}")


def _is_below(topic: str, branches: tuple[str, ...]) -> bool:
    # OwnTracks names the levels below its user's as it likes; nobody else needs a wildcard.
    plain = topic.removesuffix("/#") if topic.startswith("owntracks/") else topic
    return topic.startswith(branches) and not {"+", "#"} & set(plain)


def _device_rules(account: Account) -> tuple[str, ...]:
    _check(_USERNAME, "username", account.username)
    _check(_VEHICLE, "vehicle", account.vehicle)
    branch, name = f"{ROOT}/vehicles/{account.vehicle}", account.username
    return (
        *((f"write {branch}/gps", f"write {branch}/status") if account.first else ()),
        f"write {branch}/gps/{name}",
        f"write {branch}/trip",
        f"write {branch}/status/{name}",
        f"write owntracks/{name}/#",
        f"read {branch}/ack/{name}",
        f"read {branch}/trip/reply",
        f"read {branch}/assignment",
    )


def _acl(rules: Iterable[tuple[str, tuple[str, ...]]]) -> str:
    return "\n".join(f"user {name}\n" + "".join(f"topic {rule}\n" for rule in of_user) for name, of_user in rules)


def _check(pattern: re.Pattern[str], what: str, value: str) -> None:
    if not pattern.fullmatch(value):
        raise InputError(f"unfit as a {what} at the broker", subject=repr(value), hint=f"expected {pattern.pattern}")
