"""What is wrong with the box, in plain words: for each issue its cause, its effect, and what to do next.

Pure over what was found (`Facts`, which `appliance.supervisor.checkup` collects). Codes are for programs and never
change their meaning.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Literal

from msgspec import Struct

from appliance.jobs import QUEUE_TITLES

Severity = Literal["urgent", "warning", "note"]
ORDER: tuple[Severity, ...] = ("urgent", "warning", "note")
LONG_WAIT = timedelta(minutes=10)
"""Work that is due for longer is told."""


class Facts(Struct, frozen=True, kw_only=True):
    """What was found. `not_ready`: the state of each role that is not well; `oldest`: for how long the oldest job of a
    queue that is not paused has been due; `bad_maps`: why each base map that cannot be used cannot."""

    not_ready: Mapping[str, str]
    redis: bool
    database: bool
    disk_free_mb: int
    disk_warn_mb: int
    clock_trusted: bool
    damaged_days: tuple[date, ...] = ()
    bad_maps: tuple[str, ...] = ()
    failed_jobs: int = 0
    paused: tuple[str, ...] = ()
    oldest: Mapping[str, timedelta]
    invoices_named: bool
    mail_host: str
    certificate_problems: tuple[str, ...] = ()
    """Of HTTPS: one line for each certificate that somebody gave and that is not used."""
    certificate_ends_on: date | None = None
    """When the certificate that somebody gave ends, if that is soon."""
    uplink_unknown: bool = False
    """A central office is set up, and does not know this box."""
    uplink_refused: str = ""
    uplink_stopped: tuple[str, ...] = ()
    missed_nights: int = 0
    """Nights without a receipt, one after another until now."""
    receipt_differs: str = ""
    parked_rows: int = 0
    news_kept: int = 0
    not_recovered: bool = False


class Issue(Struct, frozen=True, kw_only=True):
    """One thing that is wrong. `urgent`: something does not work now; `warning`: something waits for a person; `note`:
    worth knowing."""

    code: str
    severity: Severity
    title: str
    cause: str
    effect: str
    next: str


def issues(facts: Facts) -> list[Issue]:
    """All that is wrong, the most urgent first."""
    found = [
        *_roles(facts),
        *_stores(facts),
        *_work(facts),
        *_https(facts),
        *_uplink(facts),
        *_setting_up(facts),
    ]
    return sorted(found, key=lambda one: ORDER.index(one.severity))


def _roles(facts: Facts) -> Iterator[Issue]:
    if facts.not_ready:
        states = ", ".join(f"{name} is {state}" for name, state in facts.not_ready.items())
        yield Issue(
            code="role_not_ready",
            severity="urgent",
            title=f"Not ready: {', '.join(facts.not_ready)}",
            cause=f"A part of the box does not run: {states}.",
            effect="What it does stands still: bridge and mosquitto take positions, workers do jobs, beat runs the"
            " schedule, redis carries work between them. What was stored is safe.",
            next="It is started again by itself, for ever. If that does not help within minutes, the box's log says"
            " why, in a line role.failed or in the role's own last line.",
        )
    if not facts.redis and "redis" not in facts.not_ready:
        yield Issue(
            code="redis_away",
            severity="urgent",
            title="Not ready: redis",
            cause="Redis, through which the parts of the box send work to each other, does not answer.",
            effect="No job is begun, and pages do not move by themselves. What was stored is safe; the work is done"
            " once Redis is back.",
            next="See whether the box runs: depotbox status.",
        )


def _stores(facts: Facts) -> Iterator[Issue]:
    if not facts.database:
        yield Issue(
            code="database_away",
            severity="urgent",
            title="The database does not answer",
            cause="depot.db in the data folder cannot be read, or is not there yet.",
            effect="Nothing of the depot can be shown or changed.",
            next="Start the box once with depotbox run. If the file is there, see who owns it and the data folder.",
        )
    if facts.disk_free_mb < facts.disk_warn_mb:
        yield Issue(
            code="disk_low",
            severity="urgent",
            title=f"The disk fills up: {facts.disk_free_mb} MiB free",
            cause=f"Less than {facts.disk_warn_mb} MiB are free on the disk of the data folder.",
            effect="With 32 MiB left positions wait in the trackers; with none left nothing can be stored. Nothing that"
            " was stored is lost.",
            next="Delete what the box does not need from the disk, or keep positions for a shorter time"
            " (retention.gps_days).",
        )
    if not facts.clock_trusted:
        yield Issue(
            code="clock_untrusted",
            severity="warning",
            title="The clock is not trusted",
            cause="The time service has not synchronized since this machine was started, and nobody has confirmed"
            " the clock.",
            effect="No invoice is issued and nobody is reminded: the date could be wrong. Trips go on.",
            next="Connect the box to the network, or compare its clock with another and confirm it on the page System.",
        )
    if facts.damaged_days:
        yield Issue(
            code="fixes_damaged",
            severity="warning",
            title=f"Positions are damaged on {', '.join(day.isoformat() for day in facts.damaged_days)}",
            cause="A part of the file with the positions of that day cannot be read: a worn disk, or a power cut that"
            " the disk did not stand.",
            effect="Trails and distances of trips on that day may lack positions. All else goes on.",
            next="See docs/storage.md, Damaged days, and look at the disk: it may be at its end.",
        )
    if facts.bad_maps:
        yield Issue(
            code="map_unusable",
            severity="warning",
            title="A base map cannot be used",
            cause=f"In the data folder: {'; '.join(facts.bad_maps)}.",
            effect="The pages show another base map, or coasts and borders only. All else goes on.",
            next="On the page System, Base map, remove it or send another one.",
        )


def _work(facts: Facts) -> Iterator[Issue]:
    if facts.failed_jobs:
        yield Issue(
            code="jobs_failed",
            severity="warning",
            title="1 job has failed" if facts.failed_jobs == 1 else f"{facts.failed_jobs} jobs have failed",
            cause="They cannot be done as things are; each says why.",
            effect="What they were to do is not done: an invoice, a mail, a closed trip. Nothing is lost.",
            next="On the page Work, look at the failed jobs, mend what they name, and retry them.",
        )
    late = {queue: age for queue, age in facts.oldest.items() if age > LONG_WAIT}
    if late:
        ages = ", ".join(f"{QUEUE_TITLES[queue]} for {_rounded(age)}" for queue, age in late.items())
        yield Issue(
            code="work_waits",
            severity="warning",
            title="Work waits for long",
            cause=f"Jobs are due and not begun: {ages}. Their worker is down or busy, or what they need, such as"
            " the mail relay, is away.",
            effect="What they do comes late.",
            next="On the page Work, look at the jobs that wait: their error says for what.",
        )
    if facts.paused:
        names = ", ".join(QUEUE_TITLES[queue] for queue in facts.paused)
        yield Issue(
            code="queue_paused",
            severity="warning",
            title=f"Paused: {names}",
            cause="Somebody holds up the work of a queue.",
            effect="No job of it is begun until it is resumed.",
            next="Resume it on the page Work when the reason is gone.",
        )


def _https(facts: Facts) -> Iterator[Issue]:
    if facts.certificate_problems:
        yield Issue(
            code="certificate_unusable",
            severity="warning",
            title="A certificate for HTTPS is not used",
            cause=f"{'; '.join(facts.certificate_problems)}.",
            effect="The pages are served with the next best certificate, at the latest the box's own. Browsers that do"
            " not know it warn.",
            next="Install a new certificate on the page System, Certificate, or remove this one.",
        )
    if facts.certificate_ends_on:
        yield Issue(
            code="certificate_ends",
            severity="warning",
            title="The certificate for HTTPS ends soon",
            cause=f"The certificate that was given to the box is good until {facts.certificate_ends_on:%d %B %Y}.",
            effect="From then on the box's own certificate is served. Browsers that do not know it warn.",
            next="Get a new one from whoever made this one, and install it on the page System, Certificate.",
        )


def _uplink(facts: Facts) -> Iterator[Issue]:
    """Of the line to the central office; that it does not answer for some hours is nothing."""
    if facts.uplink_unknown:
        yield Issue(
            code="uplink_unknown",
            severity="warning",
            title="The central office does not know this box",
            cause="Its address is entered, and the box was never enrolled there.",
            effect="Nothing is sent to it. All that it must learn is kept.",
            next="Get a one-time code there, and enter it on the page System, Central office.",
        )
    if facts.uplink_refused:
        yield Issue(
            code="uplink_refused",
            severity="urgent",
            title="The central office does not let this box in",
            cause=f"It answers: {facts.uplink_refused}.",
            effect="Nothing comes through. All that waits is kept; the office is asked once an hour.",
            next="Ask the central office whether the key was revoked or has ended, and enrol again with a new code on"
            " the page System, Central office.",
        )
    if facts.missed_nights > 1:
        yield Issue(
            code="nights_missed",
            severity="urgent",
            title=f"{facts.missed_nights} nights without a receipt of the central office",
            cause="No night's books came to their end: the line is down, or the box was off at night.",
            effect="The central office does not have the newest invoices. Nothing is lost; all is sent when it can be.",
            next="See the page System, Central office: it says what was answered last. Then Send now.",
        )
    if facts.uplink_stopped:
        yield Issue(
            code="uplink_stopped",
            severity="urgent",
            title=f"Not taken by the central office: {', '.join(facts.uplink_stopped)}",
            cause="What the central office has there is not what this box wrote, or it cannot read what is sent.",
            effect="These rows stand still; the others go on. Nothing is lost; it is tried again every hour.",
            next="Call the central office; both ends say on their pages which row it is.",
        )
    if facts.receipt_differs:
        yield Issue(
            code="receipt_differs",
            severity="warning",
            title="The books of box and central office differ",
            cause=f"The last receipt says: {facts.receipt_differs}.",
            effect="What the central office lacks is sent again by itself; the rest needs a person.",
            next="See the page System, Central office, and call the office if it stays so after the next night.",
        )
    if facts.parked_rows:
        yield Issue(
            code="rows_parked",
            severity="warning",
            title="1 row is not taken by the central office"
            if facts.parked_rows == 1
            else f"{facts.parked_rows} rows are not taken by the central office",
            cause="Each has its reason, such as an invoice number that is there already.",
            effect="The central office does not count them. The others go on.",
            next="See the page System, Central office; mend there what the reason names, then send them again.",
        )
    if facts.news_kept:
        yield Issue(
            code="news_kept",
            severity="warning",
            title=f"News from the central office that could not be applied: {facts.news_kept}",
            cause="A payment or a dispute is of an invoice that this box does not know, or that is void.",
            effect="It counts there and not here.",
            next="See the page System, Central office, and record it by hand, or tell the central office.",
        )
    if facts.not_recovered:
        yield Issue(
            code="not_recovered",
            severity="warning",
            title="The restored box has not heard yet what it lacks",
            cause="The central office must say first what was billed and paid after the backup.",
            effect="No trip that was in the backup is billed until then.",
            next="On the page System, Central office: Send now. On the page Work, resume the queue Low priority.",
        )


def _setting_up(facts: Facts) -> Iterator[Issue]:
    if not facts.invoices_named:
        yield Issue(
            code="invoices_unnamed",
            severity="warning",
            title="Invoices cannot be issued yet",
            cause="Who issues them, the address, the tax number or the bank details are not entered.",
            effect="Completed trips wait without an invoice.",
            next="Enter legal_name, address, tax_id and bank_details under [depot] in the configuration.",
        )
    if not facts.mail_host:
        yield Issue(
            code="mail_stays",
            severity="note",
            title="Mail stays on the box",
            cause="No mail relay is entered (mail.host).",
            effect="Mails are written as files into mail.outbox_dir; nobody receives any.",
            next="Enter the relay in the configuration, unless that is meant.",
        )


def _rounded(age: timedelta) -> str:
    """How long, as a person says it: "12 min", "5 h", "3 days"."""
    minutes = int(age.total_seconds() // 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h" if minutes < 2880 else f"{minutes // 1440} days"
