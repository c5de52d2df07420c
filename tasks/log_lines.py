"""What Celery writes into the log about tasks: ids, names, kinds of errors and where they came from.

Never what an error says, an argument or a result: any of these may hold a patient's name. The whole stands in the job's
row.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

from celery import signals

from appliance import log

_ABOUT_TASKS = (
    "celery.app.trace",
    "celery.utils.dispatch.signal",
    "celery.worker.consumer.consumer",
    "celery.worker.control",
    "celery.worker.pidbox",
    "celery.worker.request",
    "celery.worker.strategy",
)
_KIND = re.compile(r"\w+")
_PLAIN = re.compile(r"[^\[{('\"]*")
"""Text that is no dump of a message: those have brackets and quotes."""
LEFT_OUT = "..."


class WithoutWords(logging.Filter):
    """Takes the words out of a record before any handler sees it."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(record.args, dict):  # of a task that has ended
            record.args = {key: _safe(key, value, error) for key, value in record.args.items()}
        elif record.args:
            record.args = tuple(_safe("", value, error) for value in record.args)
        if "data" in record.__dict__:
            del record.__dict__["data"]  # the same once more, arguments and result among it
        if error is not None:
            record.msg = f"{record.getMessage()}\n{log.frames(error.__traceback__)}{type(error).__name__}"
            record.args, record.exc_info, record.exc_text = None, None, None
        return True


def _safe(key: str, value: Any, error: BaseException | None) -> Any:
    if isinstance(value, BaseException):
        return type(value).__name__
    if key == "exc":  # the error's repr, which begins with its kind
        kind = _KIND.match(str(value))
        return type(error).__name__ if error else kind[0] if kind else LEFT_OUT
    if key == "return_value":
        return LEFT_OUT
    if isinstance(value, dict | list | tuple):
        return LEFT_OUT
    if isinstance(value, str) and not _PLAIN.fullmatch(value):
        return LEFT_OUT
    return value


def for_command(name: str) -> None:
    """The log of one of Celery's own commands in the form that the roles have; a worker or beat then takes the level
    and the file that it was given."""
    role = f"celery-{name}"
    log.configure(role, "warning")

    @signals.setup_logging.connect(weak=False)
    def _given(loglevel: int, logfile: str | None, **_: Any) -> None:
        log.configure(role, loglevel, file=Path(logfile) if logfile else None)
        for asked_for in ("celery.app.trace", "celery.worker"):  # a role leaves these out
            logging.getLogger(asked_for).setLevel(logging.NOTSET)


for _logger in _ABOUT_TASKS:
    logging.getLogger(_logger).addFilter(WithoutWords())
