"""Brokers' files: read whatever made them, guessed by their columns, and each row judged alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.domain import manifest, manifest_csv, manifest_guess, manifest_times
from appliance.domain.manifest import Layout, Leg, Manifest
from appliance.domain.manifest_csv import Sheet, Unreadable
from appliance.domain.manifest_times import BadTime
from tests.manifests import ATLANTIC, LONDON, SEA, TABS, WEST

TODAY = date(2026, 2, 2)
DAY = date(2026, 2, 3)
HEADER = "Trip ID,Pickup Time,Pickup Address,Dropoff Address"
ROW = "T-1,09:30,1 Elm St,Clinic"


def sheet(text: str | bytes) -> Sheet:
    return manifest_csv.read(text.encode() if isinstance(text, str) else text, manifest_guess.score)


def read(text: str | bytes, zone: ZoneInfo = LONDON, day: date | None = DAY, **layout: object) -> Manifest:
    made = sheet(text)
    guessed, _ = manifest_guess.guess(made, TODAY)
    found = replace(guessed, **layout)  # type: ignore[arg-type]
    assert manifest.problems(found, made.header) == {}
    return manifest.read(made, found, zone=zone, day=day)


def only(found: Manifest) -> Leg:
    (leg,) = found.legs
    assert found.bad == ()
    return leg


def refused(found: Manifest) -> tuple[int, str, str]:
    (bad,) = found.bad
    return bad.line, bad.column, bad.expected


def test_a_file_of_the_west_is_understood_with_one_word_of_its_own() -> None:
    found = read(WEST, ATLANTIC, None, levels={"WHC": "wheelchair"})
    legs = {leg.ref: leg for leg in found.legs}
    assert sorted(legs) == ["88120041-A", "88120041-B", "88120077-A"]
    out, back = legs["88120041-A"], legs["88120041-B"]
    assert out.pickup_at == datetime(2026, 2, 3, 13, 15, tzinfo=UTC)
    assert out.pickup_address == "118 Linden Ave, Apt 3, Pittsburgh, 15206"
    assert out.patient == manifest.Person("Grace Okafor", "KR-5512", "(412) 555-0148", date(1948, 4, 17))
    assert (out.level, out.notes) == ("wheelchair", "Ramp at the back. Ring twice")
    assert (back.will_call, back.outbound, out.outbound) == (True, "88120041-A", None)
    assert dict(found.cancelled) == {"88120102-A": 8}
    assert found.bad == ()


def test_a_file_of_an_older_program_has_ways_back_in_its_rows() -> None:
    found = read(SEA, LONDON, None)
    legs = {leg.ref: leg for leg in found.legs}
    assert sorted(legs) == ["MB-301", "MB-301-R", "MB-302", "MB-302-R"]
    assert legs["MB-301"].patient == manifest.Person("Zoë Brennan", "485 777 3456", "0151 496 0133")
    assert legs["MB-302"].notes == "Hard of hearing \u2013 knock"
    back = legs["MB-301-R"]
    assert (back.pickup_at.hour, back.pickup_address, back.outbound) == (13, "Broadgreen Hospital", "MB-301")
    assert legs["MB-302-R"].will_call
    assert refused(found) == (4, "Collect", "a time like 14:30")


def test_a_file_of_tabs_has_day_and_time_in_one_column() -> None:
    found = read(TABS, ATLANTIC, None)
    first, second = found.legs
    assert first.pickup_at == datetime(2026, 2, 3, 12, 45, tzinfo=UTC)
    assert second.pickup_at == datetime(2026, 2, 3, 19, 10, tzinfo=UTC)
    assert list(found.cancelled) == ["r-7f03"]


@pytest.mark.parametrize(
    "content",
    [
        f"{HEADER}\r\n{ROW}".encode("utf-8-sig"),
        f"{HEADER}\n{ROW}".encode("utf-16"),
        f"{HEADER}\r{ROW}\r".encode(),
        f"Manifest of Tuesday\n\n{HEADER}\n\n{ROW}\n,,,\n".encode(),
        f"{HEADER}\n{ROW}".replace(",", ";").encode(),
        f"{HEADER}\n{ROW}".replace(",", "\t").encode(),
        b'"Trip\nID","Pickup Time","Pickup Address","Dropoff Address"\nT-1,09:30,"1 Elm St",Clinic',
    ],
    ids=["BOM", "UTF-16", "CR", "title above", "semicolons", "tabs", "quoted newline in the header"],
)
def test_what_spreadsheets_write_is_read(content: bytes) -> None:
    leg = only(read(content))
    assert (leg.ref, leg.pickup_address, leg.dropoff_address) == ("T-1", "1 Elm St", "Clinic")


def test_lines_of_an_address_become_one() -> None:
    assert only(read(f'{HEADER}\nT-1,09:30,"1 Elm St\nFlat 2",Clinic')).pickup_address == "1 Elm St, Flat 2"


def test_an_address_of_columns_named_twice_is_first_from_and_then_to() -> None:
    leg = only(read("Trip ID,Pickup Time,Address,City,Address,City\nT-1,09:30,1 Elm St,Etna,9 Oak St,Salem"))
    assert (leg.pickup_address, leg.dropoff_address) == ("1 Elm St, Etna", "9 Oak St, Salem")


def test_an_open_quote_costs_only_its_own_row() -> None:
    found = read(f'{HEADER}\nT-1,09:30,"1 Elm St,Clinic\nT-2,09:40,2 Elm St,Clinic\nT-3,09:50,"3 Elm St",Clinic')
    assert [leg.ref for leg in found.legs] == ["T-2", "T-3"]
    assert refused(found) == (2, "", "a row of CSV; is a quote not closed?")


@pytest.mark.parametrize(
    ("row", "column", "expected"),
    [
        (",09:30,x,y", "Trip ID", "a trip number"),
        ("8.8E+07,09:30,x,y", "Trip ID", "a whole trip number; a spreadsheet has shortened it"),
        ("T-1,soon,x,y", "Pickup Time", "a time like 14:30"),
        ("T-1,25:00,x,y", "Pickup Time", "a time like 14:30"),
        ("T-1,,x,y", "Pickup Time", "a time like 14:30, or a will-call"),
        ("T-1,09:30,,y", "Pickup Address", "an address"),
        ("T-1,09:30,x", "Dropoff Address", "an address"),
        ("T-1,09:30,x,y,z", "", "4 columns; is a text without its quotes?"),
        (f"T-1,09:30,{'x' * 501},y", "Pickup Address", "at most 500 characters"),
        ("T-1,09:30,a\x07b,y", "Pickup Address", "text without control characters"),
        ("T-0,09:30,x,y", "Trip ID", "each trip number once; it is on line 2 already"),
    ],
)
def test_a_bad_row_says_what_was_expected_and_costs_no_other(row: str, column: str, expected: str) -> None:
    found = read(f"{HEADER}\nT-0,08:00,x,y\n{row}\nT-9,10:00,x,y\n")
    assert [leg.ref for leg in found.legs] == ["T-0", "T-9"]
    assert refused(found) == (3, column, expected)


def test_a_time_that_the_clocks_leave_out_is_refused() -> None:
    found = read(f"{HEADER}\nT-1,02:30,x,y", ATLANTIC, date(2026, 3, 8))
    assert "the clocks go forward on 2026-03-08" in refused(found)[2]


def test_of_a_time_that_comes_twice_the_first_is_meant() -> None:
    leg = only(read(f"{HEADER}\nT-1,01:30,x,y", ATLANTIC, date(2026, 11, 1)))
    assert leg.pickup_at == datetime(2026, 11, 1, 5, 30, tzinfo=UTC)
    assert leg.hints == ("01:30 comes twice that night; the first is meant",)


def test_an_appointment_after_midnight_is_on_the_next_day() -> None:
    text = "Trip ID,Pickup Time,Appt Time,From,To\nT-1,23:40,00:20,x,y\nT-2,10:00,09:00,x,y"
    found = read(text)
    assert found.legs[0].appointment_at == datetime(2026, 2, 4, 0, 20, tzinfo=UTC)
    assert refused(found) == (3, "Appt Time", "a time after the pickup")


@pytest.mark.parametrize("mark", ["00:00", "WC", "w/c", "will call", "0:00", "12:00 AM"])
def test_a_will_call_is_known_by_its_mark(mark: str) -> None:
    leg = only(read(f"Trip ID,Pickup Time,From,To\nT-1,{mark},x,y"))
    assert (leg.will_call, leg.pickup_at.hour) == (True, 12)


@pytest.mark.parametrize("mark", ["Y", "yes", "1", "WC"])
def test_a_will_call_may_have_a_column(mark: str) -> None:
    assert only(read(f"Trip ID,Pickup Time,From,To,Will Call\nT-1,14:00,x,y,{mark}")).will_call


def test_a_cancelled_row_counts_whatever_else_it_lacks() -> None:
    found = read(f"{HEADER},Status\nT-1,,,,Canceled\nT-2,09:00,x,y,Booked")
    assert dict(found.cancelled) == {"T-1": 2}
    assert [leg.ref for leg in found.legs] == ["T-2"]


def test_the_number_of_a_bad_row_is_known_all_the_same() -> None:
    found = read(f"{HEADER},Return\nT-1,soon,x,y,\nT-2,09:00,x,y,14:00")
    assert found.named == {"T-1", "T-1-R", "T-2", "T-2-R"}
    assert found.unnamed == 0


@pytest.mark.parametrize(
    ("days", "order", "open_"),
    [
        (["2026-02-03"], "ymd", False),
        (["02/13/2026"], "mdy", False),
        (["13/02/2026", "01/02/2026"], "dmy", False),
        (["02/03/2026"], "mdy", True),  # tomorrow is nearer than the second of March
        (["03.02.2026"], "dmy", True),
        (["02/02/2026"], "mdy", False),
        ([], "ymd", False),
    ],
)
def test_the_order_of_a_day_is_guessed_and_doubt_is_told(days: list[str], order: str, open_: bool) -> None:
    assert manifest_times.guess_order(days, [], TODAY) == (order, open_)


def test_dates_of_birth_settle_a_doubt() -> None:
    assert manifest_times.guess_order(["02/03/2026"], ["31/12/1950"], TODAY) == ("dmy", False)


def test_a_time_of_twelve_hours_needs_its_half() -> None:
    assert manifest_times.clock("2:30 p.m.", "12h").hour == 14
    assert manifest_times.clock("12:05AM", "12h").hour == 0
    assert manifest_times.clock("14:30", "12h").hour == 14
    with pytest.raises(BadTime, match="before or after noon"):
        manifest_times.clock("2:30", "12h")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the file is empty"),
        (b"\n \n", "the file is empty"),
        (b"PK\x03\x04rest", "this is a spreadsheet, not a CSV file"),
        (b"a,b\x00c", "this is no text"),
        (b"\x81\x8d\x8f", "this is no text"),
        (b"Trip ID,Pickup Time\n", "there is no row below the header"),
        (b"x" * (5 * 1024 * 1024 + 1), "expected at most 5 MiB"),
        (b"Trip ID\n" + b"1\n" * 5001, "expected at most 5,000 rows"),
        (b"," * 300 + b"a\nb\n", "expected at most 200 columns"),
    ],
)
def test_what_is_no_manifest_is_said_in_one_line(content: bytes, said: str) -> None:
    with pytest.raises(Unreadable) as caught:
        sheet(content)
    assert caught.value.what == said


def test_nothing_is_guessed_from_more_columns_than_there_can_be() -> None:
    """Half a million of them would take all other requests' time."""

    def score(_cells: tuple[str, ...]) -> int:
        raise AssertionError("guessed")

    with pytest.raises(Unreadable, match="at most 200 columns"):
        manifest_csv.read(b"a," * 300_000 + b"b\n1,2\n", score)


def test_columns_of_one_name_are_told_apart() -> None:
    assert sheet("City,City,,City\n1,2,3,4").header == ("City", "City (2)", "Column 3", "City (3)")


def test_a_layout_says_what_it_lacks() -> None:
    layout = Layout({"ref": ("Trip",), "pickup_time": ("A", "B")}, "whatever", levels={"X": "flying"})
    assert set(manifest.problems(layout, ("Trip", "A"))) == {
        "pickup_time", "pickup_address", "dropoff_address", "date_format", "level",
    }  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.binary(max_size=300), st.text(max_size=300).map(lambda text: f"{HEADER}\n{text}".encode())))
def test_no_file_ends_in_a_traceback(content: bytes) -> None:
    try:
        made = sheet(content)
    except Unreadable:
        return
    layout, _ = manifest_guess.guess(made, TODAY)
    if not manifest.problems(layout, made.header):
        found = manifest.read(made, layout, zone=LONDON, day=DAY)
        assert len(found.legs) + len(found.bad) + len(found.cancelled) >= len(made.rows)
