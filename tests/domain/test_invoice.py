"""Invoice numbers, due dates, reminders, aging, and amounts as text."""

from __future__ import annotations

import itertools
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.domain.invoice import (
    STAGES,
    Bucket,
    Number,
    State,
    aging_bucket,
    credit_number,
    credit_tax,
    due_on,
    money,
    next_series,
    number,
    parse,
    stage_due,
)

DUE = date(2026, 3, 31)
numbers = st.builds(
    Number,
    depot=st.from_regex(r"[A-Z0-9]{2,8}", fullmatch=True),
    year=st.integers(1000, 9999),
    series=st.from_regex(r"[A-Z]{1,2}", fullmatch=True),
    count=st.integers(1, 20_000_000),
)


def written(parts: Number) -> str:
    return number(parts.depot, parts.year, parts.series, parts.count)


# number, parse


def test_number_is_depot_year_series_and_six_digits() -> None:
    assert number("LIV", 2026, "A", 12) == "LIV-2026-A000012"


def test_number_beyond_six_digits_grows() -> None:
    assert number("LIV", 2026, "ZZ", 1_000_000) == "LIV-2026-ZZ1000000"


@given(numbers)
def test_number_can_be_parsed_into_its_parts(parts: Number) -> None:
    assert parse(written(parts)) == parts


@given(numbers, numbers)
def test_different_parts_never_make_the_same_number(one: Number, other: Number) -> None:
    assert (written(one) == written(other)) is (one == other)


@pytest.mark.parametrize(("depot", "year", "series", "count"), [
    ("L", 2026, "A", 1),
    ("LIVERPOOL", 2026, "A", 1),
    ("liv", 2026, "A", 1),
    ("LI-V", 2026, "A", 1),
    ("LIV\n", 2026, "A", 1),
    ("ÄBC", 2026, "A", 1),
    ("LIV", 26, "A", 1),
    ("LIV", 10_000, "A", 1),
    ("LIV", 2026, "", 1),
    ("LIV", 2026, "a", 1),
    ("LIV", 2026, "AAA", 1),
    ("LIV", 2026, "A", 0),
    ("LIV", 2026, "A", -1),
])  # fmt: skip
def test_part_that_does_not_fit_is_refused(depot: str, year: int, series: str, count: int) -> None:
    with pytest.raises(ValueError, match=r"not "):
        number(depot, year, series, count)


@pytest.mark.parametrize("text", [
    "",
    "LIV-2026-A00012",
    "LIV-2026-A0000123",
    "LIV-2026-A000000",
    "LIV-0999-A000001",
    "LIV-2026-000001",
    "LIV-2026-A000001 ",
    "LIV-2026-A000001\n",
    "liv-2026-A000001",
    "LIV-2026-A00000\u0661",  # an Arabic digit one
])  # fmt: skip
def test_text_that_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not "):
        parse(text)


# series


@pytest.mark.parametrize(("series", "after"), [
    ("A", "B"), ("Y", "Z"), ("Z", "AA"), ("AA", "AB"), ("AZ", "BA"), ("ZY", "ZZ"),
])  # fmt: skip
def test_series_after_a_restore_is_the_next_one(series: str, after: str) -> None:
    assert next_series(series) == after


def test_series_never_repeat_until_they_end() -> None:
    seen = ["A"]
    while seen[-1] != "ZZ":
        seen.append(next_series(seen[-1]))
    assert len(seen) == len(set(seen)) == 26 + 26 * 26


@pytest.mark.parametrize("series", ["ZZ", "", "a", "A1", "AAA"])
def test_series_without_a_next_one_is_refused(series: str) -> None:
    with pytest.raises(ValueError, match="series"):
        next_series(series)


# due dates, credits


@pytest.mark.parametrize(("issued", "terms_days", "due"), [
    (date(2026, 3, 1), 30, date(2026, 3, 31)),
    (date(2026, 3, 1), 0, date(2026, 3, 1)),
    (date(2024, 2, 28), 1, date(2024, 2, 29)),
    (date(2026, 12, 15), 30, date(2027, 1, 14)),
])  # fmt: skip
def test_invoice_is_due_its_terms_after_the_issue(issued: date, terms_days: int, due: date) -> None:
    assert due_on(issued, terms_days) == due


