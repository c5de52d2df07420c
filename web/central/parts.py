"""What the handlers of the central office are given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from litestar.di import NamedDependency

from appliance.central.config import Settings
from appliance.central.db import Engine
from appliance.queues import Queues
from appliance.wire import Stream

Received = Callable[[int, Stream], object]


@dataclass(frozen=True, slots=True)
class Centre:
    """Built once. `key` signs receipts; `received` is told the id and the stream of each batch that is on the disk
    and not applied; `queues` has the lengths of the workers' queues, None where there are no workers."""

    settings: Settings
    engine: Engine
    key: Ed25519PrivateKey
    centre_key: str
    received: Received
    now: Callable[[], datetime]
    queues: Queues | None = None


Given = NamedDependency[Centre]
"""The type of a handler's `centre` argument."""
