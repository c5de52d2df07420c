"""redis-server and mosquitto as the box starts them: the real programs."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import paho.mqtt.client as mqtt
import psutil
import pytest
import redis as redis_client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from appliance import config
from appliance.config import Settings
from appliance.errors import ConfigError, InputError, Unavailable
from appliance.servers import access, accounts, mosquitto, native, redis
from appliance.servers.access import Access
from appliance.servers.rehearsal import rehearse
from appliance.storage import devices, vehicles
from appliance.storage.db import open_depot, write_tx
from appliance.storage.devices import Account
from appliance.storage.migrations import migrate

HASH = accounts.password_hash("secret")
TRACKER = Account("van1-1", HASH, "van1", first=True)
TABLET = Account("van1-2", HASH, "van1", first=False)
OTHER = Account("van2-1", HASH, "van2", first=True)
BRANCH = "depot/v1/vehicles"

Role = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def settings(data_dir: Path, free_port: Callable[[], int]) -> Settings:
    return prepared(data_dir, free_port())


def prepared(data_dir: Path, port: int) -> Settings:
    """What `init` leaves behind, and an environment in which the roles find it."""
    os.environ.update({
        "DEPOTBOX_STORAGE__DATA_DIR": str(data_dir),
        "DEPOTBOX_MQTT__PORT": str(port),
        "DEPOTBOX_MQTT__TLS_PORT": "0",
        "DEPOTBOX_MQTT__CERTIFICATE_PORT": "0",
    })  # fmt: skip
    settings = config.load()
    settings.paths.prepare()
    migrate(settings.paths.depot_db)
    mosquitto.make_secrets(settings.paths)
    return settings


@pytest.fixture
def role(start: Any, data_dir: Path) -> Iterator[Role]:
    """`role("redis")` is the process of that role, once it has said that it is ready."""
    address = data_dir.parent / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(address))
        channel.settimeout(20)

        def begin(name: str, *launcher: str) -> subprocess.Popen[str]:
            os.environ["NOTIFY_SOCKET"] = str(address)
            process: subprocess.Popen[str] = start([sys.executable, *launcher, "-m", "appliance", "role", name])
            while b"READY=1" not in channel.recv(4096):
                pass
            return process

        yield begin


class Client:
    """An MQTT client that keeps what comes in."""

    def __init__(self, name: str, password: str, *, unix: Path | None = None, port: int = 0, as_id: str = "") -> None:
        self.got: list[tuple[str, str]] = []
        self.result: str | None = None
        self.connected = False
        transport: Literal["unix", "tcp"] = "unix" if unix else "tcp"
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, as_id or name, transport=transport, protocol=MQTTProtocolVersion.MQTTv311
        )  # fmt: skip
        self._client.username_pw_set(name, password)
        self._client.on_message = lambda _, __, message: self.got.append((message.topic, message.payload.decode()))
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.connect(
            str(unix) if unix else "127.0.0.1", port or 1
        )  # a unix socket has none, but paho wants one
        self._client.loop_start()

    def _on_connect(self, _: Any, __: Any, ___: Any, reason: Any, ____: Any) -> None:
        self.connected = not reason.is_failure
        self.result = str(reason)

    def _on_disconnect(self, *_: Any) -> None:
        self.connected = False

    def subscribe(self, topic: str, wait_for: Any) -> None:
        done: list[int] = []
        self._client.on_subscribe = lambda *_: done.append(1)
        self._client.subscribe(topic, qos=1)
        wait_for(lambda: done)

    def publish(self, topic: str, payload: str | bytes = "x") -> None:
        """Returns when the broker has acknowledged it, which it does also for what it then drops."""
        self._client.publish(topic, payload, qos=1).wait_for_publish(10)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def connect(settings: Settings, wait_for: Any) -> Iterator[Callable[..., Client]]:
    """`connect("van1-1")` is that device, logged in; `connect("bridge")` an account of the box on its socket."""
    clients: list[Client] = []

    def begin(name: str, password: str = "secret", **kwargs: Any) -> Client:
        if name in accounts.OWN_RULES:
            kwargs["unix"] = settings.paths.mqtt_socket
            password = mosquitto.own_password(settings.paths, name)
        clients.append(Client(name, password, port=settings.mqtt.port, **kwargs))
        wait_for(lambda: clients[-1].result)
        return clients[-1]

    yield begin
    for client in clients:
        client.close()


@pytest.fixture
def broker(settings: Settings, role: Role) -> subprocess.Popen[str]:
    """The broker with three devices."""
    process = role("mosquitto")
    access.apply(settings.paths, Access([TRACKER, TABLET, OTHER]), process.pid)
    return process


# redis


def test_redis_becomes_the_server_on_a_private_socket_and_listens_nowhere_else(settings: Settings, role: Role) -> None:
    process = role("redis")
    found = psutil.Process(process.pid)
    assert found.name() == "redis-server"
    assert found.net_connections("inet") == []
    assert stat.S_IMODE(settings.paths.redis_socket.stat().st_mode) == 0o700
    with redis_client.Redis(unix_socket_path=str(settings.paths.redis_socket), decode_responses=True) as client:
        names = ("maxmemory-policy", "maxmemory", "save", "appendonly", "databases")
        values = [client.config_get(name)[name] for name in names]
    assert values == ["noeviction", "268435456", "", "no", "4"]


def test_redis_saves_nothing(settings: Settings, role: Role) -> None:
    process = role("redis")
    with redis_client.Redis(unix_socket_path=str(settings.paths.redis_socket)) as client:
        client.set("a", 1)
    process.terminate()
    assert process.wait(timeout=10) == 0
    assert not [path for path in settings.paths.redis_dir.iterdir() if path.suffix in (".rdb", ".aof")]


def test_the_configuration_of_redis_bears_any_path() -> None:
    paths = config.load(environ={"DEPOTBOX_STORAGE__DATA_DIR": '/tmp/a "b" \\c'}).paths
    assert 'unixsocket "/tmp/a \\"b\\" \\\\c/run/redis/redis.sock"' in redis.configuration(paths)


def test_bundled_libraries_are_for_the_bundled_program_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEPOTBOX_NATIVE", "/opt/native")
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    assert native.environment(Path("/opt/native/bin/redis-server"))["LD_LIBRARY_PATH"] == "/opt/native/lib"
    assert "LD_LIBRARY_PATH" not in native.environment(Path("/usr/bin/redis-server"))


def test_the_libraries_of_the_frozen_program_are_not_for_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEPOTBOX_NATIVE", raising=False)
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setenv("LD_LIBRARY_PATH", "/tmp/_MEI")
    assert "LD_LIBRARY_PATH" not in native.environment(Path("/usr/bin/redis-server"))
    monkeypatch.setenv("LD_LIBRARY_PATH_ORIG", "/before")
    assert native.environment(Path("/usr/bin/redis-server"))["LD_LIBRARY_PATH"] == "/before"


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize("name", ["redis", "mosquitto"])
def test_a_server_ends_when_its_supervisor_is_killed(role: Role, wait_for: Any, name: str) -> None:
    launcher = (
        "import os, subprocess, sys; os.environ['DEPOTBOX_PARENT'] = str(os.getpid())\n"
        "subprocess.run([sys.executable, *sys.argv[1:]])"
    )
    parent = role(name, "-c", launcher)
    server = psutil.Process(parent.pid).children()[0]
    assert server.name() in ("redis-server", "mosquitto")
    parent.kill()
    wait_for(lambda: not server.is_running() or server.status() == psutil.STATUS_ZOMBIE, bound_s=5)


# mosquitto: accounts


@pytest.mark.usefixtures("broker")
@pytest.mark.parametrize(
    ("name", "password"), [("van1-1", "wrong"), ("bridge", "secret"), ("nobody", "secret"), ("van1-1", "")]
)
def test_only_a_known_device_with_its_password_gets_in(
    settings: Settings, wait_for: Any, name: str, password: str
) -> None:
    client = Client(name, password, port=settings.mqtt.port)
    wait_for(lambda: client.result)
    assert (client.connected, client.result) == (False, "Not authorized")
    client.close()


@pytest.mark.usefixtures("broker")
def test_the_socket_wants_a_password_too(settings: Settings, wait_for: Any) -> None:
    client = Client("bridge", "wrong", unix=settings.paths.mqtt_socket)
    wait_for(lambda: client.result)
    assert client.result == "Not authorized"
    client.close()


@pytest.mark.usefixtures("broker")
def test_a_device_writes_only_in_its_own_branch(connect: Callable[..., Client], wait_for: Any) -> None:
    bridge, tracker, tablet = connect("bridge"), connect("van1-1"), connect("van1-2")
    for topic in (f"{BRANCH}/#", "owntracks/#"):
        bridge.subscribe(topic, wait_for)
    refused = [
        "van2/gps",
        "van2/gps/van1-1",
        "van1/gps/van1-2",
        "van1/ack/van1-1",
        "van1/trip/reply",
        "van1/assignment",
    ]
    for topic in refused:
        tracker.publish(f"{BRANCH}/{topic}")
    tracker.publish("owntracks/van2-1/phone")
    tablet.publish(f"{BRANCH}/van1/gps")  # it is not the first device
    wanted = [
        *(f"{BRANCH}/{topic}" for topic in ("van1/gps", "van1/gps/van1-1", "van1/trip", "van1/status")),
        "owntracks/van1-1/phone",
    ]
    for topic in wanted:
        tracker.publish(topic)
    tablet.publish(f"{BRANCH}/van1/gps/van1-2")
    wait_for(lambda: len(bridge.got) >= len(wanted) + 1)
    assert sorted(topic for topic, _ in bridge.got) == sorted([*wanted, f"{BRANCH}/van1/gps/van1-2"])


@pytest.mark.usefixtures("broker")
def test_a_device_reads_only_what_is_for_it(connect: Callable[..., Client], wait_for: Any) -> None:
    bridge, tracker, other = connect("bridge"), connect("van1-1"), connect("van2-1")
    for client in (tracker, other):
        client.subscribe("#", wait_for)
    topics = [f"{BRANCH}/van1/{last}" for last in ("ack/van1-1", "ack/van1-2", "trip/reply", "assignment")]
    for topic in [*topics, "depot/v1/trips/7/position", f"{BRANCH}/van2/assignment"]:
        bridge.publish(topic)
    wait_for(lambda: other.got and len(tracker.got) == 3)
    assert {topic for topic, _ in tracker.got} == {topics[0], topics[2], topics[3]}
    assert other.got == [(f"{BRANCH}/van2/assignment", "x")]


@pytest.mark.usefixtures("broker")
def test_the_loopback_account_plays_every_vehicle_and_hears_what_each_would(
    connect: Callable[..., Client], wait_for: Any
) -> None:
    bridge, loopback = connect("bridge"), connect("loopback")
    bridge.subscribe(f"{BRANCH}/+/gps", wait_for)
    loopback.subscribe("#", wait_for)
    loopback.publish(f"{BRANCH}/van9/ack/x")
    loopback.publish(f"{BRANCH}/van9/gps", "fix")
    wait_for(lambda: bridge.got)
    for topic in (f"{BRANCH}/van9/ack/van9-1", "depot/v1/trips/7/status"):
        bridge.publish(topic, "y")
    wait_for(lambda: len(loopback.got) == 2)
    assert bridge.got == [(f"{BRANCH}/van9/gps", "fix")]
    assert {payload for _, payload in loopback.got} == {"y"}


@pytest.mark.usefixtures("broker")
def test_nobody_takes_the_session_of_another_by_its_client_id(connect: Callable[..., Client], wait_for: Any) -> None:
    tracker, bridge = connect("van1-1"), connect("bridge")
    for name in ("van1-1", "bridge"):
        assert connect("van2-1", as_id=name).connected
    bridge.subscribe(f"{BRANCH}/van1/status", wait_for)
    tracker.publish(f"{BRANCH}/van1/status", "online")
    wait_for(lambda: bridge.got)
    assert (tracker.connected, bridge.connected) == (True, True)


def test_a_revoked_device_is_disconnected_and_the_others_are_not(
    settings: Settings, broker: subprocess.Popen[str], connect: Callable[..., Client], wait_for: Any
) -> None:
    tracker, other = connect("van1-1"), connect("van2-1")
    access.apply(settings.paths, Access([OTHER]), broker.pid)
    wait_for(lambda: not tracker.connected)
    other.subscribe(f"{BRANCH}/van2/assignment", wait_for)
    assert other.connected


def test_files_that_the_broker_refuses_change_nothing(
    settings: Settings, broker: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = settings.paths.mosquitto_dir
    before = {name: (folder / name).read_text() for name in ("devices.acl", "devices.passwords")}
    monkeypatch.setattr(accounts, "acl_file", lambda _: "user van1-1\ntopic everything #\n")
    monkeypatch.setattr(accounts, "audit", lambda *_: None)  # it would refuse first
    with pytest.raises(Unavailable, match=r"the broker refuses the new accounts: .*everything"):
        access.apply(settings.paths, Access([TABLET]), broker.pid)
    assert {name: (folder / name).read_text() for name in before} == before
    assert not list(folder.glob("rehearsal-*"))


@pytest.mark.parametrize("unfit", [
    replace(TRACKER, username="van1\ntopic #"), replace(TRACKER, username=""), replace(TRACKER, vehicle="+"),
    replace(TRACKER, vehicle="a/b"), replace(TRACKER, vehicle="v" * 33), replace(TRACKER, password_hash="plain"),
])  # fmt: skip
def test_an_unfit_account_is_refused(settings: Settings, unfit: Account) -> None:
    with pytest.raises(InputError):
        access.apply(settings.paths, Access([OTHER, unfit]), None)


def test_the_rehearsal_hears_of_a_damaged_password_hash(settings: Settings) -> None:
    assert rehearse(settings.paths.mosquitto_dir, f"van1-1:{HASH}\n", "") is None
    assert "van1-1" in (rehearse(settings.paths.mosquitto_dir, "van1-1:$7$101$xx\n", "") or "")


def test_devices_of_the_database_are_known_from_the_start_and_after_a_refresh(
    settings: Settings, role: Role, connect: Callable[..., Client], wait_for: Any
) -> None:
    depot = open_depot(settings.paths.depot_db)
    now = datetime.now(UTC)
    with write_tx(depot) as tx:
        van = vehicles.add(tx, "van7", now)
        first = devices.add(tx, van, "van7", HASH, now)
    broker = role("mosquitto")
    assert connect(first).connected
    with write_tx(depot) as tx:
        second = devices.add(tx, van, "van7", HASH, now)
    depot.conn.close()
    assert mosquitto.running_pid(settings.paths) == broker.pid
    access.refresh(settings)
    wait_for(lambda: connect(second).connected)


def test_a_broker_that_is_just_starting_can_be_told_already(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the writing of its files and the first line of mosquitto nobody else would know its process."""
    monkeypatch.chdir(settings.paths.data_dir)
    monkeypatch.setattr(native, "become", lambda *_: None)
    mosquitto.main(settings)
    assert (settings.paths.mqtt_dir / "mosquitto.pid").read_text() == str(os.getpid())


