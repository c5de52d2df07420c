"""How far each device's numbering is on disk without a gap: what the application acknowledgement says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from appliance.storage.gps_days import EPOCHS

Key = tuple[int, int]
"""(device id, epoch): a device numbers its fixes 1, 2, 3, ... in each epoch."""

AHEAD = 10_000


@dataclass(slots=True)
class _Numbering:
    """Of one device, by epoch, the one that was used last at the end: how far it is on disk, and what lies beyond."""

    on_disk: dict[int, int] = field(default_factory=dict)
    ahead: dict[int, set[int]] = field(default_factory=dict)


_UNKNOWN = _Numbering()


class Sequences:
    """Starts from what the day files say. Holds the EPOCHS epochs that a device used last: an older one would begin at
    1 again, which never says more than is on disk. Numbers beyond a gap wait in memory, at most AHEAD a device, those
    of the epochs that it used last: a device sends again what was not acknowledged."""

    def __init__(self, on_disk: Mapping[Key, int]) -> None:
        """`on_disk`: the key that was used last comes last."""
        self._devices: dict[int, _Numbering] = {}
        for (device, epoch), seq in on_disk.items():
            self._of(device).on_disk[epoch] = seq

    def after(self, arrived: Iterable[tuple[Key, int]]) -> dict[Key, int]:
        """Where the numbering will stand once these are on disk; every key that arrived is in it. Changes nothing."""
        found: dict[Key, int] = {}
        new: dict[Key, set[int]] = {}
        for key, seq in arrived:
            new.setdefault(key, set()).add(seq)
        for (device, epoch), arrived_now in new.items():
            known = self._devices.get(device, _UNKNOWN)
            seqs = arrived_now | known.ahead.get(epoch, set())
            last = known.on_disk.get(epoch, 0)
            while last + 1 in seqs:
                last += 1
            found[device, epoch] = last
        return found

    def committed(self, arrived: Iterable[tuple[Key, int]], after: Mapping[Key, int]) -> None:
        """These are on disk now."""
        for (device, epoch), last in after.items():
            known = self._of(device)
            known.on_disk.pop(epoch, None)
            known.on_disk[epoch] = last
            known.ahead[epoch] = {seq for seq in known.ahead.pop(epoch, ()) if seq > last}
        for key, seq in arrived:
            if seq > after[key]:
                ahead = self._devices[key[0]].ahead[key[1]]
                if len(ahead) < AHEAD:
                    ahead.add(seq)
        for device in {device for device, _epoch in after}:
            _forget(self._devices[device])

    def _of(self, device: int) -> _Numbering:
        return self._devices.setdefault(device, _Numbering())


def _forget(known: _Numbering) -> None:
    """What is too much, of the epochs that were used least recently."""
    known.ahead = {epoch: ahead for epoch, ahead in known.ahead.items() if ahead}
    while len(known.on_disk) > EPOCHS:
        oldest = next(iter(known.on_disk))
        del known.on_disk[oldest]
        known.ahead.pop(oldest, None)
    while len(known.ahead) > 1 and sum(map(len, known.ahead.values())) > AHEAD:
        del known.ahead[next(iter(known.ahead))]
