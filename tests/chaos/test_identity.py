"""No device is taken for another, whatever it says and whatever happens to the broker's files."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import ssl
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from paho.mqtt.enums import MQTTProtocolVersion

from appliance import ca
from appliance.device_setup import Credentials
from appliance.errors import Unavailable
from appliance.servers import access, probe, tls
from appliance.servers.mosquitto import own_password, running_pid
from tests import cast as play
from tests.chaos.impostors import FORGERIES, OTHER, ROOT, SECRETS, VAN, Client, Watch, World, build, tamper
from tests.servers import Role, wait_for

# paho leaves the socket of a handshake that failed to the garbage collector
pytestmark = pytest.mark.filterwarnings("ignore:.*SSLSocket:pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def built() -> Iterator[World]:
    folder = Path(tempfile.mkdtemp(prefix="depot-", dir=play.MEMORY))
    made = build(folder)
    yield made
    made.stop()
    shutil.rmtree(folder)


@pytest.fixture
def world(built: World) -> Iterator[World]:
    yield built
    built.close()


@pytest.fixture
def rng() -> random.Random:
    seed = int(os.environ.get("SEED", time.time_ns() % 100_000))
    print(f"SEED={seed}")
    return random.Random(seed)


# what a device can do


def test_both_logins_work_over_tls_and_each_device_has_its_own_branch(world: World) -> None:
    """The first one writes the plain topic, the other one its own; both hear what is for the vehicle."""
    bridge = world.own("bridge")
    bridge.subscribe(f"{ROOT}/vehicles/+/gps", f"{ROOT}/vehicles/+/gps/+")
    for who in (world.tracker, world.tablet):
        device = world.login(who)
        assert device.connected
        device.subscribe(f"{ROOT}/vehicles/{VAN}/assignment")
        device.publish(who.topic, b"fix")
        wait_for(lambda who=who: bridge.payloads(who.topic) == [b"fix"], "the fix is through")
        bridge.publish(f"{ROOT}/vehicles/{VAN}/assignment", who.username.encode())
        wait_for(lambda device=device: device.heard, "the assignment is through")


def test_a_device_is_in_and_out_again_within_5_seconds(world: World) -> None:
    """Both kinds; the others stay."""
    other = world.login(world.tracker)
    took: dict[str, list[float]] = {}
    for certificate in (False, True):
        began = time.monotonic()
        who = world.add(VAN, certificate=certificate)
        device = world.login(who)
        took.setdefault("added_s", []).append(time.monotonic() - began)
        assert device.connected
        began = time.monotonic()
        world.revoke(who)
        wait_for(lambda device=device: device.ended, "it is disconnected", 5)
        took.setdefault("revoked_s", []).append(time.monotonic() - began)
        assert not world.login(who).connected
    assert other.connected
    assert max(took["added_s"]) < 5
    print(json.dumps({key: [round(one, 3) for one in values] for key, values in took.items()}))


def test_a_new_public_host_is_in_the_certificate_from_the_next_device_on(world: World) -> None:
    settings, mqtt = world.settings, replace(world.settings.mqtt, public_host="new.example")

    def names() -> set[str]:
        with socket.create_connection(("127.0.0.1", world.tracker.port)) as plain:
            context = world.trusting()
            with context.wrap_socket(plain, server_hostname="localhost") as secure:
                return {str(name) for _, name in secure.getpeercert()["subjectAltName"]}  # type: ignore[index]

    before = names()
    access.refresh(replace(settings, mqtt=mqtt))
    assert names() == before | {"new.example"}
    access.refresh(settings)
    assert names() >= before  # a name that went is no reason for another certificate


@pytest.mark.parametrize("ciphers", ["AES128-SHA", "AES256-GCM-SHA384", "ECDHE-RSA-AES128-GCM-SHA256"])
def test_old_trackers_without_elliptic_curves_are_understood(world: World, ciphers: str) -> None:
    context = world.trusting()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(ciphers)
    assert world.login(world.tracker, tls=context).connected


# 20 attacks and more: each returns whether it succeeded


def forges(world: World, attacker: Client, topics: list[str] = FORGERIES, **options: Any) -> bool:
    """Whether anybody of the box hears what the attacker says on these topics."""
    bridge, loopback = world.own("bridge"), world.own("loopback")
    for one in (bridge, loopback):
        one.subscribe("#", "owntracks/#")
    for topic in topics:
        attacker.publish(topic, b"forged", **options)
    return _heard(world, [bridge, loopback], b"forged")


def overhears(world: World, attacker: Client, *topics: str) -> bool:
    """Whether an attacker who subscribes so hears what is for the van, or what it says."""
    bridge, tracker = world.own("bridge"), world.login(world.tracker)
    attacker.subscribe(*topics)
    for topic in [*SECRETS, f"{ROOT}/trips/7/position", f"{ROOT}/trips/7/status"]:
        bridge.publish(topic, b"secret")
    for topic in FORGERIES:
        tracker.publish(topic, b"secret")
    if not attacker.connected:
        return any(payload == b"secret" for _, payload in attacker.heard)
    attacker.subscribe(f"{ROOT}/vehicles/{OTHER}/assignment")
    fence = f"{ROOT}/vehicles/{OTHER}/assignment"
    wait_for(lambda: bridge.publish(fence, b"fence") or attacker.payloads(fence), "the fence")
    return any(payload == b"secret" for _, payload in attacker.heard)


def _heard(world: World, box: list[Client], payload: bytes) -> bool:
    fence = f"{ROOT}/vehicles/{VAN}/gps"
    world.login(world.tracker).publish(fence, b"fence")
    wait_for(lambda: b"fence" in box[0].payloads(fence), "the fence")
    return any(said == payload for one in box for _, said in one.heard)


def kicks(world: World, attacker: Credentials, victim: Client, client_id: str) -> bool:
    """Whether an attacker who logs in with the victim's client id pushes it off."""
    assert victim.connected
    assert world.login(attacker, client_id=client_id).connected
    victim.publish(f"{ROOT}/vehicles/{VAN}/status", b"online")  # the answer to this comes after the attack
    return not victim.connected


