"""Order does not matter: the same fixes end as the same trail, distance and live marker, however they came."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlite_utils import Database

from appliance import completion
from appliance.config import Settings
from appliance.domain import trail
from appliance.domain.fix import Fix
from appliance.events import Event
from appliance.storage.gps import Store
from appliance.storage.gps_writer import Writer
from mqtt_bridge import topics
from mqtt_bridge.directory import Directory
from mqtt_bridge.ingest import Ingest
from mqtt_bridge.live import Live
from mqtt_bridge.presence import Presence
from mqtt_bridge.sequences import Sequences
from tests.bridge.workbench import fix, message
from tests.cast import MEMORY, NOON, VAN, Cast

MIDNIGHT = NOON.replace(hour=0)

BODIES = st.fixed_dictionaries(
    {
        "seconds": st.sampled_from([-90, -60, -1, 0, 1, 30, 60, 61, 120]),  # around midnight: two files
        "lat": st.sampled_from([53.4, 53.401, 53.402, 53.9, 95.0]),  # one that is too far, one that cannot be
    },
    optional={
        "lon": st.just(-2.91),
        "speed_kmh": st.sampled_from([0, 40]),
        "heading": st.sampled_from([0, 90.0]),
        "accuracy_m": st.sampled_from([5, 60]),
        "altitude_m": st.just(12),
        "battery_pct": st.sampled_from([0, 50]),
        "ignition": st.booleans(),
    },
)

Groups = list[list[list[dict[str, Any]]]]
"""Commits of messages of fixes."""


def split(draw: st.DrawFn, items: list[Any]) -> Iterator[list[Any]]:
    while items:
        size = draw(st.integers(1, len(items)))
        yield items[:size]
        items = items[size:]


@st.composite
def two_ways(draw: st.DrawFn) -> tuple[Groups, Groups]:
    """The same fixes in two orders, some of them doubled, each split into messages and commits of its own."""
    bodies = draw(st.lists(BODIES, min_size=1, max_size=8))
    doubled = bodies + draw(st.lists(st.sampled_from(bodies), max_size=4))
    one, other = (list(split(draw, list(split(draw, draw(st.permutations(each)))))) for each in (bodies, doubled))
    return one, other


MARKER = ("at", "lat", "lon", "speed_kmh", "heading_deg")


class Screens:
    """What the pages were told."""

    def __init__(self) -> None:
        self.markers: list[dict[str, Any]] = []

    def publish(self, *events: Event) -> bool:
        for event in events:
            if event.kind == "vehicle":
                self.markers.append({key: event.data[key] for key in MARKER})
        return True

    def knows_vehicles(self) -> bool:
        return True


class NoQueue:
    def send(self, asks: list[Any]) -> None:
        assert not asks


def outcome(
    depot: Settings, db: Database, cast: Cast, groups: Groups
) -> tuple[list[Fix], trail.Trail, list[trail.Stop], dict[str, Any] | None]:
    """Trail, what a bill would say, stops and marker after these commits. The marker never went back on its way."""
    limits = completion.limits(depot)
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        store, writer, screens = Store(Path(name)), Writer(Path(name), late_s=10.0), Screens()
        ingest = Ingest(depot, limits, writer, Directory(db), Sequences({}))
        live = Live(screens, NoQueue(), Presence(depot, {}))  # type: ignore[arg-type]
        for number, group in enumerate(groups):
            for bodies in group:
                said = [fix(body["seconds"], MIDNIGHT, **_without(body, "seconds")) for body in bodies]
                ingest.add(message(said if len(said) > 1 else said[0]), topics_address())
            live.see(ingest.commit().newest)
            live.step(100.0 + number)
        writer.close()
        start, end = MIDNIGHT - timedelta(minutes=5), MIDNIGHT + timedelta(minutes=5)
        fixes = store.trail(cast.van, cast.tracker, start, end)
        newest = store.newest({cast.van: cast.tracker}, None).get(cast.van)
    times = [marker["at"] for marker in screens.markers]
    assert times == sorted(times)
    marker = screens.markers[-1] if screens.markers else None
    assert (marker and datetime.fromisoformat(marker["at"])) == (newest and newest.at)
    assert (marker and marker["lat"]) == (newest and newest.lat)
    kept, _outliers = trail.clean(fixes, limits)
    return fixes, trail.close(fixes, start, end, limits), trail.stops(kept), marker


def topics_address() -> Any:
    found = topics.address(topics.gps(VAN))
    assert found is not None
    return found


def _without(body: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key != name}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ways=two_ways())
@pytest.mark.usefixtures("set_clock")
def test_trail_distance_and_marker_are_the_same_in_any_order_doubled_and_in_any_batches(
    depot: Settings, depot_db: Database, cast: Cast, ways: tuple[Groups, Groups]
) -> None:
    one, other = ways
    assert outcome(depot, depot_db, cast, one) == outcome(depot, depot_db, cast, other)
