"""From bytes to fixes: single values, arrays, sizes, and any bytes at all. The formats: `test_golden.py`."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from appliance.domain.fix import Fix, Limits, Reason, Rejection, check
from appliance.payloads.elements import Element, decode
from appliance.payloads.owntracks import NO_FIX
from appliance.storage.gps_rows import FORMATS, to_row
from tests.cast import NOON
from tests.payloads.test_golden import GOLDEN

LIMIT = 65_536
AT = datetime(2026, 1, 26, 15, 57, 2, tzinfo=UTC)
EPOCH_S = 1_769_443_022


def native(**changes: Any) -> dict[str, Any]:
    return {"lat": 53.4, "lon": -2.9, "t": EPOCH_S} | changes


def owntracks(**changes: Any) -> dict[str, Any]:
    return {"_type": "location", "lat": 53.4, "lon": -2.9, "tst": EPOCH_S, "tid": "ab"} | changes


def one(body: Any) -> Element:
    (element,) = decode(json.dumps(body).encode(), LIMIT)
    return element


def fix_of(body: Any) -> Fix:
    element = one(body)
    assert element.fix is not None, element.rejection
    return element.fix


def reason_of(body: Any) -> Reason:
    element = one(body)
    assert element.rejection is not None, element.fix
    assert element.fix is None
    return element.rejection.reason


@pytest.mark.parametrize(
    "t",
    [
        EPOCH_S, float(EPOCH_S), EPOCH_S * 1000, str(EPOCH_S), str(EPOCH_S * 1000), "2026-01-26T15:57:02Z",
        "2026-01-26T15:57:02", "2026-01-26 15:57:02", "2026-01-26T16:57:02+01:00", "20260126T155702Z",
        "2026-01-26T15:57:02.000999Z",
    ],
)  # fmt: skip
def test_a_time_is_epoch_seconds_or_milliseconds_or_iso_8601_also_as_a_string(t: object) -> None:
    assert fix_of(native(t=t)).at == AT


def test_a_time_keeps_its_milliseconds() -> None:
    for t in (EPOCH_S + 0.123, EPOCH_S * 1000 + 123, "2026-01-26T15:57:02.123456Z"):
        assert fix_of(native(t=t)).at == AT + timedelta(milliseconds=123)


@pytest.mark.parametrize("t", [EPOCH_S * 10**6, str(EPOCH_S * 10**6), EPOCH_S * 10**9, 1e15])
def test_a_time_in_other_units_is_rejected_with_those_that_are_known(t: object) -> None:
    rejection = one(native(t=t)).rejection
    assert str(rejection) == f"unparsable: t = {t!r} (expected epoch seconds, epoch milliseconds or ISO 8601)"


@pytest.mark.parametrize("value", [None, "", "fast", [], {}, True, "nan", "inf", 1e300])
def test_what_is_not_needed_and_not_understood_is_left_out(value: object) -> None:
    found = fix_of(native(speed_kmh=value, heading=value, accuracy_m=value, ignition="yes", battery_pct=value))
    assert found == Fix(AT, 53.4, -2.9)


@pytest.mark.parametrize(("metres_s", "speed_kmh"), [(83.25, 299.7), (84, None), (1400, None), (-1, None)])
def test_a_speed_that_no_road_vehicle_has_is_not_known(metres_s: float, speed_kmh: float | None) -> None:
    """In the box's own unit, whatever that of the format is; the place is kept."""
    body = {"VP": {"lat": 53.4, "long": -2.9, "tst": EPOCH_S, "spd": metres_s}}
    assert fix_of(body) == Fix(AT, 53.4, -2.9, speed_kmh=speed_kmh and pytest.approx(speed_kmh), format="hfp")


@pytest.mark.parametrize("seq", [0, -1, 2**53, 1.5, True, "x", None, [], {}, "1e400"])
def test_a_number_that_cannot_be_acknowledged_is_none(seq: object) -> None:
    assert one(native(seq=seq)).seq is None


