"""What is stored does not depend on the order in which it came, nor on the groups in which it was committed."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.domain.fix import Fix
from appliance.storage.gps import Store
from appliance.storage.gps_rows import T_BITS, T_MASK
from appliance.storage.gps_writer import Arrival, Batch, Writer
from tests.cast import MEMORY, NOON

MIDNIGHT = NOON.replace(hour=0)

FIXES = st.builds(
    Fix,
    at=st.sampled_from([MIDNIGHT + timedelta(seconds=n) for n in (-1, 0, 1)]),
    lat=st.sampled_from([53.4, 53.5]),
    lon=st.just(-2.9),
    speed_kmh=st.sampled_from([None, -0.1, 0.0, 30.0]),
    heading_deg=st.sampled_from([None, -1.0, 90.0]),
    accuracy_m=st.sampled_from([None, 5.0, 9.0]),
    altitude_m=st.sampled_from([None, 3.0]),
    odometer_m=st.sampled_from([None, 1e9]),
    ignition=st.sampled_from([None, False, True]),
    battery_pct=st.sampled_from([None, 50.0]),
    format=st.sampled_from(["native", "owntracks"]),
)
ARRIVALS = st.builds(
    Arrival,
    vehicle=st.integers(1, 2),
    device=st.integers(1, 2),
    fix=FIXES,
    received=st.sampled_from([MIDNIGHT + timedelta(seconds=n) for n in (2, 60)]),
)


def stored(groups: list[list[Arrival]]) -> dict[str, Any]:
    """All rows of all day files but the lag, which says when a fix came first, and the order of the sources."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        folder = Path(name)
        writer = Writer(folder, late_s=10.0)
        for group in groups:
            writer.commit(Batch(group), NOON)
        writer.close()
        found: dict[str, Any] = {}
        for path in sorted(folder.iterdir()):
            conn = sqlite3.connect(path)
            names = [row[1] for row in conn.execute("PRAGMA table_info(fixes)") if row[1] not in ("key", "lag_s")]
            query = (
                f"SELECT vehicle, device, key & {T_MASK} AS t, {', '.join(names)}"
                f" FROM fixes JOIN sources ON id = key >> {T_BITS} ORDER BY vehicle, device, t"
            )
            found[path.name] = conn.execute(query).fetchall()
            conn.close()
        return found


@st.composite
def two_orders(draw: st.DrawFn) -> tuple[list[list[Arrival]], list[list[Arrival]]]:
    """The same arrivals twice, each time in another order and in other groups, some of them doubled."""
    arrivals = draw(st.lists(ARRIVALS, min_size=1, max_size=7))
    doubled = arrivals + draw(st.lists(st.sampled_from(arrivals), max_size=3))
    return list(groups(draw, draw(st.permutations(arrivals)))), list(groups(draw, draw(st.permutations(doubled))))


def groups(draw: st.DrawFn, arrivals: list[Arrival]) -> Iterator[list[Arrival]]:
    while arrivals:
        size = draw(st.integers(1, len(arrivals)))
        yield arrivals[:size]
        arrivals = arrivals[size:]


@settings(max_examples=80, deadline=None)
@given(orders=two_orders())
def test_the_rows_are_the_same_in_any_order_and_in_any_groups(
    orders: tuple[list[list[Arrival]], list[list[Arrival]]],
) -> None:
    one, other = orders
    assert stored(one) == stored(other)


@settings(max_examples=30, deadline=None)
@given(fixes=st.lists(FIXES, min_size=1, max_size=5))
def test_a_change_row_is_written_exactly_when_a_late_fix_changes_a_row(fixes: list[Fix]) -> None:
    received = MIDNIGHT + timedelta(minutes=5)
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        writer, store = Writer(Path(name), late_s=10.0), Store(Path(name))
        for fix in fixes:
            before = store.trail(1, 1, MIDNIGHT - timedelta(hours=1), NOON)
            changes = sum(len(store.changes(day, 0)) for day in store.days())
            writer.commit(Batch([Arrival(1, 1, fix, received)]), NOON)
            changed = store.trail(1, 1, MIDNIGHT - timedelta(hours=1), NOON) != before
            assert sum(len(store.changes(day, 0)) for day in store.days()) - changes == changed
        writer.close()
