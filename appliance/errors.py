"""Errors by who can act on them.

Each carries the operation, its subject and a hint, and prints as one line. They are mapped once each to a Celery
outcome (`tasks/durable.py`), to HTTP (`web/problems.py`) and to an exit code (`appliance/cli/main.py`).
"""

from __future__ import annotations


class DepotError(Exception):
    """An error with one line for a person: what failed, on what, and what to do."""

    exit_code = 1

    def __init__(self, what: str, *, subject: str = "", hint: str = "") -> None:
        self.what = what
        self.subject = subject
        self.hint = hint
        super().__init__(str(self))

    def __str__(self) -> str:
        text = f"{self.subject}: {self.what}" if self.subject else self.what
        return f"{text} ({self.hint})" if self.hint else text


class ConfigError(DepotError):
    """The configuration or the surroundings it names are wrong: whoever installed the box can act."""

    exit_code = 78  # EX_CONFIG


class InputError(DepotError):
    """What a person or a file gave is wrong: whoever gave it can act."""

    exit_code = 65  # EX_DATAERR


class NotFound(DepotError):
    """What was asked for does not exist."""

    exit_code = 66  # EX_NOINPUT


class Refused(DepotError):
    """A rule of the depot forbids it; the hint names the rule."""

    exit_code = 65  # EX_DATAERR


class Outdated(Refused):
    """Somebody else changed it since it was looked at: look again, then decide again."""


class Busy(DepotError):
    """Somebody else holds it now; trying again later helps."""

    exit_code = 75  # EX_TEMPFAIL


class Unavailable(DepotError):
    """Something the box stands on cannot be had (a port, a server, a running box)."""

    exit_code = 69  # EX_UNAVAILABLE


class Transient(DepotError):
    """Trying again later, by itself, will help: the network, the mail relay. `retry_s`: so much later, where known."""

    exit_code = 75  # EX_TEMPFAIL

    def __init__(self, what: str, *, subject: str = "", hint: str = "", retry_s: float | None = None) -> None:
        super().__init__(what, subject=subject, hint=hint)
        self.retry_s = retry_s


class DiskFull(Transient):
    """The disk has no room for a commit. What was committed before is whole; nothing of this change is there."""


class Permanent(DepotError):
    """Trying again will not help; a person must change something first."""
