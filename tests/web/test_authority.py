"""`/ca.crt`: a phone gets the certificate by which it knows the box."""

from __future__ import annotations

from appliance import ca
from tests.web import world
from tests.web.conftest import Client, problem


def test_the_authority_is_served_and_never_made_by_who_asks(client: Client, depot: world.World) -> None:
    assert "depotbox run" in problem(client.get("/ca.crt"), 503)
    assert not depot.settings.paths.ca_key.exists()
    ca.own(depot.settings.paths)
    answer = client.get("/ca.crt")
    assert answer.headers["content-type"].startswith("application/x-x509-ca-cert")
    assert answer.text == depot.settings.paths.ca_certificate.read_text()
    assert "PRIVATE" not in answer.text
