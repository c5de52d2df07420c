"""One group of messages after another: stored, then acknowledged, then shown."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from functools import partial

import msgspec
from sqlite_utils import Database

from appliance import log
from appliance.config import Settings
from appliance.errors import Busy, DiskFull
from appliance.storage import statuses
from appliance.storage.db import write_tx
from appliance.storage.statuses import Said
from mqtt_bridge import topics, trip_events
from mqtt_bridge.client import Client, Message
from mqtt_bridge.directory import Directory, Publisher
from mqtt_bridge.ingest import Ingest
from mqtt_bridge.limiter import Limiter
from mqtt_bridge.live import Live
from mqtt_bridge.patience import Patience
from mqtt_bridge.presence import Presence

STATUSES = (b"online", b"offline", b"")
"""What a device, or the broker with its last will, may say of itself; empty: nothing any more."""

EVENTS_PER_S, EVENTS_BURST = 2.0, 200.0
"""Trip events that a vehicle may send all the time, and at once: more than a driver can press in a day."""

_log = log.get(__name__)


@dataclass(slots=True)
class Bridge:
    """Handles what has arrived, in its order. A trip event or a status is a barrier: fixes that came before it are
    stored before it is applied. A full disk is waited for. Any other error of the storage is not caught: the process
    ends, nothing was acknowledged, and the broker delivers the group again."""

    settings: Settings
    db: Database
    client: Client
    ingest: Ingest
    live: Live
    directory: Directory
    presence: Presence
    patience: Patience
    _kept: dict[str, Said] = field(default_factory=dict)
    _buttons: Limiter[str] = field(default_factory=lambda: Limiter(EVENTS_PER_S, EVENTS_BURST))

    def handle(self, messages: list[Message]) -> None:
        pending = False
        for message in messages:
            address = topics.address(message.topic)
            if address is None or address.kind == "gps":
                gone = self.ingest.add(message, address)  # also what is no topic of ours: acknowledged in its turn
                pending = not gone and not self.ingest.full
                if not pending:
                    self._commit()
                if gone:
                    self.presence.status(gone.code, gone.username, b"offline", retained=False)
                continue
            if pending:
                self._commit()
                pending = False
            if address.kind == "status":
                self._status(message, address)
            else:
                self._trip_event(message, address.vehicle or "")
        if pending:
            self._commit()

    def _status(self, message: Message, address: topics.Address) -> None:
        """Only the position source speaks for its vehicle: a tablet that is switched off takes nothing offline."""
        publisher, said = self.directory.find(address), message.payload.strip(b' \t\r\n"').lower()
        if isinstance(publisher, Publisher) and said in STATUSES:
            self.presence.status(
                publisher.code, publisher.username, said, retained=message.retained, source=publisher.source
            )
        else:
            size = len(message.payload)
            _log.warning("status.not_understood", vehicle=address.vehicle, size=size, expected="online or offline")
        self.client.acknowledge([message])

    def housekeeping(self) -> None:
        """Once a second, also when nothing comes: says what was dropped of whom, and keeps what devices said."""
        self._commit()
        self.keep_statuses()
        for overrun in self._buttons.overruns(time.monotonic()):
            _log.warning("trip.events_dropped", vehicle=overrun.key, events=overrun.dropped)

    def keep_statuses(self) -> None:
        """What devices said is there after a restart: the broker gives a retained word again, but not whether a fix
        came after it. What cannot be written now is written at the next call."""
        said = self.presence.said()
        if said == self._kept:
            return
        try:
            with write_tx(self.db, synced=False) as tx:
                statuses.keep(tx, said.items() - self._kept.items())
        except (Busy, DiskFull):
            return
        self._kept = said

    def _commit(self) -> None:
        stored = self.patience.until_there_is_room(self.ingest.commit)
        self.client.acknowledge(stored.messages)
        for (vehicle, device), numbers in stored.numbering.items():
            for epoch, seq in numbers:
                self.client.publish(topics.ack(vehicle, device), msgspec.json.encode({"epoch": epoch, "seq": seq}))
        said = Counter((one.vehicle, one.rejection.reason.value, one.rejection.limit) for one in stored.refused)
        for (vehicle, reason, expected), count in said.items():
            _log.warning("fix.rejected", vehicle=vehicle, reason=reason, expected=expected, fixes=count)
        for (vehicle, kind), messages in stored.no_fix.items():
            _log.info("message.no_fix", vehicle=vehicle, kind=kind, messages=messages)
        self.live.see(stored.newest)

    def _trip_event(self, message: Message, vehicle: str) -> None:
        if not message.retained and message.payload and self._presses(vehicle):
            press = partial(trip_events.press, self.db, self.settings, vehicle, message.payload)
            reply = self.patience.until_there_is_room(press)
            self.client.publish(topics.trip_reply(vehicle), reply.payload)
            _log.info(
                "trip.event",
                vehicle=vehicle,
                trip=reply.trip_id,
                event_name=reply.event,
                accepted=reply.outcome.accepted,
                reason=reply.outcome.reason,
            )
            self.live.say(reply.outcome.events, reply.outcome.jobs)
            if reply.trip_id is not None and reply.outcome.events and reply.outcome.state:
                self.live.status(reply.trip_id, reply.outcome.state)
        self.client.acknowledge([message])

    def _presses(self, vehicle: str) -> bool:
        """Each event is a commit of its own. One that is dropped has no reply, so it is sent again."""
        allowed = self._buttons.allows(vehicle, time.monotonic())
        if allowed:
            self._buttons.charge(vehicle, 1)
        return allowed
