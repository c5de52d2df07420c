"""The box's end in a process of its own, to be killed: sends until nothing waits, and writes down each batch before it
goes out. Arguments: a file for that, and rows a batch."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance import config, log, uplink, uplink_http
from appliance.errors import DepotError
from appliance.storage import sync_log
from appliance.storage.db import open_depot
from appliance.wire import batch
from appliance.wire.answers import Answer

SILENT_S = 1.5
"""In the place of two minutes: a proxy that hangs is to be met often."""
PAUSE_S = 0.05


def main() -> None:
    sent, uplink.MAX_ROWS = Path(sys.argv[1]), int(sys.argv[2])
    uplink_http.SILENT_S = SILENT_S
    log.configure("pusher", "error")
    original = uplink_http.Centre.batch

    def noted(self: uplink_http.Centre, key: Ed25519PrivateKey, body: bytes, idempotency_key: str) -> Answer:
        envelope, _ = batch.unpack(body)
        with sent.open("a") as file:
            file.write(f"{envelope.epoch} {envelope.stream} {envelope.first_seq} {envelope.last_seq}\n")
        return original(self, key, body, idempotency_key)

    uplink_http.Centre.batch = noted  # type: ignore[method-assign]
    settings = config.load()
    db = open_depot(settings.paths.depot_db)
    while sync_log.waiting(db):
        try:
            uplink.push(settings, db, by_hand=True)
        except DepotError as error:
            print(error, file=sys.stderr)
            time.sleep(PAUSE_S)  # instead of a minute's back-off


if __name__ == "__main__":
    main()
