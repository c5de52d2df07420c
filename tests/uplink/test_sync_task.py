"""The task that sends, its entries in the schedule, and how long it waits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sqlite_utils import Database

from appliance import config, init, uplink
from appliance.storage import schedules, sync_log, times
from appliance.storage.db import open_depot, row, write_tx
from tasks import box as boxes
from tasks.box import Box
from tasks.sync import push_upstream
from tests import cast as play
from tests.tasks.conftest import box  # noqa: F401  the fixture
from tests.uplink.fake_centre import CODE, FakeCentre


@pytest.fixture
def sending(box: Box, centre: FakeCentre, monkeypatch: pytest.MonkeyPatch) -> Box:  # noqa: F811
    """This process is a worker of a depot that is enrolled, and has something to send."""
    monkeypatch.setenv("DEPOTBOX_UPSTREAM__URL", centre.url)
    monkeypatch.setattr(boxes, "_boxes", {})
    made = boxes.box()
    play.hire(made.db)
    uplink.enrol(made.settings, made.db, CODE, who="ann")
    with write_tx(made.db) as tx:
        play.new_trip(tx)
    return made


def run(**arguments: Any) -> Any:
    return push_upstream.apply(kwargs=arguments).result


def test_trips_go_by_day_and_all_at_night(sending: Box, centre: FakeCentre) -> None:
    run(streams="trips,reference")
    assert {one.stream for one in centre.envelopes} == {"trips", "reference"}
    assert centre.reconciled == []
    run()
    assert len(centre.reconciled) == 1
    found = row(sending.db, "SELECT result FROM jobs WHERE name LIKE 'sync.%' ORDER BY finished_at DESC LIMIT 1")
    assert found is not None
    assert json.loads(found["result"])["whole"] is True


def test_the_job_waits_as_long_as_the_centre_says(sending: Box, centre: FakeCentre) -> None:
    centre.faults.append((503, 400))
    run()
    found = row(sending.db, "SELECT state, due_at, claimed_at FROM jobs WHERE name LIKE 'sync.%'")
    assert found is not None
    assert found["state"] == "waiting"
    assert 399 < (times.parse(found["due_at"]) - times.parse(found["claimed_at"])).total_seconds() < 405
    assert sync_log.waiting(sending.db) > 0


def test_a_refusal_is_no_failed_job(sending: Box, centre: FakeCentre) -> None:
    centre.keys.clear()
    assert "unsigned" in run()["refused"]
    assert row(sending.db, "SELECT state FROM jobs WHERE name LIKE 'sync.%'") == {"state": "done"}


def test_a_depot_with_a_centre_has_two_more_entries_that_follow_the_configuration(
    depot_dir: Path, centre: FakeCentre
) -> None:
    def entries(**more: str) -> dict[str, Any]:
        settings = config.load(environ={**given, **more})
        init.main(settings)
        db = uplink_db(settings)
        found = {one["name"]: one["crontab"] or one["every_s"] for one in schedules.listed(db)}
        db.conn.close()
        return {name: when for name, when in found.items() if name.startswith("sync.")}

    alone = play.depot(depot_dir)
    given = {"DEPOTBOX_CONFIG": alone.file, "DEPOTBOX_STORAGE__DATA_DIR": alone.storage.data_dir}
    assert entries() == {}
    given |= {"DEPOTBOX_UPSTREAM__URL": centre.url, "DEPOTBOX_UPSTREAM__JITTER_MIN": "0"}
    assert entries() == {"sync.trips": 900.0, "sync.nightly": "0 3 * * *"}
    assert entries(DEPOTBOX_UPSTREAM__NIGHT="02:30")["sync.nightly"] == "30 2 * * *"
    db = uplink_db(alone)
    with write_tx(db) as tx:
        schedules.put(tx, "sync.nightly", "sync.tasks.push_upstream", "{}", None, "5 5 * * *", "")
    db.conn.close()
    assert entries(DEPOTBOX_UPSTREAM__NIGHT="01:30")["sync.nightly"] == "5 5 * * *"


def uplink_db(settings: config.Settings) -> Database:
    return open_depot(settings.paths.depot_db)
