"""How far each device's numbering is on disk without a gap: what the application acknowledgement says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

Key = tuple[int, int]
"""(device id, epoch): a device numbers its fixes 1, 2, 3, ... in each epoch."""

AHEAD = 10_000


class Sequences:
    """Starts from what the day files say. Numbers beyond a gap wait in memory, at most AHEAD a device: a device
    sends again what was not acknowledged."""

    def __init__(self, on_disk: Mapping[Key, int]) -> None:
        self._on_disk = dict(on_disk)
        self._ahead: dict[Key, set[int]] = {}

    def after(self, arrived: Iterable[tuple[Key, int]]) -> dict[Key, int]:
        """Where the numbering will stand once these are on disk; every key that arrived is in it. Changes nothing."""
        found: dict[Key, int] = {}
        new: dict[Key, set[int]] = {}
        for key, seq in arrived:
            new.setdefault(key, set()).add(seq)
        for key, arrived_now in new.items():
            seqs = arrived_now | self._ahead.get(key, set())
            last = self._on_disk.get(key, 0)
            while last + 1 in seqs:
                last += 1
            found[key] = last
        return found

    def committed(self, arrived: Iterable[tuple[Key, int]], after: Mapping[Key, int]) -> None:
        """These are on disk now."""
        self._on_disk.update(after)
        for key, seq in arrived:
            ahead = self._ahead.setdefault(key, set())
            if seq > self._on_disk[key] and len(ahead) < AHEAD:
                ahead.add(seq)
        for key in after:
            ahead = {seq for seq in self._ahead.get(key, ()) if seq > self._on_disk[key]}
            if ahead:
                self._ahead[key] = ahead
            else:
                self._ahead.pop(key, None)
