"""`/api/v1/system/certificate`: with what the pages are served over HTTPS."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from litestar import delete, get, put
from litestar.params import RequestBody
from msgspec import Meta, Struct

from appliance import ca
from appliance.errors import NotFound
from appliance.servers import certificate
from appliance.servers.certificate import LARGEST, Source
from appliance.storage.db import write_tx
from web.parts import Given, Parts

_Pem = Annotated[str, Meta(max_length=LARGEST)]


class ServedCertificate(Struct, frozen=True, kw_only=True):
    """What new connections get. `source`: files that the configuration names, what was uploaded, or the box's own.
    `sha256` is its fingerprint, `ca_sha256` that of the box's own authority (`/ca.crt`). `unknown`: it has no name by
    which the box knows itself. `problems`: why a certificate that was given is not the one that is served."""

    source: Source
    url: str
    names: list[str]
    issuer: str
    valid_from: datetime
    valid_to: datetime
    sha256: str
    ca_sha256: str
    unknown: bool
    problems: list[str]


class NewCertificate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """PEM texts. `certificate`: the box's own first, then those that signed it, without the root; `key`: its private
    key, without a password."""

    certificate: _Pem
    key: _Pem


@get("/system/certificate", sync_to_thread=True, summary="The certificate that the pages are served with")
def get_certificate(parts: Given) -> ServedCertificate:
    return served(parts)


@put("/system/certificate", sync_to_thread=True, summary="Install a certificate for HTTPS, served within seconds")
def install_certificate(parts: Given, data: RequestBody[NewCertificate]) -> ServedCertificate:
    with parts.db() as db, write_tx(db) as tx:
        certificate.install(tx, parts.settings, data.certificate, data.key, who=parts.who, now=parts.now())
    return served(parts)


@delete("/system/certificate", sync_to_thread=True, summary="Go back to the box's own certificate")
def remove_certificate(parts: Given) -> None:
    with parts.db() as db, write_tx(db) as tx:
        certificate.remove(tx, parts.settings, who=parts.who, now=parts.now())


def served(parts: Parts) -> ServedCertificate:
    """Raises NotFound where the box serves this machine alone."""
    settings = parts.settings
    if not settings.web.tls_port:
        raise NotFound("there is no HTTPS here", subject="certificate", hint="web.tls_port is 0")
    found = certificate.chosen(settings, parts.now())
    return ServedCertificate(
        source=found.source,
        url=certificate.url(settings),
        names=found.certificate.names,
        issuer=found.certificate.issuer,
        valid_from=found.certificate.valid_from,
        valid_to=found.certificate.valid_to,
        sha256=found.certificate.sha256,
        ca_sha256=ca.own(settings.paths).fingerprint,
        unknown=certificate.unknown(settings, found.certificate),
        problems=found.problems,
    )


HANDLERS: list[Any] = [get_certificate, install_certificate, remove_certificate]
