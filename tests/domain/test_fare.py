"""What a ride costs, line by line."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, time
from decimal import ROUND_HALF_UP, Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.domain.fare import Blocked, Line, Rate, Ride, needs_distance, pick_rate, price, total_cents
from appliance.domain.trip import LevelOfService

LIVERPOOL = ZoneInfo("Europe/London")
WHEELCHAIR = LevelOfService.wheelchair
RATE = Rate(
    level=WHEELCHAIR,
    valid_from=date(2026, 1, 1),
    valid_to=None,
    base_cents=2_500,
    per_unit_cents=185,
    unit="km",
    free_units=5,
    wait_per_min_cents=40,
    free_wait_min=10,
    after_hours_cents=900,
    after_hours_from=time(19, 0),
    after_hours_to=time(7, 0),
    no_show_cents=1_500,
    tax_bp=2_000,
)
RIDE = Ride(WHEELCHAIR, datetime(2026, 3, 2, 9, 0, tzinfo=LIVERPOOL), distance_m=12_340, wait_min=0, no_show=False)


def line(kind: str, ride: Ride, rate: Rate = RATE) -> Line | None:
    found = [one for one in price(ride, rate) if one.kind == kind]
    assert len(found) <= 1
    return found[0] if found else None


def quantity(kind: str, ride: Ride, rate: Rate = RATE) -> Decimal | None:
    found = line(kind, ride, rate)
    return found.quantity if found else None


def test_ride_in_full() -> None:
    ride = replace(RIDE, wait_min=24, pickup_local=RIDE.pickup_local.replace(hour=20), shared_with=1)
    assert price(ride, RATE) == [
        Line("base", "Base fare, wheelchair", Decimal(1), "", 2_500, 2_500),
        Line("distance", "Distance, shared by 2, first 5 km free", Decimal("1.2"), "km", 185, 222),
        Line("wait", "Waiting, first 10 min free", Decimal(14), "min", 40, 560),
        Line("after_hours", "Pickup after hours (19:00 to 07:00)", Decimal(1), "", 900, 900),
        Line("tax", "Tax 20 %", Decimal(20), "%", 4_182, 836),
    ]


def test_total_is_the_sum_of_the_lines_with_tax() -> None:
    assert total_cents(price(RIDE, RATE)) == 2_500 + 1_351 + 770  # 7.3 km at 1.85 is 13.505; 20 % of 38.51 is 7.702


def test_total_of_no_lines_is_zero() -> None:
    assert total_cents([]) == 0


# distance


@pytest.mark.parametrize(("distance_m", "billed"), [
    (5_000, "0.0"),
    (1_000, "0.0"),
    (0, "0.0"),
    (5_049.9, "0.0"),
    (5_050, "0.1"),
    (5_149, "0.1"),
    (12_350, "7.4"),
    (12_349, "7.3"),
])  # fmt: skip
def test_distance_beyond_the_free_one_is_rounded_half_up_to_a_tenth(distance_m: float, billed: str) -> None:
    assert str(quantity("distance", replace(RIDE, distance_m=distance_m))) == billed


def test_mile_is_1609_344_m() -> None:
    miles = replace(RATE, unit="mile", free_units=0)
    assert quantity("distance", replace(RIDE, distance_m=1_609_344), miles) == Decimal("1000.0")


@pytest.mark.parametrize(("shared_with", "billed"), [(0, "12.0"), (1, "6.0"), (2, "4.0"), (4, "2.4")])
def test_shared_ride_divides_the_distance_by_its_passengers(shared_with: int, billed: str) -> None:
    ride = replace(RIDE, distance_m=12_000, shared_with=shared_with)
    assert str(quantity("distance", ride, replace(RATE, free_units=0))) == billed


def test_free_distance_is_taken_off_each_passengers_share() -> None:
    assert quantity("distance", replace(RIDE, distance_m=20_000, shared_with=1)) == Decimal("5.0")


def test_shared_ride_does_not_divide_the_base() -> None:
    assert line("base", replace(RIDE, shared_with=3)) == line("base", RIDE)


def test_ride_without_a_distance_has_no_price() -> None:
    with pytest.raises(ValueError, match="distance"):
        price(replace(RIDE, distance_m=None), RATE)


def test_rate_without_a_distance_price_needs_no_distance() -> None:
    flat = replace(RATE, per_unit_cents=0)
    assert not needs_distance(RIDE, flat)
    assert line("distance", replace(RIDE, distance_m=None), flat) is None


def test_no_show_needs_no_distance() -> None:
    assert needs_distance(RIDE, RATE)
    assert not needs_distance(replace(RIDE, no_show=True), RATE)


# wait, after hours, no-show, tax


@pytest.mark.parametrize(("wait_min", "billed"), [
    (0, None), (10, None), (10.49, None), (10.5, "1"), (11.4, "1"), (12.5, "3"), (-5, None),
])  # fmt: skip
def test_waiting_beyond_the_free_minutes_is_rounded_half_up_to_minutes(wait_min: float, billed: str | None) -> None:
    assert quantity("wait", replace(RIDE, wait_min=wait_min)) == (billed and Decimal(billed))


def test_waiting_without_a_price_has_no_line() -> None:
    assert line("wait", replace(RIDE, wait_min=60), replace(RATE, wait_per_min_cents=0)) is None


AT_NIGHT, AT_NOON, NEVER = (time(19), time(7)), (time(12), time(14)), (time(8), time(8))


@pytest.mark.parametrize(("hours", "pickup", "charged"), [
    (AT_NIGHT, time(18, 59), False),
    (AT_NIGHT, time(19, 0), True),
    (AT_NIGHT, time(23, 59), True),
    (AT_NIGHT, time(0, 0), True),
    (AT_NIGHT, time(6, 59), True),
    (AT_NIGHT, time(7, 0), False),
    (AT_NOON, time(11, 59), False),
    (AT_NOON, time(12, 0), True),
    (AT_NOON, time(14, 0), False),
    (NEVER, time(8, 0), False),
    (NEVER, time(20, 0), False),
])  # fmt: skip
def test_after_hours_begin_with_their_first_minute_and_may_span_midnight(
    hours: tuple[time, time], pickup: time, charged: bool
) -> None:
    rate = replace(RATE, after_hours_from=hours[0], after_hours_to=hours[1])
    ride = replace(RIDE, pickup_local=datetime.combine(date(2026, 3, 2), pickup, LIVERPOOL))
    assert (line("after_hours", ride, rate) is not None) is charged


def test_after_hours_go_by_the_wall_clock_of_the_depot_in_summer_too() -> None:
    seven_in_summer = datetime(2026, 7, 1, 7, 0, tzinfo=LIVERPOOL)  # 06:00 UTC
    assert line("after_hours", replace(RIDE, pickup_local=seven_in_summer)) is None


def test_after_hours_without_a_price_have_no_line() -> None:
    late = replace(RIDE, pickup_local=RIDE.pickup_local.replace(hour=22))
    assert line("after_hours", late, replace(RATE, after_hours_cents=0)) is None


def test_no_show_pays_its_fee_and_the_tax_and_nothing_else() -> None:
    late = replace(RIDE, no_show=True, wait_min=90, pickup_local=RIDE.pickup_local.replace(hour=22))
    assert [(one.kind, one.amount_cents) for one in price(late, RATE)] == [("no_show", 1_500), ("tax", 300)]


@pytest.mark.parametrize(("net_cents", "tax_bp", "tax_cents"), [
    (50, 100, 1), (49, 100, 0), (1_000, 825, 83), (3, 5_000, 2),
])  # fmt: skip
def test_tax_is_rounded_half_up(net_cents: int, tax_bp: int, tax_cents: int) -> None:
    tax = line("tax", replace(RIDE, no_show=True), replace(RATE, no_show_cents=net_cents, tax_bp=tax_bp))
    assert tax is not None
    assert tax.amount_cents == tax_cents


@pytest.mark.parametrize(("tax_bp", "text"), [(2_000, "Tax 20 %"), (825, "Tax 8.25 %"), (1_950, "Tax 19.5 %")])
def test_tax_is_named_by_its_percentage(tax_bp: int, text: str) -> None:
    tax = line("tax", RIDE, replace(RATE, tax_bp=tax_bp))
    assert tax is not None
    assert tax.text == text


def test_exempt_ride_has_no_tax_line() -> None:
    assert line("tax", RIDE, replace(RATE, tax_bp=0)) is None


def test_rate_of_another_level_is_refused() -> None:
    with pytest.raises(ValueError, match="stretcher"):
        price(RIDE, replace(RATE, level=LevelOfService.stretcher))


# properties of any price

cents = st.integers(0, 100_000)
rates = st.builds(
    Rate,
    level=st.just(WHEELCHAIR),
    valid_from=st.just(date(2026, 1, 1)),
    valid_to=st.none(),
    base_cents=cents,
    per_unit_cents=cents,
    unit=st.sampled_from(["km", "mile"]),
    free_units=st.floats(0, 50),
    wait_per_min_cents=cents,
    free_wait_min=st.floats(0, 60),
    after_hours_cents=cents,
    after_hours_from=st.times(),
    after_hours_to=st.times(),
    no_show_cents=cents,
    tax_bp=st.integers(0, 3_000),
)
rides = st.builds(
    Ride,
    level=st.just(WHEELCHAIR),
    pickup_local=st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(LIVERPOOL)),  # noqa: DTZ001
    distance_m=st.floats(0, 1_000_000),
    wait_min=st.floats(0, 1_000),
    no_show=st.booleans(),
    shared_with=st.integers(0, 7),
)


@given(rides, rates)
def test_amount_of_each_line_follows_from_its_quantity_and_price(ride: Ride, rate: Rate) -> None:
    for one in price(ride, rate):
        exact = one.quantity * one.unit_cents / (100 if one.unit == "%" else 1)
        assert one.amount_cents == exact.quantize(Decimal(1), ROUND_HALF_UP)


@given(rides, rates)
def test_tax_stands_last_and_is_on_all_the_lines_before(ride: Ride, rate: Rate) -> None:
    *net, last = price(ride, rate)
    assert "tax" not in {one.kind for one in net}
    assert (last.kind == "tax") is (rate.tax_bp > 0)
    assert last.kind != "tax" or last.unit_cents == total_cents(net)


@given(rides, rates, st.floats(0, 100_000))
def test_longer_ride_never_costs_less(ride: Ride, rate: Rate, more_m: float) -> None:
    longer = replace(ride, distance_m=(ride.distance_m or 0) + more_m)
    assert total_cents(price(longer, rate)) >= total_cents(price(ride, rate))


@given(rides, rates)
def test_sharing_never_costs_more(ride: Ride, rate: Rate) -> None:
    alone, shared = replace(ride, shared_with=0), replace(ride, shared_with=1)
    assert total_cents(price(shared, rate)) <= total_cents(price(alone, rate))


# pick_rate

OLD = replace(RATE, valid_from=date(2025, 1, 1), base_cents=1)
SPRING = replace(RATE, valid_from=date(2026, 3, 1), valid_to=date(2026, 3, 31), base_cents=2)
STRETCHER = replace(RATE, level=LevelOfService.stretcher, valid_from=date(2026, 3, 2), base_cents=3)
RATES = [SPRING, OLD, STRETCHER]


@pytest.mark.parametrize(("day", "rate"), [
    (date(2024, 12, 31), None),
    (date(2025, 1, 1), OLD),
    (date(2026, 2, 28), OLD),
    (date(2026, 3, 1), SPRING),
    (date(2026, 3, 31), SPRING),
    (date(2026, 4, 1), OLD),
])  # fmt: skip
def test_rate_is_the_valid_one_that_began_last(day: date, rate: Rate | None) -> None:
    assert pick_rate(RATES, WHEELCHAIR, day) is rate


def test_rate_of_another_level_is_never_picked() -> None:
    assert pick_rate(RATES, LevelOfService.bariatric, date(2026, 3, 10)) is None
    assert pick_rate(RATES, LevelOfService.stretcher, date(2026, 3, 10)) is STRETCHER


def test_of_rates_that_began_the_same_day_the_last_given_is_picked() -> None:
    corrected = replace(OLD, base_cents=99)
    assert pick_rate([OLD, corrected], WHEELCHAIR, date(2025, 6, 1)) is corrected


def test_reasons_of_a_blocked_bill_have_their_names_as_values() -> None:
    assert all(reason.value == reason.name for reason in Blocked)
