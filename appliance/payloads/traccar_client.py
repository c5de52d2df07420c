"""The Traccar Client app, from version 9. Source: traccar.org/osmand, "JSON format".

`speed` is m/s; it and `heading` are -1 where they are not known; `battery.level` is a share from 0 to 1, `odometer`
metres as the phone counts them.
"""

from __future__ import annotations

from appliance.domain.fix import Fix
from appliance.payloads.hfp import KMH
from appliance.payloads.values import Body, amount, below, heading, needed, number, percent, speed, time


def fits(body: Body) -> bool:
    location = body.get("location")
    return type(location) is dict and "coords" in location


def read(body: Body) -> Fix:
    location = body["location"]
    coords = below(location, "coords")
    return Fix(
        lat=needed(coords, "latitude"),
        lon=needed(coords, "longitude"),
        at=time(location, "timestamp"),
        speed_kmh=speed(coords.get("speed"), KMH),
        heading_deg=heading(coords.get("heading")),
        accuracy_m=amount(coords.get("accuracy")),
        altitude_m=number(coords.get("altitude")),
        odometer_m=amount(location.get("odometer")),
        battery_pct=percent(below(location, "battery").get("level"), 100),
        format="traccar_client",
    )
