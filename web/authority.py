"""`/ca.crt`: the certificate by which browsers and devices know the box, to install; `/ca`: how. Both are public."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get
from litestar.response import Template

from appliance import ca
from appliance.servers import certificate
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


@get("/ca", sync_to_thread=True, include_in_schema=False)
def ca_page(parts: Given, request: Request[Any, Any, Any]) -> Template:
    settings = parts.settings
    context = {
        "fingerprint": ca.own(settings.paths).fingerprint.split(":"),
        "secure": request.scope.get("scheme") == "https",
        "https": certificate.url(settings),
    }
    return Template("ca.html", context=context)


HANDLERS: list[Any] = [ca_certificate, ca_page]