def test_the_own_passwords_are_private_and_made_once(settings: Settings) -> None:
    before = mosquitto.own_password(settings.paths, "bridge")
    mosquitto.make_secrets(settings.paths)
    assert mosquitto.own_password(settings.paths, "bridge") == before
    assert len(before) >= 43
    assert {stat.S_IMODE(file.stat().st_mode) for file in settings.paths.secrets_dir.iterdir()} == {0o600}


def test_a_password_that_systemd_hands_over_is_taken_in_the_place_of_the_file(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mqtt-bridge").write_text("handed over")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert mosquitto.own_password(settings.paths, "bridge") == "handed over"
    assert len(mosquitto.own_password(settings.paths, "warden")) >= 43


def test_before_init_the_own_passwords_are_missing_with_a_hint(tmp_path: Path) -> None:
    paths = config.load(environ={"DEPOTBOX_STORAGE__DATA_DIR": str(tmp_path)}).paths
    with pytest.raises(ConfigError, match=r"no password for bridge: .*depotbox run"):
        mosquitto.own_password(paths, "bridge")


# mosquitto: the server


def test_a_payload_above_the_limit_reaches_the_bridge_and_one_far_above_is_dropped_without_harm(
    settings: Settings, broker: subprocess.Popen[str], connect: Callable[..., Client], wait_for: Any
) -> None:
    bridge, tracker = connect("bridge"), connect("van1-1")
    bridge.subscribe(f"{BRANCH}/van1/gps", wait_for)
    limit = settings.limits.payload_bytes
    for size in (limit + 1, 2 * limit + 1, 10):
        tracker.publish(f"{BRANCH}/van1/gps", b"x" * size)
    wait_for(lambda: len(bridge.got) == 2)
    assert [len(payload) for _, payload in bridge.got] == [limit + 1, 10]
    assert tracker.connected


def test_retained_messages_survive_a_clean_stop(
    settings: Settings, role: Role, connect: Callable[..., Client], wait_for: Any
) -> None:
    first = role("mosquitto")
    bridge = connect("bridge")
    bridge._client.publish(f"{BRANCH}/van1/assignment", "kept", qos=1, retain=True).wait_for_publish(10)
    bridge.close()
    first.terminate()
    assert first.wait(timeout=10) == 0
    role("mosquitto")
    loopback = connect("loopback")
    loopback.subscribe(f"{BRANCH}/van1/assignment", wait_for)
    wait_for(lambda: loopback.got == [(f"{BRANCH}/van1/assignment", "kept")])


@pytest.mark.parametrize("damage", [b"", b"no such format" * 40, b"\x00\xb5\x00mosquitto db\x00\x00"])
def test_a_damaged_store_does_not_keep_the_broker_from_starting(
    settings: Settings,
    role: Role,
    connect: Callable[..., Client],
    damage: bytes,
) -> None:
    store = settings.paths.mosquitto_dir / mosquitto.STORE
    store.write_bytes(damage)
    role("mosquitto")
    assert connect("bridge").connected
    aside = store.with_name("mosquitto.db.damaged")
    assert not damage or aside.read_bytes() == damage


def test_the_broker_comes_back_after_a_kill(settings: Settings, role: Role, connect: Callable[..., Client]) -> None:
    first = role("mosquitto")
    first.kill()
    first.wait()
    assert mosquitto.running_pid(settings.paths) is None
    second = role("mosquitto")
    assert mosquitto.running_pid(settings.paths) == second.pid
    assert connect("bridge").connected


def test_both_servers_work_in_a_folder_with_a_space(
    data_dir: Path, role: Role, free_port: Callable[[], int], wait_for: Any
) -> None:
    """mosquitto's parser ends the path of a socket at a space, so it is given a relative one."""
    settings = prepared(data_dir.parent / "a b", free_port())
    for name in ("redis", "mosquitto"):
        role(name)
    with redis_client.Redis(unix_socket_path=str(settings.paths.redis_socket)) as store:
        assert store.ping()
    bridge = Client("bridge", mosquitto.own_password(settings.paths, "bridge"), unix=settings.paths.mqtt_socket)
    wait_for(lambda: bridge.connected)
    bridge.close()
