"""`depotbox central`: the central office, on a machine of its own."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from appliance import clock, log
from appliance.central import config
from appliance.central.config import Settings
from appliance.cli.depot import operator
from appliance.cli.options import ID, json_option
from appliance.cli.tables import local, print_list
from appliance.errors import ConfigError
from appliance.jobs import QUEUES

Command = Callable[..., Any]
PING_S = 5.0
# SQLAlchemy and Alembic are imported where they are needed: half a second that `--help` does not wait for.


@click.group()
def central() -> None:
    """The central office: its server, its depots, what was paid there."""
    log.configure("cli", "error")  # onto standard error, away from what is printed for programs


def with_settings(command: Command) -> Command:
    """Adds `--config`, and passes the settings as the first argument."""

    @click.option("--config", "config_file", type=click.Path(path_type=Path), help="Configuration file of the centre.")
    @functools.wraps(command)
    def wrapper(*args: Any, config_file: Path | None, **kwargs: Any) -> Any:
        return command(config.load(config_file), *args, **kwargs)

    return wrapper


@contextmanager
def engine(settings: Settings) -> Iterator[Any]:
    """The database for one command."""
    from appliance.central import db

    made = db.connect(settings.database, pool=1)
    try:
        yield made
    finally:
        made.dispose()


@contextmanager
def written(settings: Settings) -> Iterator[Any]:
    """A write transaction of one command."""
    from appliance.central import db

    with engine(settings) as made, db.write_tx(made) as tx:
        yield tx


@contextmanager
def looked(settings: Settings) -> Iterator[Any]:
    from appliance.central import db

    with engine(settings) as made, db.read(made) as connection:
        yield connection


@central.command()
@with_settings
def migrate(settings: Settings) -> None:
    """Bring the database to this version, and make what the centre needs the first time."""
    from appliance.central import identity
    from appliance.central import migrate as migrations

    with engine(settings) as made:
        version = migrations.migrate(made, clock.now())
    identity.make_signing_key(settings)
    identity.signing_key(settings.signing_key)
    click.echo(f"The database is of version {version}.")


@central.command()
@with_settings
def serve(settings: Settings) -> int:
    """Run the server of the central office in the foreground; Ctrl-C ends it."""
    log.configure("central", settings.log.level)
    served: int = importlib.import_module("web.central.main").main(settings)
    return served


@central.command()
@click.argument("queue", type=click.Choice(QUEUES))
@click.option("--concurrency", type=click.IntRange(1, 64), default=1, help="Processes of it.")
@with_settings
def worker(settings: Settings, queue: str, concurrency: int) -> int:
    """Work on what the servers of the centre put on QUEUE, where they share a Redis; Ctrl-C ends it."""
    _check_redis(settings)
    ended: int = importlib.import_module("tasks.central").worker(settings, queue, concurrency)
    return ended


@central.command()
@with_settings
def beat(settings: Settings) -> int:
    """Ask the workers of the centre for what is due, in the foreground; one is enough, two do no harm."""
    _check_redis(settings)
    ended: int = importlib.import_module("tasks.central").beat(settings)
    return ended


@central.command()
@click.argument("queue", type=click.Choice(QUEUES))
@with_settings
def ping(settings: Settings, queue: str) -> int:
    """Say whether this machine's worker of QUEUE answers, by the exit code too."""
    _check_redis(settings)
    answers = importlib.import_module("tasks.central").answers(queue, PING_S)
    click.echo("It answers." if answers else "It does not answer.")
    return 0 if answers else 1


def _check_redis(settings: Settings) -> None:
    if not settings.central.redis:
        raise ConfigError("workers need a Redis that they share with the servers", subject="central.redis")


@central.command()
@with_settings
def restored(settings: Settings) -> None:
    """Say that the database was put back from a backup: the boxes then send again what it lacks."""
    from appliance.central import identity

    with written(settings) as tx:
        instance = identity.restored(tx, who=operator(), now=clock.now())
    click.echo(f"The centre is {instance} from now on; the boxes send again what is missing.")


@central.command()
@with_settings
def rebuild(settings: Settings) -> None:
    """Make all that is shown anew from the rows that the depots sent."""
    from appliance.central import apply

    with engine(settings) as made:
        done = apply.rebuild(made, clock.now())
    click.echo(f"{done} rows were applied anew.")


@central.group()
def depot() -> None:
    """Add and list depots; let them enrol, and end that."""


@depot.command("add")
@click.argument("code")
@click.argument("name")
@with_settings
def add(settings: Settings, code: str, name: str) -> None:
    """Add the depot CODE (as on its invoices), and print the one-time code with which its box enrols: this once."""
    from appliance.central import enrol

    with written(settings) as tx:
        made = enrol.add(tx, code, name, settings, who=operator(), now=clock.now())
    click.echo(made)


@depot.command("code")
@click.argument("code")
@with_settings
def code(settings: Settings, code: str) -> None:
    """Print another one-time code for the depot CODE; one that was not used counts no more."""
    from appliance.central import enrol

    with written(settings) as tx:
        made = enrol.new_code(tx, code, settings, who=operator(), now=clock.now())
    click.echo(made)


@depot.command("revoke")
@click.argument("code")
@with_settings
def revoke(settings: Settings, code: str) -> None:
    """End the keys of the depot CODE, at once and for good: nothing is taken from it until it enrols anew."""
    from appliance.central import enrol

    with written(settings) as tx:
        ended = enrol.revoke(tx, code, who=operator(), now=clock.now())
    click.echo(f"{ended} {'key counts' if ended == 1 else 'keys count'} no more.")


