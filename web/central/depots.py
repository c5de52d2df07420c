"""The protocol of the depots: docs/protocol.md. Signature first, then the body, then one transaction."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from litestar import Request, Response, get, post
from litestar.params import FromPath, RawBody

from appliance import log, wire
from appliance.central import enrol, identity, receive, reconcile
from appliance.central.db import read, write_tx
from appliance.central.enrol import Key
from appliance.central.refusals import Refusal
from appliance.errors import Refused
from appliance.wire import Stream, answers, signing
from appliance.wire.batch import Epoch
from web.central.parts import Centre, Given

JSON = "application/json"
NDJSON = "application/x-ndjson"
_IDEMPOTENCY_KEY = 64

_log = log.get(__name__)
_T = TypeVar("_T")
AnyRequest = Request[Any, Any, Any]


@post(wire.ENROL, sync_to_thread=True, status_code=201)
def enrol_depot(request: AnyRequest, body: RawBody, centre: Given) -> Response[bytes]:
    """The one-time code, and the key that signed this."""
    given = _parsed(body, answers.Enrol)

    def brought(key_id: str) -> Ed25519PublicKey | None:
        known = key_id == signing.key_id(given.depot, given.public_key)
        return signing.verifying(given.public_key) if known else None

    _verified(request, body, signing.COVERED_WITH_BODY, brought)
    with write_tx(centre.engine) as tx:
        made = enrol.enrol(tx, given, centre.settings, centre.centre_key, centre.now())
    return _json(made, 201)


@post(wire.KEYS.replace("{depot}", "{depot:str}"), sync_to_thread=True, status_code=201)
def rotate_key(request: AnyRequest, depot: FromPath[str], body: RawBody, centre: Given) -> Response[bytes]:
    """A new key, signed by the one that it replaces."""
    try:
        new = msgspec.json.decode(body, type=answers.NewKey).public_key
    except (msgspec.DecodeError, UnicodeDecodeError):
        new = ""  # who sent it comes first
    signer = _signer(request, depot, body, signing.COVERED_WITH_BODY, centre, replaced_by=new)
    new = _parsed(body, answers.NewKey).public_key
    _usable(new)
    with write_tx(centre.engine) as tx:
        made = enrol.rotate(tx, signer, new, centre.settings, centre.centre_key, centre.now())
    return _json(made, 201)


@post(wire.BATCHES.replace("{depot}", "{depot:str}"), sync_to_thread=True, status_code=200)
def take_batch(request: AnyRequest, depot: FromPath[str], body: RawBody, centre: Given) -> Response[bytes]:
    """On the disk when this is answered."""
    signer = _signer(request, depot, body, signing.COVERED_BATCH, centre)
    if request.headers.get("content-encoding") != "gzip" or request.headers.get("content-type") != NDJSON:
        raise Refusal("malformed", f"expected Content-Type {NDJSON} and Content-Encoding gzip")
    key = request.headers.get("idempotency-key", "")
    if not (1 <= len(key) <= _IDEMPOTENCY_KEY and key.isascii() and key.isprintable()):
        raise Refusal("malformed", f"expected an Idempotency-Key of 1 to {_IDEMPOTENCY_KEY} characters")
    opened = receive.opened(body, signer.depot)
    with write_tx(centre.engine) as tx:
        taken = receive.take(tx, signer.depot_id, key, opened, centre.now())
    if taken.batch_id is not None:
        centre.received(taken.batch_id, opened.envelope.stream)
    return Response(taken.answer, media_type=JSON)


@get(wire.POSITIONS.replace("{depot}", "{depot:str}"), sync_to_thread=True)
def positions(request: AnyRequest, depot: FromPath[str], centre: Given) -> Response[bytes]:
    signer = _signer(request, depot, None, signing.COVERED, centre)
    with read(centre.engine) as db:
        found = [answers.Position(**one) for one in receive.positions(db, signer.depot_id)]
        made = answers.Whereabouts(instance=identity.instance(db), positions=found)
    return _json(made)


@get(wire.ROWS.replace("{depot}", "{depot:str}"), sync_to_thread=True)
def rows(request: AnyRequest, depot: FromPath[str], centre: Given) -> Response[bytes]:
    """What the depot lacks after a restore."""
    signer = _signer(request, depot, None, signing.COVERED, centre)
    try:
        wanted = msgspec.convert(dict(request.query_params), _Wanted, strict=False)
    except msgspec.ValidationError as error:
        raise Refusal("malformed", str(error)) from error
    with read(centre.engine) as db:
        body = receive.pulled_back(db, signer.depot_id, signer.depot, wanted.epoch, wanted.stream, wanted.after)
    if not body:
        return Response(b"", status_code=204, media_type=NDJSON)
    return Response(body, media_type=NDJSON, headers={"Content-Encoding": "gzip"})


@post(wire.RECONCILIATIONS.replace("{depot}", "{depot:str}"), sync_to_thread=True, status_code=200)
def compare_books(request: AnyRequest, depot: FromPath[str], body: RawBody, centre: Given) -> Response[bytes]:
    """The night's comparison, and its receipt."""
    signer = _signer(request, depot, body, signing.COVERED_WITH_BODY, centre)
    given = _parsed(body, answers.Reconcile)
    if given.depot != signer.depot:
        raise Refusal("wrong_depot", f"the books are of {given.depot}, the key of {signer.depot}")
    with write_tx(centre.engine) as tx:
        made = reconcile.reconcile(tx, signer.depot_id, given, centre.key, centre.now())
    return _json(made)


