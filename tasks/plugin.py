"""What Celery's command line lacks or does otherwise than the operators' guide says.

Celery loads this module through the entry point group `celery.commands`, while it builds its command line and before
it knows the app. So loading it adds `revoke` and puts a guard before the commands that exist; for the app of another
project the guards do nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click
from celery.bin import amqp, beat, call, control, events, multi, purge, result, worker
from celery.bin.base import CeleryCommand, CeleryOption, handle_preload_options
from celery.exceptions import CeleryCommandException
from kombu.exceptions import OperationalError

from appliance import config
from appliance.errors import DepotError, Refused, Unavailable
from appliance.storage.db import open_depot
from tasks.flower import behind_a_password, flower_command

APP = "tasks"
_DJANGO_SCHEDULER = "django_celery_beat.schedulers"
_DETACHED = "start it in the foreground, or as a service: `depotbox run` and systemd keep the box's own workers alive"
_SAID = {
    "discarded": "discarded",
    "running": "runs already; --terminate ends it",
    "done": "is done already",
    "failed": "has failed already; `depotbox jobs discard` gives it up",
}

Checks = Callable[[Any, dict[str, Any]], None]


@click.command(cls=CeleryCommand)
@click.argument("task_ids", nargs=-1, required=True, metavar="TASK_ID...")
@click.option("--terminate", is_flag=True, cls=CeleryOption, help_group="Revoke Options", help="End it if it runs.")
@click.option(
    "-s", "--signal", default="SIGTERM", cls=CeleryOption, help_group="Revoke Options", help="What --terminate sends."
)
@click.pass_context
@handle_preload_options
def revoke(ctx: click.Context, task_ids: tuple[str, ...], terminate: bool, signal: str, **_: Any) -> None:
    """Revoke tasks by id: what has not begun is discarded."""
    from tasks.discarding import discard_jobs  # here: every other command does without

    app = ctx.obj.app
    known = discard_jobs(task_ids, running=terminate) if app.main == APP else {}
    for id in task_ids:
        ctx.obj.echo(f"{id}: {_SAID[known[id]] if id in known else 'the workers are told'}")
    if terminate or len(known) < len(task_ids):
        _redis_answers(app, {})
        app.control.revoke(list(task_ids), terminate=terminate, signal=signal)


def _redis_answers(app: Any, _options: dict[str, Any]) -> None:
    """Raises Unavailable at once; Celery would wait, or print a traceback."""
    try:
        with app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0, interval_max=0)
    except (OperationalError, OSError) as error:
        hint = "does the box run? `depotbox status` shows it"
        raise Unavailable("Redis does not answer", subject=str(config.load().paths.redis_socket), hint=hint) from error


def _depot_is_there(_app: Any, _options: dict[str, Any]) -> None:
    open_depot(config.load().paths.depot_db).conn.close()


def _in_the_foreground(_app: Any, options: dict[str, Any]) -> None:
    if options.get("detach"):
        raise Refused("a detached process is not supported", subject="--detach", hint=_DETACHED)


def _own_scheduler(_app: Any, options: dict[str, Any]) -> None:
    if str(options.get("scheduler") or "").startswith(_DJANGO_SCHEDULER):
        click.echo("There is no Django here: the box's own scheduler keeps the schedule in its database.", err=True)
        options["scheduler"] = None


def _no_multi(_app: Any, _options: dict[str, Any]) -> None:
    raise Refused("it starts detached processes, which is not supported", subject="multi", hint=_DETACHED)


def _guard(command: click.Command, *checks: Checks) -> None:
    """Puts the checks before a command, and turns the box's own errors into one line and their exit code."""
    make_context, callback = command.make_context, command.callback
    assert callback

    @functools.wraps(make_context)
    def making(*args: Any, **options: Any) -> click.Context:
        with _ErrorsAsOneLine():  # defaults of options read the configuration
            return make_context(*args, **options)

    @functools.wraps(callback)
    def guarded(*args: Any, **options: Any) -> Any:
        app = click.get_current_context().obj.app
        with _ErrorsAsOneLine():
            for check in checks if app.main == APP else ():
                check(app, options)
            return callback(*args, **options)

    command.make_context, command.callback = making, guarded  # type: ignore[method-assign]


class _ErrorsAsOneLine:
    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, DepotError):
            raise CeleryCommandException(" ".join(str(error).split()), error.exit_code) from error


_guard(revoke)
_guard(worker.worker, _in_the_foreground, _depot_is_there, _own_scheduler)
_guard(beat.beat, _in_the_foreground, _depot_is_there, _own_scheduler)
_guard(multi.multi, _no_multi)
_guard(flower_command, _depot_is_there, _redis_answers, behind_a_password)
_guard(purge.purge, _depot_is_there, _redis_answers)
for _asking in (call.call, control.control, control.inspect, control.status, events.events, result.result):
    _guard(_asking, _redis_answers)
for _verb in amqp.amqp.commands.values():
    _guard(_verb)