@depot.command("list")
@json_option
@with_settings
def list_(settings: Settings, as_json: bool) -> None:
    """List the depots, when each was last heard of, and how many of its rows did not fit."""
    from appliance.central import enrol

    with looked(settings) as db:
        found = enrol.listed(db, clock.now())
    shown = ("code", "name", "enrolled_at", "seen_at", "code_expires_at", "keys", "rejected")
    listed = [{name: one[name] for name in shown} for one in found]
    if not as_json:
        for one in listed:
            one |= {name: local(one[name], settings.zone) for name in shown if name.endswith("_at")}
    empty = "no depots; add one: depotbox central depot add LDS Leeds"
    print_list(listed, as_json=as_json, empty=empty, right=("keys", "rejected"))


@central.group()
def token() -> None:
    """Make, list and revoke the API tokens of programs."""


@token.command("create")
@click.option("--name", required=True, help="What the token is for.")
@click.option(
    "--scope",
    type=click.Choice(["read", "write"]),
    default="read",
    show_default=True,
    help="read: nothing is changed; write: also payments and disputes.",
)
@click.option("--days", type=click.IntRange(1, 3660), help="It ends by itself after so many days.")
@with_settings
def create(settings: Settings, name: str, scope: str, days: int | None) -> None:
    """Make an API token and print it: this once, for only its hash is kept."""
    from appliance.central import tokens

    with written(settings) as tx:
        _, made = tokens.create(tx, name, scope, days=days, who=operator(), now=clock.now())
    click.echo(made)


@token.command("list")
@json_option
@with_settings
def list_tokens(settings: Settings, as_json: bool) -> None:
    """List the tokens, never the secrets themselves."""
    from appliance.central import tokens

    with looked(settings) as db:
        found = tokens.listed(db)
    if not as_json:
        times = ("created_at", "expires_at", "last_used_at", "revoked_at")
        found = [one | {name: local(one[name], settings.zone) for name in times} for one in found]
    print_list(found, as_json=as_json, empty="no tokens; make one: depotbox central token create", right=("id",))


@token.command("revoke")
@click.argument("id", type=ID)
@with_settings
def revoke_token(settings: Settings, id: int) -> None:
    """Revoke the token with the number ID, at once and for good."""
    from appliance.central import tokens

    with written(settings) as tx:
        tokens.revoke(tx, id, who=operator(), now=clock.now())
    click.echo(f"Token {id} counts no more.")


@central.group()
def payment() -> None:
    """Import payments that came in at the centre, and decide about those that look like double entries."""


@payment.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@with_settings
def import_(settings: Settings, file: Path) -> None:
    """Record the payments of a CSV file: number, amount, currency, paid_on, reference. All of it or, where a line is
    wrong, nothing."""
    from appliance.central import payments

    given = payments.parse_csv(file.read_bytes())
    with written(settings) as tx:
        made = [payments.record(tx, one, who=operator(), now=clock.now()) for one in given]
    for number, one in enumerate(made):
        if one.flag:
            click.echo(f"{given[number].number}: {one.why} ({one.uid})")
    flagged = sum(bool(one.flag) for one in made)
    click.echo(f"{len(made) - flagged} recorded, {flagged} flagged: depotbox central payment list")


@payment.command("list")
@json_option
@with_settings
def list_payments(settings: Settings, as_json: bool) -> None:
    """List the payments that are flagged and wait for somebody to decide."""
    from appliance.central import payments

    with looked(settings) as db:
        found = payments.flagged(db)
    shown = ("uid", "depot", "number", "amount_cents", "currency", "paid_on", "reference", "flag")
    listed = [{name: one[name] for name in shown} for one in found]
    print_list(listed, as_json=as_json, empty="no payment waits", right=("amount_cents",))


@payment.command("accept")
@click.argument("uid")
@with_settings
def accept(settings: Settings, uid: str) -> None:
    """The flagged payment UID counts after all; its depot hears of it."""
    from appliance.central import payments

    with written(settings) as tx:
        payments.accept(tx, uid, who=operator(), now=clock.now())
    click.echo("It counts.")


@payment.command("dismiss")
@click.argument("uid")
@with_settings
def dismiss(settings: Settings, uid: str) -> None:
    """The flagged payment UID was a double entry: it stays in the books and does not count."""
    from appliance.central import payments

    with written(settings) as tx:
        payments.dismiss(tx, uid, who=operator(), now=clock.now())
    click.echo("It does not count.")


@central.group("dispute")
def dispute_() -> None:
    """Open and resolve disputes of invoices; their depots hear of it."""


@dispute_.command("open")
@click.argument("number")
@click.argument("reason", default="")
@with_settings
def open_(settings: Settings, number: str, reason: str) -> None:
    """The payer disputes the invoice NUMBER."""
    from appliance.central import payments

    with written(settings) as tx:
        payments.dispute(tx, number, reason, who=operator(), now=clock.now())
    click.echo(f"{number} is disputed.")


@dispute_.command("resolve")
@click.argument("number")
@with_settings
def resolve(settings: Settings, number: str) -> None:
    """The invoice NUMBER is disputed no more."""
    from appliance.central import payments

    with written(settings) as tx:
        payments.resolve(tx, number, who=operator(), now=clock.now())
    click.echo(f"{number} is disputed no more.")
