"""`depotbox certificate`: with what the pages are served over HTTPS."""

from __future__ import annotations

import json
from pathlib import Path

import click

from appliance import ca, clock, log
from appliance.cli.depot import opened, operator
from appliance.cli.options import json_option, with_settings
from appliance.config import Settings
from appliance.errors import InputError
from appliance.servers import certificate as certificates
from appliance.storage.db import write_tx


@click.group()
def certificate() -> None:
    """Show, install and remove the certificate of the pages over HTTPS."""
    log.configure("cli", "error")


@certificate.command()
@json_option
@with_settings
def show(settings: Settings, as_json: bool) -> None:
    """Show what is served, and the fingerprint of the box's own authority."""
    certificates.renew(settings, clock.now())
    found = certificates.chosen(settings, clock.now())
    shown = {
        "source": found.source,
        "url": certificates.url(settings),
        "names": found.certificate.names,
        "issuer": found.certificate.issuer,
        "valid_to": found.certificate.valid_to.isoformat(),
        "sha256": found.certificate.sha256,
        "ca_sha256": ca.own(settings.paths).fingerprint,
        "problems": found.problems,
    }
    for name, text in [] if as_json else shown.items():
        click.echo(f"{name + ':':<11}{', '.join(text) if isinstance(text, list) else text}")
    if as_json:
        click.echo(json.dumps(shown, indent=2))


@certificate.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("key", type=click.Path(path_type=Path))
@with_settings
def install(settings: Settings, file: Path, key: Path) -> None:
    """Install the certificate in FILE (PEM, with its chain) and its private KEY; served within seconds."""
    texts = [_read(one) for one in (file, key)]
    with opened(settings) as db, write_tx(db) as tx:
        found = certificates.install(tx, settings, *texts, who=operator(), now=clock.now())
    click.echo(f"Installed: {', '.join(found.names)}, good until {found.valid_to:%Y-%m-%d}.")
    if certificates.unknown(settings, found):
        click.echo("The box does not know itself by any of these names.", err=True)


@certificate.command()
@with_settings
def remove(settings: Settings) -> None:
    """Delete the installed certificate; the box's own is served."""
    with opened(settings) as db, write_tx(db) as tx:
        certificates.remove(tx, settings, who=operator(), now=clock.now())
    click.echo("Removed. The box's own certificate is served within seconds.")


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is no text"
        raise InputError(f"cannot be read: {said}", subject=str(file)) from error
