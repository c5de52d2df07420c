"""The acknowledgement never says more than is on disk, against a model that is too simple to be wrong."""

from __future__ import annotations

import itertools
from datetime import timedelta
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.storage.gps import Store
from appliance.storage.gps_days import EPOCHS
from appliance.storage.gps_writer import Batch, Writer
from mqtt_bridge import sequences as module
from mqtt_bridge.sequences import Key, Sequences
from tests.cast import NOON

ONE, OTHER = (1, 7), (2, 7)


def commit(sequences: Sequences, arrived: list[tuple[Key, int]]) -> dict[Key, int]:
    after = sequences.after(arrived)
    sequences.committed(arrived, after)
    return after


def numbers(*seqs: int, key: Key = ONE) -> list[tuple[Key, int]]:
    return [(key, seq) for seq in seqs]


def waiting(sequences: Sequences) -> int:
    """Numbers beyond a gap that device 1 has in memory."""
    return sum(map(len, sequences._devices[1].ahead.values()))


def test_numbers_in_order_are_acknowledged_as_they_come() -> None:
    sequences = Sequences({})
    assert [commit(sequences, numbers(n))[ONE] for n in (1, 2, 3)] == [1, 2, 3]


def test_a_gap_holds_the_acknowledgement_back_until_it_is_filled() -> None:
    sequences = Sequences({})
    assert commit(sequences, numbers(1, 2, 5, 6)) == {ONE: 2}
    assert commit(sequences, numbers(4)) == {ONE: 2}
    assert commit(sequences, numbers(3)) == {ONE: 6}


def test_out_of_order_and_doubled_in_one_group() -> None:
    assert commit(Sequences({}), numbers(3, 1, 2, 2, 1)) == {ONE: 3}


def test_what_is_known_already_is_acknowledged_again() -> None:
    """The first acknowledgement may have been lost on the way."""
    sequences = Sequences({ONE: 9})
    assert commit(sequences, numbers(4)) == {ONE: 9}


def test_a_restart_goes_on_where_the_disk_stands(tmp_path: Path) -> None:
    """Numbers beyond a gap are on disk as fixes, but not as numbers: the device sends them again."""
    writer = Writer(tmp_path, late_s=10)
    sequences = Sequences({})
    writer.commit(Batch(sequences=commit(sequences, numbers(1, 2, 4, 5))), NOON)
    writer.close()
    again = Sequences(Store(tmp_path).sequences())
    assert commit(again, numbers(3)) == {ONE: 3}
    assert commit(again, numbers(4, 5)) == {ONE: 5}


def test_each_device_and_each_epoch_counts_for_itself() -> None:
    sequences = Sequences({ONE: 5})
    arrived = [*numbers(1, key=OTHER), *numbers(1, key=(1, 8)), *numbers(6)]
    assert commit(sequences, arrived) == {OTHER: 1, (1, 8): 1, ONE: 6}


def test_asking_changes_nothing() -> None:
    sequences = Sequences({})
    for _ in range(2):
        assert sequences.after(numbers(1, 2)) == {ONE: 2}
    assert sequences.after(numbers(3)) == {ONE: 0}


def test_a_commit_that_failed_leaves_the_numbers_unsaid() -> None:
    sequences = Sequences({})
    sequences.after(numbers(1, 2))
    assert commit(sequences, numbers(3)) == {ONE: 0}
    assert commit(sequences, numbers(1, 2)) == {ONE: 3}


def test_numbers_beyond_a_gap_are_held_up_to_a_bound() -> None:
    sequences = Sequences({})
    for start in range(2, 30_002, 1000):
        commit(sequences, numbers(*range(start, start + 1000)))
    assert waiting(sequences) <= module.AHEAD
    last = commit(sequences, numbers(1))[ONE]
    assert last >= module.AHEAD
    assert commit(sequences, numbers(*range(last + 1, last + 101))) == {ONE: last + 100}


def test_thousands_of_epochs_take_no_more_memory_and_the_one_in_use_is_kept() -> None:
    """Of one device; each with numbers beyond a gap."""
    sequences = Sequences({ONE: 5, OTHER: 3})
    for epoch in range(100, 100 + 5 * EPOCHS):
        commit(sequences, numbers(1, *range(3, 20), key=(1, epoch)))
        commit(sequences, numbers(epoch - 94))
    assert len(sequences._devices[1].on_disk) == EPOCHS
    assert waiting(sequences) <= module.AHEAD
    newest = 99 + 5 * EPOCHS
    assert commit(sequences, numbers(2, key=(1, newest))) == {(1, newest): 19}
    assert commit(sequences, numbers(1)) == {ONE: 5 + 5 * EPOCHS}
    assert commit(sequences, numbers(4, key=OTHER)) == {OTHER: 4}


def test_an_epoch_that_was_forgotten_says_less_than_is_on_disk_and_never_more() -> None:
    sequences = Sequences({ONE: 900})
    commit(sequences, [((1, epoch), 1) for epoch in range(100, 100 + EPOCHS)])
    assert commit(sequences, numbers(901)) == {ONE: 0}
    assert commit(sequences, numbers(1, 2)) == {ONE: 2}


def test_thousands_of_epochs_after_a_restart(tmp_path: Path) -> None:
    """Also of several days: those that were used last, whatever their numbers."""
    writer = Writer(tmp_path, late_s=10)
    writer.commit(Batch(sequences={(1, epoch): 2 for epoch in range(9000, 9000 + 3 * EPOCHS)}), NOON)
    writer.commit(Batch(sequences={ONE: 7, OTHER: 9}), NOON + timedelta(seconds=1))
    writer.commit(Batch(sequences={(1, 8): 1}), NOON + timedelta(days=1))
    writer.close()
    found = Store(tmp_path).sequences()
    assert len(found) == EPOCHS + 1
    assert list(found)[-1] == (1, 8)
    again = Sequences(found)
    assert commit(again, [*numbers(8), *numbers(2, key=(1, 8)), *numbers(10, key=OTHER)]) == {
        ONE: 8, (1, 8): 2, OTHER: 10
    }  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(
    groups=st.lists(st.lists(st.tuples(st.sampled_from([ONE, OTHER]), st.integers(1, 12)), max_size=6), max_size=12),
    restarts=st.sets(st.integers(0, 11)),
)
def test_it_is_the_longest_run_from_one_that_has_arrived(
    groups: list[list[tuple[Key, int]]], restarts: set[int]
) -> None:
    """The model: what has arrived, less what a restart forgets beyond the gap."""
    sequences = Sequences({})
    arrived: dict[Key, set[int]] = {}
    for index, group in enumerate(groups):
        if index in restarts:
            sequences = Sequences(
                {(device, e): n for device, known in sequences._devices.items() for e, n in known.on_disk.items()}
            )
            arrived = {key: {n for n in seqs if n <= run_of(seqs)} for key, seqs in arrived.items()}
        for key, seq in group:
            arrived.setdefault(key, set()).add(seq)
        assert commit(sequences, group) == {key: run_of(arrived[key]) for key, _ in group}


def run_of(seqs: set[int]) -> int:
    return next(n for n in itertools.count() if n + 1 not in seqs)
