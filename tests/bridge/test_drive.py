"""An invented drive looks like one: along its way, at a believable speed, to its end."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.domain.trail import distance_m
from mqtt_bridge.drive import CRUISE_KMH, Drive, Point

START, END = (53.4094, -2.9660), (53.4655, -2.9318)
PLACES = st.tuples(st.floats(-60, 60), st.floats(-170, 170))


@settings(max_examples=60, deadline=None)
@given(start=PLACES, by=st.tuples(st.floats(-0.05, 0.05), st.floats(-0.05, 0.05)), seed=st.integers(0, 99))
def test_every_drive_arrives_at_its_end(start: Point, by: Point, seed: int) -> None:
    end = (start[0] + by[0], start[1] + by[1])
    drive = Drive.between(start, end, random.Random(seed))
    steps = 0
    while not drive.arrived:
        before = drive.done_m
        drive.step(2.0)
        assert before <= drive.done_m <= drive.length_m
        assert 0 <= drive.speed_kmh <= CRUISE_KMH * 1.1 + 8
        (lat, lon), heading = drive.position()
        assert 0 <= heading <= 360
        assert min(start[0], end[0]) - 0.2 < lat < max(start[0], end[0]) + 0.2
        assert -181 < lon < 181
        steps += 1
        assert steps < 20_000
    assert distance_m(*drive.position()[0], *end) < 1.0


def test_a_drive_to_where_it_stands_is_over() -> None:
    drive = Drive.between(START, START, random.Random(1))
    assert drive.arrived
    assert drive.position()[0] == START


def test_a_drive_is_not_shorter_than_the_straight_way_and_not_far_longer() -> None:
    straight = distance_m(*START, *END)
    for seed in range(10):
        assert straight <= Drive.between(START, END, random.Random(seed)).length_m <= straight * 1.5


def test_the_same_dice_make_the_same_drive() -> None:
    one, other = (Drive.between(START, END, random.Random(7)) for _ in range(2))
    for _ in range(50):
        one.step(1.0)
        other.step(1.0)
    assert one.position() == other.position()
