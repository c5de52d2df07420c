"""`/ca.crt`: the certificate by which devices know the box, for phones and trackers to install. It is public."""

from __future__ import annotations

from typing import Any

from litestar import Response, get

from appliance import ca
from appliance.servers.tls import CA_PATH
from web.parts import Given


@get(
    CA_PATH,
    sync_to_thread=True,
    media_type="application/x-x509-ca-cert",  # what phones offer to install
    include_in_schema=False,
)
def ca_certificate(parts: Given) -> Response[str]:
    return Response(ca.public(parts.settings.paths), media_type="application/x-x509-ca-cert")


HANDLERS: list[Any] = [ca_certificate]
