"""What the documents promise is what the program has."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import click
import msgspec
import pytest

from appliance import config, errors
from appliance.cli import main, status
from appliance.cli.config import literal
from appliance.paths import PROJECT_ROOT

CONFIGURATION = (PROJECT_ROOT / "docs" / "configuration.md").read_text()
LOG_EVENTS = (PROJECT_ROOT / "docs" / "log-events.md").read_text()

KEYS = [(section, field) for section, kind in config.SECTIONS.items() for field in msgspec.structs.fields(kind)]


@pytest.mark.parametrize(("section", "field"), KEYS, ids=lambda part: getattr(part, "name", part))
def test_each_key_stands_in_its_section_with_default_and_meaning(
    section: str, field: msgspec.structs.FieldInfo
) -> None:
    described = {(one, key): text for one, key, _, text in config.effective(config.load(environ={}))}
    text = CONFIGURATION.partition(f"### `[{section}]`")[2].partition("##")[0]
    assert f"| `{field.name}` | `{literal(field.default)}` | {described[section, field.name]} |" in text


def test_no_key_is_documented_that_does_not_exist() -> None:
    text = CONFIGURATION.partition("## Keys")[2].partition("## Exit codes")[0]
    assert len(re.findall(r"^\| `", text, re.MULTILINE)) == len(KEYS)


def test_each_exit_code_is_documented_and_no_other() -> None:
    def kinds(kind: type[errors.DepotError]) -> Iterator[type[errors.DepotError]]:
        yield kind
        for below in kind.__subclasses__():
            yield from kinds(below)

    used = {kind.exit_code for kind in kinds(errors.DepotError)}
    used |= {0, main.EX_SOFTWARE, main.EX_INTERRUPTED, main.EX_BROKEN_PIPE, status.EX_NOT_RUNNING}
    used |= {click.UsageError.exit_code}
    text = CONFIGURATION.partition("## Exit codes")[2]
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)} == used


def events() -> Iterator[str]:
    """Every constant of the form `noun.verb` that is said to a logger."""
    said_by = {"debug", "info", "warning", "error", "exception", "critical", "log", "tell", "_tell"}
    for package in ("appliance", "mqtt_bridge", "tasks", "web"):
        for file in (PROJECT_ROOT / package).rglob("*.py"):
            for call in ast.walk(ast.parse(file.read_text())):
                if not isinstance(call, ast.Call) or not call.args or not isinstance(call.args[0], ast.Constant):
                    continue
                name = getattr(call.func, "attr", getattr(call.func, "id", ""))
                if name in said_by and re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", str(call.args[0].value)):
                    yield str(call.args[0].value)


def test_each_log_event_is_documented_and_no_other() -> None:
    documented = re.findall(r"^\| `([a-z_.]+)` \|", LOG_EVENTS, re.MULTILINE)
    assert sorted(documented) == sorted(set(events()))


def test_the_documented_example_of_a_variable_is_true() -> None:
    assert "`DEPOTBOX_WEB__PORT=8090`" in CONFIGURATION
    assert config.load(environ={"DEPOTBOX_WEB__PORT": "8090"}).web.port == 8090
