"""Flower, the guide's dashboard: on this machine only and behind a password of its own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import click
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
    given: Sequence[str] = options["tornado_argv"]
    address = _given(given, "address") or _LOOPBACK[0]
    if address not in _LOOPBACK:
        hint = "from another machine through a tunnel: ssh -L 5555:127.0.0.1:5555"
        raise Refused("Flower listens on loopback only", subject=f"--address={address}", hint=hint)
    port = _given(given, "port") or str(flower_options.port)
    password = keys.own(config.load().paths, SECRET)
    flower_options.address = address
    flower_options.basic_auth = [f"{USER}:{password}"]
    click.echo(f"Flower: http://{address}:{port}/  user: {USER}  password: {password}")


def _given(arguments: Sequence[str], name: str) -> str | None:
    """The value of an option as Flower will find it: on its command line, else in the environment."""
    for argument in reversed(arguments):
        key, _, value = argument.lstrip("-").partition("=")
        if key == name:
            return value
    return os.environ.get(f"FLOWER_{name.upper()}")
