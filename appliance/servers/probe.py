"""Whether a running broker keeps to its rules, seen with the eyes of a device.

mosquitto 2.0 goes on without any rules when it cannot read new ones. So after each change two accounts of the box's own
try it out. The `canary` is an account like a device's, in the devices' own files; `warden` is one of the box's, and
stands for everybody else. Both log in on unix sockets. The canary's is the last listener of the configuration:
mosquitto reads the listeners' files in their order and stops at the first that it cannot read, so what holds for the
last one holds for those of the vehicles.
"""

from __future__ import annotations

import contextlib
import select
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

from appliance.errors import Unavailable
from appliance.paths import Paths
from appliance.servers.accounts import CANARY, FOREIGN, OWN, ROOT

PATIENCE_S = 10.0

_STEP_S = 0.01
_RETRY_S = 0.02


def check_rules(paths: Paths, password: str, warden_password: str, end: int) -> str | None:
    """What is wrong with the rules that the broker follows, or None.

    `password` is the canary's in the newest files, so that its login is accepted only once they have been read. `end`
    is a pidfd of the broker: when it ends nothing is wrong, for its next start reads the files.
    """
    deadline = time.monotonic() + PATIENCE_S
    with contextlib.ExitStack() as closing:
        warden = closing.enter_context(_client(paths.mqtt_socket, "warden", "warden", warden_password))
        canary = closing.enter_context(_client(paths.mqtt_probe_socket, CANARY, CANARY, password))
        for one in (warden, canary):
            while not one.log_in(deadline):
                if select.select([end], [], [], _RETRY_S)[0]:
                    return None
                if time.monotonic() > deadline:
                    return f"{one.name} cannot log in"
        canary.subscribe("#")
        warden.subscribe(f"{ROOT}/canary/+/out")
        _until(lambda: canary.subscribed and warden.subscribed, deadline, canary, warden)
        # The broker keeps the order of one sender: what comes first has arrived, or never will.
        for branch in (FOREIGN, OWN):
            canary.publish(f"{branch}/out")
            warden.publish(f"{branch}/in")
        came = _until(lambda: f"{OWN}/out" in warden.heard and f"{OWN}/in" in canary.heard, deadline, canary, warden)
        if f"{FOREIGN}/out" in warden.heard:
            return "a device can write what is not its own"
        if set(canary.heard) - {f"{OWN}/in"}:
            return "a device can read what is not its own"
        return None if came else "a device cannot use its own branch"


def push_off(paths: Paths, client_id: str, warden_password: str) -> None:
    """Ends the connection of a client and its session: a newer one with its client id takes its place, and goes.

    For devices with a certificate, which mosquitto leaves connected when their certificate is revoked.
    Raises Unavailable when the broker does not answer.
    """
    with _client(paths.mqtt_socket, client_id, "warden", warden_password) as client:
        if not client.log_in(time.monotonic() + PATIENCE_S):
            raise Unavailable(f"{client_id} may still be connected: it does not answer", subject="mosquitto")


class _Client:
    """One connection on a unix socket, driven by hand: every wait has its bound."""

    def __init__(self, socket: Path, client_id: str, username: str, password: str) -> None:
        self.name = username
        self.heard: list[str] = []
        self.subscribed = False
        self._answer: bool | None = None
        self._socket = socket
        self._paho = paho.Client(
            CallbackAPIVersion.VERSION2, client_id, transport="unix", protocol=MQTTProtocolVersion.MQTTv311
        )
        self._paho.username_pw_set(username, password)
        self._paho.on_connect = self._connected
        self._paho.on_subscribe = self._granted
        self._paho.on_message = lambda _client, _data, message: self.heard.append(message.topic)

    def log_in(self, deadline: float) -> bool:
        self._answer = None
        try:
            self._paho.connect(str(self._socket), 1)  # paho wants a port for a socket too
        except OSError:
            return False
        return _until(lambda: self._answer is not None, deadline, self) and bool(self._answer)

    def subscribe(self, topic: str) -> None:
        self._paho.subscribe(topic)

    def publish(self, topic: str) -> None:
        self._paho.publish(topic, b"")

    def step(self) -> bool:
        return self._paho.loop(_STEP_S) == MQTTErrorCode.MQTT_ERR_SUCCESS

    def close(self) -> None:
        self._paho.disconnect()

    def _connected(self, _client: object, _data: object, _flags: object, reason: ReasonCode, _: object) -> None:
        self._answer = not reason.is_failure

    def _granted(self, *_: object) -> None:
        self.subscribed = True


@contextlib.contextmanager
def _client(socket: Path, client_id: str, username: str, password: str) -> Iterator[_Client]:
    made = _Client(socket, client_id, username, password)
    try:
        yield made
    finally:
        made.close()


def _until(done: Callable[[], bool], deadline: float, *clients: _Client) -> bool:
    """Runs the clients until it is done (True), the time is over or a connection has ended (False)."""
    while not done():
        if time.monotonic() > deadline or not all(client.step() for client in clients):
            return done()
    return True
