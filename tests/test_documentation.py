"""The documents describe the program as it is: commands, topics, tables, jobs, roles, errors, links.

Configuration keys, exit codes and log events are held by `tests/appliance/test_docs.py`.
"""

from __future__ import annotations

import importlib
import inspect
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from appliance import errors, jobs, roles
from appliance.cli import main
from appliance.domain.fare import Blocked
from appliance.domain.fix import Reason
from appliance.domain.trip import DRIVER_EVENTS, LevelOfService, State
from appliance.manifest_file import OPTIONAL, REQUIRED
from appliance.paths import PROJECT_ROOT
from appliance.servers import accounts
from appliance.storage import db, gps_rows
from appliance.storage import jobs as job_rows
from appliance.storage.devices import Account
from appliance.storage.migrations import migrate
from mqtt_bridge import topics

DOCS = PROJECT_ROOT / "docs"
ARCHITECTURE = (DOCS / "architecture.md").read_text()
OPERATIONS = (DOCS / "operations.md").read_text()
PROTOCOL = (DOCS / "protocol-mqtt.md").read_text()
STORAGE = (DOCS / "storage.md").read_text()
GLOSSARY = (DOCS / "glossary.md").read_text()
PAGES = sorted([PROJECT_ROOT / "README.md", PROJECT_ROOT / "CHANGELOG.md", *DOCS.rglob("*.md")])
DECISIONS = sorted((DOCS / "adr").glob("[0-9]*.md"))


def section(text: str, title: str) -> str:
    """What stands below a heading, up to the next heading of any level."""
    found = re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#+ |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"no heading {title!r}"
    return found[1]


def first_cells(text: str) -> list[str]:
    """What stands in code style at the beginning of each table row."""
    return re.findall(r"^\| `([^`]+)`", text, re.MULTILINE)


def all_cells(text: str) -> list[str]:
    """What stands in code style anywhere in the first column of the tables."""
    rows = re.findall(r"^\| ([^|]*) \|", text, re.MULTILINE)
    return [code for row in rows for code in re.findall(r"`([^`]+)`", row)]


def commands() -> Iterator[str]:
    """`vehicle add`, ...: each command that does something."""
    for name, (place, _) in main.COMMANDS.items():
        module, _, attribute = place.partition(":")
        found = getattr(importlib.import_module(module), attribute, None)  # what cannot be had is another test's
        if isinstance(found, click.Group) and name != "celery":
            yield from (f"{name} {below}" for below in found.commands)
        else:
            yield name


def test_each_command_has_an_example_and_no_other_has_one() -> None:
    known = set(commands())
    examples = first_cells(section(OPERATIONS, "Commands"))
    assert all(example.startswith("depotbox ") for example in examples)
    named = [example.split()[1:] for example in examples]
    assert {" ".join(words[:2]) if " ".join(words[:2]) in known else words[0] for words in named} == known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_only_commands_that_exist_are_named(page: Path) -> None:
    named = re.findall(r"(?<![\w/-])depotbox ([a-z]+)", "\n".join(re.findall(r"`([^`\n]+)`", page.read_text())))
    assert set(named) <= set(main.COMMANDS)


def test_the_columns_of_a_manifest_are_described() -> None:
    assert set(all_cells(section(OPERATIONS, "Manifest"))) == {*REQUIRED, *OPTIONAL}


def test_each_role_is_described_with_what_it_waits_for() -> None:
    told = re.findall(r"^\| `([a-z-]+)` \|[^|]*\| ([^|]*)\|", section(OPERATIONS, "Roles"), re.MULTILINE)
    assert {name: tuple(re.findall(r"`([a-z-]+)`", after)) for name, after in told} == {
        role.name: role.after for role in roles.ROLES
    }


def test_each_task_is_described_with_its_queue() -> None:
    told = re.findall(r"^\| `([a-z_.]+)` \| `([a-z_]+)` \|", section(OPERATIONS, "Jobs"), re.MULTILINE)
    assert dict(told) == jobs.TASKS


def test_each_state_of_a_job_is_described() -> None:
    states, _, _ = section(OPERATIONS, "Jobs").partition("What an error means")
    assert sorted(first_cells(states)) == sorted(job_rows.STATES)


def test_each_reason_for_not_billing_is_described() -> None:
    told = set(first_cells(section(OPERATIONS, "Why a trip is not billed")))
    assert told == {*Blocked}


def test_each_class_of_error_is_described_with_its_exit_code() -> None:
    def kinds(kind: type[errors.DepotError]) -> Iterator[type[errors.DepotError]]:
        yield kind
        for below in kind.__subclasses__():
            yield from kinds(below)

    told = re.findall(r"^\| `(\w+)` \| (\d+) \|", section(OPERATIONS, "Errors and exit codes"), re.MULTILINE)
    ours = [kind for kind in kinds(errors.DepotError) if kind.__module__ == errors.__name__]
    assert dict(told) == {kind.__name__: str(kind.exit_code) for kind in ours}


def topic_rows() -> dict[str, list[str]]:
    """Topic (without the root) -> its cells."""
    rows = re.findall(
        r"^\| `([^`]+)`(?: \(own root\))? \| (.*) \|$", section(PROTOCOL, "Who may read and write what"), re.M
    )
    return {topic: [cell.strip() for cell in cells.split("|")] for topic, cells in rows}


