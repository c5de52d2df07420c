"""What is taken out of log lines and bundles."""

from __future__ import annotations

import pytest

from appliance.redaction import Redactor

KNOWN = Redactor(["Ada Marsh", "Bo Li"], ["77 Sandy Lane, Leeds LS1 4AB", "0113 496 0000"], ["hunter-2000", "short"])


@pytest.mark.parametrize(("text", "left"), [
    ("mail to ADA MARSH failed", "mail to [person] failed"),
    ("marsh's trip", "[person]'s trip"),
    ("marshland", "marshland"),
    ("at 77 sandy lane", "at [person]"),
    ("call 0113-496-0000 now", "call [person] now"),
    ("ada@nowhere.example", "[person]"),
    ("+44 151 496 0100", "[person]"),
    ("smtp://user:pw@relay.example:25", "smtp://[secret]@relay.example:25"),
    ("password hunter-2000!", "password [secret]!"),
    ("Bearer dGhpcyBpcyBhIHNlY3JldCB0b2tlbjEyMzQ", "Bearer [secret]"),
    ("-----BEGIN RSA PRIVATE KEY-----\nabc", "[secret]"),
    ("job 0b9b9a4e-2f5b-4b57-8d6a-0f1e2d3c4b5a", "job 0b9b9a4e-2f5b-4b57-8d6a-0f1e2d3c4b5a"),
    ("worker-high is ready at 2026-01-26T15:57:02Z", "worker-high is ready at 2026-01-26T15:57:02Z"),
])  # fmt: skip
def test_people_and_secrets_go_and_all_else_stays(text: str, left: str) -> None:
    assert KNOWN.text(text) == left


def test_of_an_error_its_kind_and_its_place_are_left() -> None:
    trace = 'Traceback (most recent call last):\n  File "a.py", line 3, in run\n    x()\nValueError: no Zoe Quill'
    line = {
        "event": "role.failed",
        "role": "web",
        "level": "error",
        "exception": trace,
        "lat": 53.4,
        "deep": [{"a": "Marsh"}],
    }
    found = KNOWN.line(line)
    assert found["exception"] == 'Traceback (most recent call last):\n  File "a.py", line 3, in run\nValueError'
    assert (found["event"], found["lat"], found["deep"]) == ("role.failed", "[place]", [{"a": "[person]"}])
