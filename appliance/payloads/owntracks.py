"""The OwnTracks app, as it is. Source: OwnTracks booklet, tech/json, `_type=location`.

`vel` is km/h; `tst` is the time of the fix in epoch seconds, `created_at` only that of the message. The app leaves
`acc`, `alt`, `cog` and `vel` out where they are 0: a missing speed is 0, but a missing heading may as well be unknown.
`lwt` is the last will, which the broker publishes when it loses the app.
"""

from __future__ import annotations

from appliance.domain.fix import Fix, Reason
from appliance.payloads.values import Bad, Body, amount, heading, needed, number, percent, said, speed, time

LAST_WILL = "lwt"
NO_FIX = frozenset({
    "beacon", "card", "cmd", "configuration", LAST_WILL, "request", "status", "steps", "transition", "waypoint",
    "waypoints",
})  # fmt: skip


def fits(body: Body) -> bool:
    return "_type" in body


def read(body: Body) -> Fix | str:
    """The type of a message that is known to be no fix, such as `lwt` or `transition`."""
    kind = body["_type"]
    if type(kind) is str and kind in NO_FIX:
        return kind
    if kind == "encrypted":
        raise Bad(
            Reason.unparsable, said("_type", kind), "the app's payload encryption switched off (no encryption key)"
        )
    if kind != "location":
        raise Bad(Reason.no_position, said("_type", kind), "a type of the OwnTracks app")
    return Fix(
        at=time(body, "tst"),
        lat=needed(body, "lat"),
        lon=needed(body, "lon"),
        speed_kmh=speed(body.get("vel", 0)),
        heading_deg=heading(body.get("cog")),
        accuracy_m=amount(body.get("acc")),
        altitude_m=number(body.get("alt")),
        battery_pct=percent(body.get("batt")),
        format="owntracks",
    )
