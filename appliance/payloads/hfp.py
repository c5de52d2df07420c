"""High-frequency positioning v2 of HSL. Source: Digitransit, "High-frequency positioning".

The body lies below an upper-case key, the event (`VP`, `DEP`, `ARR`, ...). `lat` and `long` may be null; `spd` is m/s.
`acc` is an acceleration, `odo` the metres since the start of the trip, `dl` the delay against the timetable, and `seq`
inside the body a train's unit: none of them is what its name suggests, so none is read.
"""

from __future__ import annotations

from appliance.domain.fix import Fix
from appliance.payloads.values import Body, heading, needed, speed, time

KMH = 3.6  # in one m/s
_OWN = {"lat", "long", "tst", "tsi"}


def fits(body: Body) -> bool:
    return bool(_event(body))


def read(body: Body) -> Fix:
    inner = body[_event(body)]
    return Fix(
        lat=needed(inner, "lat"),
        lon=needed(inner, "long"),
        at=time(inner, "tst" if inner.get("tst") not in (None, "") else "tsi"),
        speed_kmh=speed(inner.get("spd"), KMH),
        heading_deg=heading(inner.get("hdg")),
        format="hfp",
    )


def _event(body: Body) -> str:
    """The key around the body; empty where there is none."""
    for key, inner in body.items():
        if type(inner) is dict and key.isalpha() and key.isupper() and _OWN & inner.keys():
            return key
    return ""
