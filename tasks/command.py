"""`depotbox celery ...` and `depotbox flower`: Celery's own command line on the box's app."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click
from celery.bin.celery import celery as celery_command

from tasks.flower import flower_command
from tasks.plugin import revoke

for _command in (revoke, flower_command):  # the packaged program has no entry points
    celery_command.add_command(_command)

_PASSED_ON = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}


@click.command(
    context_settings=_PASSED_ON,
    help="Celery's own tools on this box: worker, beat, inspect, control, purge, call, ...",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def celery(arguments: tuple[str, ...]) -> None:
    _run(arguments, f"{sys.argv[0]} celery")


@click.command(
    context_settings=_PASSED_ON,
    help="Flower, a dashboard for Celery, on this machine only and behind a password, which is printed at the start.",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def flower(arguments: tuple[str, ...]) -> None:
    _run(("flower", *arguments), sys.argv[0])


def _run(arguments: Sequence[str], prog_name: str) -> None:
    celery_command.main(args=["-A", "tasks", *arguments], prog_name=prog_name, auto_envvar_prefix="CELERY")
