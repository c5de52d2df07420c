"""Which devices the broker lets in, and what each may do there: its files, and telling the running broker of a change.

`apply` is all there is between the database and the broker. Nothing reaches the broker that was not looked through
(`accounts.audit`), tried on a throw-away broker (`rehearsal`) and read back from the disk. Once it was told, a canary
tries the rules that it follows (`probe`). A broker that does not keep them is stopped: better none than an open one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from appliance import atomicfile, ca, clock, log, steward, units
from appliance.config import Settings
from appliance.errors import Unavailable
from appliance.paths import Paths
from appliance.servers import accounts as files
from appliance.servers import probe, tls
from appliance.servers.mosquitto import own_password, running_pid
from appliance.servers.rehearsal import rehearse
from appliance.storage import db, devices
from appliance.storage.devices import Account

PASSWORDS, ACL, REVOKED = "devices.passwords", "devices.acl", "devices.crl"

_STOP_S = 5.0

_log = log.get(__name__)


@dataclass(frozen=True, slots=True)
class Access:
    """Who is let in, and the serial numbers of the certificates that count no more."""

    accounts: Sequence[Account]
    revoked: Sequence[int] = ()


def refresh(settings: Settings) -> None:
    """The broker knows exactly the devices of the database from now on: to be called after each change of them.

    A revoked device has no rights any more, and one with a password is disconnected (`push_off` does that for one with
    a certificate). Whether the broker runs or not, its next start knows the same. Its certificate is renewed too where
    that is due, so that it has the name that a new device is told. Raises a DepotError when the running broker could
    not be told, or did not keep to the new rules and was stopped.
    """
    paths = settings.paths
    try:
        with one_at_a_time(paths):
            tls.renew(settings, clock.now())
            apply(paths, read(paths), running_pid(paths))
    except OSError as error:
        raise Unavailable(f"the accounts cannot be changed: {error.strerror}", subject="mosquitto") from error


def apply(paths: Paths, access: Access, pid: int | None) -> None:
    """Replaces the files of the devices, and tells the broker `pid` (None: it does not run).

    Raises InputError for an unfit account, and Refused or Unavailable where the new files are not good: then the broker
    is not told of them. Raises Unavailable too when it was told and had to be stopped.
    """
    password = files.new_password()
    written = prepare(paths, access, password)
    if pid is None:
        return
    with contextlib.suppress(ProcessLookupError), _pidfd(pid) as end:
        _tell(paths, end)
        complaint = probe.check_rules(paths, password, own_password(paths, "warden"), end)
        if complaint is None and _on_disk(paths, written) != written:
            complaint = "its files have changed since they were written"
        if complaint is not None:
            _stop(paths, end)
            _log.error("mosquitto.rules_not_kept", complaint=complaint)
            raise Unavailable(
                f"the broker did not keep to its rules and was stopped: {complaint}",
                subject="mosquitto",
                hint="it is started again with its files made anew",
            )


def prepare(paths: Paths, access: Access, canary_password: str) -> dict[str, str]:
    """Writes the files of the devices and returns them, by name. Raises like `apply`; files that are not good are not
    written."""
    canary_passwords, canary_acl = files.canary_files(canary_password)
    written = {  # the rules first: a new device cannot log in before they are there, and a revoked one has none
        ACL: f"{canary_acl}\n{files.acl_file(access.accounts)}",
        PASSWORDS: canary_passwords + files.passwords_file(access.accounts),
        REVOKED: ca.own(paths).revocations(access.revoked),
    }
    files.audit(written[PASSWORDS], written[ACL], access.accounts)
    complaint = rehearse(paths.mosquitto_dir, written[PASSWORDS], written[ACL])
    if complaint is not None:
        raise Unavailable(f"the broker refuses the new accounts: {complaint}", subject="mosquitto")
    for name, text in written.items():
        atomicfile.write(paths.mosquitto_dir / name, text)
    if _on_disk(paths, written) != written:
        raise Unavailable("the accounts are not on the disk as they were written", subject="mosquitto")
    return written


def push_off(settings: Settings, username: str) -> None:
    """Disconnects a device and forgets its session, where the broker runs. Raises Unavailable."""
    if running_pid(settings.paths) is not None:
        probe.push_off(settings.paths, username, own_password(settings.paths, "warden"))


def read(paths: Paths) -> Access:
    depot = db.open_depot(paths.depot_db)
    try:
        return Access(devices.accounts(depot), devices.revoked_certificates(depot))
    finally:
        depot.conn.close()


@contextlib.contextmanager
def one_at_a_time(paths: Paths) -> Iterator[None]:
    """Reading the devices, writing the files and trying them is one step, or an older list could be written last."""
    folder = os.open(paths.mosquitto_dir, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _on_disk(paths: Paths, written: Mapping[str, str]) -> dict[str, str]:
    return {name: (paths.mosquitto_dir / name).read_bytes().decode(errors="replace") for name in written}


@contextlib.contextmanager
def _pidfd(pid: int) -> Iterator[int]:
    end = os.pidfd_open(pid)
    try:
        yield end
    finally:
        os.close(end)


def _tell(paths: Paths, end: int) -> None:
    """Has the broker read its files anew."""
    if units.in_charge(paths):
        steward.ask("reload-broker")
    else:
        signal.pidfd_send_signal(end, signal.SIGHUP)


def _stop(paths: Paths, end: int) -> None:
    if units.in_charge(paths):
        steward.ask("restart-broker")  # within TimeoutStopSec of its unit it has ended, or is killed
        select.select([end], [], [], 2 * _STOP_S)
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        signal.pidfd_send_signal(end, number)
        if select.select([end], [], [], _STOP_S)[0]:
            return
