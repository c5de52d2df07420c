"""The steward: who may ask for what, over a real socket; what it would run is written down instead."""

from __future__ import annotations

import os
import pwd
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance import steward
from appliance.errors import Refused, Unavailable
from appliance.supervisor import steward as stewards
from appliance.supervisor.steward import Command, Verb

ME = pwd.getpwuid(os.geteuid()).pw_name


class Office:
    """A steward at a socket of its own; `did` is what it was to run. The user of this test is the web role's."""

    def __init__(self, address: Path) -> None:
        self.address, self.did = address, list[Command]()
        self.fails: str = ""
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(address))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            channel = self._listener.accept()[0]
            with channel:
                if channel.recv(1, socket.MSG_PEEK) == b"\0":
                    return
                stewards.serve(channel, self._run)

    def _run(self, command: Command) -> None:
        self.did.append(tuple(command))
        if self.fails and self.fails in command:
            raise Unavailable("it broke")

    def ask(self, verb: str, argument: str = "") -> None:
        steward.ask(verb, argument, address=self.address)

    def say(self, raw: bytes) -> str:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
            channel.connect(str(self.address))
            channel.sendall(raw)
            channel.shutdown(socket.SHUT_WR)
            try:
                return channel.makefile().read().strip()
            except ConnectionResetError:  # it did not read to the end
                return "reset"

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
            channel.connect(str(self.address))
            channel.sendall(b"\0")
            self._thread.join()
        self._listener.close()


@pytest.fixture
def office(depot_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    verbs = {name: Verb(verb.commands, (ME,)) for name, verb in stewards.VERBS.items()}
    monkeypatch.setattr(stewards, "VERBS", verbs)
    made = Office(depot_dir / "steward.sock")
    yield made
    made.close()


@pytest.mark.parametrize(
    ("verb", "argument", "command"),
    [
        ("restart", "web", "systemctl --no-block restart depotbox-web.service"),
        ("restart", "worker-low", "systemctl --no-block restart depotbox-worker@low.service"),
        ("reload-broker", "", "systemctl kill --signal=HUP --kill-whom=main depotbox-mosquitto.service"),
        ("restart-broker", "", "systemctl --no-block restart depotbox-mosquitto.service"),
        ("reboot", "", "systemctl --no-block reboot"),
        ("power-off", "", "systemctl --no-block poweroff"),
    ],
)
def test_each_request_is_one_fixed_command(office: Office, verb: str, argument: str, command: str) -> None:
    office.ask(verb, argument)
    assert [" ".join(words) for words in office.did] == [command]


def test_a_restore_takes_one_fixed_file_and_only_where_there_is_one(
    office: Office, depot_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = depot_dir / "restore.tar.gz"
    monkeypatch.setattr(stewards, "RESTORE", file)
    with pytest.raises(Refused, match="there is no backup to restore"):
        office.ask("restore")
    file.touch()
    with pytest.raises(Refused, match="takes no argument"):
        office.ask("restore", "/etc/shadow")
    assert not office.did
    office.ask("restore")
    assert office.did == [("systemctl", "--no-block", "start", "depotbox-restore.service")]


def test_without_the_image_an_update_is_refused_in_plain_words(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stewards, "UPDATE_UNIT", Path("/nonexistent"))
    with pytest.raises(Refused, match=r"updates are not available here .*apt installs a newer package"):
        office.ask("update")


def test_the_clock_is_set_in_utc_and_the_time_service_goes_on_whatever_happens(office: Office) -> None:
    office.fails = "set-time"
    with pytest.raises(Refused, match="it broke"):
        office.ask("set-clock", "2026-01-26T15:57:02Z")
    assert [" ".join(words) for words in office.did] == [
        "timedatectl set-ntp false",
        "timedatectl set-time 2026-01-26 15:57:02 UTC",
        "timedatectl set-ntp true",
    ]


def test_a_machine_without_a_time_service_can_have_its_clock_set(office: Office) -> None:
    office.fails = "set-ntp"
    office.ask("set-clock", "2026-01-26T15:57:02Z")
    assert len(office.did) == 3


@pytest.mark.parametrize(
    "raw",
    [
        b"restart init\n", b"restart\n", b"restart web beat\n", b"restart ../web\n", b"restart web;reboot\n",
        b"restart -H\n",
        b"reboot now\n", b"set-clock 2026-13-01T00:00:00Z\n", b"set-clock now\n", b"set-clock 1970-01-01T00:00:00Z\n",
        b"rm -rf /\n", b"\n", b"", b"restart web", b"restart web\x00\n", "restart wéb\n".encode(), b"x" * 4096 + b"\n",
    ],
)  # fmt: skip
def test_whatever_else_is_said_nothing_is_run(office: Office, raw: bytes) -> None:
    answer = office.say(raw)
    assert answer
    assert answer != steward.DONE
    assert "\n" not in answer
    assert not office.did


def test_who_is_not_named_is_refused(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stewards, "VERBS", {"reboot": Verb(lambda _: [("true",)], ("somebody-else",))})
    monkeypatch.setattr(stewards, "ROOT", "somebody-else")
    with pytest.raises(Refused, match=f"{ME} may not ask for it"):
        office.ask("reboot")
    assert not office.did


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_the_kernel_says_who_asks_not_the_request(office: Office) -> None:
    os.chmod(office.address.parent, 0o755)
    os.chmod(office.address, 0o777)
    script = (
        "import os, socket, sys\n"
        "os.setuid(65534)\n"
        "s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(b'reboot\\n')\n"
        "print(s.recv(999).decode())"
    )
    said = subprocess.run(
        [sys.executable, "-c", script, str(office.address)], capture_output=True, text=True, check=True
    )
    assert "nobody may not ask for it" in said.stdout
    assert not office.did


def test_where_no_steward_is_it_is_said(depot_dir: Path) -> None:
    with pytest.raises(Unavailable, match=r"steward: it does not answer: .*depotbox-steward.socket"):
        steward.ask("reboot", address=depot_dir / "none.sock")


def test_the_web_role_may_ask_for_all_and_the_low_worker_for_the_broker_only() -> None:
    users = {name: set(verb.users) for name, verb in stewards.VERBS.items()}
    broker = {"reload-broker", "restart-broker"}
    assert all(found == {"depotbox-web"} for name, found in users.items() if name not in broker)
    assert all(users[name] == {"depotbox-web", "depotbox-worker-low"} for name in broker)


def test_what_a_command_complains_of_is_told() -> None:
    with pytest.raises(Unavailable, match="no such program here"):
        stewards._execute(("depotbox-no-such-program",))
    with pytest.raises(Unavailable, match="cannot access"):
        stewards._execute(("ls", "/no/such/folder"))
