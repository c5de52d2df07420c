"""Outages of vehicles at work: told to the dispatchers once, with whom to call. Never a patient's name."""

from __future__ import annotations

from datetime import datetime

from appliance import jobs
from appliance.config import Settings
from appliance.domain.presence import VehicleState
from appliance.jobs import Ask
from appliance.storage import alerts, times, users
from appliance.storage.db import Row, Tx

_WORDS = {
    VehicleState.silent: "no position since {at}",
    VehicleState.stuck: "it reports the position of {at} again and again",
    VehicleState.offline: "its device has been cut off since {at}",
}


def told(row: Row, settings: Settings, now: datetime) -> str:
    """What is wrong, in a few words: `silent, no position since 14:05`. `row` has `state` and `since`."""
    at = times.parse(row["since"]).astimezone(settings.zone)
    same_day = at.date() == now.astimezone(settings.zone).date()
    return f"{row['state']}, {_WORDS[row['state']].format(at=f'{at:%H:%M}' if same_day else f'{at:%d %b %H:%M}')}"


def open_alert(
    tx: Tx, duty: Row, state: VehicleState, since: datetime, settings: Settings, now: datetime
) -> list[Ask] | None:
    """Opens the alert of an outage and asks for the dispatchers to be told, in one transaction; send the jobs after
    the commit. None where it is open already. `duty` is a row of `shifts.at_work`."""
    if not alerts.add(tx, duty["vehicle_id"], state, since, now, duty["trip_id"], duty["driver_id"]):
        return None
    what = told({"state": state, "since": times.text(since)}, settings, now)
    said = [f"Vehicle {duty['code']} is {what}."]
    if duty["trip_id"]:
        said.append(f"It is on trip {duty['trip_id']}.")
    driver = f"{duty['name']}, {duty['phone'] or 'whose phone number is not known'}" if duty["name"] else "not known"
    said.append(f"The driver is {driver}.")
    return [
        jobs.enqueue(
            tx,
            "users.tasks.send_notification",
            now=now,
            user_id=user["id"],
            notification_type="vehicle_outage",
            message=" ".join(said),
        )
        for user in users.of_role(tx, "dispatcher")
    ]
