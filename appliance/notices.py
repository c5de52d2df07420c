"""What users and drivers are told: the inbox of the pages, and mail where they want it. Never a patient's name."""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime, timedelta

from appliance import keys, passwords, post
from appliance.config import Settings
from appliance.errors import NotFound
from appliance.post import Letter
from appliance.storage import notifications, people, times, trips, users
from appliance.storage.db import Row, Tx

LINK_VALID = timedelta(days=7)
LINK_KEY = "links"


def begin_notification(
    tx: Tx, user_id: int, notification_type: str, message: str, settings: Settings, now: datetime, job_id: str
) -> Letter | None:
    """Puts the message into the user's inbox (once a job), and begins the mail where the user wants one."""
    user = _user(tx, user_id)
    notifications.add(tx, user_id, notification_type, message, job_id, now)
    if not user["wants_email"] or user["disabled_at"]:
        return None
    subject = f"{settings.depot.name}: {notification_type.replace('_', ' ')}"
    return _begin(tx, settings, "notification", job_id, user["email"], subject, _signed(message, settings), now)


def begin_welcome(tx: Tx, user_id: int, settings: Settings, now: datetime, job_id: str) -> Letter | None:
    """The account mail with a link that sets the password, once, within LINK_VALID.

    The link is derived from the job and the box's own key, so that a repeated mail carries the same one; only its
    hash is kept.
    """
    user = _user(tx, user_id)
    if user["disabled_at"]:
        return None
    token = hmac.new(keys.own(settings.paths, LINK_KEY).encode(), job_id.encode(), hashlib.sha256).hexdigest()
    if users.link_is_used(tx, passwords.token_hash(token)):
        return None  # the mail came through, whatever the relay said
    users.add_password_link(tx, user_id, passwords.token_hash(token), now, LINK_VALID)
    text = (
        f"Hello {user['name']},\n"
        "\n"
        f"you can now use the depot's pages of {settings.depot.name} as {user['role']}.\n"
        "Choose your password here, once, within seven days:\n"
        "\n"
        f"http://{settings.web.host}:{settings.web.port}/password/{token}"
    )
    subject = f"Your account at {settings.depot.name}"
    return _begin(tx, settings, "welcome", job_id, user["email"], subject, _signed(text, settings), now)


def begin_assignment(
    tx: Tx, trip_id: int, driver_id: int, settings: Settings, now: datetime, job_id: str
) -> Letter | None:
    """Tells a driver of a trip: the inbox of the driver's user, and a mail with number, time and level of service.

    Nothing is said where the trip has gone to somebody else meanwhile.
    """
    trip, driver = trips.get(tx, trip_id), people.driver(tx, driver_id)
    if trip is None or driver is None:
        raise NotFound("no such trip or driver", subject=f"trip {trip_id}, driver {driver_id}")
    if trip["driver_id"] != driver_id:
        return None
    at = times.parse(trip["pickup_at"]).astimezone(settings.zone)
    message = f"Trip {trip_id} on {at:%d %B at %H:%M} ({trip['level']}) is assigned to you."
    if driver["user_id"]:
        notifications.add(tx, driver["user_id"], "trip_assigned", message, job_id, now)
    if not driver["email"]:
        return None
    subject = f"Trip {trip_id} is assigned to you"
    return _begin(tx, settings, "assignment", job_id, driver["email"], subject, _signed(message, settings), now)


def begin_digest(tx: Tx, user_id: int, settings: Settings, now: datetime, job_id: str) -> Letter | None:
    """The day's trips in one mail: how many in each state, and a line for each that went wrong."""
    user = _user(tx, user_id)
    if user["disabled_at"]:
        return None
    day = now.astimezone(settings.zone).date()
    subject = f"{settings.depot.name}: trips of {day}"
    return _begin(tx, settings, "digest", job_id, user["email"], subject, _digest(tx, settings, now), now)


def _digest(tx: Tx, settings: Settings, now: datetime) -> str:
    local = now.astimezone(settings.zone)
    start = local.replace(hour=0, minute=0, second=0, microsecond=0)
    found = trips.between(tx, start, start + timedelta(days=1))
    counts: dict[str, int] = {}
    for trip in found:
        counts[trip["state"]] = counts.get(trip["state"], 0) + 1
    lines = [f"Trips of {local:%A, %d %B %Y}: {len(found)}", ""]
    lines += [f"  {state.replace('_', ' '):<12} {count:>4}" for state, count in sorted(counts.items())]
    wrong = [trip for trip in found if trip["flagged_at"] or trip["unbilled_reason"] or trip["state"] == "missed"]
    if wrong:
        lines += ["", "These need somebody:", ""]
        for trip in wrong:
            why = trip["unbilled_reason"] or ("runs too long" if trip["flagged_at"] else "missed")
            lines.append(f"  trip {trip['id']}: {why.replace('_', ' ')}")
    return _signed("\n".join(lines), settings)


def _signed(text: str, settings: Settings) -> str:
    return f"{text}\n\n-- \n{settings.depot.name}\n"


def _begin(
    tx: Tx, settings: Settings, kind: str, job_id: str, recipient: str, subject: str, text: str, now: datetime
) -> Letter | None:
    return post.begin(
        tx, settings, kind=kind, key=job_id, recipient=recipient, subject=subject, text=text, job_id=job_id, now=now
    )


def _user(tx: Tx, user_id: int) -> Row:
    found = users.get(tx, user_id)
    if found is None:
        raise NotFound("no such user", subject=f"user {user_id}")
    return found