def test_terms_below_zero_are_refused() -> None:
    with pytest.raises(ValueError, match="terms"):
        due_on(date(2026, 3, 1), -1)


@given(
    tax=st.integers(0, 5_000), net=st.integers(1, 100_000),
    parts=st.lists(st.integers(1, 10_000), min_size=1, max_size=6),
)  # fmt: skip
def test_credits_of_the_whole_total_take_back_the_whole_tax(tax: int, net: int, parts: list[int]) -> None:
    total, credited, taken = net + tax, 0, 0
    for part in [*parts, total]:
        amount = min(part, total - credited)
        found = credit_tax(total, tax, credited, amount)
        assert 0 <= found <= amount
        credited, taken = credited + amount, taken + found
    assert taken == tax


def test_a_credit_has_its_share_of_the_tax() -> None:
    assert credit_tax(12_000, 2_000, 0, 6_000) == 1_000
    assert credit_tax(12_000, 0, 0, 6_000) == 0


def test_a_credit_note_has_a_number_that_no_invoice_has() -> None:
    assert credit_number("LIV", 2026, "A", 3) == "LIV-2026-CN-A000003"
    with pytest.raises(ValueError, match="not an invoice number"):
        parse(credit_number("LIV", 2026, "A", 3))


# reminders


@pytest.mark.parametrize(("days", "stage"), [
    (-10, None), (0, None), (1, 0), (29, 0), (30, 30), (59, 30), (60, 60), (89, 60), (90, 90), (1_000, 90),
])  # fmt: skip
def test_reminder_stage_is_the_highest_one_reached(days: int, stage: int | None) -> None:
    assert stage_due(DUE, DUE + timedelta(days=days)) == stage


def test_daily_run_meets_every_stage_in_order() -> None:
    daily = [stage_due(DUE, DUE + timedelta(days=days)) for days in range(-5, 200)]
    assert [stage for stage, _ in itertools.groupby(daily)] == [None, *STAGES]


# aging


@pytest.mark.parametrize(("days", "bucket"), [
    (-10, "current"),
    (0, "current"),
    (1, "1-30"),
    (30, "1-30"),
    (31, "31-60"),
    (60, "31-60"),
    (61, "61-90"),
    (90, "61-90"),
    (91, "90+"),
    (1_000, "90+"),
])  # fmt: skip
def test_aging_bucket_goes_by_days_past_the_due_date(days: int, bucket: str) -> None:
    assert aging_bucket(DUE, DUE + timedelta(days=days)) is Bucket(bucket)


def test_buckets_stand_in_the_order_of_age() -> None:
    assert list(Bucket) == ["current", "1-30", "31-60", "61-90", "90+"]


@given(st.integers(-400, 400))
def test_invoice_is_reminded_of_exactly_when_it_is_no_longer_current(days: int) -> None:
    today = DUE + timedelta(days=days)
    assert (stage_due(DUE, today) is None) is (aging_bucket(DUE, today) is Bucket.current)


def test_states_of_an_invoice_have_their_names_as_values() -> None:
    assert list(State) == ["issued", "paid", "credited", "disputed", "void"]


# money


@pytest.mark.parametrize(("cents", "currency", "text"), [
    (1_230, "GBP", "GBP 12.30"),
    (0, "GBP", "GBP 0.00"),
    (5, "EUR", "EUR 0.05"),
    (-5, "GBP", "GBP -0.05"),
    (123_456_789, "USD", "USD 1,234,567.89"),
    (-123_450, "GBP", "GBP -1,234.50"),
    (1_234, "JPY", "JPY 1,234"),
    (1_234_567, "KWD", "KWD 1,234.567"),
])  # fmt: skip
def test_money_is_written_with_its_currency_and_thousands(cents: int, currency: str, text: str) -> None:
    assert money(cents, currency) == text


@given(st.integers(-(10**12), 10**12), st.sampled_from(["GBP", "JPY", "KWD"]))
def test_money_loses_no_digit(cents: int, currency: str) -> None:
    assert int(money(cents, currency).removeprefix(currency + " ").replace(",", "").replace(".", "")) == cents
