"""`depotbox celery ...`: Celery's own command line on the box's app."""

from __future__ import annotations

import sys

import click
from celery.bin.celery import celery as celery_command

from tasks import plugin

if "revoke" not in celery_command.commands:  # the packaged program has no entry points
    celery_command.add_command(plugin.revoke)


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []},
    help="Celery's own tools on this box: worker, beat, inspect, control, purge, call, ...",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def celery(arguments: tuple[str, ...]) -> None:
    celery_command.main(
        args=["-A", "tasks", *arguments], prog_name=f"{sys.argv[0]} celery", auto_envvar_prefix="CELERY"
    )
