"""Sending the load of a plan, and taking in what the box says to it: one thread, however many connections."""

from __future__ import annotations

import os
import random
import secrets
import selectors
import socket
import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from appliance.config import Settings
from appliance.errors import Unavailable
from appliance.servers.mosquitto import own_password
from mqtt_bridge import packets, topics, traffic
from mqtt_bridge.pipeline import Pipeline
from mqtt_bridge.simulated_fleet import Simulated
from mqtt_bridge.traffic import Van

TICK_S = 0.002
AT_ONCE = 200
UNANSWERED_S = 30.0

Progress = Callable[[str, int, int], None]
"""Called with what is going on, how much of it is done, and how much there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to send: `rate_hz` fixes a second from each vehicle, `batch` of them in a message.

    With `outstanding` the rate only spaces the fix times: everything is sent as fast as it is stored, at most so many
    fixes ahead. That finds out how much the box takes.
    """

    vehicles: int
    rate_hz: float
    duration_s: float
    form: str = "native"
    batch: int = 1
    own_sessions: bool = False
    outstanding: int | None = None

    @property
    def messages(self) -> int:
        """Of all vehicles; at least one each."""
        return max(1, round(self.duration_s * self.rate_hz / self.batch)) * self.vehicles

    @property
    def fixes(self) -> int:
        return self.messages * self.batch


class _Ack(msgspec.Struct, frozen=True):
    epoch: int
    seq: int


class Load:
    """The vehicles and their connections. `stored` says how many fixes are through; without it, their
    acknowledgements do."""

    def __init__(
        self, settings: Settings, plan: Plan, fleet: Sequence[Simulated], stored: Callable[[], int] | None = None
    ) -> None:
        self.plan = plan
        self.took_s = array("d")
        """From publish to acknowledgement, for each message, seconds."""
        self.behind_s = 0.0
        self.last_at = self.began = 0.0
        self.acknowledged = 0
        self._stored = stored or (lambda: self.acknowledged)
        self._form = traffic.FORMATS[plan.form]
        self._step_ms = 1000 / plan.rate_hz
        self._epoch = secrets.randbelow(2**52) + 1
        dice = random.Random(self._epoch)  # noqa: S311  a simulation, not a secret
        routes = traffic.routes(self._form, 1 / plan.rate_hz, plan.vehicles, dice)
        self.vans: dict[str, Van] = {}
        for index, one in enumerate(fleet):
            route = routes[index % len(routes)]
            topic = packets.text(topics.gps(one.code, one.username))
            self.vans[one.code] = Van(topic, route, dice.randrange(len(route)))
        self._selector = selectors.DefaultSelector()
        self._lines = self._connect(settings, fleet)

    @property
    def sent(self) -> int:
        """Messages."""
        return sum(line.sent for line in self._lines)

    @property
    def sessions(self) -> int:
        return len(self._lines)

    @property
    def sent_acknowledged(self) -> int:
        """Messages that the broker has acknowledged."""
        return sum(line.acknowledged for line in self._lines)

    def send(self, progress: Progress = lambda *_: None) -> None:
        """Sends everything at its pace."""
        plan, total, sent = self.plan, self.plan.messages, 0
        each_s = plan.batch / plan.rate_hz / plan.vehicles
        now_ms, self.began = time.time() * 1000, time.monotonic()
        vans = list(self.vans.values())
        for index, van in enumerate(vans):
            # The last fix of a message is of the moment at which the message is due.
            van.starts_ms = now_ms + index * each_s * 1000 - (plan.batch - 1) * self._step_ms
        while sent < total:
            due = sent + self._due(sent, each_s)
            while sent < min(due, total):
                line = self._lines[sent % len(self._lines)]
                if not line.has_room:
                    break
                van = vans[sent % len(vans)]
                if plan.outstanding is not None:
                    van.catch_up(time.time() * 1000, self._step_ms, plan.batch)
                line.publish(van.topic, van.message(self._form, self._step_ms, plan.batch, self._epoch))
                sent += 1
            self._pump(TICK_S)
            if plan.outstanding is None:
                self.behind_s = max(self.behind_s, time.monotonic() - self.began - sent * each_s)
            progress("sending", sent, total)

    def drain(self, progress: Progress = lambda *_: None) -> None:
        """Waits until everything is stored and acknowledged, or nothing more has been for UNANSWERED_S."""
        total, before, since = self.plan.fixes, -1, time.monotonic()
        while time.monotonic() - since < UNANSWERED_S:
            done = self._stored()
            if done >= total and self.sent_acknowledged >= self.plan.messages:
                break
            if done > before:
                before, since = done, time.monotonic()
            self._pump(TICK_S)
            progress("waiting for acknowledgements", done, total)

    def close(self) -> None:
        for line in self._lines:
            line.close()
        self._selector.close()

    def _due(self, sent: int, each_s: float) -> int:
        """How many messages may go out now, at most AT_ONCE: what came in is looked at in between."""
        if self.plan.outstanding is None:
            due = int((time.monotonic() - self.began) / each_s) + 1 - sent
        else:
            due = (self.plan.outstanding + self._stored()) // self.plan.batch - sent
        return min(due, AT_ONCE)

    def _pump(self, wait_s: float) -> None:
        """Writes what is queued and takes in what has come; waits up to `wait_s` for something to come."""
        for line in self._lines:
            line.flush()
        for key, _events in self._selector.select(wait_s):
            key.data.receive()

    def _hear(self, topic: str, payload: bytes) -> None:
        ack = msgspec.json.decode(payload, type=_Ack)
        van = self.vans.get(topic.split("/")[3])
        if van is None or ack.epoch != self._epoch or ack.seq <= van.acknowledged:
            return
        now, batch = time.monotonic(), self.plan.batch
        self.took_s.extend(now - at for at in van.sent_at[van.acknowledged // batch : ack.seq // batch])
        self.acknowledged += ack.seq - van.acknowledged
        van.acknowledged = ack.seq
        self.last_at = now

    def _connect(self, settings: Settings, fleet: Sequence[Simulated]) -> list[Pipeline]:
        if self.plan.own_sessions:
            return [self._session(settings, one) for one in fleet]
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.connect(str(settings.paths.mqtt_socket))
        except OSError as error:
            raise Unavailable(
                "the broker does not answer", subject=str(settings.paths.mqtt_socket), hint="depotbox status"
            ) from error
        name = f"simulate-{os.getpid()}"
        return [self._line(sock, name, "loopback", own_password(settings.paths, "loopback"), topics.ack("+", "+"))]

    def _session(self, settings: Settings, one: Simulated) -> Pipeline:
        address = (settings.mqtt.host, settings.mqtt.port)
        try:
            sock = socket.create_connection(address, timeout=10.0)
        except OSError as error:
            raise Unavailable("the broker does not answer", subject=f"{address[0]}:{address[1]}") from error
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._line(sock, one.username, one.username, one.password, topics.ack(one.code, one.username))

    def _line(self, sock: socket.socket, client_id: str, username: str, password: str, listen: str) -> Pipeline:
        line = Pipeline(sock, client_id, username, password, self._hear)
        line.subscribe(listen)
        self._selector.register(sock, selectors.EVENT_READ, line)
        return line
