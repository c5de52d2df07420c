"""The user tasks. Wire names are those that producers already use; import them from here."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from appliance import clock, notices, post
from appliance.config import Settings
from appliance.events import Event
from appliance.post import Letter
from appliance.storage.db import Tx
from tasks.box import box
from tasks.celery import app
from tasks.durable import Durable, current_job, finishing
from tasks.sending import send

Begin = Callable[[Tx, Settings, datetime, str], Letter | None]


@app.task(base=Durable, name="users.tasks.send_notification")
def send_notification(user_id: int, notification_type: str, message: str) -> str:
    """Puts a message into the user's inbox, and mails it where the user wants mail."""
    return _mail(lambda tx, *rest: notices.begin_notification(tx, user_id, notification_type, message, *rest))


@app.task(base=Durable, name="users.tasks.send_welcome_email")
def send_welcome_email(user_id: int) -> str:
    """Mails the user a link that sets the password, once."""
    return _mail(lambda tx, *rest: notices.begin_welcome(tx, user_id, *rest))


@app.task(base=Durable, name="users.tasks.send_trip_assignment_notification")
def send_trip_assignment_notification(trip_id: int, driver_id: int) -> str:
    """Tells the driver: inbox and mail. The vehicle's retained assignment is the bridge's, which reads the trips."""
    return _mail(lambda tx, *rest: notices.begin_assignment(tx, trip_id, driver_id, *rest))


@app.task(base=Durable, name="users.tasks.send_daily_digest")
def send_daily_digest(user_id: int) -> str:
    """Mails the user the day's trips."""
    return _mail(lambda tx, *rest: notices.begin_digest(tx, user_id, *rest))


def _mail(begin: Begin) -> str:
    """Begins, delivers and finishes; says what became of the mail."""
    settings = box().settings
    letter = send(
        lambda tx: begin(tx, settings, clock.now(), current_job()), lambda begun: post.deliver(begun, settings)
    )
    with finishing() as step:
        step.events.append(Event("inbox", "all", {}))
        if letter:
            post.delivered(step.tx, letter, step.now)
        step.result = said = "sent" if letter else "no mail"
    return said
