"""Errors of Celery's command line as one line and an exit code, in one place for all of its commands."""

from __future__ import annotations

import functools
import os
import traceback
from typing import Any

import click
import click_didyoumean
import tornado.options
from celery.exceptions import CeleryCommandException, CeleryError, ImproperlyConfigured
from kombu.exceptions import OperationalError
from redis import RedisError

from appliance.errors import DepotError, InputError, Unavailable

EX_FAILED = 1
_GIVEN = (ValueError, TypeError, LookupError, ImportError, AttributeError, ImproperlyConfigured, tornado.options.Error)
"""What Celery and Flower raise for arguments that cannot be: `--autoscale=a,b`, `--scheduler=no.such:Thing`."""
_AWAY = (OperationalError, RedisError, OSError)


def install(main: str) -> None:
    """Puts the place around Celery's command group, which alone is such a group. Of apps that are not called `main`
    errors pass as they are."""
    invoke = click_didyoumean.DYMGroup.invoke

    @functools.wraps(invoke)
    def in_one_line(self: click.Group, ctx: click.Context) -> Any:
        try:
            return invoke(self, ctx)
        except BrokenPipeError:
            raise
        except Exception as caught:
            error = caught
            if isinstance(caught, click.ClickException):
                if not isinstance(caught.__cause__, DepotError):
                    raise
                error = caught.__cause__  # Celery has wrapped it up
            code = exit_code(error)
            if code is None or getattr(getattr(ctx.obj, "app", None), "main", None) != main:
                raise
            if os.environ.get("DEPOTBOX_TRACEBACK"):
                traceback.print_exc()
            raise CeleryCommandException(line(error), code) from error

    click_didyoumean.DYMGroup.invoke = in_one_line


def exit_code(error: Exception) -> int | None:
    """By who can act; None for what nobody foresaw."""
    if isinstance(error, DepotError):
        return error.exit_code
    if isinstance(error, _AWAY):
        return Unavailable.exit_code
    if isinstance(error, _GIVEN):
        return InputError.exit_code
    return EX_FAILED if isinstance(error, CeleryError) else None


def line(error: Exception) -> str:
    """What it says; a foreign error with its kind, since its text alone may be as little as `a`. Of a fault in the
    handling of an error the error (Celery 5.7 has one for `--autoscale=a,b`)."""
    first = error.__context__
    if isinstance(first, Exception) and not error.__suppress_context__ and not isinstance(error, DepotError):
        return line(first)
    text = str(error) if isinstance(error, DepotError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split())
