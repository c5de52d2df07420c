"""The OwnTracks app, as it is. Source: OwnTracks booklet, tech/json, `_type=location`.

`vel` is km/h; `tst` is the time of the fix in epoch seconds, `created_at` only that of the message. The app leaves
`acc`, `alt`, `cog` and `vel` out where they are 0: a missing speed is 0, but a missing heading may as well be unknown.
"""

from __future__ import annotations

from appliance.domain.fix import Fix
from appliance.payloads.values import Body, amount, heading, needed, number, percent, speed, time


def fits(body: Body) -> bool:
    return "_type" in body


def read(body: Body) -> Fix | None:
    """None for a message of another type, such as `lwt` or `transition`."""
    if body["_type"] != "location":
        return None
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
