"""Flower, the guide's dashboard: on this machine only and behind a password of its own."""

from __future__ import annotations

import sys
from typing import Any

import click
from flower.command import apply_env_options, apply_options
from flower.command import flower as flower_command
from tornado.options import options as flower_options

from appliance import config, keys
from appliance.errors import Refused

USER = "depot"
SECRET = "flower"  # noqa: S105  the name of its file
_LOOPBACK = ("127.0.0.1", "::1", "localhost")

__all__ = ["SECRET", "USER", "behind_a_password", "flower_command"]


def behind_a_password(_app: Any, options: dict[str, Any]) -> None:
    """Sets Flower up and prints how to log in. Raises Refused for an address that others can reach: whoever gets in may
    send any task."""
    password = keys.own(config.load().paths, SECRET)

    def lock() -> None:
        # Flower takes options from its environment, its file and its command line, in this order and more than once.
        address = flower_options.address or _LOOPBACK[0]
        if address not in _LOOPBACK:
            hint = "from another machine through a tunnel: ssh -L 5555:127.0.0.1:5555"
            raise Refused("Flower listens on loopback only", subject=f"address {address}", hint=hint)
        flower_options.address = address
        flower_options.basic_auth = [f"{USER}:{password}"]
        flower_options.auth = ""  # somebody else's login, in the place of the password

    # Tornado calls it whenever the options are complete: nothing that is read later can undo it.
    flower_options.add_parse_callback(lock)
    apply_env_options()
    apply_options(sys.argv[0], options["tornado_argv"])
    where = f"http://{flower_options.address}:{flower_options.port}/"
    click.echo(f"Flower: {flower_options.unix_socket or where}  user: {USER}  password: {password}")
