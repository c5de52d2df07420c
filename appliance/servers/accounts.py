"""Who may log in to the broker, and what each may read and write: the text of mosquitto's files."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import secrets
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from appliance.errors import InputError

if TYPE_CHECKING:
    from appliance.storage.devices import Account

ROOT = "depot/v1"

OWN_RULES: dict[str, tuple[str, ...]] = {
    "bridge": (
        f"read {ROOT}/vehicles/+/gps",
        f"read {ROOT}/vehicles/+/gps/+",
        f"read {ROOT}/vehicles/+/trip",
        f"read {ROOT}/vehicles/+/status",
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
        f"read {ROOT}/vehicles/+/ack/+",
        f"read {ROOT}/vehicles/+/trip/reply",
        f"read {ROOT}/vehicles/+/assignment",
        f"read {ROOT}/trips/#",
    ),
}
"""The box's own accounts, on its unix socket only: the bridge, and what plays vehicles (replay, simulation)."""

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
    """Raises InputError where a name or a hash could change the meaning of the file."""
    lines = []
    for account in accounts:
        _check(_USERNAME, "username", account.username)
        if not re.fullmatch(r"\$7\$[0-9]+\$[A-Za-z0-9+/=]+\$[A-Za-z0-9+/=]+", account.password_hash):
            raise InputError("not a password hash of mosquitto", subject=account.username)
        lines.append(f"{account.username}:{account.password_hash}\n")
    return "".join(lines)


def acl_file(accounts: Iterable[Account]) -> str:
    """The rules of all devices: each stays in its vehicle's branch and under its own name there; only the position
    source of a vehicle may write where the vehicle's position is taken from. Raises InputError for an unfit name."""
    return _acl((account.username, _device_rules(account)) for account in accounts)


def _device_rules(account: Account) -> tuple[str, ...]:
    _check(_USERNAME, "username", account.username)
    _check(_VEHICLE, "vehicle", account.vehicle)
    branch, name = f"{ROOT}/vehicles/{account.vehicle}", account.username
    return (
        *((f"write {branch}/gps",) if account.position_source else ()),
        f"write {branch}/gps/{name}",
        f"write {branch}/trip",
        f"write {branch}/status",
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
