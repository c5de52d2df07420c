"""What the box does for its broker at night."""

from __future__ import annotations

import contextlib
import os
import ssl
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from appliance import ca, clock
from appliance.config import Settings
from appliance.servers import mosquitto, tls
from tasks.box import Box
from tasks.upkeep import refresh_broker
from tests import cast as play
from tests.ports import free_port
from tests.servers import wait_for


@pytest.fixture
def depot(depot_dir: Path) -> Settings:
    """A depot whose broker speaks TLS."""
    ports = {f"DEPOTBOX_MQTT__{key}": str(free_port()) for key in ("PORT", "TLS_PORT")}
    return play.depot(depot_dir, **ports)


def shown(settings: Settings) -> x509.Certificate | None:
    """The certificate that the running broker shows."""
    with contextlib.suppress(OSError):
        return x509.load_pem_x509_certificate(
            ssl.get_server_certificate(("127.0.0.1", settings.mqtt.tls_port), timeout=5).encode()
        )
    return None


def test_a_running_broker_shows_a_new_certificate_before_the_old_one_ends(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    depot = box.settings
    ca.own(depot.paths)
    broker = subprocess.Popen([sys.executable, "-m", "appliance", "role", "mosquitto"], env=os.environ)
    try:
        wait_for(lambda: shown(depot) and mosquitto.running_pid(depot.paths), "the broker speaks TLS")
        first = shown(depot)
        refresh_broker.apply().get()
        assert shown(depot) == first
        later = datetime.now(UTC) + ca.SERVER_AFTER - ca.RENEW + timedelta(days=1)
        monkeypatch.setattr(clock, "now", lambda: later)
        refresh_broker.apply().get()
        wait_for(lambda: shown(depot) not in (None, first), "the broker shows the new one")
        found = shown(depot)
        assert found is not None
        assert found.not_valid_after_utc > later + ca.RENEW
        assert found == x509.load_pem_x509_certificate((depot.paths.mosquitto_dir / tls.CERTIFICATE).read_bytes())
    finally:
        broker.kill()
        broker.wait()