def _listening(world: World) -> Client:
    loopback = world.own("bridge", protocol=MQTTProtocolVersion.MQTTv5)
    loopback.subscribe(f"{ROOT}/vehicles/{VAN}/gps")
    return loopback


def forged_certificate(world: World, name: str) -> Credentials:
    """From an authority of the attacker's own, with the right name in it."""
    folder = Path(tempfile.mkdtemp(dir=world.settings.paths.data_dir.parent))
    paths = type(world.settings.paths)(folder)
    paths.secrets_dir.mkdir()
    issued = ca.own(paths).device(name, ca.new_serial())
    return Credentials(
        host="", port=world.tablet.port, topic="", client_id=name, username=name,
        certificate=issued.certificate, key=issued.key,
    )  # fmt: skip


def box_certificate(world: World) -> Credentials:
    """The broker's own certificate, should its key ever leak: it is for a server."""
    folder = world.settings.paths.mosquitto_dir
    certificate, key = ((folder / name).read_text() for name in (tls.CERTIFICATE, tls.KEY))
    return Credentials(
        host="", port=world.tablet.port, topic="", client_id="x", username="box", certificate=certificate, key=key
    )


def revoked(world: World, *, certificate: bool) -> bool:
    """Whether a revoked device gets in, or what it left behind still speaks for it."""
    who = world.add(VAN, certificate=certificate)
    device = world.login(who, will=f"{ROOT}/vehicles/{VAN}/status")
    world.revoke(who)
    wait_for(lambda: device.ended, "it is disconnected")
    again = world.login(who)
    return again.connected or _heard(world, [_listening(world)], b"forged")


def willed(world: World) -> bool:
    attacker = world.login(world.thief, will=f"{ROOT}/vehicles/{VAN}/status")
    bridge = world.own("bridge")
    bridge.subscribe(f"{ROOT}/vehicles/+/status", f"{ROOT}/vehicles/+/gps")
    attacker.vanish()
    return _heard(world, [bridge], b"forged")


