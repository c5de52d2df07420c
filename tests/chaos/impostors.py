"""A broker with two vans on TLS, each with a tracker (password) and a tablet (certificate); and who means them ill."""

from __future__ import annotations

import contextlib
import itertools
import random
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from sqlite_utils import Database

from appliance import clock, fleet
from appliance.config import Settings
from appliance.device_setup import Credentials
from appliance.errors import DepotError
from appliance.servers import access, accounts
from appliance.servers.mosquitto import own_password
from appliance.storage.db import open_depot
from tests import cast as play
from tests.ports import free_port
from tests.servers import Role, wait_for

ROOT = accounts.ROOT
VAN, OTHER = "VAN-1", "VAN-2"
SECRETS = [f"{ROOT}/vehicles/{VAN}/{last}" for last in ("assignment", "trip/reply", f"ack/{VAN}-1")]
"""What the box says to the van, and nobody else may hear."""
FORGERIES = [
    *(f"{ROOT}/vehicles/{VAN}/{last}" for last in ("gps", f"gps/{VAN}-1", "trip", "status")),
    f"owntracks/{VAN}-1/phone",
]
"""What the van says to the box, and nobody else may say."""


class Client:
    """An MQTT client that keeps what it hears; `connected` says whether it is in, `ended` that it was in or refused."""

    def __init__(
        self,
        port: int = 0,
        *,
        username: str = "",
        password: str | None = None,
        client_id: str = "whoever",
        tls: ssl.SSLContext | None = None,
        unix: Path | None = None,
        will: str = "",
        protocol: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv311,
        again: bool = False,
    ) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self.connected = False
        self.ended = False
        self._subscribed = 0
        self._paho = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id,
            transport="unix" if unix else "tcp",
            protocol=protocol,
            reconnect_on_failure=again,
        )
        self._paho.reconnect_delay_set(1, 1)
        if username:
            self._paho.username_pw_set(username, password)
        if tls:
            self._paho.tls_set_context(tls)
        if will:
            self._paho.will_set(will, b"forged", qos=1)
        self._paho.on_message = lambda _client, _data, message: self.heard.append((message.topic, message.payload))
        self._paho.on_connect = self._answered
        self._paho.on_disconnect = self._gone
        self._paho.on_subscribe = self._granted
        self._topics: list[str] = []
        try:
            self._paho.connect(str(unix) if unix else "127.0.0.1", port or 1)
        except OSError:  # the handshake was refused
            self.ended = True
            return
        self._paho.loop_start()
        wait_for(lambda: self.connected or self.ended, "an answer to the login")

    def subscribe(self, *topics: str) -> None:
        for topic in topics:
            self._topics.append(topic)
            before = self._subscribed
            self._paho.subscribe(topic, qos=1)
            wait_for(lambda before=before: self._subscribed > before or not self.connected, "the subscription stands")

    def publish(self, topic: str, payload: bytes = b"forged", *, qos: int = 1, retain: bool = False) -> None:
        """Returns when the broker has acknowledged it, which it does also for what it then drops."""
        with contextlib.suppress(RuntimeError):  # not connected any more
            self._paho.publish(topic, payload, qos=qos, retain=retain).wait_for_publish(2)

    def payloads(self, topic: str) -> list[bytes]:
        return [payload for at, payload in self.heard if at == topic]

    def vanish(self) -> None:
        """Ends without goodbye, so that the last will is sent."""
        sock = self._paho.socket()
        assert sock is not None
        sock.close()
        self._paho.loop_stop()

    def close(self) -> None:
        self._paho.disconnect()
        self._paho.loop_stop()
        if sock := self._paho.socket():
            sock.close()

    def _answered(self, _client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self.connected, self.ended = not reason.is_failure, bool(reason.is_failure)
        for topic in self._topics:
            self._paho.subscribe(topic, qos=1)

    def _gone(self, *_: Any) -> None:
        self.connected, self.ended = False, True

    def _granted(self, *_: Any) -> None:
        self._subscribed += 1


@dataclass
class World:
    """`tracker` and `tablet` are those of the van, `thief` and `rogue` those of the other one."""

    settings: Settings
    db: Database
    role: Role
    tracker: Credentials
    tablet: Credentials
    thief: Credentials
    rogue: Credentials

    def __post_init__(self) -> None:
        self._open = contextlib.ExitStack()
        self._numbers = itertools.count()

    def client(self, *args: Any, **options: Any) -> Client:
        made = Client(*args, **options)
        self._open.callback(made.close)
        return made

    def own(self, name: str, **options: Any) -> Client:
        """One of the box's own accounts, on its socket."""
        paths = self.settings.paths
        return self.client(
            username=name, password=own_password(paths, name), client_id=name, unix=paths.mqtt_socket, **options
        )

    def login(self, who: Credentials, **options: Any) -> Client:
        """A device as it was set up, but for what `options` change."""
        return self.client(**self.as_set_up(who) | options)

    def as_set_up(self, who: Credentials) -> dict[str, Any]:
        login: dict[str, Any] = {"port": who.port, "client_id": who.client_id, "tls": self.trusting(who)}
        return login | ({"username": who.username, "password": who.password} if who.password else {})

    def trusting(self, who: Credentials | None = None) -> ssl.SSLContext:
        """TLS that knows the box by its certificate authority, and shows the device's certificate if it has one."""
        context = ssl.create_default_context(cafile=str(self.settings.paths.ca_certificate))
        if who and who.certificate:
            folder = self.settings.paths.data_dir.parent
            certificate, key = folder / f"{who.username}.crt", folder / f"{who.username}.key"
            certificate.write_text(who.certificate)
            key.write_text(who.key)
            context.load_cert_chain(certificate, key)
        return context

    def add(self, code: str, **options: Any) -> Credentials:
        return fleet.add_device(self.db, self.settings, code, now=clock.now(), who="test", **options)

    def revoke(self, who: Credentials) -> None:
        fleet.revoke_device(self.db, self.settings, who.username, now=clock.now(), who="test")

    def close(self) -> None:
        self._open.close()

    def stop(self) -> None:
        self.close()
        self.role.kill()
        self.db.conn.close()


def build(folder: Path) -> World:
    ports = {f"DEPOTBOX_MQTT__{key}": str(free_port()) for key in ("PORT", "TLS_PORT", "CERTIFICATE_PORT")}
    settings = play.depot(folder, **ports)
    db = open_depot(settings.paths.depot_db)
    made = []
    for code in (VAN, OTHER):
        made.append(fleet.add_vehicle(db, settings, code, now=clock.now(), who="test"))
        made.append(fleet.add_device(db, settings, code, certificate=True, now=clock.now(), who="test"))
    return World(settings, db, Role(settings, "mosquitto"), *made)


# what can happen to a file


def _cut(rng: random.Random, text: str) -> str:
    return text[: rng.randrange(len(text))]


def _flip(rng: random.Random, text: str) -> str:
    at = rng.randrange(len(text))
    return text[:at] + chr(ord(text[at]) ^ (1 << rng.randrange(7))) + text[at + 1 :]


def _without_a_line(rng: random.Random, text: str) -> str:
    lines = text.splitlines(keepends=True)
    del lines[rng.randrange(len(lines))]
    return "".join(lines)


def _without_a_user(rng: random.Random, text: str) -> str:
    lines = text.splitlines(keepends=True)
    del lines[rng.choice([n for n, line in enumerate(lines) if line.startswith("user") or ":" in line])]
    return "".join(lines)


def _shuffled(rng: random.Random, text: str) -> str:
    lines = text.splitlines(keepends=True)
    rng.shuffle(lines)
    return "".join(lines)


def _swapped(_: random.Random, text: str) -> str:
    return text.replace(VAN, "@").replace(OTHER, VAN).replace("@", OTHER)


def _renamed(rng: random.Random, text: str) -> str:
    return text.replace(*rng.choice([(VAN, OTHER), (OTHER, VAN), (VAN, "+"), (f"{OTHER}/", "#"), ("gps", "+")]))


def _with_a_line(rng: random.Random, text: str) -> str:
    lines = text.splitlines(keepends=True)
    wild = ["topic readwrite #", "topic #", "pattern #", "pattern write depot/v1/vehicles/+/gps", "pattern read",
            "topic everything #", "topic read #", "user", f"user {OTHER}-1", "topic readwrite depot/v1/#",
            f"{OTHER}-1:$7$101$xx", f"{VAN}-1:", ":", "\0"]  # fmt: skip
    lines.insert(rng.randrange(len(lines) + 1), rng.choice(wild) + "\n")
    return "".join(lines)


def _noise(rng: random.Random, text: str) -> str:
    return "".join(chr(rng.randrange(1, 127)) for _ in range(len(text)))


MUTATIONS: list[Callable[[random.Random, str], str]] = [
    _cut, _flip, _without_a_line, _without_a_user, _shuffled, _swapped, _renamed, _with_a_line, _noise,
]  # fmt: skip


class Watch:
    """The box's side and the other van's side, while somebody tampers with the files: what gets through?"""

    def __init__(self, world: World) -> None:
        self.world = world
        self.bridge = world.own("bridge", again=True)
        self.loopback = world.own("loopback", again=True)
        for one in (self.bridge, self.loopback):
            one.subscribe("#", "owntracks/#")
        self.spies = [world.login(who, again=True) for who in (world.thief, world.rogue)]
        for spy in self.spies:
            spy.subscribe("#", f"{ROOT}/vehicles/{VAN}/#", "$SYS/#")
        self._numbers = itertools.count()

    def step(self) -> None:
        """Everybody tries everything once."""
        for topic in SECRETS:
            self.bridge.publish(topic, b"secret", qos=0)
        self.bridge.publish(f"{ROOT}/trips/7/position", b"secret", qos=0)
        for spy, topic in itertools.product(self.spies, FORGERIES):
            spy.publish(topic, b"forged", qos=0)

    def settle(self) -> None:
        """What was sent until now has arrived, or never will: fences of each sender have."""
        number = b"%d" % next(self._numbers)
        back = f"{ROOT}/vehicles/{OTHER}/assignment"
        for spy, name in zip(self.spies, (f"{OTHER}-1", f"{OTHER}-2"), strict=True):
            out = f"{ROOT}/vehicles/{OTHER}/gps/{name}"

            def through(spy: Client = spy, out: str = out) -> bool:
                spy.publish(out, number, qos=0)
                self.bridge.publish(back, number, qos=0)
                return number in self.bridge.payloads(out) and number in spy.payloads(back)

            wait_for(through, f"{name} can use its own branch")

    def leaks(self) -> tuple[int, int]:
        """(foreign reads, foreign writes) so far."""
        reads = sum(payload == b"secret" for spy in self.spies for _, payload in spy.heard)
        writes = sum(payload == b"forged" for topic, payload in self.bridge.heard if topic in FORGERIES)
        return reads, writes


def tamper(world: World, monkeypatch: pytest.MonkeyPatch, rng: random.Random, count: int) -> dict[str, int]:
    """`count` times the accounts are applied with a mutated file, half of them mutated before they are looked at and
    half on their way to the disk, while everybody tries everything. Returns what happened."""
    watch = Watch(world)
    found = {"mutations": 0, "refused": 0, "harmless": 0}
    running = world.role.process.pid
    for n in range(count):
        mutation = MUTATIONS[n % len(MUTATIONS)]
        name = rng.choice(["acl_file", "passwords_file"])
        with monkeypatch.context() as patch, _bustle(watch):
            if n % 2:
                _mutate_generated(patch, name, lambda text: mutation(rng, text))  # noqa: B023
            else:
                _mutate_written(patch, name, lambda text: mutation(rng, text))  # noqa: B023
            try:
                access.refresh(world.settings)
                found["harmless"] += 1
            except DepotError:
                found["refused"] += 1
        watch.step()
        access.refresh(world.settings)
        watch.settle()
        found["mutations"] += 1
    reads, writes = watch.leaks()
    assert world.role.process.poll() is None, "the broker still runs"
    assert world.role.process.pid == running
    return found | {"foreign_reads": reads, "foreign_writes": writes}


@contextlib.contextmanager
def _bustle(watch: Watch) -> Iterator[None]:
    """Everybody tries everything, again and again, while the body runs."""
    over = threading.Event()

    def run() -> None:
        while not over.is_set():
            watch.step()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _mutate_generated(patch: pytest.MonkeyPatch, name: str, mutate: Callable[[str], str]) -> None:
    real = getattr(accounts, name)
    patch.setattr(accounts, name, lambda known: mutate(real(known)))


def _mutate_written(patch: pytest.MonkeyPatch, name: str, mutate: Callable[[str], str]) -> None:
    file = access.ACL if name == "acl_file" else access.PASSWORDS
    real = access.atomicfile.write

    def write(path: Path, content: bytes | str, mode: int = 0o600) -> None:
        assert isinstance(content, str)
        real(path, mutate(content) if path.name == file else content, mode)

    patch.setattr(access.atomicfile, "write", write)
