"""The set-up of a box: its first administrator, by page or by file, once; and what only the depot knows, then and
later.

A box is set up when it has an administrator. The page asks for a code that is shown on the box only (the console, the
label, `setup-code.txt` in the data folder); the code is good for once. What was entered goes into the box's own
configuration file. A later code lets the page make an administrator, where the last one is forgotten, and nothing else.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import secrets
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from msgspec import structs
from sqlite_utils import Database

from appliance import atomicfile, config, passwords, typed, uplink_desk, versions
from appliance.config import OWN_SECTIONS, SECTIONS, Settings, literal
from appliance.domain.access import Role
from appliance.errors import InputError, Refused
from appliance.paths import DEVELOPMENT_CONFIG, Paths
from appliance.storage import audit, identity, invoices, schedules, sessions, users
from appliance.storage.db import Tx, write_tx

LETTERS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"  # without those that are read as others
CODE_LENGTH, GROUP = 12, 4
_FIRST, _AGAIN = "setup_code", "administrator_code"
"""The keys in `identity` of the codes' hashes: for the set-up, and for an administrator of a box that is set up."""

Values = dict[str, Any]
"""`depot.code` -> value, of the keys in OWN_SECTIONS."""

KEYS = tuple(f"{section}.{name}" for section in OWN_SECTIONS for name in SECTIONS[section].__struct_fields__
             if name != "outbox_dir")  # fmt: skip
KEPT_ONCE_BILLED = ("depot.code", "depot.currency")
"""What numbers and amounts of invoices stand on."""
_EXPECTED = {
    "depot.code": "expected 2 to 8 capital letters or digits",
    "depot.currency": "expected three capital letters, such as EUR",
    "mail.sender": "expected an address like billing@example.org",
}


@dataclass(frozen=True, slots=True)
class Administrator:
    """The first one, or one more."""

    email: str
    name: str
    password: str


def is_set_up(db: Database) -> bool:
    return users.any_administrator(db)


def is_open(db: Database) -> bool:
    """Whether a code waits to be used."""
    return identity.get(db, _key(db), "") != ""


def _key(db: Database) -> str:
    return _AGAIN if is_set_up(db) else _FIRST


def ensure_code(db: Database, paths: Paths) -> None:
    """At the start of a box that is not set up: there is a code, and a file that says it."""
    if not is_set_up(db) and not (is_open(db) and paths.setup_code.exists()):
        new_code(db, paths)


def new_code(db: Database, paths: Paths) -> str:
    """Makes a code, which takes the place of an earlier one."""
    drawn = "".join(secrets.choice(LETTERS) for _ in range(CODE_LENGTH))
    with write_tx(db) as tx:
        identity.put(tx, _key(tx), passwords.token_hash(drawn))
        code = "-".join(drawn[at : at + GROUP] for at in range(0, CODE_LENGTH, GROUP))
        atomicfile.write(paths.setup_code, code + "\n")
    return code


def shown_code(db: Database, paths: Paths) -> str:
    """The code that waits to be used, for whoever may read the data folder; empty where there is none."""
    if not is_open(db):
        return ""
    try:
        return paths.setup_code.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return ""


def fits(db: Database, code: str) -> bool:
    """Whether that is the code, however it is written."""
    kept, given = identity.get(db, _key(db), ""), "".join(code.upper().replace("-", " ").split())
    return kept != "" and hmac.compare_digest(kept, passwords.token_hash(given))


def fixed(settings: Settings) -> dict[str, str]:
    """What the set-up cannot change, because the configuration has it: key -> where."""
    own, ours = str(settings.paths.own_config), set(KEYS)
    development = str(DEVELOPMENT_CONFIG)
    return {key: source for key, source in settings.sources if key in ours and source not in (own, development)}


def complaints(settings: Settings, values: Values) -> dict[str, str]:
    """What is wrong with the values: key -> what was expected. Raises InputError for what is no key."""
    said = {}
    for key, value in values.items():
        if key not in KEYS:
            raise InputError(f"expected one of {', '.join(KEYS)}", subject=key)
        section, _, name = key.partition(".")
        if expected := config.check(section, name, value):
            said[key] = _EXPECTED.get(key, expected)
        elif key in fixed(settings):
            said[key] = f"is set in {fixed(settings)[key]}"
    return said


def check_administrator(administrator: Administrator, again: str) -> dict[str, str]:
    """What is wrong with the administrator: field -> what was expected."""
    said = {}
    for field, value, check in (
        ("email", administrator.email, typed.address),
        ("name", administrator.name, typed.name),
    ):
        try:
            check(value, field)
        except InputError as error:
            said[field] = error.what
    try:
        passwords.check({"email": administrator.email, "name": administrator.name}, administrator.password, again)
    except InputError as error:
        said["password"] = error.what
    return said


