"""The fixes of simulated vehicles, made cheaply: places are encoded ahead, time and number when they are sent."""

from __future__ import annotations

import random
import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise

from mqtt_bridge.drive import Drive, Point

DEPOT: Point = (53.4230, -2.9150)
SPREAD_DEG = 0.03
ROUTES = 32
POINTS = 40_000
"""Of all routes together; encoding them takes about a second."""


@dataclass(frozen=True, slots=True)
class Spot:
    """One point of a route: degrees, km/h, degrees clockwise from north."""

    lat: float
    lon: float
    speed_kmh: float
    heading_deg: float


@dataclass(frozen=True, slots=True)
class Format:
    """How a fix is written: `where` ends where `when` begins, which takes (epoch ms, seq, epoch)."""

    where: Callable[[Spot], bytes]
    when: Callable[[int, int, int], bytes]
    resolution_ms: int = 1
    """Of its fix times: fixes of one vehicle must lie that far apart."""


def _iso(ms: int) -> bytes:
    """`2026-01-26T15:57:02.500Z`."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z").encode()


FORMATS: dict[str, Format] = {
    "native": Format(
        lambda spot: (
            b'{"lat":%.6f,"lon":%.6f,"speed_kmh":%.1f,"heading":%.0f,"accuracy_m":5'
            % (spot.lat, spot.lon, spot.speed_kmh, spot.heading_deg)
        ),
        lambda ms, seq, epoch: b',"t":%d,"seq":%d,"epoch":%d}' % (ms, seq, epoch),
    ),
    "owntracks": Format(
        lambda spot: (
            b'{"_type":"location","tid":"si","lat":%.6f,"lon":%.6f,"vel":%.0f,"cog":%.0f,"acc":5,"batt":81'
            % (spot.lat, spot.lon, spot.speed_kmh, spot.heading_deg)
        ),
        lambda ms, seq, epoch: b',"tst":%d,"seq":%d,"epoch":%d}' % (ms // 1000, seq, epoch),
        resolution_ms=1000,
    ),
    "teltonika": Format(
        lambda spot: (
            b'{"state":{"reported":{"latlng":"%.6f,%.6f","sp":%.0f,"ang":%.0f,"239":1'
            % (spot.lat, spot.lon, spot.speed_kmh, spot.heading_deg)
        ),
        lambda ms, seq, epoch: b',"ts":%d}},"seq":%d,"epoch":%d}' % (ms, seq, epoch),
    ),
    "flespi": Format(
        lambda spot: (
            b'{"position.latitude":%.6f,"position.longitude":%.6f,"position.speed":%.1f,"position.direction":%.0f'
            % (spot.lat, spot.lon, spot.speed_kmh, spot.heading_deg)
        ),
        lambda ms, seq, epoch: b',"timestamp":%.3f,"seq":%d,"epoch":%d}' % (ms / 1000, seq, epoch),
    ),
    "hfp": Format(
        lambda spot: (
            b'{"VP":{"lat":%.6f,"long":%.6f,"spd":%.2f,"hdg":%.0f'
            % (spot.lat, spot.lon, spot.speed_kmh / 3.6, spot.heading_deg)
        ),
        lambda ms, seq, epoch: b',"tst":"%s"},"seq":%d,"epoch":%d}' % (_iso(ms), seq, epoch),
    ),
    "traccar_client": Format(
        lambda spot: (
            b'{"location":{"coords":{"latitude":%.6f,"longitude":%.6f,"speed":%.2f,"heading":%.0f,"accuracy":5}'
            % (spot.lat, spot.lon, spot.speed_kmh / 3.6, spot.heading_deg)
        ),
        lambda ms, seq, epoch: b',"timestamp":"%s"},"seq":%d,"epoch":%d}' % (_iso(ms), seq, epoch),
    ),
    "traccar_forward": Format(
        lambda spot: (
            b'{"device":{"uniqueId":"sim"},"position":{"valid":true,"latitude":%.6f,"longitude":%.6f,"speed":%.2f,'
            b'"course":%.0f' % (spot.lat, spot.lon, spot.speed_kmh / 1.852, spot.heading_deg)
        ),
        lambda ms, seq, epoch: b',"fixTime":"%s"},"seq":%d,"epoch":%d}' % (_iso(ms), seq, epoch),
    ),
}


def routes(form: Format, step_s: float, count: int, dice: random.Random) -> list[list[bytes]]:
    """Round trips from the depot's town, one encoded point for each `step_s`; at most `count` of them."""
    found: list[list[bytes]] = []
    left = POINTS
    while len(found) < min(count, ROUTES) and (left > 0 or not found):
        route = [form.where(spot) for spot in _round_trip(step_s, left, dice)]
        left -= len(route)
        found.append(route)
    return found


def _round_trip(step_s: float, most: int, dice: random.Random) -> Sequence[Spot]:
    corners = [_near(dice), _near(dice), _near(dice)]
    spots: list[Spot] = []
    for start, end in pairwise([*corners, corners[0]]):
        drive = Drive.between(start, end, dice)
        while not drive.arrived and len(spots) < most:
            drive.step(step_s)
            (lat, lon), heading = drive.position()
            spots.append(Spot(lat, lon, drive.speed_kmh, heading))
    return spots


def _near(dice: random.Random) -> Point:
    return DEPOT[0] + dice.uniform(-SPREAD_DEG, SPREAD_DEG), DEPOT[1] + dice.uniform(-SPREAD_DEG, SPREAD_DEG)


@dataclass(slots=True)
class Van:
    """One simulated vehicle. Its fix k has number k + 1, and its message m holds the fixes from m times batch on."""

    topic: bytes
    route: list[bytes]
    at: int
    """Where on its route it begins."""
    starts_ms: float = 0.0
    """Fix time of its first fix, epoch milliseconds."""
    sent_at: array[float] = field(default_factory=lambda: array("d"))
    """When each message was made, monotonic seconds."""
    acknowledged: int = 0
    """Fixes that the box has said are on disk."""

    def message(self, form: Format, step_ms: float, batch: int, epoch: int) -> bytes:
        """The next message: one fix, or an array of `batch`."""
        first = len(self.sent_at) * batch
        self.sent_at.append(time.monotonic())
        fixes = [
            self.route[(self.at + k) % len(self.route)] + form.when(int(self.starts_ms + k * step_ms), k + 1, epoch)
            for k in range(first, first + batch)
        ]
        return fixes[0] if batch == 1 else b"[" + b",".join(fixes) + b"]"

    def catch_up(self, now_ms: float, step_ms: float, batch: int) -> None:
        """Moves what is still to be sent to the present, where the times have come to lie before it."""
        due_ms = self.starts_ms + len(self.sent_at) * batch * step_ms
        self.starts_ms += max(0.0, now_ms - due_ms)

    def sent_of(self, form: Format, at_ms: float, step_ms: float, batch: int) -> float | None:
        """When the fix of this time was sent, monotonic seconds; None for one that is not of this run."""
        fix = round((at_ms + form.resolution_ms / 2 - self.starts_ms) / step_ms)  # its finer digits were cut off
        return self.sent_at[fix // batch] if 0 <= fix < len(self.sent_at) * batch else None
