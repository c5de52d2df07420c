"""What can be restored of the rejected fixes, and what is refused in one line."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from sqlite_utils import Database

from appliance import fix_desk
from appliance.config import Settings
from appliance.domain.fix import Reason, Rejection
from appliance.errors import DepotError, InputError, NotFound, Refused, Unavailable
from appliance.storage import gps_days, vehicles
from appliance.storage.db import rows, write_tx
from appliance.storage.gps import Store
from appliance.storage.gps_writer import Batch, Writer
from appliance.storage.gps_writer import Refused as RefusedFix
from tests.cast import NOON, VAN, Cast, SetClock

DAY = timedelta(days=1)
T = int(NOON.timestamp())
GOOD = {"lat": 53.4, "lon": -2.9, "t": T}
FIRST = f"{NOON.date()}:1"
Reject = Any


@pytest.fixture
def reject(gps_writer: Writer, cast: Cast) -> Reject:
    def commit(payload: object, reason: str = "inaccurate", *, nobody: bool = False, now: datetime = NOON) -> None:
        raw = payload if isinstance(payload, bytes) else msgspec.json.encode(payload)
        why = Rejection(Reason(reason), "500 m", "200 m or better")
        refused = RefusedFix("VAN-O1" if nobody else VAN, None if nobody else cast.tracker, why, raw, now)
        gps_writer.commit(Batch(refused=[refused]), now)

    return commit


def restore(db: Database, settings: Settings, name: str = FIRST, now: datetime = NOON, **more: str) -> bool:
    return fix_desk.restore(db, settings, name, "test", now, **more)


@pytest.mark.parametrize(
    ("payload", "reason", "at"),
    [
        (GOOD | {"accuracy_m": 999}, "inaccurate", NOON),
        (GOOD | {"t": T + 300}, "future", NOON + timedelta(seconds=300)),
        (GOOD | {"t": T - 30 * 86400 - 60}, "too_old", NOON - 30 * DAY - timedelta(minutes=1)),
        ({"_type": "location", "lat": 53.4, "lon": -2.9, "tst": T, "acc": 999}, "inaccurate", NOON),
        ({"position": {"fixTime": T, "latitude": 53.4, "longitude": -2.9}, "device": {}}, "no_position", NOON),
    ],
)
def test_a_fix_with_a_position_is_restored_into_its_own_day(
    depot_db: Database,
    depot: Settings,
    gps_store: Store,
    cast: Cast,
    reject: Reject,
    payload: Any,
    reason: str,
    at: datetime,
) -> None:
    """Whatever rule spoke against it; also one that this program could not read when it came."""
    reject(payload, reason)
    assert restore(depot_db, depot)
    (found,) = gps_store.trail(cast.van, cast.tracker, at, at)
    assert (found.lat, found.lon) == (53.4, -2.9)
    (change,) = gps_store.changes(at.date(), 0)
    assert (change.vehicle, change.start, change.end) == (cast.van, at, at)


def test_a_fix_with_all_that_a_server_forwards_beside_it_can_be_restored(
    depot_db: Database, depot: Settings, gps_store: Store, reject: Reject
) -> None:
    reject(GOOD | {"attributes": "x" * 5000})
    assert restore(depot_db, depot)
    assert gps_store.count() == 1


@pytest.mark.parametrize(
    ("payload", "reason", "said"),
    [
        (b"{", "unparsable", "it cannot be used: unparsable"),
        (b"[[]]", "unparsable", "it cannot be used: unparsable"),
        ({"lat": 53.4, "t": T}, "no_position", "lon is missing"),
        ({"_type": "lwt"}, "unknown_vehicle", "it is no fix"),
        (GOOD | {"lat": 0, "lon": 0}, "null_island", "it cannot be used: null island"),
        (GOOD | {"lat": "nan"}, "not_finite", "it cannot be used: not finite"),
        (GOOD | {"lon": 181}, "out_of_range", "it cannot be used: out of range"),
        (GOOD | {"lon": 181}, "unknown_vehicle", "it cannot be used: out of range"),
        (GOOD, "too_large", "only the beginning"),
        (GOOD | {"attributes": "x" * 8192}, "inaccurate", "only the beginning"),
        (GOOD | {"t": T - 31 * 86400}, "too_old", "fixes are kept since 2025-12-27"),
        (GOOD | {"t": 7}, "too_old", "it is of 1970-01-01"),
        (GOOD | {"t": T + 301}, "future", "it is of 2026-01-26T12:05:01.000Z, which has not come yet"),
        (GOOD | {"t": "9999-12-31T23:59:59Z"}, "future", "it is of 9999-12-31T23:59:59.000Z, which has not come yet"),
    ],
)
def test_what_is_no_place_at_a_time_that_is_kept_is_refused(
    depot_db: Database, depot: Settings, gps_store: Store, reject: Reject, payload: Any, reason: str, said: str
) -> None:
    reject(payload, reason)
    with pytest.raises(Refused, match=said) as error:
        restore(depot_db, depot)
    assert str(error.value).startswith(f"{FIRST}: ")
    assert "\n" not in str(error.value)
    assert gps_store.count() == 0
    assert gps_store.days() == [NOON.date()]
    assert rows(depot_db, "SELECT 1 FROM audit_log") == []


@pytest.mark.parametrize(
    ("name", "more", "kind", "said"),
    [
        ("2026-01-26:9", {}, NotFound, "no such rejected fix"),
        ("2026-01-25:1", {}, NotFound, "no such rejected fix"),
        ("yesterday", {}, InputError, "expected DAY:NUMBER"),
        ("../x:1", {}, InputError, "expected DAY:NUMBER"),
        ("2026-01-26:-1", {}, InputError, "expected DAY:NUMBER"),
        ("2026-02-30:1", {}, InputError, "expected DAY:NUMBER"),
        ("2026-01-26:01", {}, InputError, "expected DAY:NUMBER"),
        (f"2026-01-26:{2**63}", {}, InputError, "expected DAY:NUMBER"),
        (FIRST, {"vehicle": "VAN-2"}, InputError, "it belongs to vehicle VAN-1"),
        ("2026-01-26:2", {}, InputError, "name its vehicle"),
        ("2026-01-26:2", {"vehicle": "VAN-9"}, NotFound, "no such vehicle"),
        ("2026-01-26:2", {"vehicle": "BARE"}, Refused, "it has no device"),
    ],
)
def test_a_wrong_name_is_one_line(
    depot_db: Database, depot: Settings, gps_store: Store, reject: Reject,
    name: str, more: dict[str, str], kind: type[DepotError], said: str,
) -> None:  # fmt: skip
    reject(GOOD)
    reject(GOOD, "unknown_vehicle", nobody=True)
    with write_tx(depot_db) as tx:
        vehicles.add(tx, "BARE", NOON)
    with pytest.raises(kind, match=said):
        restore(depot_db, depot, name, **more)
    assert gps_store.count() == 0


def test_an_untrusted_clock_does_not_say_what_is_too_old(
    depot_db: Database, depot: Settings, gps_store: Store, reject: Reject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fix_desk.clock, "trusted", lambda _settings: False)
    reject(GOOD, "too_old")
    assert restore(depot_db, depot, now=NOON + 4000 * DAY)
    assert gps_store.count() == 1


def test_a_damaged_day_is_one_line_and_is_not_set_aside(
    depot_db: Database, depot: Settings, reject: Reject, set_clock: SetClock
) -> None:
    """The bridge may have it open."""
    reject(GOOD, now=NOON + DAY)
    file = gps_days.path(depot.paths.gps_dir, NOON.date())
    file.write_bytes(b"no database " * 999)
    with pytest.raises(Unavailable, match="damaged"):
        restore(depot_db, depot, f"{(NOON + DAY).date()}:1", now=NOON + DAY)
    assert file.exists()


def test_rejected_fixes_are_chosen_by_vehicle_and_reason_over_all_days(gps_store: Store, reject: Reject) -> None:
    for n in range(3):
        reject(GOOD | {"n": n}, now=NOON + n * DAY)
        reject(GOOD | {"n": n}, "future", now=NOON + n * DAY, nobody=True)

    def names(*args: int, **chosen: str) -> tuple[list[str], int]:
        found, total = gps_store.rejected(*args, **chosen)
        return [row["id"] for row in found], total

    mine = ["2026-01-28:1", "2026-01-27:1", "2026-01-26:1"]
    assert names(vehicle=VAN) == names(reason="inaccurate") == (mine, 3)
    assert names(2, vehicle=VAN) == (mine[:2], 3)
    assert names(2, 2, vehicle=VAN) == (mine[2:], 3)
    assert names(vehicle=VAN, reason="future") == ([], 0)
    assert names(3, 1)[0] == ["2026-01-28:1", "2026-01-27:2", "2026-01-27:1"]
    assert names()[1] == 6
