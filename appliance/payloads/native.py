"""The box's own format (docs/protocol-mqtt.md): every unit stands in the key."""

from __future__ import annotations

from appliance.domain.fix import Fix
from appliance.payloads.values import Body, amount, heading, needed, number, percent, speed, time


def fits(body: Body) -> bool:
    return "t" in body and "lat" in body and "lon" in body


def almost_fits(body: Body) -> bool:
    """What is no other format either: its reason says what is missing."""
    return "lat" in body or "lon" in body or "t" in body


def read(body: Body) -> Fix:
    ignition = body.get("ignition")
    return Fix(
        at=time(body, "t"),
        lat=needed(body, "lat"),
        lon=needed(body, "lon"),
        speed_kmh=speed(body.get("speed_kmh")),
        heading_deg=heading(body.get("heading")),
        accuracy_m=amount(body.get("accuracy_m")),
        altitude_m=number(body.get("altitude_m")),
        odometer_m=amount(body.get("odometer_m")),
        ignition=ignition if type(ignition) is bool else None,
        battery_pct=percent(body.get("battery_pct")),
        format="native",
    )
