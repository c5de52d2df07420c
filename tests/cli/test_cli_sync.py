"""`depotbox sync` against a centre on loopback: what a person sees and does."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from click.testing import CliRunner
from sqlite_utils import Database

from appliance.cli import main
from appliance.config import Settings
from appliance.errors import DepotError
from appliance.storage import sync_log
from appliance.storage.db import write_tx
from tests.cast import Cast, environ, new_trip
from tests.uplink.conftest import centre, depot  # noqa: F401  the fixtures
from tests.uplink.fake_centre import CODE, FakeCentre

Sync = Callable[..., str]


@pytest.fixture
def sync(depot: Settings, monkeypatch: pytest.MonkeyPatch) -> Sync:  # noqa: F811
    for name, value in (environ(depot) | {"DEPOTBOX_UPSTREAM__URL": depot.upstream.url}).items():
        monkeypatch.setenv(name, value)

    def run(*words: str) -> str:
        done = CliRunner().invoke(main.depotbox, ["sync", *words], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    return run


def test_a_box_is_enrolled_sends_and_says_what_is_there(
    sync: Sync,
    depot_db: Database,
    cast: Cast,
    centre: FakeCentre,  # noqa: F811
) -> None:
    assert "does not know this box yet" in sync("status")
    assert "Central knows this box by the key LIV/" in sync("enrol", "--code", CODE)
    with write_tx(depot_db) as tx:
        new_trip(tx)
    assert "rows wait" in sync("status")
    assert "nothing differs" in sync("now")
    said = sync("status")
    assert "Everything up to" in said
    assert "wait" not in said
    found = json.loads(sync("status", "--json"))
    assert (found["backlog"], found["parked"], found["last_receipt"]["whole"]) == (0, 0, True)


def test_parked_rows_are_listed_and_sent_again(
    sync: Sync,
    depot_db: Database,
    cast: Cast,
    centre: FakeCentre,  # noqa: F811
) -> None:
    sync("enrol", "--code", CODE)
    centre.reject = lambda found: "why not" if found.kind == "rate" else None
    assert "1 are parked" in sync("now")
    (item,) = json.loads(sync("parked", "--json"))["items"]
    assert item["reason"] == "why not"
    centre.reject = lambda _found: None
    assert "1 rows wait" in sync("retry", item["row"])
    sync("now")
    assert "nothing is parked" in sync("parked")
    with pytest.raises(DepotError, match="expected a row like"):
        sync("retry", "everything")


def test_a_month_is_sent_again_and_a_key_replaced(
    sync: Sync,
    depot_db: Database,
    cast: Cast,
    centre: FakeCentre,  # noqa: F811
) -> None:
    sync("enrol", "--code", CODE)
    sync("now")
    rows = sync_log.last_of(depot_db, 1, "reference")
    assert rows is not None
    assert "0 rows" in sync("resend", "--from", "2026-01-27", "--to", "2026-02-28")
    assert f"{rows['seq']} rows" in sync(
        "resend", "--from", "2026-01-01", "--to", "2026-01-26", "--stream", "reference"
    )
    old = list(centre.keys)
    assert sync("rotate-key").split()[-1] in centre.keys
    assert list(centre.keys) != old
    with pytest.raises(DepotError, match="no trip waits"):
        sync("bill-anyway")
