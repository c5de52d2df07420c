"""`depotbox simulate`: what it sends is believable, what it says is counted, and what is lost it sees."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from sqlite_utils import Database

from appliance.config import Settings
from appliance.domain.fix import Limits, check
from appliance.domain.trail import distance_m
from appliance.errors import InputError, Unavailable
from appliance.payloads.elements import decode
from appliance.storage.db import open_depot
from appliance.storage.gps import Store
from mqtt_bridge import simulate, traffic
from mqtt_bridge.load import Plan
from mqtt_bridge.traffic import Van
from tests import cast as play
from tests.bridge.mqtt import Broker
from tests.cast import NOON, environ
from tests.ports import free_port
from tests.servers import Role, running_redis, wait_for


def simulated(settings: Settings, *options: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own: it sets up logging, which is for good."""
    return subprocess.run(
        [sys.executable, "-m", "appliance", "simulate", *options],
        env=os.environ | environ(settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("name", list(traffic.FORMATS))
def test_each_format_is_read_by_the_bridge_and_moves_as_a_vehicle_does(name: str) -> None:
    form = traffic.FORMATS[name]
    route = traffic.routes(form, 1.0, 1, random.Random(1))[0]
    van = Van(b"", route, at=0, starts_ms=NOON.timestamp() * 1000)
    elements = [element for _ in range(60) for element in decode(van.message(form, 1000.0, 5, epoch=7), 65_536)]
    fixes = [element.fix for element in elements if element.fix]
    assert [element.seq for element in elements] == list(range(1, 301))
    assert {element.epoch for element in elements} == {7}
    assert [fix.format for fix in fixes] == [name] * 300
    assert all(check(fix, NOON, Limits(), True) is None for fix in fixes[:1])
    for one, other in itertools.pairwise(fixes):
        assert (other.at - one.at).total_seconds() == 1.0
        assert distance_m(one.lat, one.lon, other.lat, other.lon) < 20
    assert distance_m(fixes[0].lat, fixes[0].lon, fixes[-1].lat, fixes[-1].lon) > 100


def test_a_position_on_the_live_feed_is_matched_with_its_message() -> None:
    for name, step_ms in (("native", 200.0), ("owntracks", 3000.0)):
        form = traffic.FORMATS[name]
        van = Van(b"", traffic.routes(form, 1.0, 1, random.Random(1))[0], at=0, starts_ms=NOON.timestamp() * 1000 + 700)
        for message in range(20):
            (element,) = decode(van.message(form, step_ms, 1, epoch=1), 65_536)
            assert element.fix
            assert van.sent_of(form, element.fix.at.timestamp() * 1000, step_ms, 1) == van.sent_at[message]
        assert van.sent_of(form, van.starts_ms - 60_000, step_ms, 1) is None


def test_percentiles() -> None:
    found = simulate.spread([n / 1000 for n in range(1, 101)])
    assert found is not None
    assert (found.count, found.max_ms) == (100, 100.0)
    assert found.p50_ms == pytest.approx(50.5)
    assert found.p99_ms == pytest.approx(100, abs=0.1)
    assert simulate.spread([]) is None


class Box(NamedTuple):
    settings: Settings
    bridge: Role


@pytest.fixture(scope="module")
def box() -> Iterator[Box]:
    with tempfile.TemporaryDirectory(prefix="depot-", dir=play.MEMORY) as folder:
        settings = play.depot(Path(folder), DEPOTBOX_MQTT__PORT=str(free_port()))
        with running_redis(settings):
            broker, bridge = Broker(settings), Role(settings, "bridge")
            yield Box(settings, bridge)
            bridge.kill()
            broker.stop()


class TestRunningBox:
    """Against a broker, a bridge and a Redis."""

    @pytest.fixture
    def settings(self, box: Box) -> Settings:
        return box.settings

    @pytest.fixture
    def db(self, settings: Settings) -> Iterator[Database]:
        db = open_depot(settings.paths.depot_db)
        yield db
        db.conn.close()

    def test_every_fix_is_accounted_for(self, db: Database, settings: Settings) -> None:
        plan = Plan(vehicles=5, rate_hz=40, duration_s=0.5, batch=4)
        before = Store(settings.paths.gps_dir).count()
        report = simulate.run(db, settings, plan)
        assert (report.messages, report.messages_acknowledged) == (25, 25)
        assert (report.sent, report.acknowledged, report.stored) == (100, 100, 100)
        assert (report.rejected, report.lost) == (0, 0)
        assert Store(settings.paths.gps_dir).count() == before + 100
        assert report.commit is not None
        assert report.commit.count == 25

    def test_each_with_a_session_of_its_own_and_again_with_other_passwords(
        self, db: Database, settings: Settings
    ) -> None:
        plan = Plan(vehicles=3, rate_hz=20, duration_s=0.5, own_sessions=True)
        for _ in range(2):
            report = simulate.run(db, settings, plan)
            assert (report.sessions, report.sent, report.acknowledged, report.lost) == (3, 30, 30, 0)
        assert report.live is not None

    def test_rejected_ones_are_acknowledged_and_not_lost(
        self, db: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        native = traffic.FORMATS["native"]
        nowhere = traffic.Format(lambda _: b'{"lat":0,"lon":0', native.when)
        monkeypatch.setitem(traffic.FORMATS, "nowhere", nowhere)
        report = simulate.run(db, settings, Plan(vehicles=2, rate_hz=10, duration_s=0.5, form="nowhere"))
        assert (report.acknowledged, report.stored, report.rejected, report.lost) == (10, 0, 10, 0)

    def test_what_the_box_has_not_stored_is_lost(
        self, box: Box, db: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("mqtt_bridge.load.UNANSWERED_S", 0.3)
        store = Store(settings.paths.gps_dir)
        before = store.count()
        box.bridge.process.send_signal(signal.SIGSTOP)
        try:
            report = simulate.run(db, settings, Plan(vehicles=2, rate_hz=10, duration_s=0.5))
        finally:
            box.bridge.process.send_signal(signal.SIGCONT)
        assert (report.messages_acknowledged, report.sent, report.acknowledged, report.lost) == (10, 10, 0, 10)
        wait_for(lambda: store.count() == before + 10, "they only waited at the broker")

    def test_the_command_prints_what_programs_read(self, settings: Settings) -> None:
        done = simulated(settings, "--vehicles", "2", "--rate", "20", "--duration", "0.2", "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["lost"] == 0

    def test_a_rate_that_the_format_cannot_tell_apart_is_refused(self, db: Database, settings: Settings) -> None:
        with pytest.raises(InputError, match="at most 1 for owntracks"):
            simulate.run(db, settings, Plan(vehicles=1, rate_hz=5, duration_s=1, form="owntracks"))

    def test_a_message_that_takes_longer_than_the_load_is_refused(self, db: Database, settings: Settings) -> None:
        with pytest.raises(InputError, match="--batch 21: expected at most 20"):
            simulate.run(db, settings, Plan(vehicles=1, rate_hz=10, duration_s=2, batch=21))


def test_without_a_running_box_it_says_so(depot: Settings) -> None:
    done = simulated(depot, "--vehicles", "1", "--rate", "1", "--duration", "1")
    assert done.returncode == Unavailable.exit_code
    assert "does not run" in done.stderr