def complete(
    db: Database, settings: Settings, administrator: Administrator, values: Values, *, who: str, now: datetime
) -> None:
    """Sets the box up: the values, which were checked, go into its own configuration, and the administrator can log in.
    A code that waits is used up. Raises Refused where somebody else was first."""
    digest = passwords.hashed(administrator.password)  # takes its time, and no transaction waits for it
    with write_tx(db) as tx:
        if is_set_up(tx):
            raise Refused("the box is set up already")
        identity.put(tx, _FIRST, "")
        _administrator(tx, administrator, digest, who, now)
        audit.record(tx, who, "box.set_up", "box", "", now)
        _write(tx, settings, values)
    _forget_code(settings.paths)


def add_administrator(
    db: Database, settings: Settings, administrator: Administrator, code: str, *, who: str, now: datetime
) -> None:
    """Makes an administrator on a box that is set up, or gives one that is forgotten another password. Raises Refused
    where the code was used meanwhile."""
    digest = passwords.hashed(administrator.password)
    with write_tx(db) as tx:
        if not fits(tx, code):
            raise Refused("the code was used meanwhile")
        identity.put(tx, _AGAIN, "")
        _administrator(tx, administrator, digest, who, now)
    _forget_code(settings.paths)


def entered(settings: Settings) -> Values:
    """What was entered, as it was read; the secrets too."""
    tree = tomllib.loads(settings.own.decode())
    return {f"{section}.{name}": value for section, held in tree.items() for name, value in held.items()}


def version(settings: Settings) -> str:
    """Another one with each change of what was entered."""
    return hashlib.sha256(settings.own).hexdigest()[:16]


def change(
    db: Database, settings: Settings, values: Values, *, seen: str | None = None, who: str, now: datetime
) -> list[str]:
    """Changes what was entered; what `values` leaves out stays. The roles see it within seconds (settings_watch.py).
    Returns the keys that are something else now.

    Raises InputError for what is wrong, naming the keys; Refused for what invoices were numbered or reckoned with; and
    Outdated where somebody else was faster: `seen` is the `version` that was looked at.
    """
    if said := complaints(settings, values):
        raise InputError("; ".join(f"{key}: {text}" for key, text in said.items()))
    with write_tx(db) as tx:
        if config.read_own(settings.paths.own_config) != settings.own or seen not in (None, version(settings)):
            raise versions.outdated("settings", versions.last_change(tx, "box", ""))
        changed = sorted(key for key, value in values.items() if value != _present(settings, key))
        if changed:
            if kept := [key for key in KEPT_ONCE_BILLED if key in changed and invoices.any_issued(tx)]:
                raise Refused("invoices were issued with it", subject=kept[0], hint="it stays as it is")
            _write(tx, settings, entered(settings) | {key: values[key] for key in changed})
            audit.record(tx, who, "box.settings_changed", "box", "", now, ", ".join(changed))
    return changed


def _present(settings: Settings, key: str) -> Any:
    section, _, name = key.partition(".")
    return getattr(getattr(settings, section), name)


def _write(tx: Tx, settings: Settings, values: Values) -> None:
    """Before the commit: one without the file would be worse. With a central office, its schedule is there then."""
    parts = {section: {key.partition(".")[2]: value for key, value in values.items() if key.startswith(f"{section}.")}
             for section in OWN_SECTIONS}  # fmt: skip
    taken = structs.replace(
        settings,
        **{section: structs.replace(getattr(settings, section), **held) for section, held in parts.items()},
    )
    if taken.upstream.url:
        schedules.ensure_sync(tx, uplink_desk.crontab(taken))
    atomicfile.write(settings.paths.own_config, toml(values))


def toml(values: Mapping[str, Any]) -> str:
    """The box's own configuration file."""
    lines = ["# Entered at the set-up, or on the page Depot. The configuration and the environment win over it."]
    for section in OWN_SECTIONS:
        held = {key.partition(".")[2]: value for key, value in values.items() if key.startswith(f"{section}.")}
        if held:
            lines += ["", f"[{section}]", *(f"{name} = {literal(value)}" for name, value in held.items())]
    return "\n".join(lines) + "\n"


def _administrator(tx: Tx, new: Administrator, digest: str, who: str, now: datetime) -> None:
    known = users.by_email(tx, new.email)
    id = known["id"] if known else users.add(tx, new.email, new.name, Role.administrator, now)
    if known:
        users.set_role(tx, id, Role.administrator)
        users.set_disabled(tx, id, None)
        users.drop_password_links(tx, id)
        sessions.delete_of_user(tx, id)
    users.set_password(tx, id, digest)
    user = users.get(tx, id)
    assert user is not None
    audit.record(tx, who, "user.made_administrator", "user", user["uid"], now)


def _forget_code(paths: Paths) -> None:
    with contextlib.suppress(OSError):
        paths.setup_code.unlink()
