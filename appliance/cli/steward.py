"""`depotbox steward`: what `depotbox-steward@.service` starts for one request."""

from __future__ import annotations

import socket
import sys

import click

from appliance import log
from appliance.errors import Refused
from appliance.supervisor import steward as stewards


@click.command()
def steward() -> None:
    """Answer the one request of the socket that is the standard input: systemd starts it so."""
    log.configure("steward")
    try:
        channel = socket.socket(fileno=sys.stdin.fileno())
    except OSError:
        raise Refused("its standard input is no socket", subject="steward", hint="systemd starts it") from None
    with channel:
        stewards.serve(channel)
