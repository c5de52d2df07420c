"""A real box and a real centre over TLS, from enrolment to the receipt."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlite_utils import Database

from appliance import ca, clock, uplink
from appliance.config import Settings
from appliance.domain.trip import Event
from appliance.errors import Transient
from appliance.storage import sync_log
from appliance.storage.db import rows, write_tx
from tests import cast as play
from tests.cast import NOON, Cast, new_trip, say
from tests.central.test_serve import Served


class SecureServed(Served):
    """The same, over TLS with a certificate from the authority of that depot."""

    def __init__(self, url: str, folder: Path, authority: Settings) -> None:
        super().__init__(url, folder)
        issued = ca.own(authority.paths).server(["127.0.0.1"], clock.now())
        files = {"certificate": issued.certificate, "certificate_key": issued.key}
        for name, text in files.items():
            (folder / f"{name}.pem").write_text(text)
            self.environ |= {f"DEPOTBOX_CENTRAL__{name.upper()}": str(folder / f"{name}.pem")}
        self.url = f"https://127.0.0.1:{self.port}"

    def answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/healthz", verify=UNCHECKED, timeout=5).status_code == 200
        except httpx.HTTPError:
            return False


UNCHECKED = ssl.create_default_context()
UNCHECKED.check_hostname = False
UNCHECKED.verify_mode = ssl.CERT_NONE


@pytest.fixture
def served(sqlite_file: Path, depot: Settings, tmp_path: Path) -> Iterator[SecureServed]:
    made = SecureServed("", tmp_path, depot)
    made.start()
    yield made
    made.end(2)  # type: ignore[arg-type]


def upstream(depot_dir: Path, served: Served, ca_file: Path | None) -> Settings:
    more = {"DEPOTBOX_UPSTREAM__CA": str(ca_file)} if ca_file else {}
    return play.depot(depot_dir, DEPOTBOX_UPSTREAM__URL=served.url, **more)


def test_a_box_sends_over_tls_and_gets_its_receipt(
    served: SecureServed, depot_dir: Path, depot_db: Database, cast: Cast
) -> None:
    trusting = upstream(depot_dir, served, upstream(depot_dir, served, None).paths.ca_certificate)
    uplink.enrol(trusting, depot_db, served.command("depot", "add", "LIV", "Liverpool"), who="ann")
    with write_tx(depot_db) as tx:
        trip_id = new_trip(tx)
        for event in (Event.accepted, Event.on_board, Event.completed):
            say(tx, trip_id, event, NOON)
    assert uplink.push(trusting, depot_db).whole
    assert sync_log.waiting(depot_db) == 0
    (receipt,) = rows(depot_db, "SELECT receipt FROM receipts")
    assert json.loads(receipt["receipt"])["differences"] == []


def test_a_box_does_not_speak_to_a_centre_that_it_cannot_trust(
    served: SecureServed, depot_dir: Path, depot_db: Database
) -> None:
    doubting = upstream(depot_dir, served, None)
    with pytest.raises(Transient, match="certificate"):
        uplink.enrol(doubting, depot_db, served.command("depot", "add", "LIV", "Liverpool"), who="ann")
