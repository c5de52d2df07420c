"""Teltonika trackers that send JSON over MQTT. Source: Teltonika wiki, "Codec JSON" and "Data Sending Parameters ID".

Everything is below `state.reported` and may be a string. The position is one text, `"lat,lng"`, and `"0,0"` without a
fix (rejected by its own rule); `ts` is epoch milliseconds, `sp` km/h. Numeric keys are AVL ids: 16 total odometer (m),
113 battery (%), 239 ignition (0 or 1). Voltages (66, 67) are no percentage, and have no place in a fix.
"""

from __future__ import annotations

from appliance.domain.fix import Fix, Reason
from appliance.payloads.values import (
    Bad,
    Body,
    amount,
    below,
    flag,
    heading,
    needed,
    number,
    percent,
    said,
    speed,
    time,
)  # fmt: skip


def fits(body: Body) -> bool:
    state = body.get("state")
    return type(state) is dict and "reported" in state


def read(body: Body) -> Fix:
    reported = below(body["state"], "reported")
    lat, lon = _position(reported)
    return Fix(
        lat=lat,
        lon=lon,
        at=time(reported, "ts"),
        speed_kmh=speed(reported.get("sp")),
        heading_deg=heading(reported.get("ang")),
        altitude_m=number(reported.get("alt")),
        odometer_m=amount(reported.get("16")),
        ignition=flag(reported.get("239")),
        battery_pct=percent(reported.get("113")),
        format="teltonika",
    )


def _position(reported: Body) -> tuple[float, float]:
    latlng = reported.get("latlng")
    lat, comma, lng = latlng.partition(",") if type(latlng) is str else ("", "", "")
    if not comma:
        raise Bad(Reason.no_position, said("latlng", latlng), 'a text "lat,lng"')
    both = {"lat": lat, "lng": lng}
    return needed(both, "lat"), needed(both, "lng")
