"""API tokens, as pages show them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from appliance.domain.access import Role, Scope
from appliance.storage.db import Row
from appliance.storage.times import parse, parse_or_none
from web import cards

MAY: Mapping[Scope, str] = {
    Scope.read: "read only",
    Scope.write: "read and change, not administer",
    Scope.admin: "all that the user may",
}
ENDS = (("30", "in 30 days"), ("90", "in 90 days"), ("365", "in a year"), ("", "when it is revoked"))
"""For how many days a token may be asked for on a page, and in words."""
SOON = timedelta(days=14)


def scopes(role: Role) -> list[tuple[Scope, str]]:
    """The scopes that make a difference to somebody in that role, the smallest first."""
    most = {Role.administrator: 3, Role.viewer: 1}.get(role, 2)
    return [(scope, MAY[scope]) for scope in list(Scope)[:most]]


def shown(row: Row, now: datetime, zone: ZoneInfo) -> dict[str, Any]:
    """A token for the list: `over` is a word once it counts no more, `soon` one shortly before its end."""
    expires, revoked, used = (parse_or_none(row[name]) for name in ("expires_at", "revoked_at", "last_used_at"))
    over = "revoked" if revoked else "ended" if expires and expires <= now else ""
    days = (expires - now).days if expires else 0
    return {
        "id": row["id"],
        "name": row["name"],
        "email": row["email"],
        "may": MAY[Scope(row["scope"])],
        "made": cards.moment(parse(row["created_at"]), now, zone),
        "used": cards.moment(used, now, zone) if used else None,
        "until": f"{expires.astimezone(zone):%Y-%m-%d}" if expires else "",
        "over": over,
        "soon": f"ends in {days} days" if expires and not over and expires - now < SOON else "",
    }
