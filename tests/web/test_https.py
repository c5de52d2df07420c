"""HTTPS with real TLS: the box's own certificate, an uploaded one, and what plain HTTP still answers."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from appliance import ca, config
from appliance.errors import InputError
from appliance.events import Event, Publisher
from appliance.servers import certificate
from appliance.storage.db import open_depot, write_tx
from tests.web import world
from tests.web.serving import Redis, Web, running_web, wait_for
from web.doors import Doors

NOW = datetime.now(UTC)


def another_authority(folder: Path) -> ca.Authority:
    paths = config.load(environ={"DEPOTBOX_STORAGE__DATA_DIR": str(folder)}).paths
    paths.prepare()
    return ca.own(paths)


@pytest.fixture
def web(depot: world.World, redis_server: Redis, tmp_path: Path) -> Iterator[Web]:
    ca.own(depot.settings.paths)
    with running_web(depot.settings.paths.data_dir, tmp_path / "web.log", DEPOTBOX_WEB__TLS_HOST="") as server:
        yield server


def trust(depot: world.World) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(depot.settings.paths.ca_certificate))


def served(web: Web) -> str:
    """The certificate (PEM) that a new connection gets."""
    return ssl.get_server_certificate(("127.0.0.1", web.tls_port), timeout=10)


def beyond_loopback() -> str:
    """An address of this machine that others can reach."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing
        return str(probe.getsockname()[0])


def test_who_trusts_the_boxs_authority_logs_in_over_https_with_a_secure_cookie(depot: world.World, web: Web) -> None:
    session = world.as_user(depot.settings, "dispatcher")
    for name in ("localhost", "127.0.0.1"):
        with httpx.Client(verify=trust(depot), base_url=f"https://{name}:{web.tls_port}") as client:
            assert client.get("/healthz").json()["ok"]
            assert client.get("/api/v1/trips", headers={"Cookie": f"depot={session.session}"}).status_code == 401
            answer = client.get("/", headers={"Cookie": f"__Host-depot={session.session}"})
            assert answer.status_code == 200
            assert "strict-transport-security" not in answer.headers
            out = client.post(
                "/logout",
                headers={
                    "Cookie": f"__Host-depot={session.session}",
                    "Origin": f"https://{name}:{web.tls_port}",
                    **session.headers,
                },
            )
            assert "__Host-depot=" in out.headers["set-cookie"]
            assert "Secure" in out.headers["set-cookie"]
        session = world.as_user(depot.settings, "dispatcher")


def test_from_elsewhere_plain_http_has_the_public_things_and_leads_to_https_with_all_else(
    depot: world.World, web: Web
) -> None:
    address = beyond_loopback()
    with httpx.Client(base_url=f"http://{address}:{web.port}") as client:
        assert client.get("/ca.crt").text == ca.public(depot.settings.paths)
        assert client.get("/healthz").status_code == 200
        for path in ("/", "/login", "/setup", "/api/v1/trips?limit=2", "/metrics"):
            answer = client.get(path)
            assert answer.status_code == 307
            assert answer.headers["location"] == f"https://{address}:{web.tls_port}{path}"
        assert client.post("/login", data={"email": "a@b.example", "password": "x"}).status_code == 403
        assert client.get("/api/v1/trips", headers={"Authorization": "Bearer x"}).status_code == 403
    with httpx.Client(verify=trust(depot), base_url=f"https://{address}:{web.tls_port}") as client:
        assert client.get("/login").status_code == 200
        assert client.get("/login", headers={"Host": "evil.example"}).status_code == 421
        assert client.get("/login", headers={"Host": "localhost"}).status_code == 421
        assert client.get("/metrics").status_code == 401


def test_a_new_certificate_is_served_to_new_connections_and_an_open_stream_goes_on(
    depot: world.World, web: Web, tmp_path: Path
) -> None:
    with closing(http.client.HTTPSConnection("127.0.0.1", web.tls_port, timeout=10, context=trust(depot))) as open_one:
        open_one.request("GET", "/api/v1/live", headers=world.api_token(depot.settings, "viewer", "read"))
        stream = open_one.getresponse()
        assert stream.readline().startswith(b"retry")
        before = served(web)
        made = another_authority(tmp_path / "other").server(["depot.example", "127.0.0.1"], NOW)
        db = open_depot(depot.settings.paths.depot_db)
        with write_tx(db) as tx:
            certificate.install(tx, depot.settings, made.certificate, made.key, who="test", now=NOW)
        wait_for(lambda: served(web) != before, "the uploaded certificate is served")
        assert served(web).strip() == made.certificate.strip()
        connection = open_one.sock
        assert connection.getpeercert(binary_form=True) == ssl.PEM_cert_to_DER_cert(before)
        with write_tx(db) as tx:
            certificate.remove(tx, depot.settings, who="test", now=NOW)
        wait_for(lambda: served(web) == before, "the box's own is served again")
        Publisher(depot.settings.paths.redis_socket).publish(Event("trip", "1", {"id": 1}))
        while not (line := stream.readline()).startswith(b"event: "):
            assert line, "the stream ended"
        db.conn.close()


