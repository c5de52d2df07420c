"""What Celery's command line lacks or does otherwise than the operators' guide says.

Celery loads this module through the entry point group `celery.commands`, while it builds its command line and before
it knows the app. So loading it adds `revoke`, puts checks before the commands that exist, and lets every error end in
one line (`tasks/one_line.py`); for the app of another project none of this does anything.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click
from celery.bin import beat, call, control, events, migrate, multi, purge, result, worker
from celery.bin.base import CeleryCommand, CeleryOption, handle_preload_options
from celery.worker.control import Panel
from kombu.exceptions import OperationalError

from appliance import config, jobs
from appliance.errors import InputError, Refused, Unavailable
from appliance.storage.db import open_depot
from tasks import log_lines, one_line
from tasks.durable import Durable
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

Check = Callable[[Any, dict[str, Any]], None]


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
    from tasks.discarding import check_signal, discard_jobs, operator  # here: every other command does without

    app = ctx.obj.app
    check_signal(signal)
    known = discard_jobs(task_ids, operator(), running=terminate) if app.main == APP else {}
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


def _a_known_call(app: Any, options: dict[str, Any]) -> None:
    """Refuses what can only fail, while somebody looks; what a worker alone can know stands in the job's row."""
    name = options["name"]
    jobs.check_name(name)
    task = app.tasks.get(name)
    if isinstance(task, Durable):
        task.by_name(options["args"], options["kwargs"])


def _all_arguments(_app: Any, options: dict[str, Any]) -> None:
    """Raises UsageError where a remote control command lacks one; Celery would ask the workers, which cannot say it."""
    command = options["command"]
    known = Panel.meta.get(command)
    signature = known.signature or "" if known else ""
    if len(click.get_current_context().args) < signature.count("<"):
        raise click.UsageError(f"Command {command!r} takes arguments: {signature}")


def _no_worker_refused(app: Any, _options: dict[str, Any]) -> None:
    """Raises InputError where a worker has answered with an error; the answer itself is printed by then."""
    for name, error in app.control.refusals():
        raise InputError(str(error), subject=name)


def _guard(command: click.Command, *checks: Check, after: Check | None = None) -> None:
    """Puts checks before a command, and one after it. They raise the box's own errors."""
    callback = command.callback
    assert callback

    @functools.wraps(callback)
    def guarded(*args: Any, **options: Any) -> Any:
        app = click.get_current_context().obj.app
        if app.main != APP:
            return callback(*args, **options)
        log_lines.for_command(str(command.name))
        for check in checks:
            check(app, options)
        result = callback(*args, **options)
        if after:
            after(app, options)
        return result

    command.callback = guarded


one_line.install(APP)
# Celery gives -d to both --dump and --detach; the second is refused anyway.
next(option for option in events.events.params if option.name == "detach").opts.remove("-d")

_guard(revoke)
_guard(worker.worker, _in_the_foreground, _depot_is_there, _own_scheduler)
_guard(beat.beat, _in_the_foreground, _depot_is_there, _own_scheduler)
_guard(multi.multi, _no_multi)
_guard(flower_command, _depot_is_there, _redis_answers, behind_a_password)
_guard(purge.purge, _depot_is_there, _redis_answers)
_guard(events.events, _in_the_foreground, _redis_answers)
_guard(call.call, _a_known_call, _redis_answers)
for _remote in (control.control, control.inspect):
    _guard(_remote, _all_arguments, _redis_answers, after=_no_worker_refused)
for _asking in (control.status, migrate.migrate):
    _guard(_asking, _redis_answers)
_guard(result.result)
