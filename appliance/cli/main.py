"""The entry point: finds the command, imports only that, and turns errors into one line and an exit code."""

from __future__ import annotations

import importlib
import os
import sys
import traceback

import click

from appliance.errors import DepotError

EX_SOFTWARE = 70
EX_INTERRUPTED = 130  # as a shell reports SIGINT
EX_BROKEN_PIPE = 1  # as click and rich have it

COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("appliance.cli.run:run", "Start the box in the foreground."),
    "role": ("appliance.cli.role:role", "Run one role of the box in this process."),
    "setup": ("appliance.cli.setup:setup", "Set the box up from a file, or get a new code for the page that does."),
    "status": ("appliance.cli.status:status", "Show what runs, since when, and its memory."),
    "doctor": ("appliance.cli.doctor:doctor", "Show what is wrong with the box, and what to do."),
    "restart": ("appliance.cli.restart:restart", "Restart one role of the running box."),
    "diagnostics": ("appliance.cli.diagnostics:diagnostics", "Write a bundle about the state of the box."),
    "certificate": (
        "appliance.cli.certificate:certificate",
        "Show, install and remove the certificate of the pages over HTTPS.",
    ),
    "config": ("appliance.cli.config:config", "Show or check the configuration."),
    "vehicle": ("appliance.cli.vehicle:vehicle", "Add, list and change vehicles and their devices."),
    "driver": ("appliance.cli.driver:driver", "Add, list and change drivers."),
    "shift": ("appliance.cli.shift:shift", "Add, list and end the drivers' shifts."),
    "trip": ("appliance.cli.trip:trip", "Import trips."),
    "manifest": ("appliance.cli.manifest:manifest", "Import brokers' manifests."),
    "patient": ("appliance.cli.patient:patient", "Add, find, change and erase patients."),
    "payer": ("appliance.cli.payer:payer", "Add, list and change payers."),
    "rate": ("appliance.cli.rate:rate", "Add and list the rates of payers."),
    "invoice": ("appliance.cli.invoice:invoice", "List invoices and unbilled trips; void an invoice."),
    "user": ("appliance.cli.user:user", "Add, list and change the people who use the pages."),
    "token": ("appliance.cli.token:token", "Make, list and revoke the API tokens of programs."),
    "fixes": ("appliance.cli.fixes:fixes", "Count fixes, look at rejected ones and restore them, take trails out."),
    "replay": ("mqtt_bridge.cli:replay", "Publish a recording as its vehicles."),
    "simulate": ("mqtt_bridge.simulate_cli:simulate", "Load the running box with simulated vehicles."),
    "jobs": ("appliance.cli.jobs:jobs", "List, show, retry and discard jobs."),
    "queues": ("appliance.cli.queues:queues", "List, pause and resume the queues of jobs."),
    "schedule": ("appliance.cli.schedule:schedule", "List, change, pause, run and delete what is scheduled."),
    "celery": ("tasks.command:celery", "Celery's own commands, against this box."),
    "flower": ("tasks.command:flower", "Flower, a dashboard for Celery, on this machine only."),
    "sync": ("appliance.cli.sync:sync", "Send to the central office, and see what is there."),
    "backup": ("appliance.cli.backup:backup", "Write a backup of the box into a file."),
    "restore": ("appliance.cli.backup:restore", "Put a backup in the place of the box's data."),
    "central": ("appliance.cli.central:central", "The central office: its server, its depots, what was paid there."),
    "steward": ("appliance.cli.steward:steward", "Answer a request of a role, on an installed box (for systemd)."),
    "version": ("appliance.cli.version:version", "Show the version."),
}
"""Every command: where it is ("module:attribute"), and its line in the help, which so needs no import."""


class LazyGroup(click.Group):
    """A group that imports a command when it is called, so that `depotbox version` does not wait for Celery."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
def depotbox() -> None:
    """The depot box: vehicle positions in; trips, invoices and mail out."""


def main(args: list[str] | None = None) -> None:
    """Runs the command line and exits. A person gets one line for an error; `DEPOTBOX_TRACEBACK=1` shows the rest."""
    try:
        code = _run(args)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = EX_BROKEN_PIPE
    sys.exit(code)


def _run(args: list[str] | None) -> int:
    try:
        result = depotbox.main(args, prog_name="depotbox", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return EX_INTERRUPTED
    except BrokenPipeError:
        raise
    except DepotError as error:
        return _say(str(error), error.exit_code)
    except Exception as error:  # the edge: nothing above this line could act on it
        hint = "a fault of this program; DEPOTBOX_TRACEBACK=1 shows where"
        return _say(f"{type(error).__name__}: {error} ({hint})", EX_SOFTWARE)


def _say(text: str, code: int) -> int:
    if os.environ.get("DEPOTBOX_TRACEBACK"):
        traceback.print_exc()
    click.echo("depotbox: " + " ".join(text.split()), err=True)
    return code
