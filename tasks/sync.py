"""The line to the central office: what the schedule and people ask for."""

from __future__ import annotations

from typing import Any

import msgspec

from appliance import uplink
from appliance.errors import Busy, Permanent, Refused, Transient
from appliance.wire import STREAMS, Stream
from tasks.box import box
from tasks.celery import app
from tasks.durable import Durable

BUSY_S = 30.0


@app.task(base=Durable, name="sync.tasks.push_upstream")
def push_upstream(streams: str | list[str] | None = None) -> dict[str, Any]:
    """Sends what waits in these streams (`"trips,reference"`, or a list); in all of them, and then the night's books,
    where None. A box that works alone, is not enrolled or is not let in does nothing: its pages say so."""
    parts = box()
    if not parts.settings.upstream.url:
        return {"sent": 0}
    try:
        done = uplink.push(
            parts.settings, parts.db, _chosen(streams), publish=lambda events: parts.publisher.publish(*events)
        )
    except Refused as error:
        return {"refused": error.what}
    except Busy as error:
        raise Transient(error.what, subject=error.subject, retry_s=BUSY_S) from error
    return msgspec.to_builtins(done)  # type: ignore[no-any-return]


def _chosen(streams: str | list[str] | None) -> list[Stream] | None:
    if streams is None:
        return None
    named = streams.split(",") if isinstance(streams, str) else streams
    if unknown := [one for one in named if one not in STREAMS]:
        raise Permanent(f"expected some of {', '.join(STREAMS)}", subject=f"streams {','.join(unknown)}")
    return [stream for stream in STREAMS if stream in named]