def test_a_box_without_https_answers_this_machine_alone(
    depot: world.World, redis_server: Redis, tmp_path: Path
) -> None:
    with running_web(depot.settings.paths.data_dir, tmp_path / "web.log", DEPOTBOX_WEB__TLS_PORT="0") as web:
        with pytest.raises(OSError, match="refused"):
            socket.create_connection((beyond_loopback(), web.port), timeout=5)
        assert web.answers()


@pytest.mark.parametrize(("server", "client", "host", "fits"), [
    ("127.0.0.1", "127.0.0.1", "localhost:8080", True),
    ("127.0.0.1", "10.0.0.9", "localhost:8080", False),  # routed to loopback by a careless neighbour
    ("10.0.0.7", "10.0.0.9", "localhost", False),
    ("10.0.0.7", "10.0.0.9", "10.0.0.7:8443", True),
    ("10.0.0.7", "10.0.0.9", "box.local", True),
    ("10.0.0.7", "10.0.0.9", "evil.example", False),
    ("10.0.0.7", "10.0.0.9", "", False),
])  # fmt: skip
def test_only_names_of_the_box_are_answered(server: str, client: str, host: str, fits: bool) -> None:
    doors = Doors(8443, lambda name: name == "box.local")
    scope = {"server": (server, 8443), "client": (client, 5000), "scheme": "https"}
    assert doors.fits(scope, host) is fits  # type: ignore[arg-type]


def broken(made: ca.Issued, other: ca.Issued) -> Iterator[tuple[str, str, str]]:
    yield made.certificate, other.key, "key: it does not belong to the certificate"
    yield "nothing", made.key, "expected PEM: -----BEGIN CERTIFICATE-----"
    yield made.certificate, "nothing", "expected PEM: -----BEGIN PRIVATE KEY-----"
    yield made.certificate + other.certificate, made.key, "is not signed by"


def test_a_wrong_certificate_is_refused_with_one_line(tmp_path: Path) -> None:
    authority = another_authority(tmp_path / "other")
    made, other = authority.server(["a.example"], NOW), authority.server(["b.example"], NOW)
    for pem, key, said in broken(made, other):
        with pytest.raises(InputError, match=said):
            certificate.examine(pem, key, NOW)
    with pytest.raises(InputError, match="it ended on"):
        certificate.examine(made.certificate, made.key, NOW + timedelta(days=500))
    with pytest.raises(InputError, match="it begins only on"):
        certificate.examine(made.certificate, made.key, NOW - timedelta(days=500))
    device = authority.device("VAN-1", 7)
    with pytest.raises(InputError, match="subjectAltName"):
        certificate.examine(device.certificate, device.key, NOW)
    assert certificate.examine(made.certificate, made.key, NOW).names == ["a.example"]


def test_a_given_certificate_that_turned_unusable_is_passed_over_and_said(depot: world.World, tmp_path: Path) -> None:
    made = another_authority(tmp_path / "other").server(["a.example"], NOW)
    settings = world.settings_for(
        depot.settings.paths.data_dir,
        DEPOTBOX_WEB__CERTIFICATE=str(tmp_path / "a.crt"),
        DEPOTBOX_WEB__CERTIFICATE_KEY=str(tmp_path / "a.key"),
    )
    certificate.renew(settings, NOW)
    (tmp_path / "a.crt").write_text(made.certificate)
    (tmp_path / "a.key").write_text(made.key)
    assert certificate.chosen(settings, NOW).source == "configured"
    assert certificate.unknown(settings, certificate.chosen(settings, NOW).certificate)
    late = certificate.chosen(settings, NOW + timedelta(days=500))
    assert (late.source, len(late.problems)) == ("own", 1)
    assert "it ended on" in late.problems[0]
    (tmp_path / "a.key").unlink()
    missing = certificate.chosen(settings, NOW)
    assert missing.source == "own"
    assert "a.key: cannot be read: No such file or directory" in missing.problems[0]


def test_a_star_stands_for_one_label() -> None:
    assert certificate.matches(["*.depot.example"], "Box.depot.example")
    assert not certificate.matches(["*.depot.example"], "depot.example")
    assert not certificate.matches(["*.depot.example"], "a.b.depot.example")
