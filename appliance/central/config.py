"""The configuration of the central office: one TOML file and the environment, read once into one frozen tree.

Every key can also be set as `DEPOTBOX_<SECTION>__<KEY>`, which wins over the file. Variables of a box are left alone.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, get_type_hints
from zoneinfo import ZoneInfo, available_timezones

from msgspec import Meta, Struct

from appliance import config
from appliance.config import Host, Log, Mail, Port
from appliance.errors import ConfigError

INSTALLED_CONFIG = Path("/etc/depotbox/central.toml")
VARIABLE = "DEPOTBOX_CENTRAL_CONFIG"

File = Annotated[str, Meta(pattern="^(/.*)?$")]


class Central(Struct, frozen=True, kw_only=True):
    name: Annotated[str, Meta(min_length=1, max_length=200, description="name on the pages and in enrolments")] = (
        "Central office"
    )
    timezone: Annotated[str, Meta(description="IANA time zone of the pages and the mails")] = "UTC"
    data_dir: Annotated[str, Meta(min_length=1, description="data folder; relative to the file that names it")] = (
        "/var/lib/depotbox-central"
    )
    database: Annotated[
        str,
        Meta(
            pattern=r"^((postgresql|sqlite)(\+[a-z]+)?:.*)?$",
            description="SQLAlchemy URL of the database; empty: SQLite in data_dir",
            extra={"secret": True},
        ),
    ] = ""
    signing_key: Annotated[
        File, Meta(description="PEM file of the Ed25519 key that signs receipts; empty: made in data_dir")
    ] = ""
    host: Annotated[Host, Meta(description="address of the web server; beyond loopback it needs TLS or a proxy")] = (
        "127.0.0.1"
    )
    port: Annotated[Port, Meta(description="port of the web server")] = 8070
    certificate: Annotated[File, Meta(description="PEM file of the certificate, with its chain; absolute")] = ""
    certificate_key: Annotated[File, Meta(description="PEM file of its private key; absolute")] = ""
    proxy: Annotated[bool, Meta(description="a proxy in front speaks TLS: plain HTTP beyond loopback, too")] = False
    redis: Annotated[
        str,
        Meta(
            pattern="^((redis|rediss|unix)://.*)?$",
            description="URL of Redis for the workers; empty: the web server does their work",
            extra={"secret": True},
        ),
    ] = ""
    code_h: Annotated[float, Meta(gt=0, le=8760, description="how long a one-time code can be used, hours")] = 72.0
    key_days: Annotated[int, Meta(ge=0, le=36500, description="how long a depot's key counts, days; 0: no end")] = 0


class Settings(Struct, frozen=True, kw_only=True):
    """The whole tree. `file` is where it came from, empty when only defaults and the environment were read."""

    central: Central
    mail: Mail
    log: Log
    file: str = ""

    @property
    def data_dir(self) -> Path:
        return Path(self.central.data_dir)

    @property
    def signing_key(self) -> Path:
        return Path(self.central.signing_key or self.data_dir / "secrets" / "centre.key")

    @property
    def database(self) -> str:
        """The URL as SQLAlchemy takes it. PostgreSQL is always spoken to by psycopg."""
        url = self.central.database or f"sqlite:///{self.data_dir.resolve() / 'central.db'}"
        return url.replace("postgresql:", "postgresql+psycopg:", 1) if url.startswith("postgresql:") else url

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.central.timezone)


SECTIONS: dict[str, type[Struct]] = {name: kind for name, kind in get_type_hints(Settings).items() if name != "file"}


def load(file: Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Reads `file`, else DEPOTBOX_CENTRAL_CONFIG, else the installed one where there is one. Raises ConfigError."""
    chosen = _choose(file, environ)
    given = config.checked(config.read(chosen), str(chosen), SECTIONS) if chosen else {}
    if chosen and "data_dir" in given.get("central", {}):
        given["central"]["data_dir"] = str((chosen.parent / given["central"]["data_dir"]).resolve())
    own = {name: value for name, value in environ.items() if _section(name) not in config.SECTIONS.keys() - SECTIONS}
    for name, key, value, variable in config.from_environment(own, SECTIONS):
        given.setdefault(name, {})[key] = config.from_variable(variable, SECTIONS, name, key, value)
    built: dict[str, Any] = {name: kind(**given.get(name, {})) for name, kind in SECTIONS.items()}
    settings = Settings(**built, file=str(chosen or ""))
    if found := _contradiction(settings.central):
        expected, subject = found
        raise ConfigError(expected, subject=f"{chosen or 'default'}: {subject}")
    return settings


def _section(variable: str) -> str:
    return variable.removeprefix("DEPOTBOX_").lower().partition("__")[0] if "__" in variable else ""


def _contradiction(central: Central) -> tuple[str, str] | None:
    """(what was expected, where) of what the type of one key cannot say."""
    if central.timezone not in available_timezones():
        return "expected a time zone like Europe/London", f"central.timezone = {central.timezone!r}"
    if bool(central.certificate) != bool(central.certificate_key):
        given = "certificate" if central.certificate else "certificate_key"
        expected = "expected both central.certificate and central.certificate_key, or neither"
        return expected, f"central.{given} = {getattr(central, given)!r}"
    if not central.certificate and not central.proxy and not config.is_loopback(central.host):
        expected = "expected a loopback address, a certificate, or central.proxy = true"
        return expected, f"central.host = {central.host!r}"
    return None


def _choose(file: Path | None, environ: Mapping[str, str]) -> Path | None:
    named = file or (Path(environ[VARIABLE]) if environ.get(VARIABLE) else None)
    if named is None:
        return INSTALLED_CONFIG if INSTALLED_CONFIG.is_file() else None
    if not os.path.isfile(named):  # a Path of its own raises where the name is too long
        raise ConfigError("no such configuration file", subject=str(named))
    return named.resolve()