def test_each_topic_that_the_program_builds_is_described() -> None:
    words = {"vehicle": "<vehicle>", "device": "<device>", "trip_id": "<id>"}
    built = [
        function(**{name: words[name] for name in inspect.signature(function).parameters})
        for _, function in inspect.getmembers(topics, inspect.isfunction)
        if function.__module__ == topics.__name__ and inspect.signature(function).return_annotation == "str"
    ]
    assert len(built) > 5
    assert {topic.removeprefix(f"{topics.ROOT}/") for topic in built} <= set(topic_rows())


def test_each_topic_that_the_bridge_listens_to_is_described() -> None:
    patterns = {re.sub(r"<\w+>", "+", topic) for topic in topic_rows()}
    assert {topic.removeprefix(f"{topics.ROOT}/") for topic in topics.SUBSCRIPTIONS} <= patterns


def rights(rules: str) -> dict[str, str]:
    """Pattern -> `read` or `write`, out of the lines of an ACL."""
    return {topic.removeprefix(f"{accounts.ROOT}/"): right for right, topic in re.findall(r"(read|write) (\S+)", rules)}


def told_rights(column: int) -> dict[str, str]:
    """What the document says of one account: pattern -> `read` or `write`."""
    found = {}
    for topic, cells in topic_rows().items():
        right = re.match(r"read|write", cells[column])
        if right:
            found[re.sub(r"<\w+>", "+", topic)] = right[0]
    return found


@pytest.mark.parametrize(("column", "name"), [(1, "bridge"), (2, "loopback")])
def test_the_rights_of_the_boxs_own_accounts_are_described(column: int, name: str) -> None:
    given = rights("\n".join(accounts.OWN_RULES[name]))
    told = told_rights(column)
    for pattern in list(told):
        if pattern.startswith(("trips/", "owntracks/")):  # given by a # that covers them
            told[f"{pattern.split('/')[0]}/#"] = told.pop(pattern)
    assert told == given


def test_the_rights_of_a_device_are_described() -> None:
    acl = accounts.acl_file([Account("van-1", accounts.password_hash("x"), "van", first=True)])
    given = {
        pattern.replace("vehicles/van/", "vehicles/+/").replace("van-1", "+").replace("/#", "/+"): right
        for pattern, right in rights(acl).items()
    }
    assert told_rights(0) == given


def test_only_a_vehicles_first_device_may_write_the_plain_topic_and_the_document_says_so() -> None:
    other = accounts.acl_file([Account("van-2", accounts.password_hash("x"), "van", first=False)])
    assert "write vehicles/van/gps" not in {f"{right} {topic}" for topic, right in rights(other).items()}
    assert topic_rows()["vehicles/<vehicle>/gps"][0] == "write, if it is the vehicle's first device"


def test_each_reason_for_a_rejection_is_described() -> None:
    assert sorted(first_cells(section(PROTOCOL, "What is rejected"))) == sorted(Reason)


def test_each_button_of_a_driver_is_described() -> None:
    row = re.search(r"^\| `event` \|.*$", section(PROTOCOL, "Trip events"), re.MULTILINE)
    assert row
    assert set(re.findall(r"`(\w+)`", row[0])) - {"event"} == DRIVER_EVENTS


def test_each_table_of_the_depots_database_is_described(tmp_path: Path) -> None:
    migrate(tmp_path / "depot.db")
    tables = set(db.connect(tmp_path / "depot.db").table_names())
    own = {name for name in tables if not name.startswith(("_", "sqlite_"))}
    assert set(first_cells(section(STORAGE, "Tables of `depot.db`"))) == own


def test_each_table_of_a_day_file_and_each_column_of_a_fix_is_described(tmp_path: Path) -> None:
    day = db.connect(tmp_path / "2026-01-26.db")
    day.conn.executescript(gps_rows.DAY_SCHEMA)
    tables, columns = section(STORAGE, "Tables of a day file").split("| column |")
    assert set(first_cells(tables)) == set(day.table_names())
    assert all_cells(columns) == [column.name for column in day["fixes"].columns]  # type: ignore[union-attr]


def test_the_layers_of_the_core_are_those_that_are_held() -> None:
    contracts = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    held = next(contract["layers"] for contract in contracts if contract["name"] == "the core points down")
    block = section(ARCHITECTURE, "Who may import whom").split("```")[1].strip().splitlines()
    told = [re.split(r" {2,}", line)[0].removeprefix("appliance.").split(" | ") for line in block[1:]]
    assert told == [[name.removeprefix("appliance.") for name in layer.split(" | ")] for layer in held[1:]]


def test_states_and_levels_of_service_stand_in_the_glossary() -> None:
    assert {*State, *LevelOfService} <= set(re.findall(r"`([a-z_]+)`", GLOSSARY))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and GitLab make them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_link_leads_somewhere(page: Path) -> None:
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


def test_decisions_are_numbered_listed_and_complete() -> None:
    index = (DOCS / "adr" / "README.md").read_text()
    assert [int(page.name[:4]) for page in DECISIONS] == list(range(1, len(DECISIONS) + 1))
    for page in DECISIONS:
        text = page.read_text()
        title = re.match(r"# (\d{4}): (.+)\n", text)
        assert title
        assert title[1] == page.name[:4]
        assert f"| [{title[1]}]({page.name}) | {title[2]} |" in index
        parts = re.findall(r"^\*\*(\w+)\.\*\*", text, re.MULTILINE)
        assert parts == ["Context", "Decision", "Why", "Consequences"], page.name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_document_names_a_place_of_one_machine(page: Path) -> None:
    text = page.read_text()
    assert not re.search(r"/(home|root|Users|work|mnt)/", text)