def retained(world: World) -> bool:
    """A forgery that waits for the next listener."""
    world.login(world.thief).publish(f"{ROOT}/vehicles/{VAN}/status", b"forged", retain=True)
    world.login(world.thief).publish(f"{ROOT}/vehicles/{VAN}/assignment", b"forged", retain=True)
    bridge, tracker = world.own("bridge"), world.login(world.tracker)
    bridge.subscribe(f"{ROOT}/vehicles/+/status", f"{ROOT}/vehicles/+/gps")
    tracker.subscribe(f"{ROOT}/vehicles/{VAN}/assignment")
    return _heard(world, [bridge, tracker], b"forged")


def old_tls(world: World) -> bool:
    context = world.trusting()
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    return world.login(world.tracker, tls=context).connected


def on_the_network(world: World) -> bool:
    """The listener without TLS, from another address than loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing; tells this machine's own address
        except OSError:
            return False  # it has none
        address = probe.getsockname()[0]
    try:
        socket.create_connection((address, world.settings.mqtt.port), timeout=2).close()
    except OSError:
        return False
    return not address.startswith("127.")


def stranger_box(world: World) -> bool:
    """A box with another authority, at the same address: a device must not talk to it."""
    mine = forged_certificate(world, "whoever")
    folder = world.settings.paths.data_dir.parent
    (folder / "other.crt").write_text(mine.certificate)
    return world.login(world.tracker, tls=ssl.create_default_context(cafile=str(folder / "other.crt"))).connected


ATTACKS: dict[str, Callable[[World], bool]] = {
    "a wrong password": lambda w: w.login(w.tracker, password=w.thief.password).connected,
    "no password": lambda w: w.login(w.tracker, password=None).connected,
    "an empty password": lambda w: w.login(w.tracker, password="").connected,
    "no name": lambda w: w.login(w.tracker, username="").connected,
    "the bridge's name and password on TLS": lambda w: w.login(
        w.thief, username="bridge", password=own_password(w.settings.paths, "bridge")
    ).connected,
    "the canary's name": lambda w: w.login(w.thief, username="canary").connected,
    "the name of a device with a certificate": lambda w: w.login(w.thief, username=w.tablet.username).connected,
    "another device's client id": lambda w: kicks(w, w.thief, w.login(w.tracker), w.tracker.client_id),
    "another tablet's client id": lambda w: kicks(w, w.thief, w.login(w.tablet), w.tablet.client_id),
    "the bridge's client id": lambda w: kicks(w, w.thief, w.own("bridge"), "bridge"),
    "another device's client id, with a certificate": lambda w: kicks(
        w, w.rogue, w.login(w.tracker), w.tracker.client_id
    ),
    "an empty client id": lambda w: w.login(w.tracker, client_id="").connected,
    "foreign topics": lambda w: forges(w, w.login(w.thief)),
    "foreign topics with a certificate": lambda w: forges(w, w.login(w.rogue)),
    "foreign topics in MQTT 5": lambda w: forges(w, w.login(w.thief, protocol=MQTTProtocolVersion.MQTTv5)),
    "foreign topics without acknowledgement": lambda w: forges(w, w.login(w.thief), qos=0),
    "foreign topics at QoS 2": lambda w: forges(w, w.login(w.thief), qos=2),
    "the box's own topics": lambda w: forges(
        w, w.login(w.tracker), [*SECRETS, f"{ROOT}/trips/7/position", f"{ROOT}/canary/own/in"]
    ),
    "the vehicle's other device": lambda w: forges(w, w.login(w.tablet), [f"{ROOT}/vehicles/{VAN}/gps", FORGERIES[1]]),
    "foreign topics under the victim's name, with a certificate": lambda w: forges(
        w, w.login(w.rogue, username=w.tracker.username, password=w.tracker.password)
    ),
    "a foreign last will": willed,
    "a retained forgery": retained,
    "the wildcard for everything": lambda w: overhears(w, w.login(w.thief), "#", "+/+/+/+/+", "$SYS/#"),
    "wildcards with a certificate": lambda w: overhears(w, w.login(w.rogue), f"{ROOT}/vehicles/+/+", "#"),
    "the van's topics by name": lambda w: overhears(w, w.login(w.thief), *SECRETS, *FORGERIES),
    "the positions of trips": lambda w: overhears(w, w.login(w.thief), f"{ROOT}/trips/#", f"{ROOT}/trips/7/position"),
    "a shared subscription": lambda w: overhears(
        w, w.login(w.thief, protocol=MQTTProtocolVersion.MQTTv5), "$share/x/#", f"$share/x/{ROOT}/vehicles/+/+"
    ),
    "a certificate of one's own authority": lambda w: w.login(forged_certificate(w, w.tablet.username)).connected,
    "the broker's certificate": lambda w: w.login(box_certificate(w)).connected,
    "no certificate": lambda w: w.login(w.tracker, port=w.tablet.port).connected,
    "a certificate where a password is wanted": lambda w: w.login(w.tablet, port=w.tracker.port).connected,
    "a revoked password": lambda w: revoked(w, certificate=False),
    "a revoked certificate": lambda w: revoked(w, certificate=True),
    "TLS 1.1": old_tls,
    "no TLS on the network": on_the_network,
    "another box in the place of this one": stranger_box,
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=[name.replace(" ", "-") for name in ATTACKS])
def test_an_attack_fails(world: World, attack: Callable[[World], bool]) -> None:
    assert not attack(world)


# files that went wrong


def test_a_broker_that_lost_its_rules_is_stopped(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file changes after it was looked at, as the broker reads it: mosquitto goes on without any rules."""
    pid = running_pid(world.settings.paths)
    real = signal.pidfd_send_signal

    def change_and_send(end: int, number: signal.Signals) -> None:
        if number == signal.SIGHUP:
            (world.settings.paths.mosquitto_dir / access.ACL).write_text("topic everything #\n")
        real(end, number)

    began = time.monotonic()
    with monkeypatch.context() as patch:
        patch.setattr(access.signal, "pidfd_send_signal", change_and_send)
        with pytest.raises(Unavailable, match="a device can write what is not its own"):
            access.refresh(world.settings)
    print(json.dumps({"stopped_after_s": round(time.monotonic() - began, 3)}))
    assert running_pid(world.settings.paths) != pid
    world.role.kill()
    world.role = Role(world.settings, "mosquitto")
    assert not forges(world, world.login(world.thief))


