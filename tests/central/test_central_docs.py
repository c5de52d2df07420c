"""What docs/central.md promises is what the central office has."""

from __future__ import annotations

import re

import msgspec
import pytest

from appliance import config as box_config
from appliance.central import config, payments, tables
from appliance.paths import PROJECT_ROOT

TEXT = (PROJECT_ROOT / "docs" / "central.md").read_text()
DESCRIBED = {
    (section, key): text for section, key, _, text in box_config.effective_of(config.load(environ={}), config.SECTIONS)
}


def part(title: str) -> str:
    found = re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#+ |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert found, title
    return found[1]


@pytest.mark.parametrize("field", msgspec.structs.fields(config.Central), ids=lambda field: field.name)
def test_each_key_stands_there_with_default_and_meaning(field: msgspec.structs.FieldInfo) -> None:
    default = box_config.literal(field.default)
    assert f"| `{field.name}` | `{default}` | {DESCRIBED['central', field.name]} |" in part("`[central]`")


def test_no_key_and_no_table_is_told_that_does_not_exist() -> None:
    keys = re.findall(r"^\| `(\w+)` \| `", part("`[central]`"), re.MULTILINE)
    assert set(keys) == {field.name for field in msgspec.structs.fields(config.Central)}
    told = re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (`[^|]*) \|", part("Where state lives"), re.MULTILINE)))
    assert sorted(told) == sorted(tables.metadata.tables)


def test_the_columns_of_a_file_with_payments_are_told() -> None:
    told = re.findall(r"^\| `(\w+)` \|", part("Payments and disputes"), re.MULTILINE)
    assert told[: len(payments.COLUMNS)] == list(payments.COLUMNS)
