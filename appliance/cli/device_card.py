"""Shows a person, or a program, what a new device is set up with."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Literal, cast

import click

from appliance import atomicfile, device_setup
from appliance.config import Settings
from appliance.device_setup import Credentials, Model


class _Image(click.ParamType[Path]):
    """A file that is not there yet and whose name says what is in it: whatever happens later, it can be written."""

    name = "file"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        path = Path(str(value))
        if path.suffix not in (".svg", ".png"):
            self.fail(f"{path}: expected a name that ends with .svg or .png", param, ctx)
        if path.exists() or not path.parent.is_dir():
            self.fail(f"{path}: expected a new file in a folder that is there", param, ctx)
        return path


IMAGE = _Image()


def show(made: Credentials, *, into: Path, model: Model | None, qr_file: Path | None, as_json: bool) -> None:
    """Prints everything, the QR code too, and writes the files. Secrets are in files for their owner only."""
    files = {"ca_file": made.ca_file} if made.ca_file else {}
    if made.certificate:
        for key, suffix, text in (("certificate_file", "crt", made.certificate), ("key_file", "key", made.key)):
            path = into / f"{made.username}.{suffix}"
            atomicfile.write(path, text)
            files[key] = str(path)
    code = device_setup.qr_code(made, model)
    if qr_file is not None:
        kind = cast(Literal["svg", "png"], qr_file.suffix.removeprefix("."))
        atomicfile.write(qr_file, device_setup.qr_image(code, kind))
    settings = device_setup.lines(made, model)
    if as_json:
        click.echo(json.dumps(_as_json(made, files, model)))
        return
    settings += [(key.replace("_", " "), path) for key, path in files.items() if key != "ca_file"]
    width = max(len(name) for name, _ in settings)
    for name, value in settings:
        click.echo(f"{name:<{width}} {value}")
    click.echo()
    with contextlib.suppress(UnicodeEncodeError):  # a terminal without block characters
        click.echo(device_setup.qr_text(code))
    click.echo(f"The {'key' if made.certificate else 'password'} is not shown again.")


def warn_of_host(settings: Settings, made: Credentials) -> None:
    """Says in a line where the host on the card is only a guess."""
    if made.ca_file and not settings.mqtt.public_host:
        click.echo(
            f"depotbox: mqtt.public_host is not set: vehicles outside may not reach the box as {made.host}", err=True
        )


def _as_json(made: Credentials, files: dict[str, str], model: Model | None) -> dict[str, object]:
    """For a program on the box: `host` and `port` as it reaches the broker, and `tls` as a vehicle does."""
    said: dict[str, object] = {
        "host": made.local_host or made.host,
        "port": made.local_port or made.port,
        "topic": made.topic,
        "client_id": made.client_id,
        "username": made.username,
    }
    if made.password:
        said["password"] = made.password
    said["status_topic"] = made.status_topic
    if made.ca_file:
        said["tls"] = {"host": made.host, "port": made.port}
        said |= {name: getattr(made, name) for name in ("ca_url", "ca_sha256", "ca_certificate")}
    said |= files
    if model is Model.owntracks:
        said["link"] = device_setup.owntracks_link(made)
    if model is not None:
        said["settings"] = dict(device_setup.lines(made, model))
    if made.warning:
        said["warning"] = made.warning
    return said