class _Wanted(msgspec.Struct, frozen=True):
    epoch: Epoch
    stream: Stream
    after: Annotated[int, msgspec.Meta(ge=0, le=2**53)]


def _signer(
    request: AnyRequest,
    depot: str,
    body: bytes | None,
    covered: tuple[str, ...],
    centre: Centre,
    *,
    replaced_by: str = "",
) -> Key:
    """Whose key signed this. With `replaced_by` also a key that ended because that one came in its place."""
    found: list[Key] = []
    ended: list[str] = []

    def key_of(key_id: str) -> Ed25519PublicKey | None:
        with read(centre.engine) as db:
            known = enrol.key(db, key_id)
        if known is None:
            return None
        replaced = bool(replaced_by) and known.replaced_by == _key_id(known.depot, replaced_by)
        if (why := known.ended(centre.now())) and not replaced:
            ended.append(why)
            return None
        found.append(known)
        return signing.verifying(known.public_key)

    try:
        _verified(request, body, covered, key_of)
    except Refusal as refusal:
        raise Refusal("unsigned", ended[0]) if ended else refusal from refusal
    (key,) = found
    if key.depot != depot:
        raise Refusal("wrong_depot", f"the path is of {depot[:20]!r}, the key of {key.depot}")
    return key


def _verified(request: AnyRequest, body: bytes | None, covered: tuple[str, ...], key_of: Any) -> None:
    headers: dict[str, str] = {}
    for raw_name, raw_value in request.scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    path = (request.scope.get("raw_path") or b"").decode("latin-1").partition("?")[0]
    query = request.scope.get("query_string", b"").decode("latin-1")
    url = f"https://centre{path}?{query}" if query else f"https://centre{path}"
    try:
        signing.verify(signing.Message(request.method, url, headers), key_of, body=body, covered=covered)
    except Refused as error:
        raise Refusal("unsigned", error.what) from error


def _usable(public_key: str) -> None:
    try:
        signing.verifying(public_key)
    except ValueError as error:
        raise Refusal("malformed", "the public key is none") from error


def _key_id(depot: str, public_key: str) -> str:
    try:
        return signing.key_id(depot, public_key)
    except ValueError:
        return ""


def _parsed(body: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refusal("malformed", str(error)) from error


def _json(made: msgspec.Struct, status: int = 200) -> Response[bytes]:
    return Response(msgspec.json.encode(made), media_type=JSON, status_code=status)


HANDLERS: list[Any] = [enrol_depot, rotate_key, take_batch, positions, rows, compare_books]
