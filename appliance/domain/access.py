"""Who may do what: roles of people, scopes of API tokens, and how long a session lasts. Pure tables and rules."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

IDLE = timedelta(hours=12)
LONGEST = timedelta(days=7)


class Permission(StrEnum):
    """What a page, or an address of the API, asks for."""

    view = "view"
    patients = "patients"
    dispatch = "dispatch"
    bill = "bill"
    administer = "administer"


class Role(StrEnum):
    """What a user is in the depot."""

    administrator = "administrator"
    dispatcher = "dispatcher"
    biller = "biller"
    viewer = "viewer"


class Scope(StrEnum):
    """How much of its user's role an API token has."""

    read = "read"
    write = "write"
    admin = "admin"


ROLES: dict[Role, frozenset[Permission]] = {
    Role.administrator: frozenset(Permission),
    Role.dispatcher: frozenset({Permission.view, Permission.patients, Permission.dispatch}),
    Role.biller: frozenset({Permission.view, Permission.patients, Permission.bill}),
    Role.viewer: frozenset({Permission.view}),
}


@dataclass(frozen=True, slots=True)
class User:
    """Who asks. `scope` and `token` (its name) are set where a program asks with an API token in the user's name."""

    id: int
    email: str
    name: str
    role: Role
    scope: Scope | None = None
    token: str = ""

    @property
    def who(self) -> str:
        """For the audit log."""
        return f"{self.email} (token {self.token})" if self.token else self.email

    def may(self, permission: Permission) -> bool:
        """Whether the role allows it, and the token's scope, if it is a token. `read` says nothing here: it stands for
        the methods that change nothing."""
        if self.scope is not None and self.scope is not Scope.admin and permission is Permission.administer:
            return False
        return permission in ROLES[self.role]

    def may_change(self) -> bool:
        """False for a token that may only read."""
        return self.scope is not Scope.read


@dataclass(frozen=True, slots=True)
class Instant:
    """A moment on two clocks: the wall clock, which may be stepped, and the seconds since the machine started, which
    nobody can set; `boot` is the id of that start."""

    at: datetime
    boot: str
    uptime_s: float

    def since(self, earlier: Instant) -> timedelta:
        """How long it has been, never less than nothing. Within one run of the machine no step of the wall clock
        changes it; over a restart there is no other clock to ask."""
        if self.boot == earlier.boot:
            return timedelta(seconds=max(0.0, self.uptime_s - earlier.uptime_s))
        return max(timedelta(0), self.at - earlier.at)


def is_over(age: timedelta, idle: timedelta) -> bool:
    """Whether a session of this age, last used so long ago, counts no more."""
    return age > LONGEST or idle > IDLE
