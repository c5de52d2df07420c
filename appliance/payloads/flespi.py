"""Messages of flespi channels. Source: flespi knowledge base, "Message - basic information unit".

Keys are dotted. `timestamp` is when the data was collected (epoch seconds with a fraction), `server.timestamp` when
flespi had it; `message.buffered.status` says that it came late, which the box sees by itself. `position.speed` is km/h,
`vehicle.mileage` km. `position.valid` false: the tracker had no fix, and the position is an old one.
"""

from __future__ import annotations

from appliance.domain.fix import Fix, Reason
from appliance.payloads.values import Bad, Body, amount, flag, heading, needed, number, percent, speed, time


def fits(body: Body) -> bool:
    return "position.latitude" in body or "position.longitude" in body


def read(body: Body) -> Fix:
    if flag(body.get("position.valid")) is False:
        raise Bad(Reason.no_position, "position.valid is false", "a valid position")
    return Fix(
        lat=needed(body, "position.latitude"),
        lon=needed(body, "position.longitude"),
        at=time(body, "timestamp"),
        speed_kmh=speed(body.get("position.speed")),
        heading_deg=heading(body.get("position.direction")),
        altitude_m=number(body.get("position.altitude")),
        odometer_m=amount(body.get("vehicle.mileage"), 1000),
        ignition=flag(body.get("engine.ignition.status")),
        battery_pct=percent(body.get("battery.level")),
        format="flespi",
    )
