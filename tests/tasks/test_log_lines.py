"""Celery's own log lines about tasks, without anything that an error, an argument or a result says."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tasks import log_lines

PATIENT = "Zyxquilla Quorvex"


class Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record) + str(vars(record).get("data", "")))


@pytest.fixture
def kept(request: pytest.FixtureRequest) -> Iterator[Kept]:
    handler, root = Kept(), logging.getLogger()
    root.addHandler(handler)
    yield handler
    root.removeHandler(handler)


def fail(logger: str, text: str, *args: object, **more: object) -> None:
    assert log_lines.for_command  # its import has put the filters in place
    try:
        raise ValueError(f"bad patient {PATIENT}")
    except ValueError as error:
        logging.getLogger(logger).error(text, *[error if one is ValueError else one for one in args], **more)  # type: ignore[arg-type]


def test_a_failed_task_is_its_name_id_kind_of_error_and_where(kept: Kept) -> None:
    context = {"name": "n", "id": "i", "description": "raised unexpected", "exc": f"ValueError('{PATIENT}')",
               "args": f"('{PATIENT}',)", "kwargs": "{}", "traceback": PATIENT}  # fmt: skip
    text = "Task %(name)s[%(id)s] %(description)s: %(exc)s"
    fail("celery.app.trace", text, context, exc_info=True, extra={"data": context})
    (said,) = kept.lines
    assert said.startswith("Task n[i] raised unexpected: ValueError\n")
    assert "test_log_lines.py" in said
    assert PATIENT not in said


@pytest.mark.parametrize("exc", [f"ValueError('{PATIENT}')", f"({PATIENT})", f"Retry in 60s: ValueError('{PATIENT}')"])
def test_an_error_without_its_traceback_is_its_kind_at_most(kept: Kept, exc: str) -> None:
    fail("celery.app.trace", "Task %(name)s[%(id)s] %(exc)s", {"name": "n", "id": "i", "exc": exc})
    assert PATIENT not in kept.lines[0]
    assert kept.lines[0].startswith("Task n[i] ")


def test_a_result_is_left_out(kept: Kept) -> None:
    text = "Task %(name)s[%(id)s] succeeded in %(runtime)ss: %(return_value)s"
    logging.getLogger("celery.app.trace").warning(
        text, {"name": "n", "id": "i", "runtime": 0.5, "return_value": f"'{PATIENT}'"}
    )
    assert kept.lines == ["Task n[i] succeeded in 0.5s: ..."]


@pytest.mark.parametrize("logger", ["celery.worker.consumer.consumer", "celery.worker.strategy"])
def test_a_message_that_was_thrown_away_is_not_repeated(kept: Kept, logger: str) -> None:
    text = "Received unregistered task of type %s.\n%s\n%r\n%r"
    fail(logger, text, KeyError("nosuch.task"), f"b'[[], {PATIENT}]' (30b)", {"kwargsrepr": PATIENT}, {}, exc_info=True)
    assert "Received unregistered task of type KeyError." in kept.lines[0]
    assert PATIENT not in kept.lines[0]


def test_a_connection_that_is_lost_is_still_told(kept: Kept) -> None:
    fail("celery.worker.consumer.consumer", "consumer: Cannot connect to %s: %s.\n%s", "redis+socket:///run/redis.sock",
         ConnectionRefusedError(111), "Trying again in 2.00 seconds... 1/100")  # fmt: skip
    assert kept.lines == [
        "consumer: Cannot connect to redis+socket:///run/redis.sock: ConnectionRefusedError.\n"
        "Trying again in 2.00 seconds... 1/100"
    ]
