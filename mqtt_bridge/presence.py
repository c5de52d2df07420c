"""What the bridge knows of each vehicle: its newest fix, and the signs by which its state is told.

Instants are kept on the monotonic clock and given out on the wall clock as it is at that moment: a wall clock that is
set right moves all of them with it, and no vehicle falls silent for it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from appliance import clock
from appliance.config import Settings
from appliance.domain import presence
from appliance.domain.fix import Fix
from appliance.domain.presence import Signs, Standing, VehicleState
from appliance.storage.gps_rows import newer
from appliance.storage.statuses import Said

STEPPED_S = 2.0


@dataclass(frozen=True, slots=True)
class Look:
    """One vehicle now. `heard` is monotonic: when this process received its newest fix; None where the fix is from
    before its start."""

    state: VehicleState
    outage: bool
    signs: Signs
    heard: float | None


@dataclass(slots=True)
class _Known:
    fix: Fix
    received: float
    heard: bool
    standing: Standing | None
    device: int | None = None
    repeated: float | None = None
    told: VehicleState | None = None


class Presence:
    """Fed by the ingest thread with `see` and `status`, looked at by the others. Holds no lock for long."""

    def __init__(
        self,
        settings: Settings,
        stored: Mapping[str, Sequence[Fix]],
        said: Sequence[tuple[str, str, Said]] = (),
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`stored`: the last fixes of each vehicle before the start, in their order; the newest is the last. `said`:
        what the devices had said until then, each with its vehicle's code and its username."""
        self._settings = settings
        self._limits = settings.limits
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._said = {device: one for _code, device, one in said}
        self._offline: dict[str, tuple[str, float]] = {}
        self._step = 0.0
        self._known: dict[str, _Known] = {}
        now, wall, trusted = monotonic(), clock.now(), clock.trusted(settings)
        for code, fixes in stored.items():
            standing = None
            for fix in fixes:
                standing = presence.stand(standing, fix, self._limits.silent_s)
            # How old it is cannot be known without the time: stale, until a fix comes or it has been silent for longer.
            age_s = (wall - fixes[-1].at).total_seconds() if trusted else self._limits.stale_s
            self._known[code] = _Known(fixes[-1], now - max(0.0, age_s), False, standing)
        for code, device, one in said:
            if one.offline_at:
                age_s = (wall - one.offline_at).total_seconds() if trusted else 0.0
                at = now - max(0.0, age_s)
                # A fix that came after it would have ended it, whatever the device's clock says.
                self._offline[code] = (device, max(at, self._known[code].received) if code in self._known else at)

    def see(self, newest: Mapping[str, tuple[int, Fix]]) -> set[str]:
        """Newest fixes of the position sources by vehicle code; returns the codes of which there is news. A fix that is
        older than what is known moves nothing back, unless that is dated so far ahead that a trusted clock would have
        rejected it, or is another device's, whose clock may have run ahead. Of two at one instant the one that is
        stored counts."""
        now, news = self._monotonic(), set()
        with self._lock:
            for code, (device, fix) in newest.items():
                known = self._known.get(code)
                swapped = known is not None and known.device not in (None, device)
                if known is None or swapped or fix.at > known.fix.at or self._is_ahead(known.fix):
                    standing = None if known is None or swapped else known.standing
                    standing = presence.stand(standing, fix, self._limits.silent_s)
                    told = known.told if known else None
                    self._known[code] = _Known(fix, now, True, standing, device, told=told)
                elif fix.at == known.fix.at:
                    known.repeated = now
                    if newer(fix, known.fix):
                        known.fix = fix
                elif code not in self._offline:
                    continue  # late: it moves nothing
                news.add(code)
                self._is_back(code)  # whatever its clock says, the device speaks
        return news

    def status(self, code: str, device: str, said: bytes, *, retained: bool, source: bool = True) -> None:
        """What a device of a vehicle, or its last will, says: `online`, `offline`, or nothing any more. It counts for
        the vehicle where the device is its position source. A retained message that only comes again, on a new
        connection or after a restart, is no news; one that is not known is of now."""
        word = said.decode()
        with self._lock:
            if retained and device in self._said and self._said[device].word == word:
                return
            if source:
                self._is_back(code)
            offline = source and word == "offline"
            self._said[device] = Said(word, clock.now() if offline else None)
            if offline:
                self._offline[code] = (device, self._monotonic())

    def said(self) -> dict[str, Said]:
        """What each device last said, by username: what is to be known after a restart."""
        with self._lock:
            return dict(self._said)

    def codes(self) -> set[str]:
        with self._lock:
            return set(self._known)

    def turned(self) -> set[str]:
        """The vehicles whose state is another than was last reported; all of them after a step of the wall clock."""
        step = clock.now().timestamp() - self._monotonic()
        stepped, self._step = abs(step - self._step) > STEPPED_S, step
        looks = self.look()
        with self._lock:
            return {code for code, look in looks.items() if stepped or self._known[code].told is not look.state}

    def look(self) -> dict[str, Look]:
        """Every vehicle with a fix, by code."""
        now, wall, trusted = self._monotonic(), clock.now(), clock.trusted(self._settings)
        with self._lock:
            return {code: self._look(code, known, now, wall, trusted) for code, known in self._known.items()}

    def report(self, codes: set[str]) -> dict[str, tuple[Fix, Look]]:
        """The newest fix of these vehicles and how they are; from now on that is what was last reported."""
        now, wall, trusted = self._monotonic(), clock.now(), clock.trusted(self._settings)
        found = {}
        with self._lock:
            for code in codes:
                known = self._known[code]
                look = self._look(code, known, now, wall, trusted)
                known.told = look.state
                found[code] = (known.fix, look)
        return found

    def _look(self, code: str, known: _Known, now: float, wall: datetime, trusted: bool) -> Look:
        def at(instant: float | None) -> datetime | None:
            return None if instant is None else wall - timedelta(seconds=now - instant)

        signs = Signs(
            fix_at=known.fix.at,
            received_at=at(known.received),
            repeated_at=at(known.repeated),
            offline_at=at(self._offline[code][1]) if code in self._offline else None,
            ignition=known.fix.ignition,
            speed_kmh=known.fix.speed_kmh,
            standing_since=known.standing.since if known.standing else None,
        )
        state = presence.state_of(signs, wall, self._limits, trusted)
        outage = presence.is_outage(signs, wall, self._limits, trusted)
        return Look(state, outage, signs, known.received if known.heard else None)

    def _is_back(self, code: str) -> None:
        if code in self._offline:
            device, _at = self._offline.pop(code)
            self._said[device] = Said("offline", None)

    def _is_ahead(self, fix: Fix) -> bool:
        ahead_s = (fix.at - clock.now()).total_seconds()
        return ahead_s > self._limits.future_s and clock.trusted(self._settings)
