"""Logging: events with constant names and keys, JSON lines, or readable colours on a terminal.

Every event name stands in `docs/log-events.md` (a test holds them together). Patient data never goes into a log:
keys are ids, codes, counts, durations.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from appliance.log_file import KeptLog


@contextmanager
def _as_if_absent(package: str) -> Iterator[None]:
    """Whatever is imported meanwhile does without the package."""
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None  # type: ignore[assignment]  # as the import system has it for "not to be found"
    try:
        yield
    finally:
        del sys.modules[package]


# structlog loads rich where it is there, 4 MB and a tenth of a second in each process, to draw tracebacks with the
# values of local variables, which nobody may see here.
with _as_if_absent("rich"):
    import structlog

_CHATTY = (
    "alembic", "fontTools", "fpdf", "kombu", "amqp", "uvicorn", "httpx", "celery.app.trace", "celery.worker",
)  # fmt: skip
_SHARED: list[Any] = [
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
]


def get(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of a module; `name` is its `__name__`."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def frames(trace: TracebackType | None) -> str:
    """Where an error came from, without what it says: its text may be a patient's."""
    return "".join(traceback.format_tb(trace))


def configure(
    role: str,
    level: str | int = "info",
    *,
    terminal: bool | None = None,
    file: Path | None = None,
    kept: Path | None = None,
) -> None:
    """Sends structlog and the libraries' standard logging to stderr (or the end of a file) in one form, marked with
    the role, and into the log that the box keeps in the folder `kept`."""
    colours = (not file and sys.stderr.isatty()) if terminal is None else terminal

    def with_role(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["role"] = role  # not a context variable: those stay behind in the thread that set them
        return event

    shared = [with_role, *(item for item in _SHARED if not (colours and item is structlog.processors.format_exc_info))]
    # Without the values of local variables, which is what structlog shows where it can: patient data may be among them.
    console = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    renderer: Any = console if colours else structlog.processors.JSONRenderer()
    handler: logging.Handler = logging.FileHandler(file) if file else logging.StreamHandler(sys.stderr)

    def form(*last: Any) -> structlog.stdlib.ProcessorFormatter:
        return structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )

    handler.setFormatter(form(renderer))
    handlers = [handler]
    if kept:
        handlers.append(KeptLog(kept))
        handlers[-1].setFormatter(form(structlog.processors.format_exc_info, structlog.processors.JSONRenderer()))
    root = logging.getLogger()
    root.handlers[:] = handlers
    root.setLevel(level.upper() if isinstance(level, str) else level)
    for chatty in _CHATTY:
        logging.getLogger(chatty).setLevel(logging.WARNING)
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