def test_a_broker_that_does_not_answer_its_canary_is_stopped(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "PATIENCE_S", 0.5)
    process = world.role.process
    process.send_signal(signal.SIGSTOP)
    monkeypatch.setattr(access, "_STOP_S", 0.2)
    with pytest.raises(Unavailable, match=r"warden cannot log in"):
        access.refresh(world.settings)
    assert process.wait(5) == -signal.SIGKILL
    world.role = Role(world.settings, "mosquitto")


def test_6_mutated_files_open_nothing(world: World, monkeypatch: pytest.MonkeyPatch, rng: random.Random) -> None:
    found = tamper(world, monkeypatch, rng, 6)
    assert (found["foreign_reads"], found["foreign_writes"]) == (0, 0)


@pytest.mark.chaos
@pytest.mark.timeout(600)
def test_50_mutated_files_open_nothing(world: World, monkeypatch: pytest.MonkeyPatch, rng: random.Random) -> None:
    found = tamper(world, monkeypatch, rng, 50)
    print(json.dumps(found))
    assert (found["foreign_reads"], found["foreign_writes"]) == (0, 0)
    assert found["refused"] > 25


def test_the_watch_sees_what_a_broker_without_rules_lets_through(world: World) -> None:
    """The two tests above would notice."""
    watch = Watch(world)
    (world.settings.paths.mosquitto_dir / access.ACL).write_text("topic everything #\n")
    world.role.process.send_signal(signal.SIGHUP)
    wait_for(lambda: watch.step() or min(watch.leaks()) > 0, "reads and writes leak")
    access.refresh(world.settings)
