"""Positions that a Traccar server forwards as JSON. Source: Traccar's `Position` model and its forwarding code.

`speed` is knots; `fixTime` is when the position was taken (ISO 8601, in some versions epoch milliseconds), `deviceTime`
and `serverTime` are later. `valid` false: the tracker had no fix. `outdated` true: the server repeats the last position
that it knows, because the tracker sent none. An `accuracy` of 0 means that none was given. `attributes.odometer` is
metres; `totalDistance` is the server's own sum.
"""

from __future__ import annotations

from appliance.domain.fix import Fix, Reason
from appliance.payloads.values import Bad, Body, amount, below, flag, heading, needed, number, percent, speed, time

KNOT_KMH = 1.852


def fits(body: Body) -> bool:
    return "position" in body and "device" in body


def read(body: Body) -> Fix | str:
    """`outdated` for a position that is."""
    position = below(body, "position")
    if flag(position.get("outdated")):
        return "outdated"
    if flag(position.get("valid")) is False:
        raise Bad(Reason.no_position, "valid is false", "a valid position")
    attributes = below(position, "attributes")
    return Fix(
        lat=needed(position, "latitude"),
        lon=needed(position, "longitude"),
        at=time(position, "fixTime"),
        speed_kmh=speed(position.get("speed"), KNOT_KMH),
        heading_deg=heading(position.get("course")),
        accuracy_m=amount(position.get("accuracy")) or None,
        altitude_m=number(position.get("altitude")),
        odometer_m=amount(attributes.get("odometer")),
        ignition=flag(attributes.get("ignition")),
        battery_pct=percent(attributes.get("batteryLevel")),
        format="traccar_forward",
    )
