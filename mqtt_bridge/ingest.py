"""From messages to the disk: decoding, judging, and one durable commit for a whole group."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from appliance import clock
from appliance.config import Settings
from appliance.domain.fix import Fix, Limits, Reason, Rejection, check
from appliance.payloads.elements import decode
from appliance.payloads.owntracks import LAST_WILL
from appliance.storage.gps_rows import newer
from appliance.storage.gps_writer import Arrival, Batch, Refused, Writer
from mqtt_bridge.client import Message
from mqtt_bridge.directory import Directory, Publisher
from mqtt_bridge.limiter import Limiter, Overrun
from mqtt_bridge.sequences import Key, Sequences
from mqtt_bridge.topics import Address

FULL = 10_000
"""Fixes of one commit, and those of one message more: what is decoded takes many times the memory of its bytes."""

_Sender = tuple[int, str]
"""(device id, vehicle code)."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What one commit did: acknowledge these, and tell the live side these."""

    messages: list[Message]
    numbering: dict[tuple[str, str], list[tuple[int, int]]]
    """(vehicle code, username) -> (epoch, sequence number) pairs that are on disk up to there."""
    newest: dict[str, tuple[int, Fix]]
    """vehicle code -> (its position source, the newest fix of that device in this group)."""
    refused: list[Refused]
    no_fix: Counter[tuple[str, str]]
    """(vehicle code, or the device's name where that is not known; what it was) -> messages that are no fixes."""
    new_rows: int


@dataclass(slots=True)
class _Group:
    messages: list[Message] = field(default_factory=list)
    batch: Batch = field(default_factory=Batch)
    numbers: list[tuple[Key, int]] = field(default_factory=list)
    publishers: dict[int, Publisher] = field(default_factory=dict)
    newest: dict[str, tuple[int, Fix]] = field(default_factory=dict)
    no_fix: Counter[tuple[str, str]] = field(default_factory=Counter)
    clock_trusted: bool | None = None


class Ingest:
    """Collects messages with `add` and makes them durable with `commit`. A storage error is the caller's end: nothing
    of the group has been acknowledged then."""

    def __init__(
        self, settings: Settings, limits: Limits, writer: Writer, directory: Directory, sequences: Sequences
    ) -> None:
        self._settings = settings
        self._limits = limits
        self._writer = writer
        self._directory = directory
        self._sequences = sequences
        self._limiter: Limiter[_Sender] = Limiter(settings.limits.fixes_per_s, settings.limits.fixes_burst)
        self._group = _Group()

    def add(self, message: Message, address: Address | None) -> Publisher | None:
        """Takes a GPS message into the group; returns the position source whose last will it is, if it is OwnTracks'.

        A retained one is no news, and one without an address says nothing. That of a device above its limit is not
        looked into: its numbers are not acknowledged, so a device that numbers sends them again.
        """
        group = self._group
        group.messages.append(message)
        if address is None or message.retained:
            return None
        publisher = self._directory.find(address)
        if isinstance(publisher, Publisher) and not self._limiter.allows(_sender(publisher), time.monotonic()):
            return None
        if group.clock_trusted is None:  # a look at the file system, once a group
            group.clock_trusted = clock.trusted(self._settings)
        elements = decode(message.payload, self._settings.limits.payload_bytes)
        if isinstance(publisher, Publisher):
            self._limiter.charge(_sender(publisher), len(elements) or 1)
        gone = None
        for element in elements:
            if isinstance(publisher, Rejection):
                name = address.vehicle or address.device or ""
                if element.kind:
                    group.no_fix[name, element.kind] += 1
                else:
                    self._refuse(name, None, publisher, element.raw, message.received)
                continue
            group.publishers[publisher.device] = publisher
            if element.seq is not None:
                group.numbers.append(((publisher.device, element.epoch), element.seq))
            if element.kind:
                group.no_fix[publisher.code, element.kind] += 1
                if element.kind == LAST_WILL and publisher.source:
                    gone = publisher
            rejection = element.rejection
            if element.fix is not None:
                rejection = check(element.fix, message.received, self._limits, group.clock_trusted)
            if rejection is None and element.fix is not None:
                self._accept(publisher, element.fix, message.received)
            elif rejection is not None:
                self._refuse(publisher.code, publisher.device, rejection, element.raw, message.received)
        return gone

    @property
    def full(self) -> bool:
        """Whether it is time to commit, before more is added."""
        return len(self._group.batch.arrivals) + len(self._group.batch.refused) >= FULL

    def commit(self) -> Stored:
        """Makes the group durable and starts a new one. Also when nothing came: what was dropped is said in time.

        Raises DiskFull where there is no room; the group then waits for the next call."""
        now = clock.now()
        for overrun in self._limiter.overruns(time.monotonic()):
            self._refuse_overrun(overrun, now)
        group = self._group
        after = self._sequences.after(group.numbers)
        group.batch.sequences = {key: seq for key, seq in after.items() if seq}
        new_rows = self._writer.commit(group.batch, now)
        self._group = _Group()
        self._sequences.committed(group.numbers, after)
        numbering: dict[tuple[str, str], list[tuple[int, int]]] = {}
        for (device, epoch), seq in group.batch.sequences.items():
            publisher = group.publishers[device]
            numbering.setdefault((publisher.code, publisher.username), []).append((epoch, seq))
        return Stored(group.messages, numbering, group.newest, group.batch.refused, group.no_fix, new_rows)

    def _accept(self, publisher: Publisher, fix: Fix, received: datetime) -> None:
        self._group.batch.arrivals.append(Arrival(publisher.vehicle, publisher.device, fix, received))
        known = self._group.newest.get(publisher.code)
        if not publisher.source:
            return
        if known is None or known[0] != publisher.device or newer(fix, known[1]):
            self._group.newest[publisher.code] = (publisher.device, fix)

    def _refuse_overrun(self, overrun: Overrun[_Sender], now: datetime) -> None:
        limits, (device, code) = self._settings.limits, overrun.key
        rejection = Rejection(
            Reason.rate_limited,
            f"{overrun.dropped} messages dropped in {overrun.seconds:.0f} s",
            f"{limits.fixes_per_s:g} fixes a second, {limits.fixes_burst} at once",
        )
        # The moment makes it a row of its own: the same payload twice would be one.
        raw = msgspec.json.encode({"dropped": overrun.dropped, "until": now})
        self._refuse(code, device, rejection, raw, now)

    def _refuse(self, vehicle: str, device: int | None, rejection: Rejection, raw: bytes, received: datetime) -> None:
        self._group.batch.refused.append(Refused(vehicle, device, rejection, raw, received))


def _sender(publisher: Publisher) -> _Sender:
    return publisher.device, publisher.code
