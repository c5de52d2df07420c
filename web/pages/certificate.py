"""`/system/certificate`: what the pages are served with over HTTPS, and giving the box another certificate."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import get, post
from litestar.concurrency import sync_to_thread
from litestar.datastructures import UploadFile
from litestar.enums import RequestEncodingType
from litestar.params import Body
from litestar.response import Template

from appliance.errors import DepotError, InputError
from appliance.servers import certificate
from appliance.servers.certificate import LARGEST
from appliance.storage.db import write_tx
from web.api.certificates import served
from web.forms import Form, refused
from web.pages import sections
from web.parts import Given, Parts

_FILES = Body(media_type=RequestEncodingType.MULTI_PART)


@get("/system/certificate", sync_to_thread=True, include_in_schema=False)
def certificate_page(parts: Given) -> Template:
    return _page(parts)


@post("/system/certificate/install", status_code=200, include_in_schema=False)
async def certificate_install(parts: Given, data: Annotated[dict[str, UploadFile], _FILES]) -> Template:
    texts = {name: await _text(data.get(name)) for name in ("certificate", "key")}
    return await sync_to_thread(_install, parts, texts)


@post("/system/certificate/remove", sync_to_thread=True, status_code=200, include_in_schema=False)
def certificate_remove(parts: Given) -> Template:
    try:
        with parts.db() as db, write_tx(db) as tx:
            certificate.remove(tx, parts.settings, who=parts.who, now=parts.now())
    except DepotError as error:
        return _page(parts, form=refused("remove", {}, error))
    return _page(parts, done="The uploaded certificate is gone. New connections get the next best within seconds.")


def _install(parts: Parts, texts: dict[str, str]) -> Template:
    try:
        for name in ("certificate", "key"):
            if not texts[name].strip():
                raise InputError("choose a file", subject=name)
        with parts.db() as db, write_tx(db) as tx:
            found = certificate.install(
                tx, parts.settings, texts["certificate"], texts["key"], who=parts.who, now=parts.now()
            )
    except DepotError as error:
        return _page(parts, form=refused("install", dict.fromkeys(texts, ""), error))
    done = f"Installed. New connections get it within seconds; it is good until {found.valid_to:%d %B %Y}."
    if certificate.unknown(parts.settings, found):
        done += f" The box does not know itself by any of its names: open the pages as {found.names[0]}."
    return _page(parts, done=done)


async def _text(given: UploadFile | None) -> str:
    """What a file holds, as far as it can be a certificate."""
    return (await given.read(LARGEST + 1)).decode("utf-8", "replace") if given else ""


def _page(parts: Parts, *, done: str = "", form: Form | None = None) -> Template:
    return sections.page(
        parts,
        "system_certificate.html",
        here="/system/certificate",
        done=done,
        form=form,
        served=served(parts) if parts.settings.web.tls_port else None,
        uploaded=parts.settings.paths.uploaded_certificate.exists(),
    )


HANDLERS: list[Any] = [certificate_page, certificate_install, certificate_remove]
