"""The box's own certificate authority, and the broker's certificate."""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from appliance import ca, config, init
from appliance.config import Settings
from appliance.errors import ConfigError
from appliance.servers import tls

NOW = datetime(2026, 6, 1, tzinfo=UTC)
NAMES = ["box.example", "127.0.0.1"]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = config.load(environ={"DEPOTBOX_STORAGE__DATA_DIR": str(tmp_path), "DEPOTBOX_MQTT__TLS_HOST": "127.0.0.1"})
    made.paths.prepare()
    return made


def read(settings: Settings) -> x509.Certificate:
    return x509.load_pem_x509_certificate((settings.paths.mosquitto_dir / tls.CERTIFICATE).read_bytes())


def test_init_makes_it_once_and_its_key_is_for_its_owner_only(settings: Settings) -> None:
    init.main(settings)
    before = ca.own(settings.paths).fingerprint
    init.main(settings)
    assert ca.own(settings.paths).fingerprint == before
    assert stat.S_IMODE(settings.paths.ca_key.stat().st_mode) == 0o600


def test_a_crash_before_its_certificate_was_written_does_no_harm(settings: Settings) -> None:
    ca.own(settings.paths)
    settings.paths.ca_certificate.unlink()
    assert ca.own(settings.paths).fingerprint == ca.own(settings.paths).fingerprint


def test_a_damaged_one_is_one_line_and_not_made_anew(settings: Settings) -> None:
    ca.own(settings.paths)
    settings.paths.ca_key.write_text("damaged")
    with pytest.raises(ConfigError, match=r"restore ca\.key and ca\.crt"):
        ca.own(settings.paths)
    assert settings.paths.ca_key.read_text() == "damaged"


def test_two_boxes_have_authorities_of_different_names(tmp_path: Path) -> None:
    names = set()
    for folder in ("a", "b"):
        paths = config.load(environ={"DEPOTBOX_STORAGE__DATA_DIR": str(tmp_path / folder)}).paths
        paths.prepare()
        ca.own(paths)
        names.add(x509.load_pem_x509_certificate(paths.ca_certificate.read_bytes()).subject.rfc4514_string())
    assert len(names) == 2


def test_a_device_is_named_in_its_certificate_which_is_for_clients_only(settings: Settings) -> None:
    found = x509.load_pem_x509_certificate(ca.own(settings.paths).device("VAN-1-1", 7).certificate.encode())
    assert (found.subject.rfc4514_string(), found.serial_number) == ("CN=VAN-1-1", 7)
    usage = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH]
    assert isinstance(key := found.public_key(), rsa.RSAPublicKey)
    assert key.key_size == 2048


def test_the_revocation_list_names_the_revoked_and_outlives_the_authority(settings: Settings) -> None:
    found = x509.load_pem_x509_crl(ca.own(settings.paths).revocations([7, 9]).encode())
    assert [one.serial_number for one in found] == [7, 9]
    assert found.next_update_utc == ca.VALID_TO
    assert found.last_update_utc < NOW


def test_the_brokers_certificate_has_all_names_and_the_public_one_first(settings: Settings) -> None:
    mqtt = config.Mqtt(public_host="box.example", tls_host="10.0.0.7")
    assert tls.names(mqtt)[:2] == ["box.example", "10.0.0.7"]
    assert tls.names(mqtt)[-3:] == ["localhost", "127.0.0.1", "::1"]
    assert tls.host(mqtt) == "box.example"
    assert tls.host(config.Mqtt(tls_host="10.0.0.7")) == "10.0.0.7"


@pytest.mark.parametrize(("host", "url"), [
    ("box.example", "http://box.example:8080/ca.crt"), ("2001:db8::7", "http://[2001:db8::7]:8080/ca.crt"),
])  # fmt: skip
def test_the_address_of_the_authoritys_certificate_is_the_boxs_own(host: str, url: str) -> None:
    assert tls.ca_url(config.load(environ={"DEPOTBOX_MQTT__PUBLIC_HOST": host})) == url


def test_a_host_name_that_cannot_stand_in_a_certificate_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "büro_1")
    assert tls.names(config.Mqtt()) == ["localhost", "127.0.0.1", "::1"]


def test_the_brokers_certificate_is_made_once_while_nothing_changes(settings: Settings) -> None:
    tls.renew(settings, NOW)
    first = read(settings)
    tls.renew(settings, NOW + timedelta(days=30))
    assert read(settings) == first
    assert stat.S_IMODE((settings.paths.mosquitto_dir / tls.KEY).stat().st_mode) == 0o600
    # Apple's devices take no more than 825 days.
    assert first.not_valid_after_utc - first.not_valid_before_utc < timedelta(days=825)
    assert first.not_valid_before_utc < NOW - timedelta(days=300)


@pytest.mark.parametrize("days", [300, 500, -400])
def test_the_brokers_certificate_is_renewed_before_its_end_and_when_the_clock_was_far_ahead(
    settings: Settings, days: int
) -> None:
    tls.renew(settings, NOW + timedelta(days=400))
    first = read(settings)
    later = NOW + timedelta(days=400 + days)
    tls.renew(settings, later)
    found = read(settings)
    assert found != first
    assert found.not_valid_before_utc < later < found.not_valid_after_utc - ca.RENEW


def test_a_new_public_host_gives_the_broker_a_new_certificate(settings: Settings) -> None:
    tls.renew(settings, NOW)
    environ = {"DEPOTBOX_STORAGE__DATA_DIR": settings.storage.data_dir, "DEPOTBOX_MQTT__PUBLIC_HOST": "new.example"}
    tls.renew(config.load(environ=environ), NOW)
    names = read(settings).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "new.example" in names.get_values_for_type(x509.DNSName)


@pytest.mark.parametrize("damage", ["", "no certificate", "foreign"])
def test_a_damaged_or_foreign_certificate_of_the_broker_is_made_anew(
    settings: Settings, tmp_path: Path, damage: str
) -> None:
    tls.renew(settings, NOW)
    file = settings.paths.mosquitto_dir / tls.CERTIFICATE
    if damage == "foreign":
        settings.paths.ca_certificate.unlink()
        before = file.read_text()
        tls.renew(settings, NOW)
        assert file.read_text() != before
    else:
        file.write_text(damage)
        tls.renew(settings, NOW)
        assert ca.own(settings.paths).is_good(file.read_text(), tls.names(settings.mqtt), NOW)


def test_a_clock_that_lost_its_time_makes_a_certificate_that_is_good_today(settings: Settings) -> None:
    tls.renew(settings, datetime(1970, 1, 1, tzinfo=UTC))
    found = read(settings)
    assert found.not_valid_before_utc < datetime(2026, 1, 1, tzinfo=UTC) < found.not_valid_after_utc
    tls.renew(settings, datetime(1970, 1, 2, tzinfo=UTC))
    assert read(settings) == found


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can write for others")
def test_what_root_writes_belongs_to_the_owner_of_the_folder(settings: Settings) -> None:
    """A command given with sudo must not take the broker's files from the user that the box runs as."""
    for folder in (settings.paths.mosquitto_dir, settings.paths.secrets_dir):
        os.chown(folder, 12345, 12345)
    tls.renew(settings, NOW)
    files = [settings.paths.ca_key, *(settings.paths.mosquitto_dir / name for name in (tls.CERTIFICATE, tls.KEY))]
    assert {file.stat().st_uid for file in files} == {12345}
