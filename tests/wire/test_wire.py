"""The protocol: what one end packs and signs the other reads and believes, and nothing else."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from typing import Any

import jsonschema
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from appliance.domain import chain
from appliance.errors import InputError, Refused
from appliance.paths import PROJECT_ROOT
from appliance.wire import BATCHES, MAX_ROWS, batch, signing, snapshots
from appliance.wire.batch import MAX_UNPACKED, Envelope, Row
from appliance.wire.schemas import schemas
from appliance.wire.signing import Message

UID = "01JB2QAAAAAAAAAAAAAAAAAAAA"
AT = "2026-01-26T15:57:02.000Z"
NOW = datetime(2026, 1, 26, 15, 57, tzinfo=UTC)
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
KEY_ID = signing.key_id("LDS", signing.public_text(KEY))
SCHEMAS = PROJECT_ROOT / "docs" / "protocol"
DRIVER = '{"code":"D7","disabled_at":null}'


def rows(*snapshots: str, first: int = 1) -> list[Row]:
    made, before = [], chain.START
    for seq, snapshot in enumerate(snapshots, first):
        before = chain.link(before, chain.row_hash(snapshot))
        made.append(Row(seq=seq, kind="driver", uid=UID, created_at=AT, snapshot=snapshot, chain=before))
    return made


def envelope(first: int, last: int, **more: Any) -> Envelope:
    return Envelope(depot="LDS", epoch=1, stream="reference", first_seq=first, last_seq=last, **more)


@given(st.lists(st.text(), min_size=1, max_size=20), st.integers(1, 2**40))
def test_what_was_packed_is_unpacked_as_it_was(texts: list[str], first: int) -> None:
    packed = rows(*texts, first=first)
    body = batch.pack(envelope(first, first + len(texts) - 1), packed)
    assert batch.unpack(body) == (envelope(first, first + len(texts) - 1), packed)
    assert body == batch.pack(envelope(first, first + len(texts) - 1), packed)


@given(st.binary(max_size=300))
def test_any_bytes_at_all_are_a_batch_or_refused(body: bytes) -> None:
    for sent in (body, gzip.compress(body)):
        with pytest.raises(InputError):
            batch.unpack(sent)


@pytest.mark.parametrize(
    ("first", "last", "texts"), [(1, 3, ["a", "b"]), (2, 2, ["a"]), (1, 1, []), (1, 1, ["a", "b"]), (2, 1, ["a"])]
)
def test_rows_are_those_of_the_envelope(first: int, last: int, texts: list[str]) -> None:
    with pytest.raises(InputError):
        batch.unpack(batch.pack(envelope(first, last), rows(*texts)))


def test_limits_hold_before_anything_is_kept_in_memory() -> None:
    with pytest.raises(InputError, match="at most"):
        batch.unpack(gzip.compress(b"x" * (MAX_UNPACKED + 1)))
    many = rows(*["a"] * (MAX_ROWS + 1))
    with pytest.raises(InputError, match="1 to 500 rows"):
        batch.unpack(batch.pack(envelope(1, len(many)), many))
    whole = batch.pack(envelope(1, 1), rows("a"))
    for broken in (whole[:-1], whole + b"x", whole + whole):
        with pytest.raises(InputError, match="gzip"):
            batch.unpack(broken)


def test_a_member_that_is_not_in_the_protocol_is_refused() -> None:
    lines = gzip.decompress(batch.pack(envelope(1, 1), rows("a"))).splitlines()
    lines[1] = lines[1][:-1] + b',"more":1}'
    with pytest.raises(InputError, match=r"line 2.*more"):
        batch.unpack(gzip.compress(b"\n".join(lines) + b"\n"))


def test_a_snapshot_is_what_its_kind_says() -> None:
    assert snapshots.parse("reference", "driver", DRIVER) == snapshots.Driver(code="D7", disabled_at=None)
    for stream, kind, text in [
        ("trips", "driver", DRIVER),
        ("reference", "driver", '{"code":"D7"}'),
        ("reference", "driver", '{"code":"D7","disabled_at":null,"name":"Dee"}'),
        ("reference", "driver", "{"),
        ("reference", "driver", '{"code":7,"disabled_at":null}'),
    ]:
        with pytest.raises(InputError):
            snapshots.parse(stream, kind, text)  # type: ignore[arg-type]


def signed(body: bytes = b"body", *, path: str = BATCHES.format(depot="LDS"), key: Ed25519PrivateKey = KEY) -> Message:
    headers = {"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip", "Idempotency-Key": "k"}
    message = Message("POST", f"https://centre.example{path}", headers)
    signing.sign(message, key, KEY_ID, NOW, body=body, covered=signing.COVERED_BATCH)
    return message


def verified(message: Message, body: bytes = b"body") -> str:
    key_of = {KEY_ID: KEY.public_key()}.get
    return signing.verify(message, key_of, body=body, covered=signing.COVERED_BATCH)


def test_what_was_signed_is_believed_on_any_host_and_at_any_time() -> None:
    message = signed()
    assert verified(message) == KEY_ID
    message.url = message.url.replace("centre.example", "10.0.0.1:8443")
    assert verified(message) == KEY_ID


def test_whatever_was_changed_on_the_way_is_noticed() -> None:
    with pytest.raises(Refused):
        verified(signed(), b"other")
    with pytest.raises(Refused):
        verified(signed(key=Ed25519PrivateKey.generate()))
    for name, value in [
        ("Idempotency-Key", "other"),
        ("Content-Type", "text/plain"),
        ("Content-Encoding", "br"),
        ("Content-Digest", "sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:"),
        ("Signature-Input", "depot=()"),
        ("Signature", "depot=:AAAA:"),
    ]:
        message = signed()
        message.headers[name] = value
        with pytest.raises(Refused):
            verified(message)
    for change in ({"method": "PUT"}, {"url": "https://centre.example/depot/v1/MAN/batches"}):
        message = signed()
        for name, value in change.items():
            setattr(message, name, value)
        with pytest.raises(Refused):
            verified(message)


def test_a_request_that_lacks_a_part_of_its_signature_is_refused() -> None:
    for name in ("Content-Digest", "Signature-Input", "Signature"):
        message = signed()
        del message.headers[name]
        with pytest.raises(Refused):
            verified(message)
    bare = Message("POST", "https://centre.example/", {"Content-Type": "application/x-ndjson"})
    signing.sign(bare, KEY, KEY_ID, NOW, body=b"body", covered=("@method",))
    with pytest.raises(Refused):
        verified(bare)


def test_a_receipt_holds_for_its_text_alone() -> None:
    made = signing.signature(KEY, "receipt")
    assert signing.holds(signing.public_text(KEY), "receipt", made)
    assert not signing.holds(signing.public_text(KEY), "receipt!", made)
    assert not signing.holds(signing.public_text(Ed25519PrivateKey.generate()), "receipt", made)
    assert not signing.holds(signing.public_text(KEY), "receipt", "?")


def test_the_schemas_that_stand_in_the_documents_are_those_of_the_program() -> None:
    made = dict(schemas())
    assert {file.name: file.read_text() for file in SCHEMAS.iterdir()} == made
    for text in made.values():
        jsonschema.Draft202012Validator.check_schema(json.loads(text))


def test_what_one_end_packs_fits_the_schemas() -> None:
    lines = gzip.decompress(batch.pack(envelope(1, 2), rows(DRIVER, DRIVER))).splitlines()
    made = {name.partition(".")[0]: json.loads(text) for name, text in schemas()}
    jsonschema.validate(json.loads(lines[0]), made["Envelope"])
    for line in lines[1:]:
        jsonschema.validate(json.loads(line), made["Row"])
        jsonschema.validate(json.loads(json.loads(line)["snapshot"]), made["Driver"])
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(msgspec.to_builtins(envelope(1, 2)) | {"more": 1}, made["Envelope"])
