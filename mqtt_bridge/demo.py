"""The role `demo`: a simulated fleet that drives the demonstration depot's trips, over MQTT, as real trackers would."""

from __future__ import annotations

import random
import signal
import threading
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlite_utils import Database

from appliance import clock, log
from appliance.config import Settings
from appliance.errors import DepotError, Unavailable
from appliance.events import Publisher
from appliance.notify import notify
from appliance.sender import Sender
from appliance.storage import trips
from appliance.storage.db import open_depot, write_tx
from mqtt_bridge import demo_depot
from mqtt_bridge.drive import Drive
from mqtt_bridge.tracker import Fleet

STEP_S = 1.0
FIX_S = 2.0
STAND_S = (6.0, 20.0)
HEAD_START_S = 15.0

_log = log.get(__name__)


@dataclass(slots=True)
class Van:
    """One van between trips (`trip_id` None) or on one."""

    code: str
    place: str
    dice: random.Random
    drive: Drive
    trip_id: int | None = None
    goal: str = ""
    stands_until: datetime | None = None


def main(settings: Settings) -> int:
    """Runs until SIGTERM."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    db = open_depot(settings.paths.depot_db)
    demo_depot.prepare(db, settings, clock.now())
    fleet = Fleet(settings.paths, "demo")
    if not fleet.start():
        raise Unavailable("the broker does not answer", subject="demo")
    demo = Demo(db, fleet, Sender(settings), Publisher(settings.paths.redis_socket))
    demo.finish_left_over()
    demo.begin(clock.now())
    notify("READY=1")
    while not stop.wait(STEP_S):
        demo.step(clock.now())
    fleet.stop()
    return 0


class Demo:
    """The fleet, moved by `step` once a second."""

    def __init__(self, db: Database, fleet: Fleet, sender: Sender, publisher: Publisher) -> None:
        self._db = db
        self._fleet = fleet
        self._sender = sender
        self._publisher = publisher
        self._steps = 0
        epoch = int(clock.now().timestamp())
        self._vans: list[Van] = []
        for index, (code, _driver, _levels) in enumerate(demo_depot.VANS):
            dice = random.Random(f"{epoch}{code}")  # noqa: S311  a demonstration, not a secret
            place = list(demo_depot.PLACES)[index]
            here = demo_depot.PLACES[place]
            fleet.add(code, epoch)
            self._vans.append(Van(code, place, dice, Drive([here, here], dice)))

    def finish_left_over(self) -> None:
        """Trips that were under way when the demonstration last stopped have arrived in the meantime."""
        codes = {van.code for van in self._vans}
        for row in trips.running_of_vehicles(self._db):
            if row["code"] in codes:
                self._press(row["code"], row["id"], "completed", clock.now())

    def begin(self, now: datetime) -> None:
        """Puts the vans on their way: each has already come so far that the first arrive within the first minute."""
        for index, van in enumerate(self._vans):
            left_s = HEAD_START_S + 25.0 * index
            self._choose_way(van)
            past: list[Drive] = []
            while not van.drive.arrived:
                past.append(_copy(van.drive))
                van.drive.step(FIX_S)
            known = past[: max(1, len(past) - round(left_s / FIX_S))]
            began = now - timedelta(seconds=FIX_S * len(known))
            trip_id = self._new_trip(van, began, now)
            if trip_id is None:
                continue
            self._press(van.code, trip_id, "en_route", began - timedelta(minutes=4))
            self._press(van.code, trip_id, "arrived_pickup", began - timedelta(minutes=1))
            self._press(van.code, trip_id, "on_board", began)
            for step, drive in enumerate(known):
                self._fix(van.code, drive, began + timedelta(seconds=FIX_S * step))
            van.drive = known[-1]
        self._fleet.step()

    def step(self, now: datetime) -> None:
        """One second of the fleet's life."""
        self._steps += 1
        fix_due = self._steps % round(FIX_S / STEP_S) == 0
        for van in self._vans:
            if van.trip_id is None:
                if van.stands_until and now >= van.stands_until:
                    self._choose_way(van)
                    trip_id = self._new_trip(van, now, now)
                    if trip_id is None:
                        continue
                    for event in ("accepted", "en_route", "arrived_pickup", "on_board"):
                        self._press(van.code, trip_id, event, now)
            else:
                van.drive.step(STEP_S)
                if van.drive.arrived:
                    self._arrive(van, now)
            if fix_due:
                self._fix(van.code, van.drive, now)
        self._fleet.step()

    def _arrive(self, van: Van, now: datetime) -> None:
        assert van.trip_id is not None
        self._fix(van.code, van.drive, now)
        self._press(van.code, van.trip_id, "arrived_dropoff", now)
        self._press(van.code, van.trip_id, "completed", now)
        van.place, van.trip_id = van.goal, None
        van.drive.speed_kmh = 0.0
        van.stands_until = now + timedelta(seconds=van.dice.uniform(*STAND_S))

    def _choose_way(self, van: Van) -> None:
        van.goal = van.dice.choice([name for name in demo_depot.PLACES if name != van.place])
        van.drive = Drive.between(demo_depot.PLACES[van.place], demo_depot.PLACES[van.goal], van.dice)

    def _new_trip(self, van: Van, pickup_at: datetime, now: datetime) -> int | None:
        """Gives the van a trip along its way, and returns the trip's id. None where it cannot have one now: its driver
        cannot drive, or somebody took it out of service. Then it stands for a while."""
        try:
            with write_tx(self._db) as tx:
                created = demo_depot.new_trip(tx, van.dice, van.code, (van.place, van.goal), pickup_at, now)
        except DepotError:
            van.drive.speed_kmh = 0.0
            van.stands_until = now + timedelta(seconds=STAND_S[1])
            return None
        van.trip_id = created.id
        self._sender.send(created.jobs)
        self._publisher.publish(*created.events)
        return created.id

    def _fix(self, code: str, drive: Drive, at: datetime) -> None:
        (lat, lon), heading = drive.position()
        self._fleet.fix(
            code,
            {
                "lat": round(lat, 6),
                "lon": round(lon, 6),
                "t": at.isoformat(timespec="milliseconds"),
                "speed_kmh": round(drive.speed_kmh, 1),
                "heading": round(heading),
                "accuracy_m": 5,
            },
        )

    def _press(self, code: str, trip_id: int, event: str, at: datetime) -> None:
        self._fleet.press(
            code, {"event_id": str(uuid.uuid4()), "trip_id": trip_id, "event": event, "at": at.isoformat()}
        )


def _copy(drive: Drive) -> Drive:
    return Drive(list(drive.way), drive.dice, drive.done_m, drive.speed_kmh)