@pytest.mark.parametrize("kind", sorted(NO_FIX))
def test_an_owntracks_message_that_is_no_location_is_no_fix_and_says_what_it_is(kind: str) -> None:
    element = one(owntracks(_type=kind))
    assert (element.fix, element.rejection, element.kind) == (None, None, kind)


@pytest.mark.parametrize("kind", ["foo", "Location", "", None, 7, {}, []])
def test_a_type_that_owntracks_does_not_have_is_rejected_by_name_also_with_a_good_position(kind: object) -> None:
    element = one(owntracks(_type=kind))
    assert element.rejection
    assert (element.fix, element.rejection.reason) == (None, Reason.no_position)
    assert "_type" in element.rejection.value


def test_an_encrypted_message_is_rejected_with_what_to_do() -> None:
    rejection = one({"_type": "encrypted", "data": "7JfhWg"}).rejection
    assert "unparsable: _type = 'encrypted' (expected the app's payload encryption switched off" in str(rejection)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (native(lat=None), Reason.no_position),
        ({"lat": 1, "t": 1}, Reason.no_position),
        ({"lon": 1}, Reason.unparsable),  # no time either
        (native(lat=True), Reason.no_position),
        (native(lat=[]), Reason.no_position),
        (native(lat="north"), Reason.no_position),
        (native(lat="5_3.4"), Reason.no_position),  # Python alone reads these two
        (native(lat="\u0665\u0663"), Reason.no_position),
        (native(t="yesterday"), Reason.unparsable),
        (native(t="2026-01-26"), Reason.unparsable),  # a day is no time
        (native(t=None), Reason.unparsable),
        (native(t=1e300), Reason.unparsable),
        (native(t="9999-12-31T23:59:59-14:00"), Reason.unparsable),
        (native(t="0001-01-01T00:00:00+14:00"), Reason.unparsable),
        ({"position": 1}, Reason.no_position),
        ({}, Reason.no_position),
        (7, Reason.unparsable),
        ("x", Reason.unparsable),
        (None, Reason.unparsable),
    ],
)  # fmt: skip
def test_what_is_no_fix_has_its_reason(body: object, reason: Reason) -> None:
    assert reason_of(body) == reason


@pytest.mark.parametrize("payload", [b" ", b"{", b"\xff\xfe", b'{"lat": 1e999}', b"[1,", b'"\\ud800"', b"\0"])
def test_what_is_no_json_is_one_rejection_with_all_its_bytes(payload: bytes) -> None:
    (element,) = decode(payload, LIMIT)
    assert element.rejection is not None
    assert element.rejection.reason == Reason.unparsable
    assert element.raw == payload


def test_good_and_bad_in_one_array_are_judged_each_by_itself() -> None:
    body = [
        native(seq=1),
        {"lat": 1},
        owntracks(),
        owntracks(_type="lwt"),
        5,
        native(lat="x", seq=2),
        [],
        native(seq=3),
    ]
    found = decode(json.dumps(body).encode(), LIMIT)
    kinds = [element.rejection.reason if element.rejection else element.fix and element.fix.format for element in found]
    assert kinds == [
        "native", "unparsable", "owntracks", None, "unparsable", "no_position", "unparsable", "native",
    ]  # fmt: skip
    assert [element.seq for element in found] == [1, None, None, None, None, 2, None, 3]
    assert [json.loads(element.raw) for element in found] == body


@pytest.mark.parametrize(("payload", "kind"), [(b"", "empty"), (b"[]", "empty array"), (b" [ ]", "empty array")])
def test_an_empty_message_is_no_fix_and_says_so(payload: bytes, kind: str) -> None:
    assert decode(payload, LIMIT) == [Element(None, None, payload, kind=kind)]


def test_a_fix_above_the_limit_is_a_rejection_of_that_size_with_its_number() -> None:
    for numbers, expected in (({"seq": 7, "epoch": 3}, (3, 7)), ({"seq": "7"}, (0, 7)), ({}, (0, None))):
        payload = json.dumps(native(pad="x" * 999, **numbers)).encode()
        (element,) = decode(payload, 500)
        assert element.rejection == Rejection(Reason.too_large, f"{len(payload)} bytes", "500 bytes")
        assert (element.raw, element.epoch, element.seq) == (payload[:500], *expected)


