"""From messages to the disk: whose fix it is, what is refused, and what may be acknowledged."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlite_utils import Database

from appliance.config import Settings
from appliance.storage import devices
from appliance.storage.db import write_tx
from appliance.storage.gps import Store
from appliance.storage.gps_writer import Batch, Writer
from mqtt_bridge import directory as directory_module
from mqtt_bridge import ingest as ingest_module
from mqtt_bridge import topics
from mqtt_bridge.bridge import Bridge
from mqtt_bridge.client import Message
from mqtt_bridge.directory import Directory, Publisher
from mqtt_bridge.ingest import Ingest, Stored
from mqtt_bridge.patience import Patience
from tests.bridge.workbench import fix, ingest_of, message
from tests.cast import NOON, OTHER_VAN, VAN, Cast, SetClock

TRACKER, OTHER_TRACKER = f"{VAN}-1", f"{OTHER_VAN}-1"


@pytest.fixture
def ingest(depot: Settings, depot_db: Database, cast: Cast, set_clock: SetClock) -> Iterator[Ingest]:
    made, writer = ingest_of(depot, depot_db)
    yield made
    writer.close()


def take(ingest: Ingest, *messages: Any) -> Stored:
    for one in messages:
        ingest.add(one, topics.address(one.topic))
    return ingest.commit()


def rejected(store: Store) -> list[tuple[str, str]]:
    return sorted((row["vehicle"], row["reason"]) for row in store.rejected()[0])


def test_a_fix_on_the_vehicles_topic_is_its_first_devices(ingest: Ingest, gps_store: Store, cast: Cast) -> None:
    stored = take(ingest, message(fix(seq=1, epoch=4)))
    assert stored.new_rows == 1
    assert stored.numbering == {(VAN, TRACKER): [(4, 1)]}
    assert len(gps_store.trail(cast.van, cast.tracker, NOON, NOON)) == 1


def test_one_commit_takes_a_whole_group(ingest: Ingest, gps_store: Store) -> None:
    group = [message(fix(n, seq=n + 1), mid=n) for n in range(50)]
    stored = take(ingest, *group, message([fix(50, seq=51), fix(51, seq=52)], topics.gps(OTHER_VAN)))
    assert stored.messages[:50] == group
    assert stored.new_rows == 52
    assert stored.numbering == {(VAN, TRACKER): [(0, 50)]}


def test_a_gap_over_several_groups_is_closed_by_what_was_missing(ingest: Ingest) -> None:
    said = [take(ingest, message([fix(n, seq=n) for n in seqs])).numbering for seqs in ((1, 3), (5,), (4,), (2,))]
    key = (VAN, TRACKER)
    assert said == [{key: [(0, 1)]}, {key: [(0, 1)]}, {key: [(0, 1)]}, {key: [(0, 5)]}]


def test_a_rejected_fix_is_on_disk_too_and_its_number_acknowledged(ingest: Ingest, gps_store: Store) -> None:
    stored = take(ingest, message([fix(0, seq=1), fix(0, lat=0, lon=0, seq=2), fix(1, seq=3)]))
    assert stored.numbering == {(VAN, TRACKER): [(0, 3)]}
    assert stored.new_rows == 2
    assert rejected(gps_store) == [(VAN, "null_island")]
    assert json.loads(gps_store.rejected()[0][0]["payload"])["seq"] == 2


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (fix(301), "future"),
        (fix(-31 * 86_400), "too_old"),
        (fix(lat=91), "out_of_range"),
        (fix(lat="nan"), "not_finite"),
        (fix(lat=None), "no_position"),
        (fix(accuracy_m=500), "inaccurate"),
        (b"{", "unparsable"),
        (b" " * 70_000, "too_large"),
    ],
)  # fmt: skip
def test_what_is_no_good_is_kept_with_its_reason(
    ingest: Ingest, gps_store: Store, payload: object, reason: str
) -> None:
    stored = take(ingest, message(payload))
    assert rejected(gps_store) == [(VAN, reason)]
    assert [refused.rejection.reason for refused in stored.refused] == [reason]
    assert stored.new_rows == 0
    assert stored.newest == {}


@pytest.mark.parametrize(
    ("topic", "vehicle", "reason"),
    [
        (topics.gps("VAN-9"), "VAN-9", "unknown_vehicle"),
        (topics.gps("V" * 200), "V" * 200, "unknown_vehicle"),
        (f"{topics.gps(VAN)}/nobody", VAN, "unknown_vehicle"),
        (f"{topics.gps(VAN)}/{OTHER_TRACKER}", VAN, "foreign_topic"),
        ("owntracks/nobody/phone", "nobody", "unknown_vehicle"),
    ],
)
def test_a_fix_of_nobodys_is_kept_and_never_acknowledged(
    ingest: Ingest, gps_store: Store, topic: str, vehicle: str, reason: str
) -> None:
    stored = take(ingest, message(fix(seq=1), topic))
    assert rejected(gps_store) == [(vehicle, reason)]
    assert stored.numbering == {}
    assert gps_store.sequences() == {}


def test_a_bad_message_does_not_hold_up_the_others(ingest: Ingest, gps_store: Store) -> None:
    bad = [message(payload) for payload in (b"\xff", b"[" * 9000, b"", {"seq": 2}, fix(lat=[[[]]], seq=3), 7)]
    stored = take(ingest, message(fix(0, seq=1)), *bad, message(fix(1, seq=4)))
    assert len(stored.messages) == 8
    assert stored.new_rows == 2
    assert stored.numbering == {(VAN, TRACKER): [(0, 4)]}


@pytest.mark.parametrize("seed", range(5))
def test_poison_among_good_ones_changes_nothing_for_them(ingest: Ingest, gps_store: Store, seed: int) -> None:
    """Whatever comes between: every good fix is stored and numbered, and all are acknowledged in their order."""
    chance = random.Random(seed)
    poison = [
        b"\xff" * 9,
        b"[" * 5000,
        b"{}",
        b"[[[[]]]]",
        b'{"_type": null}',
        b"7",
        b" " * 70_000,
        b'{"VP": {"lat": []}}',
    ]
    group = [message(fix(n, seq=n + 1), mid=n) for n in range(40)]
    for n in range(60):
        group.insert(chance.randrange(len(group) + 1), message(chance.choice(poison), mid=100 + n))
    cut = chance.randrange(len(group))
    stored = [take(ingest, *part) for part in (group[:cut], group[cut:])]
    assert [one.mid for part in stored for one in part.messages] == [one.mid for one in group]
    assert sum(part.new_rows for part in stored) == 40
    assert gps_store.sequences() == {(1, 0): 40}


def test_a_message_that_is_too_large_does_not_hold_up_the_numbering(ingest: Ingest, gps_store: Store) -> None:
    """Each fix of a large array is read; one that is too large by itself is rejected, with its number."""
    large = [fix(n, seq=n + 1, pad="x" * 700) for n in range(1, 101)]
    stored = take(ingest, message(fix(0, seq=1)), message(large), message(fix(101, seq=102, pad="x" * 70_000)))
    assert stored.numbering == {(VAN, TRACKER): [(0, 102)]}
    assert gps_store.count() == 101
    assert rejected(gps_store) == [(VAN, "too_large")]


def test_what_is_no_fix_counts_by_its_number_and_its_kind(ingest: Ingest, gps_store: Store) -> None:
    stored = take(ingest, message([fix(0, seq=1), {"_type": "lwt", "seq": 2}, {"_type": "lwt"}, fix(1, seq=3)]))
    assert stored.numbering == {(VAN, TRACKER): [(0, 3)]}
    assert stored.no_fix == {(VAN, "lwt"): 2}
    stored = take(ingest, message({"_type": "lwt", "seq": 2}, topics.gps("VAN-9")), message(b"[]"))
    assert stored.no_fix == {("VAN-9", "lwt"): 1, (VAN, "empty array"): 1}
    assert gps_store.rejected()[1] == 0


def test_a_retained_an_empty_and_an_unknown_message_leave_no_row(ingest: Ingest, gps_store: Store) -> None:
    group = [message(fix(), retained=True), message(b""), message(fix(), "depot/v2/whatever")]
    stored = take(ingest, *group)
    assert stored.messages == group
    assert stored.new_rows == 0
    assert stored.no_fix == {(VAN, "empty"): 1}
    assert gps_store.rejected()[1] == 0


def test_owntracks_is_known_by_its_username(ingest: Ingest, gps_store: Store, cast: Cast) -> None:
    body = {"_type": "location", "lat": 53.4, "lon": -2.9, "tst": int(NOON.timestamp())}
    stored = take(ingest, message(body, f"owntracks/{OTHER_TRACKER}/phone"))
    assert stored.newest.keys() == {OTHER_VAN}
    assert len(gps_store.trail(cast.other_van, cast.other_tracker, NOON, NOON)) == 1


def test_a_tablets_fixes_are_stored_and_do_not_move_the_marker(
    ingest: Ingest, depot_db: Database, gps_store: Store, cast: Cast
) -> None:
    with write_tx(depot_db) as tx:
        tablet = devices.add(tx, cast.van, VAN, "$7$1$x$x", NOON)
    stored = take(ingest, message(fix(seq=1), f"{topics.gps(VAN)}/{tablet}"))
    assert stored.numbering == {(VAN, tablet): [(0, 1)]}
    assert stored.newest == {}
    assert len(gps_store.trail(cast.van, None, NOON, NOON)) == 1
    assert gps_store.trail(cast.van, cast.tracker, NOON, NOON) == []


def test_the_newest_of_a_group_is_the_newest_by_its_own_time(ingest: Ingest) -> None:
    stored = take(ingest, message([fix(5), fix(9), fix(7)]))
    assert stored.newest[VAN][1].at == NOON + timedelta(seconds=9)


def test_after_a_commit_that_failed_nothing_of_the_group_is_acknowledged_but_all_of_it_can_come_again(
    ingest: Ingest, gps_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = [message(fix(n, seq=n + 1)) for n in range(3)]
    with monkeypatch.context() as patch:
        patch.setattr(Writer, "commit", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            take(ingest, *group)
    assert gps_store.count() == 0
    assert take(ingest, *group).numbering == {(VAN, TRACKER): [(0, 3)]}


class Ears:
    """Stands where the client and the live side are: keeps the packet ids of each acknowledgement."""

    def __init__(self) -> None:
        self.acknowledged: list[list[int]] = []

    def acknowledge(self, messages: list[Message]) -> None:
        self.acknowledged.append([one.mid for one in messages])

    def publish(self, *_: object) -> bool:
        return True

    def see(self, *_: object) -> None: ...


def test_large_arrays_are_committed_in_parts_and_acknowledged_in_order(
    ingest: Ingest, depot: Settings, depot_db: Database, gps_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest_module, "FULL", 10)
    ears: Any = Ears()
    bridge = Bridge(depot, depot_db, ears, ingest, ears, Directory(depot_db), ears, Patience(lambda: True))
    bridge.handle([message([fix(4 * mid + n) for n in range(4)], mid=mid) for mid in range(8)])
    assert ears.acknowledged == [[0, 1, 2], [3, 4, 5], [6, 7]]
    assert gps_store.count() == 32


class TestDirectory:
    @pytest.fixture
    def directory(self, depot_db: Database, cast: Cast, monkeypatch: pytest.MonkeyPatch) -> Directory:
        """It reads anew whenever it may."""
        monkeypatch.setattr(directory_module, "REFRESH_S", 0.0)
        return Directory(depot_db)

    def find(self, directory: Directory, topic: str) -> object:
        address = topics.address(topic)
        assert address is not None
        return directory.find(address)

    def test_a_new_device_is_known_without_a_restart(
        self, directory: Directory, depot_db: Database, cast: Cast
    ) -> None:
        topic = f"{topics.gps(VAN)}/{VAN}-2"
        assert not isinstance(self.find(directory, topic), Publisher)
        with write_tx(depot_db) as tx:
            devices.add(tx, cast.van, VAN, "$7$1$x$x", NOON)
        found = self.find(directory, topic)
        assert isinstance(found, Publisher)
        assert not found.source

    def test_a_revoked_device_keeps_its_topics_and_is_the_source_no_more(
        self, directory: Directory, depot_db: Database, cast: Cast
    ) -> None:
        """What it published before still waits, perhaps."""
        with write_tx(depot_db) as tx:
            follower = devices.add(tx, cast.van, VAN, "$7$1$x$x", NOON)
            devices.revoke(tx, TRACKER, NOON)
        for topic, name in [
            (topics.gps(VAN), TRACKER), (topics.gps(VAN, TRACKER), TRACKER), (topics.gps(VAN, follower), follower)
        ]:  # fmt: skip
            found = self.find(directory, topic)
            assert isinstance(found, Publisher)
            assert (found.username, found.source) == (name, name == follower)

    def test_a_flood_of_unknown_names_does_not_become_a_flood_of_reads(
        self, depot_db: Database, cast: Cast, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reads: list[int] = []
        real = devices.directory
        monkeypatch.setattr(devices, "directory", lambda db: reads.append(1) or real(db))
        directory = Directory(depot_db)
        for n in range(500):
            self.find(directory, topics.gps(f"V{n}"))
        assert len(reads) <= 5


def test_a_batch_without_anything_writes_nothing(gps_writer: Writer, gps_store: Store) -> None:
    assert gps_writer.commit(Batch(), NOON) == 0
    assert gps_store.days() == []
