"""Who sent a request, and that nothing of it was changed: HTTP message signatures (RFC 9421) with Ed25519, over a
Content-Digest (RFC 9530) of the body as it was sent.

The clock of a box is not to be relied on: `created` is written and does not count. A request that is sent twice does
nothing twice, so that it needs no nonce.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography.exceptions import InvalidSignature as WrongSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from http_message_signatures import (
    HTTPMessageSigner,
    HTTPMessageVerifier,
    HTTPSignatureKeyResolver,
    algorithms,
)
from http_message_signatures.exceptions import HTTPMessageSignaturesException

from appliance.errors import Refused

TAG = "depotbox"
COVERED = ("@method", "@path", "@query")
COVERED_WITH_BODY = (*COVERED, "content-type", "content-digest")
COVERED_BATCH = (*COVERED_WITH_BODY, "content-encoding", "idempotency-key")
"""What a signature covers at least: of every request, of one with a body, of a batch."""


@dataclass(slots=True)
class Message:
    """A request, as it is signed and verified. `url` is absolute; of it the path and the query count."""

    method: str
    url: str
    headers: MutableMapping[str, str]


def key_id(depot: str, public_key: str) -> str:
    """`LDS/0123456789abcdef`: the depot, and the first 64 bits of SHA-256 of its public key."""
    return f"{depot}/{hashlib.sha256(base64.b64decode(public_key)).hexdigest()[:16]}"


def public_text(key: Ed25519PrivateKey) -> str:
    """The public key that belongs to it, in Base64."""
    raw = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return base64.b64encode(raw).decode()


def sign(
    message: Message, key: Ed25519PrivateKey, id: str, now: datetime, *, body: bytes | None, covered: tuple[str, ...]
) -> None:
    """Adds Content-Digest (where there is a body), Signature-Input and Signature to the headers of the message."""
    signer = HTTPMessageSigner(signature_algorithm=algorithms.ED25519, key_resolver=_Signing(key))
    signer.sign(message, key_id=id, created=now, tag=TAG, label="depot", covered_component_ids=covered, body=body)


def verify(
    message: Message,
    key_of: Callable[[str], Ed25519PublicKey | None],
    *,
    body: bytes | None,
    covered: tuple[str, ...],
) -> str:
    """The id of the key that signed this message and, with it, `covered` and the digest of the body. Raises Refused."""
    verifier = HTTPMessageVerifier(signature_algorithm=algorithms.ED25519, key_resolver=_Known(key_of))
    # mypy does not see that a class attribute may be set on one instance.
    verifier.validate_created_and_expires = _any_time  # type: ignore[method-assign]
    try:
        (found,) = verifier.verify(message, max_age=None, expect_tag=TAG, require_components=covered, body=body)
    except (HTTPMessageSignaturesException, ValueError) as error:
        raise Refused(f"the signature does not hold: {error}", subject="request") from error
    return str(found.parameters["keyid"])


def signature(key: Ed25519PrivateKey, text: str) -> str:
    """Ed25519 over a text, in Base64: of a receipt."""
    return base64.b64encode(key.sign(text.encode())).decode()


def holds(public_key: str, text: str, signature: str) -> bool:
    """Whether `signature` was made over this text by the key that belongs to `public_key`."""
    try:
        verifying(public_key).verify(base64.b64decode(signature, validate=True), text.encode())
    except (WrongSignature, ValueError):
        return False
    return True


def verifying(public_key: str) -> Ed25519PublicKey:
    """Raises ValueError where it is none."""
    return Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key, validate=True))


def _any_time(*_args: Any, **_options: Any) -> None:
    """Nothing: see above."""


class _Signing(HTTPSignatureKeyResolver):
    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    def resolve_private_key(self, key_id: str) -> Ed25519PrivateKey:
        return self._key


class _Known(HTTPSignatureKeyResolver):
    def __init__(self, key_of: Callable[[str], Ed25519PublicKey | None]) -> None:
        self._key_of = key_of

    def resolve_public_key(self, key_id: str) -> Ed25519PublicKey | None:
        return self._key_of(key_id)
