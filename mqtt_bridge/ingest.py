"""From messages to the disk: decoding, judging, and one durable commit for a whole group."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from appliance import clock
from appliance.config import Settings
from appliance.domain.fix import Fix, Limits, Rejection, check
from appliance.payloads.elements import decode
from appliance.storage.gps import Arrival, Batch, Refused, Writer
from appliance.storage.gps_rows import newer
from mqtt_bridge.client import Message
from mqtt_bridge.directory import Directory, Publisher
from mqtt_bridge.sequences import Key, Sequences
from mqtt_bridge.topics import Address


@dataclass(frozen=True, slots=True)
class Stored:
    """What one commit did: acknowledge these, and tell the live side these."""

    messages: list[Message]
    numbering: dict[tuple[str, str], list[tuple[int, int]]]
    """(vehicle code, username) -> (epoch, sequence number) pairs that are on disk up to there."""
    newest: dict[str, tuple[int, Fix]]
    """vehicle code -> (vehicle id, its newest fix of this group)."""
    refused: list[Refused]
    new_rows: int


@dataclass(slots=True)
class _Group:
    messages: list[Message] = field(default_factory=list)
    batch: Batch = field(default_factory=Batch)
    numbers: list[tuple[Key, int]] = field(default_factory=list)
    publishers: dict[int, Publisher] = field(default_factory=dict)
    newest: dict[str, tuple[int, Fix]] = field(default_factory=dict)
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
        self._group = _Group()

    def add(self, message: Message, address: Address | None) -> None:
        """Takes a GPS message into the group. A retained one is no new fix; an empty one, or one without an address,
        says nothing."""
        group = self._group
        group.messages.append(message)
        if address is None or message.retained or not message.payload:
            return
        publisher = self._directory.find(address)
        if group.clock_trusted is None:  # a look at the file system, once a group
            group.clock_trusted = clock.trusted(self._settings)
        for element in decode(message.payload, self._settings.limits.payload_bytes):
            if isinstance(publisher, Rejection):
                if element.fix or element.rejection:
                    self._refuse(
                        address.vehicle or address.device or "", None, publisher, element.raw, message.received
                    )
                continue
            group.publishers[publisher.device] = publisher
            if element.seq is not None:
                group.numbers.append(((publisher.device, element.epoch), element.seq))
            rejection = element.rejection
            if element.fix is not None:
                rejection = check(element.fix, message.received, self._limits, group.clock_trusted)
            if rejection is None and element.fix is not None:
                self._accept(publisher, element.fix, message.received)
            elif rejection is not None:
                self._refuse(publisher.code, publisher.device, rejection, element.raw, message.received)

    def commit(self) -> Stored:
        """Makes the group durable and starts a new one."""
        group, self._group = self._group, _Group()
        after = self._sequences.after(group.numbers)
        group.batch.sequences = {key: seq for key, seq in after.items() if seq}
        new_rows = self._writer.commit(group.batch, clock.now())
        self._sequences.committed(group.numbers, after)
        numbering: dict[tuple[str, str], list[tuple[int, int]]] = {}
        for (device, epoch), seq in group.batch.sequences.items():
            publisher = group.publishers[device]
            numbering.setdefault((publisher.code, publisher.username), []).append((epoch, seq))
        return Stored(group.messages, numbering, group.newest, group.batch.refused, new_rows)

    def _accept(self, publisher: Publisher, fix: Fix, received: datetime) -> None:
        self._group.batch.arrivals.append(Arrival(publisher.vehicle, publisher.device, fix, received))
        known = self._group.newest.get(publisher.code)
        if not publisher.source:
            return
        if known is None or newer(fix, known[1]):
            self._group.newest[publisher.code] = (publisher.vehicle, fix)

    def _refuse(self, vehicle: str, device: int | None, rejection: Rejection, raw: bytes, received: datetime) -> None:
        self._group.batch.refused.append(Refused(vehicle, device, rejection, raw, received))
