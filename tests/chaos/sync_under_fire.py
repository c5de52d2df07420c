"""Both ends of the sync over a hostile link, and killed: every row is at the centre once, byte for byte.

The box is `uplink.push` in a process of its own, the centre is `depotbox central serve`; both are started again as soon
as they are killed.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from sqlite_utils import Database

from appliance import uplink
from appliance.config import Settings
from appliance.storage import sync_log, uids
from appliance.storage.db import open_depot, rows, write_tx
from tests import cast
from tests.chaos.hostile_proxy import HostileProxy
from tests.ports import free_port
from tests.servers import wait_for

STREAMS: tuple[sync_log.Stream, ...] = ("trips", "invoices", "trails", "reference")
COLUMNS = "epoch, stream, seq, kind, uid, created_at, snapshot, chain"
BEGAN = datetime(2026, 1, 26, 6, tzinfo=UTC)


def snapshot(stream: sync_log.Stream, number: int, uid: str, dice: random.Random) -> tuple[str, dict[str, Any]]:
    """(kind, snapshot): one that fits the protocol, no two alike."""
    at = f"2026-01-26T{number % 24:02}:{number % 60:02}:00.000Z"
    if stream == "trips":
        stamps = ("appointment", "accepted", "en_route", "arrived_pickup", "on_board", "arrived_dropoff", "completed")
        gone = dict.fromkeys(f"{name}_at" for name in (*stamps, "cancelled", "no_show"))
        uids_ = dict.fromkeys(f"{name}_uid" for name in ("payer", "patient", "vehicle", "driver", "outbound"))
        return "trip", gone | uids_ | {
            "uid": uid, "ref": f"É-{number}", "state": "scheduled", "level": "wheelchair", "pickup_at": at,
            "cancelled_by": None, "contact_attempts": 0, "distance_m": dice.random() * 1e5, "duration_s": 60.0,
        }  # fmt: skip
    if stream == "invoices":
        line = {"kind": "base", "quantity": "1", "unit": "", "unit_cents": number, "amount_cents": number}
        return "issued", {
            "uid": uid, "number": f"LIV-2026-A{number:06}", "trip_uid": uid, "payer_uid": uid, "state": "issued",
            "issued_on": "2026-01-26", "due_on": "2026-02-25", "issued_at": at, "currency": "GBP",
            "total_cents": number, "tax_cents": 0, "distance_m": None, "lines": [line], "replaces": None,
            "sent_at": None, "voided_at": None, "void_reason": None,
        }  # fmt: skip
    if stream == "trails":
        points = [[dice.uniform(-3, -2), dice.uniform(53, 54), 1_769_400_000 + i] for i in range(dice.randrange(2, 40))]
        return "trail", {"trip_uid": uid, "tolerance_m": 50.0, "points": points}
    return "driver", {"code": f"D{number}", "disabled_at": None}


def fill(db: Database, count: int, dice: random.Random, first: int = 0) -> None:
    """So many rows, most of them of trips, numbered from `first` on."""
    for start in range(first, first + count, 1000):
        with write_tx(db, synced=False) as tx:
            for number in range(start, min(start + 1000, first + count)):
                stream = dice.choices(STREAMS, (5, 3, 1, 1))[0]
                uid = uids.new()
                kind, said = snapshot(stream, number, uid, dice)
                sync_log.append(tx, stream, kind, uid, said, BEGAN + timedelta(seconds=number))


@dataclass
class Fire:
    """A box, a centre, and the proxy between them."""

    folder: Path
    dice: random.Random
    share: float
    rows_a_batch: int = 20
    kills: Counter[str] = field(default_factory=Counter)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.port = free_port()
        self.centre_dir = self.folder / "centre"
        self.sent = self.folder / "sent"
        self.log = (self.folder / "fire.log").open("ab")
        own = {name: value for name, value in os.environ.items() if not name.startswith("DEPOTBOX_")}
        self.centre_environ = own | {
            "DEPOTBOX_CENTRAL__DATA_DIR": str(self.centre_dir),
            "DEPOTBOX_CENTRAL__PORT": str(self.port),
        }
        self.start("centre")
        self.proxy = HostileProxy(self.port, seed=self.dice.randrange(10**6), share=0.0)
        (self.folder / "box").mkdir()
        url = f"http://127.0.0.1:{self.proxy.port}"
        self.settings: Settings = cast.depot(self.folder / "box", DEPOTBOX_UPSTREAM__URL=url)
        self.box_environ = own | cast.environ(self.settings) | {"DEPOTBOX_UPSTREAM__URL": url}
        self.db = open_depot(self.settings.paths.depot_db)

    def central(self, *arguments: str) -> str:
        """What a command of the centre prints."""
        command = [sys.executable, "-m", "appliance", "central", *arguments]
        done = subprocess.run(command, env=self.centre_environ, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def enrol(self) -> None:
        code = self.central("depot", "add", "LIV", "Liverpool").split()[-1]
        uplink.enrol(self.settings, self.db, code, who="ann")

    def start(self, name: str) -> None:
        if name == "centre":
            command = [sys.executable, "-m", "appliance", "central", "serve"]
            environ = self.centre_environ
        else:
            command = [sys.executable, "-m", "tests.chaos.pusher", str(self.sent), str(self.rows_a_batch)]
            environ = self.box_environ
        self.processes[name] = subprocess.Popen(command, env=environ, stdout=self.log, stderr=self.log)
        if name == "centre":
            wait_for(self.answers, "the centre answers")

    def answers(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/healthz", trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def kill(self, name: str) -> None:
        self.processes[name].send_signal(signal.SIGKILL)
        self.processes[name].wait(10)
        self.kills[name] += 1

    def stop(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait(10)
        self.db.conn.close()
        self.log.close()

    def burn(self, count: int, *, kills: int, within_s: float, pause_s: tuple[float, float]) -> dict[str, Any]:
        """Sends `count` rows, with a kill of either end in turn after each pause, and checks what arrived."""
        self.enrol()
        fill(self.db, count, self.dice)
        self.proxy.become(self.share)
        began = time.monotonic()
        self.start("box")
        while True:
            ended = self.over(
                self.dice.uniform(*pause_s) if sum(self.kills.values()) < kills else within_s, began, within_s
            )
            if ended:
                break
            name = ("box", "centre")[sum(self.kills.values()) % 2]
            self.kill(name)
            self.start(name)
        took_s = time.monotonic() - began
        self.proxy.calm()
        self.check()
        return {"rows": count, "batches": len(set(self.sends())), "requests": len(self.sends()), "s": round(took_s, 1),
                "kills": dict(self.kills), "link": dict(self.proxy.counts)}  # fmt: skip

    def over(self, pause_s: float, began: float, within_s: float) -> bool:
        """Waits for so long; whether the box has sent all and ended."""
        try:
            code = self.processes["box"].wait(min(pause_s, max(0.1, began + within_s - time.monotonic())))
        except subprocess.TimeoutExpired:
            assert time.monotonic() - began < within_s, f"{sync_log.waiting(self.db)} rows still wait"
            return False
        assert code == 0, "the box's end ended by itself"
        return True

    def sends(self) -> list[tuple[int, str, int, int]]:
        return [(int(e), s, int(f), int(t)) for e, s, f, t in map(str.split, self.sent.read_text().splitlines())]

    def arrived(self) -> list[tuple[Any, ...]]:
        """COLUMNS of all that the centre took."""
        db = sqlite3.connect(self.centre_dir / "central.db")
        try:
            return sorted(db.execute(f"SELECT {COLUMNS} FROM entries WHERE rejected_reason IS NULL").fetchall())
        finally:
            db.close()

    def written(self) -> list[tuple[Any, ...]]:
        """The same of all that the box wrote."""
        return sorted(tuple(one.values()) for one in rows(self.db, f"SELECT {COLUMNS} FROM sync_log"))

    def check(self, *, resumed: bool = True) -> None:
        """Every row is there once, as it was written; none is parked; and no batch but the last one was sent again."""
        uplink.push(self.settings, self.db, by_hand=True)
        assert self.arrived() == self.written()
        assert not sync_log.parked(self.db)
        assert sync_log.waiting(self.db) == 0
        if resumed:
            before: dict[tuple[int, str], tuple[int, int]] = {}
            for epoch, stream, first, last in self.sends():
                known = before.get((epoch, stream), (1, 0))
                assert first == known[1] + 1 or (first, last) == known, f"{stream}: {first} to {last} after {known}"
                before[epoch, stream] = (first, last)
        (found,) = rows(self.db, "SELECT receipt FROM receipts ORDER BY kept_at DESC LIMIT 1")
        # The rows were written without the invoices and trips that they tell of: only those differ.
        assert [one["what"] for one in json.loads(found["receipt"])["differences"] if one.get("stream")] == []
