"""Talking to the central office: one signed request at a time over TLS, and what came back."""

from __future__ import annotations

import ssl
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import TypeVar
from urllib.parse import urlencode

import httpx
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance import wire
from appliance.config import Settings
from appliance.errors import ConfigError, DepotError
from appliance.wire import signing
from appliance.wire.answers import Answer, Enrol, Enrolled, NewKey, Problem, Receipted, Reconcile, Whereabouts

CONNECT_S, SILENT_S, ANSWER_S = 20.0, 120.0, 300.0
"""To connect; without a byte from the other end; for a whole answer from its first byte on."""
LONGEST_ANSWER = 4 * 1024 * 1024
LONGEST_WAIT_S = 24 * 3600.0
"""What `Retry-After` says beyond that is not believed."""

_T = TypeVar("_T")


class Unanswered(DepotError):
    """No whole answer came, or one that says that the centre has trouble of its own: the same again later helps.
    `retry_s` where the centre said when."""

    def __init__(self, what: str, *, subject: str, retry_s: float | None = None) -> None:
        super().__init__(what, subject=subject)
        self.retry_s = retry_s


class Declined(DepotError):
    """The centre does not take the request: a 4xx with its problem document."""

    def __init__(self, problem: Problem, *, subject: str) -> None:
        super().__init__(f"{problem.status} {problem.code or problem.title}: {problem.detail}", subject=subject)
        self.problem = problem


class Centre:
    """One connection to the central office; close it after use. Every method raises Unanswered or Declined."""

    def __init__(self, settings: Settings) -> None:
        self._url = settings.upstream.url.rstrip("/")
        self._depot = settings.depot.code
        self._http = httpx.Client(
            verify=_trust(settings),
            trust_env=False,
            follow_redirects=False,
            timeout=httpx.Timeout(SILENT_S, connect=CONNECT_S),
            headers={"Accept-Encoding": "identity", "User-Agent": "depotbox"},
        )

    def __enter__(self) -> Centre:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self._http.close()

    def enrol(self, key: Ed25519PrivateKey, said: Enrol) -> Enrolled:
        return self._posted(key, wire.ENROL, msgspec.json.encode(said), Enrolled, 201)

    def new_key(self, key: Ed25519PrivateKey, public_key: str) -> Enrolled:
        return self._posted(key, wire.KEYS, msgspec.json.encode(NewKey(public_key=public_key)), Enrolled, 201)

    def batch(self, key: Ed25519PrivateKey, body: bytes, idempotency_key: str) -> Answer:
        headers = {
            "Content-Type": "application/x-ndjson",
            "Content-Encoding": "gzip",
            "Idempotency-Key": idempotency_key,
        }
        status, answer = self._asked(key, "POST", wire.BATCHES, headers, body, signing.COVERED_BATCH)
        return self._read(answer, Answer, status, 200)

    def reconcile(self, key: Ed25519PrivateKey, books: Reconcile) -> Receipted:
        return self._posted(key, wire.RECONCILIATIONS, msgspec.json.encode(books), Receipted, 200)

    def positions(self, key: Ed25519PrivateKey) -> Whereabouts:
        status, answer = self._asked(key, "GET", wire.POSITIONS, {}, None, signing.COVERED)
        return self._read(answer, Whereabouts, status, 200)

    def rows(self, key: Ed25519PrivateKey, epoch: int, stream: str, after: int) -> bytes | None:
        """A batch with the rows after that one; None where there are none."""
        query = urlencode({"epoch": epoch, "stream": stream, "after": after})
        status, answer = self._asked(key, "GET", f"{wire.ROWS}?{query}", {}, None, signing.COVERED)
        return None if status == 204 else answer

    def _posted(self, key: Ed25519PrivateKey, path: str, body: bytes, kind: type[_T], expected: int) -> _T:
        headers = {"Content-Type": "application/json"}
        status, answer = self._asked(key, "POST", path, headers, body, signing.COVERED_WITH_BODY)
        return self._read(answer, kind, status, expected)

    def _read(self, answer: bytes, kind: type[_T], status: int, expected: int) -> _T:
        if status != expected:
            raise Unanswered(f"it answers {status}, expected {expected}", subject=self._url)
        try:
            return msgspec.json.decode(answer, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Unanswered(f"its answer cannot be read: {error}", subject=self._url) from error

    def _asked(
        self,
        key: Ed25519PrivateKey,
        method: str,
        path: str,
        headers: dict[str, str],
        body: bytes | None,
        covered: tuple[str, ...],
    ) -> tuple[int, bytes]:
        """The status (2xx) and the whole body of the answer."""
        url = self._url + path.format(depot=self._depot)
        message = signing.Message(method, url, httpx.Headers(headers))
        id = signing.key_id(self._depot, signing.public_text(key))
        signing.sign(message, key, id, datetime.now(UTC), body=body, covered=covered)
        try:
            with self._http.stream(method, url, headers=dict(message.headers), content=body) as answer:
                content = self._whole(answer)
        except (httpx.HTTPError, ssl.SSLError, OSError) as error:
            said = str(error) or type(error).__name__
            raise Unanswered(f"it does not answer: {said}", subject=self._url) from error
        if answer.status_code in (408, 425, 429) or answer.status_code >= 500:
            waits = _retry_after(answer.headers.get("retry-after", ""))
            raise Unanswered(f"it answers {answer.status_code}", subject=self._url, retry_s=waits)
        if answer.status_code >= 400:
            raise Declined(_problem(content, answer.status_code), subject=self._url)
        if answer.status_code >= 300:
            raise Unanswered(f"it answers {answer.status_code}: another address?", subject=self._url)
        return answer.status_code, content

    def _whole(self, answer: httpx.Response) -> bytes:
        end, content = time.monotonic() + ANSWER_S, bytearray()
        for piece in answer.iter_raw():
            content += piece
            if len(content) > LONGEST_ANSWER:
                raise Unanswered(f"its answer is longer than {LONGEST_ANSWER} bytes", subject=self._url)
            if time.monotonic() > end:
                raise Unanswered(f"its answer takes longer than {ANSWER_S:g} s", subject=self._url)
        return bytes(content)


def _trust(settings: Settings) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=settings.upstream.ca or None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"cannot be read as certificates: {error}", subject=f"upstream.ca = {settings.upstream.ca!r}"
        ) from error


def _problem(content: bytes, status: int) -> Problem:
    """What stands between the two may answer without one."""
    try:
        return msgspec.json.decode(content, type=Problem)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Problem(title="no problem document", status=status)


def _retry_after(said: str) -> float | None:
    """Seconds, from a number or a date (RFC 9110, 10.2.3); None where it says nothing that can be read."""
    try:
        seconds = float(said) if said.isdecimal() else (parsedate_to_datetime(said) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(seconds, 0.0), LONGEST_WAIT_S)
