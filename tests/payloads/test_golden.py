"""Each format as its makers document it: samples in `golden/`, with the fix or the reason that must come of each."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest

from appliance.domain.fix import Fix, Limits, check
from appliance.paths import PROJECT_ROOT
from appliance.payloads.elements import Element, decode, decode_one
from appliance.storage.gps_rows import FORMATS
from tests.cast import NOON

GOLDEN = Path(__file__).parent / "golden"
LIMIT = 65_536
SAMPLES = {
    f"{file.stem}: {sample['says']}": sample | {"format": file.stem}
    for file in sorted(GOLDEN.glob("*.json"))
    for sample in json.loads(file.read_text())
}


def expected(sample: dict[str, Any]) -> Fix | None:
    if "fix" not in sample:
        return None
    return Fix(**(sample["fix"] | {"at": datetime.fromisoformat(sample["fix"]["at"]), "format": sample["format"]}))


def holds(sample: dict[str, Any], element: Element) -> None:
    rejection = element.rejection or (element.fix and check(element.fix, NOON, Limits(), clock_trusted=False))
    assert (rejection.reason if rejection else None) == sample.get("reason")
    assert element.kind == sample.get("kind", "")
    if not rejection:
        assert element.fix == expected(sample)
    assert (element.seq, element.epoch) == (sample.get("seq"), sample.get("epoch", 0))
    assert json.loads(element.raw) == sample["payload"]


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES)
def test_a_sample_is_what_it_says(sample: dict[str, Any]) -> None:
    (element,) = decode(json.dumps(sample["payload"]).encode(), LIMIT)
    holds(sample, element)
    assert (element.fix is None and element.rejection is None) == ("kind" in sample)
    assert decode_one(element.raw) == element


def test_an_array_may_mix_all_formats() -> None:
    samples = list(SAMPLES.values())
    found = decode(json.dumps([sample["payload"] for sample in samples]).encode(), LIMIT)
    for sample, element in zip_longest(samples, found):
        holds(sample, element)


def test_there_are_samples_of_every_format() -> None:
    assert {sample["format"] for sample in SAMPLES.values() if "fix" in sample} == set(FORMATS)


def test_the_example_of_each_format_in_the_document_is_one() -> None:
    text = (PROJECT_ROOT / "docs" / "protocol-mqtt.md").read_text().partition("## Fixes")[2].partition("### What is")[0]
    examples = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    fixes = [element.fix for example in examples for element in decode(example.encode(), LIMIT)]
    assert [fix and fix.format for fix in fixes] == list(FORMATS)
    for fix in fixes:
        assert fix
        assert (fix.lat, fix.lon, fix.at) == (53.4112, -2.8977, datetime(2026, 1, 26, 15, 57, 2, tzinfo=UTC))
        assert fix.speed_kmh == pytest.approx(43, abs=0.5)
        assert fix.heading_deg == 242