def test_the_limit_is_for_each_fix_of_an_array() -> None:
    """What is acknowledged is kept: an array is read to its end, however long the broker lets it be."""
    found = decode(json.dumps([native(seq=1, pad="x" * 300)] * 9 + [native(seq=2, pad="x" * 999)]).encode(), 500)
    assert [element.rejection and element.rejection.reason for element in found] == [None] * 9 + ["too_large"]
    assert found[-1].seq == 2


@pytest.mark.parametrize("epoch", [-4, "abc", 2**60, 1.5, [], True])
def test_an_epoch_that_is_none_takes_the_number_along(epoch: object) -> None:
    """Merged with another epoch it would acknowledge what was never sent."""
    (element,) = decode(json.dumps(native(seq=7, epoch=epoch)).encode(), LIMIT)
    assert (element.epoch, element.seq) == (0, None)
    (element,) = decode(json.dumps(native(seq=7, epoch=0)).encode(), LIMIT)
    assert (element.epoch, element.seq) == (0, 7)


@pytest.mark.parametrize("payload", [b"{" * 999, b"\xff" * 999, b"[" * 999, b"[1," * 400, b'[{"seq": 1}' + b" " * 999])
def test_a_message_above_the_limit_that_cannot_be_read_is_its_rejection_alone(payload: bytes) -> None:
    (element,) = decode(payload, 500)
    assert element.rejection
    assert element.rejection.reason == Reason.too_large


def test_an_element_that_cannot_be_read_takes_no_other_along() -> None:
    found = decode(b'[{"lat": 53.4, "lon": -2.9, "t": 1769443022}, {"lat": 1e999}, "\xff", {"_type": "lwt"}]', LIMIT)
    assert [element.rejection and element.rejection.reason for element in found] == [
        None,
        "unparsable",
        "unparsable",
        None,
    ]
    assert [element.raw for element in found[1:3]] == [b'{"lat": 1e999}', b'"\xff"']


@pytest.mark.parametrize(
    "template",
    ['{"lat": %s, "lon": 1, "t": 1}', '{"lat": 1, "lon": 1, "t": %s}', '[{"lat": %s}]', "%s", '{"x": %s}',
     '[{"x": %s}]', '{"lat": 1, "lon": 1, "t": 1769443022, "x": %s}'],
)  # fmt: skip
def test_a_value_nested_without_end_is_a_rejection_at_any_depth(template: str) -> None:
    """At a certain depth it can be read but not written out again: that must not end the bridge, over and over."""
    for depth in [*range(2, 50), *range(900, 1010), 20_000]:
        for element in decode((template % ("[" * depth + "]" * depth)).encode(), LIMIT):
            assert (element.fix is None) != (element.rejection is None)


def test_a_wrong_value_is_told_shortly() -> None:
    element = one(native(lat="x" * 5000))
    assert element.rejection is not None
    assert len(element.rejection.value) <= 120


def holds(elements: list[Element]) -> None:
    """What every answer has: a fix, a rejection or what else it is, and a row that can be stored."""
    assert elements
    limits = Limits()
    for element in elements:
        assert [element.fix is not None, element.rejection is not None, element.kind != ""].count(True) == 1
        assert element.seq is None or 0 < element.seq < 2**53
        assert 0 <= element.epoch < 2**53
        assert isinstance(element.raw, bytes)
        if element.rejection:
            assert isinstance(element.rejection.reason, Reason)
            element.rejection.value.encode()
        elif element.fix and check(element.fix, NOON, limits, clock_trusted=False) is None:
            row = to_row(1, element.fix, element.fix.at.date(), NOON)
            assert all(value is None or -(2**63) <= value < 2**63 for value in row)
            assert element.fix.format in FORMATS


SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30) | st.sampled_from(["nan", "-inf"])
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner), max_leaves=4
)
ALL_SAMPLES = [sample for file in sorted(GOLDEN.glob("*.json")) for sample in json.loads(file.read_text())]
SAMPLES = [sample["payload"] for sample in ALL_SAMPLES]
KEYS = sorted({key for sample in SAMPLES for key in sample} | {"t", "lat", "VP", "location", "position", "device"})


@st.composite
def almost(draw: st.DrawFn) -> Any:
    """A sample of a format in which some values, at any depth, are others or gone."""

    def changed(body: Any) -> Any:
        if not isinstance(body, dict):
            return body
        kept = {key: changed(value) for key, value in body.items() if draw(st.integers(0, 9))}
        if kept and not draw(st.integers(0, 2)):
            kept[draw(st.sampled_from(sorted(kept)))] = draw(VALUES)
        return kept

    return changed(draw(st.sampled_from(SAMPLES))) | draw(st.fixed_dictionaries({}, optional={"seq": VALUES}))


ALMOST = almost()
BODIES = st.dictionaries(st.sampled_from(KEYS), VALUES)


KNOWN = set(re.findall(r'"([^"\n]+)"', "".join(file.read_text() for file in GOLDEN.glob("*.json"))))
JSON = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9)
)
MORE = st.dictionaries(
    st.text(max_size=9).filter(lambda key: key not in KNOWN | {"t", "lat", "lon"})
    | st.sampled_from(["EXTRA", "DOC", "extra"]),
    JSON | st.lists(JSON, max_size=2) | st.dictionaries(st.sampled_from(["a", "B"]), JSON),
    max_size=3,
)


@settings(max_examples=100, deadline=None)
@given(sample=st.sampled_from([one for one in ALL_SAMPLES if "fix" in one]), more=st.data())
def test_keys_that_are_not_known_change_no_fix_of_any_format(sample: dict[str, Any], more: st.DataObject) -> None:
    def with_more(body: Any) -> Any:
        if not isinstance(body, dict):
            return body
        whole = {key: with_more(value) for key, value in body.items()} | more.draw(MORE)
        return dict(more.draw(st.permutations(list(whole.items()))))

    assert one(with_more(sample["payload"])).fix == one(sample["payload"]).fix


@pytest.mark.parametrize("sample", [one for one in ALL_SAMPLES if "fix" in one and "_type" not in one["payload"]])
@pytest.mark.parametrize("key", ["t", "lat", "lon", "speed", "VP"])
def test_a_key_of_another_format_alone_does_not_make_it_that(sample: dict[str, Any], key: str) -> None:
    payload = {key: 7} | sample["payload"]
    assert one(payload).fix == one(sample["payload"]).fix


@settings(max_examples=200, deadline=None)
@given(payload=st.binary(max_size=300))
@example(payload=b"[" * 5000)
@example(payload=b"[" * 5000 + b"]" * 5000)
def test_any_bytes_at_all_are_a_list_of_elements(payload: bytes) -> None:
    holds(decode(payload, LIMIT))


@settings(max_examples=150, deadline=None)
@given(body=ALMOST | BODIES | VALUES | st.lists(ALMOST | VALUES, max_size=4))
def test_any_json_and_all_that_is_nearly_a_format_is_a_list_of_elements(body: Any) -> None:
    holds(decode(json.dumps(body).encode("utf-8", "surrogatepass"), LIMIT))


@settings(max_examples=25, deadline=None)
@given(bodies=st.lists(ALMOST, min_size=1, max_size=4))
def test_an_array_is_what_its_elements_are(bodies: list[Any]) -> None:
    alone = [element for body in bodies for element in decode(msgspec.json.encode(body), LIMIT)]
    together = decode(msgspec.json.encode(bodies), LIMIT)
    said = [[str((e.fix, e.rejection, e.seq, e.epoch)) for e in elements] for elements in (together, alone)]
    assert said[0] == said[1]  # as text: one that is not a number equals nothing
