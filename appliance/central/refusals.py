"""What the centre answers a depot that it refuses something: docs/protocol.md, "Errors"."""

from __future__ import annotations

from appliance.errors import DepotError
from appliance.wire.answers import Problem

STATUS = {
    "unsigned": 401,
    "wrong_depot": 403,
    "bad_code": 403,
    "gap": 409,
    "conflict": 409,
    "malformed": 422,
    "key_reused": 422,
    "chain_broken": 422,
    "too_large": 413,
    "busy": 503,
}
TITLES = {
    401: "Unauthorized",
    403: "Forbidden",
    409: "Conflict",
    413: "Content Too Large",
    422: "Unprocessable Content",
    503: "Service Unavailable",
}
LONGEST = 300


class Refusal(DepotError):
    """A request of a depot that is refused; nothing of it was kept. `code` is one of STATUS."""

    def __init__(self, code: str, detail: str, *, expected_seq: int | None = None) -> None:
        self.code = code
        self.status = STATUS[code]
        self.expected_seq = expected_seq
        super().__init__(detail)

    def problem(self) -> Problem:
        """The body of the answer."""
        return Problem(
            title=TITLES[self.status],
            status=self.status,
            code=self.code,
            detail=self.what[:LONGEST],
            expected_seq=self.expected_seq,
        )
