"""A depot that the fake centre knows, and lines between the two over real sockets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlite_utils import Database

from appliance import uplink
from appliance.config import Settings
from tests import cast as play
from tests.uplink.fake_centre import CODE, FakeCentre


@pytest.fixture
def centre() -> Iterator[FakeCentre]:
    made = FakeCentre()
    yield made
    made.close()


@pytest.fixture
def depot(depot_dir: Path, centre: FakeCentre) -> Settings:
    """The settings of a depot with that centre."""
    return play.depot(depot_dir, DEPOTBOX_UPSTREAM__URL=centre.url)


@pytest.fixture
def enrolled(depot: Settings, depot_db: Database) -> Settings:
    uplink.enrol(depot, depot_db, CODE, who="ann")
    return depot
