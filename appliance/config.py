"""The configuration: one TOML file, the environment, and what the set-up wrote, read once into one frozen tree.

Every key can also be set as `DEPOTBOX_<SECTION>__<KEY>`, which wins over the file. The file wins over what a person
entered at the set-up, which is in the data folder (`paths.own_config`); that wins over the development default. An
unknown or wrong key is a `ConfigError` of one line that names file, key, value and what was expected.
"""

from __future__ import annotations

import difflib
import errno
import ipaddress
import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

import msgspec
from msgspec import Meta, Struct, structs

from appliance import paths
from appliance.errors import ConfigError

SECRET_NAMES = ("pass", "secret", "token", "key", "pwd")

Port = Annotated[int, Meta(ge=1, le=65535)]
PortOrNone = Annotated[int, Meta(ge=0, le=65535)]
Host = Annotated[str, Meta(pattern="^[A-Za-z0-9.:-]*$")]
Seconds = Annotated[float, Meta(ge=0, le=86400)]
SomeSeconds = Annotated[float, Meta(gt=0, le=86400)]

UPSTREAM_EXPECTED = "expected an address like https://centre.example (http:// only for this machine)"

Sections = Mapping[str, type[Struct]]
"""The sections of a configuration by their names."""

_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")  # of a host name, RFC 1123


class Depot(Struct, frozen=True, kw_only=True):
    """The depot and what its invoices must show. Nothing is issued while a legal detail is empty."""

    code: Annotated[str, Meta(pattern="^[A-Z0-9]{2,8}$", description="short code, part of every invoice number")] = (
        "DEPOT"
    )
    name: Annotated[str, Meta(min_length=1, description="name on the pages")] = "Depot"
    timezone: Annotated[str, Meta(description="IANA time zone of the depot")] = "UTC"
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$", description="ISO 4217 code of all amounts")] = "EUR"
    units: Annotated[Literal["km", "mile"], Meta(description="unit of distances shown and billed")] = "km"
    legal_name: Annotated[str, Meta(description="who issues the invoices")] = ""
    address: Annotated[str, Meta(description="address on the invoices; lines end with \\n")] = ""
    tax_id: Annotated[str, Meta(description="tax number on the invoices")] = ""
    bank_details: Annotated[str, Meta(description="where invoices are paid to; lines end with \\n")] = ""


class Storage(Struct, frozen=True, kw_only=True):
    data_dir: Annotated[str, Meta(min_length=1, description="data folder; relative to the file that names it")] = (
        "/var/lib/depotbox"
    )


class Web(Struct, frozen=True, kw_only=True):
    host: Annotated[
        Literal["127.0.0.1", "::1", "localhost"],
        Meta(description="address of the pages without TLS: loopback only"),
    ] = "127.0.0.1"
    port: Annotated[Port, Meta(description="port without TLS; from elsewhere it only leads to HTTPS")] = 8080
    tls_host: Annotated[Host, Meta(description="address of the pages over HTTPS; empty: all of this machine")] = ""
    tls_port: Annotated[PortOrNone, Meta(description="port of the pages over HTTPS; 0: this machine alone")] = 8443
    certificate: Annotated[
        str, Meta(pattern="^(/.*)?$", description="PEM file of a certificate for HTTPS, with its chain; absolute")
    ] = ""
    certificate_key: Annotated[str, Meta(pattern="^(/.*)?$", description="PEM file of its private key; absolute")] = ""


class Mqtt(Struct, frozen=True, kw_only=True):
    host: Annotated[
        Literal["127.0.0.1", "::1", "localhost"],
        Meta(description="address of the listener without TLS, for programs on this machine: loopback only"),
    ] = "127.0.0.1"
    port: Annotated[Port, Meta(description="port of the listener without TLS")] = 1883
    tls_host: Annotated[
        Host, Meta(description="address of the vehicles' TLS listeners; empty: all of this machine")
    ] = ""
    tls_port: Annotated[PortOrNone, Meta(description="TLS listener for devices with a password; 0: none")] = 8883
    certificate_port: Annotated[
        PortOrNone, Meta(description="TLS listener for devices with a certificate; 0: none")
    ] = 8884
    public_host: Annotated[
        Host, Meta(description="name or address by which vehicles reach the box; empty: the machine's host name")
    ] = ""


class Billing(Struct, frozen=True, kw_only=True):
    release: Annotated[
        Literal["immediate", "review"],
        Meta(description="invoice a settled trip at once, or after a person released it"),
    ] = "immediate"
    settle_s: Annotated[Seconds, Meta(description="wait after completion for buffered fixes, seconds")] = 60.0
    payments_age_h: Annotated[
        float, Meta(gt=0, le=8760, description="reminders wait when the centre's news about payments is older, hours")
    ] = 48.0


class Upstream(Struct, frozen=True, kw_only=True):
    url: Annotated[str, Meta(description="address of the central office; empty: the depot works alone")] = ""
    ca: Annotated[
        str,
        Meta(pattern="^(/.*)?$", description="PEM file of its authority; absolute; empty: those of the system"),
    ] = ""
    night: Annotated[
        str, Meta(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$", description="when invoices are sent, the depot's time")
    ] = "03:00"
    jitter_min: Annotated[
        int, Meta(ge=0, le=240, description="up to so many minutes later, by the depot's code, minutes")
    ] = 30
    trail_tolerance_m: Annotated[
        float,
        Meta(ge=0, le=10_000, description="a trip's trail is sent thinned to within this; 0: no trail leaves the box"),
    ] = 50.0


class Tasks(Struct, frozen=True, kw_only=True):
    folder: Annotated[str, Meta(pattern="^(/.*)?$", description="folder of the depot's own tasks; absolute")] = ""


class Clock(Struct, frozen=True, kw_only=True):
    trust: Annotated[
        Literal["system", "synchronized"],
        Meta(description="when money may be dated: always, or only once the system's time service has synchronized"),
    ] = "synchronized"


class Mail(Struct, frozen=True, kw_only=True):
    host: Annotated[str, Meta(description="SMTP relay; empty: mail goes into outbox_dir")] = ""
    port: Annotated[Port, Meta(description="port of the relay")] = 25
    security: Annotated[Literal["none", "starttls", "tls"], Meta(description="how the relay is spoken to")] = "none"
    username: Annotated[str, Meta(description="login at the relay; empty: none")] = ""
    password: Annotated[str, Meta(description="password at the relay", extra={"secret": True})] = ""
    sender: Annotated[str, Meta(pattern="^[^@ ]+@[^@ ]+$", description="From address")] = "depot@localhost.localdomain"
    outbox_dir: Annotated[str, Meta(description="folder for .eml files without a relay; relative to data_dir")] = (
        "outbox"
    )


class Retention(Struct, frozen=True, kw_only=True):
    gps_days: Annotated[int, Meta(ge=1, le=3650, description="days of fixes kept")] = 30
    jobs_days: Annotated[int, Meta(ge=1, le=3650, description="days that finished jobs stay listed")] = 14


class Limits(Struct, frozen=True, kw_only=True):
    future_s: Annotated[Seconds, Meta(description="a fix further ahead of the clock is rejected")] = 300.0
    accuracy_m: Annotated[float, Meta(gt=0, le=100_000, description="a fix less accurate than this is rejected")] = (
        200.0
    )
    implied_speed_kmh: Annotated[float, Meta(gt=0, le=10_000, description="a faster jump is left out of the trail")] = (
        250.0
    )
    payload_bytes: Annotated[int, Meta(ge=1024, le=1048576, description="largest MQTT payload of one fix")] = 65536
    disk_free_mb: Annotated[
        int, Meta(ge=0, le=1_048_576, description="with less room than this on the disk the pages warn, MiB")
    ] = 512
    fixes_per_s: Annotated[
        float, Meta(gt=0, le=100_000, description="fixes that a device may send all the time, a second")
    ] = 20.0
    fixes_burst: Annotated[
        int, Meta(ge=1, le=1_000_000_000, description="fixes that a device may send at once, from its buffer")
    ] = 100000
    late_min: Annotated[
        float, Meta(ge=1, le=1440, description="a trip is late so many minutes past its pickup or appointment")
    ] = 5.0
    trip_h: Annotated[float, Meta(gt=0, le=168, description="a trip under way for longer is flagged, hours")] = 6.0
    stale_s: Annotated[SomeSeconds, Meta(description="without a fix for this long a vehicle is stale")] = 60.0
    silent_s: Annotated[SomeSeconds, Meta(description="without a fix for this long a vehicle is silent")] = 600.0
    stuck_s: Annotated[SomeSeconds, Meta(description="a vehicle that sends one fix time for this long is stuck")] = (
        180.0
    )
    parked_s: Annotated[SomeSeconds, Meta(description="a vehicle on one spot for this long is parked")] = 300.0
    asleep_s: Annotated[
        SomeSeconds, Meta(description="with its ignition off a vehicle is parked, not silent, for this long")
    ] = 7200.0
    alert_s: Annotated[Seconds, Meta(description="an outage of a vehicle at work is told after this long")] = 60.0


class Log(Struct, frozen=True, kw_only=True):
    level: Annotated[Literal["debug", "info", "warning", "error"], Meta(description="least level written")] = "info"


class Settings(Struct, frozen=True, kw_only=True):
    """The whole tree. `file` is where it came from, empty when only defaults and the environment were read; `own` is
    what the set-up wrote, as it was read; `sources` says where each key that is not a default comes from."""

    depot: Depot
    storage: Storage
    web: Web
    mqtt: Mqtt
    billing: Billing
    tasks: Tasks
    clock: Clock
    mail: Mail
    upstream: Upstream
    retention: Retention
    limits: Limits
    log: Log
    file: str = ""
    own: bytes = b""
    sources: tuple[tuple[str, str], ...] = ()

    @property
    def paths(self) -> paths.Paths:
        return paths.Paths(Path(self.storage.data_dir))

    @property
    def outbox_dir(self) -> Path:
        return self.paths.data_dir / self.mail.outbox_dir

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.depot.timezone)

    def source(self, section: str, key: str) -> str:
        """Where a key comes from: a file, an environment variable, or nowhere (empty), which is the default."""
        return dict(self.sources).get(f"{section}.{key}", "")


SECTIONS: dict[str, type[Struct]] = {
    name: hint for name, hint in get_type_hints(Settings).items() if name not in ("file", "own", "sources")
}
OWN_SECTIONS = ("depot", "mail", "upstream")
"""What can be entered at the set-up."""


def load(file: Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Reads `file`, else `DEPOTBOX_CONFIG`, else the installed or the development default; then what the set-up wrote,
    and the environment."""
    chosen = _choose(file, environ)
    given = checked(read(chosen), str(chosen), SECTIONS) if chosen else {}
    if chosen and "data_dir" in given.get("storage", {}):
        given["storage"]["data_dir"] = str((chosen.parent / given["storage"]["data_dir"]).resolve())
    variables = list(from_environment(environ, SECTIONS))
    for name, key, value, variable in variables:
        if (name, key) == ("storage", "data_dir"):
            given.setdefault(name, {})[key] = from_variable(variable, SECTIONS, name, key, value)
            given[name][key] = str(Path(given[name][key]).resolve())
    if "data_dir" in given.get("storage", {}):
        _check_name(given["storage"]["data_dir"])
    data_dir = Path(given.get("storage", {}).get("data_dir", Storage().data_dir))
    own_file = paths.Paths(data_dir).own_config
    own = read_own(own_file)
    owned = {name: SECTIONS[name] for name in OWN_SECTIONS}
    layers = [(str(own_file), checked(_parsed(own, own_file), str(own_file), owned))]
    layers.insert(0 if chosen == paths.DEVELOPMENT_CONFIG else 1, (str(chosen), given))
    sections: dict[str, dict[str, Any]] = {name: {} for name in SECTIONS}
    sources: dict[str, str] = {}
    for source, layer in layers:
        for name, section in layer.items():
            sections[name] |= section
            sources |= {f"{name}.{key}": source for key in section}
    for name, key, value, variable in variables:
        sources[f"{name}.{key}"] = variable
        if (name, key) != ("storage", "data_dir"):
            sections[name][key] = from_variable(variable, SECTIONS, name, key, value)
    built: dict[str, Any] = {name: kind(**sections[name]) for name, kind in SECTIONS.items()}
    settings = Settings(**built, file=str(chosen or ""), own=own, sources=tuple(sources.items()))
    for expected, subject in _contradictions(settings):
        where = sources.get(subject.partition(" ")[0]) or chosen or "default"
        raise ConfigError(expected, subject=f"{where}: {subject}")
    return settings


def read_own(own_file: Path) -> bytes:
    """What the set-up wrote; nothing where there was none yet."""
    try:
        return own_file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return b""
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", subject=str(own_file)) from error


def check(section: str, key: str, value: Any) -> str:
    """What was expected in the place of this value; empty where it is good."""
    try:
        _value("", SECTIONS, section, key, value, strict=True)
    except ConfigError as error:
        return error.what
    if (section, key) == ("depot", "timezone") and value not in available_timezones():
        return "expected a time zone like Europe/London"
    if (section, key) == ("upstream", "url") and not _is_upstream(value):
        return UPSTREAM_EXPECTED
    return ""


def literal(value: Any) -> str:
    """As TOML. JSON's texts, numbers and booleans are TOML's too, but for DEL, which TOML wants escaped."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def effective(settings: Settings) -> Iterator[tuple[str, str, Any, str]]:
    """(section, key, value, description) of every key; a secret that is set shows as stars."""
    yield from effective_of(settings, SECTIONS)


def effective_of(settings: Struct, known: Sections) -> Iterator[tuple[str, str, Any, str]]:
    """The same of a tree with other sections."""
    for name, kind in known.items():
        for key, meta in _metas(kind).items():
            value = getattr(getattr(settings, name), key)
            secret = bool(meta.extra and meta.extra.get("secret"))
            yield name, key, "********" if secret and value else value, meta.description or ""


def _contradictions(settings: Settings) -> Iterator[tuple[str, str]]:
    """(what was expected, where) of all that the type of one key cannot say."""
    mqtt, limits = settings.mqtt, settings.limits
    if settings.depot.timezone not in available_timezones():
        yield "expected a time zone like Europe/London", f"depot.timezone = {settings.depot.timezone!r}"
    hosts = {f"mqtt.{key}": getattr(mqtt, key) for key in ("public_host", "tls_host")}
    hosts["web.tls_host"] = settings.web.tls_host
    for key, host in hosts.items():
        if host and not _is_host(host):
            yield "expected a name or an address, without a port", f"{key} = {host!r}"
    if is_loopback(mqtt.public_host) and not is_loopback(mqtt.tls_host):
        expected = "expected what vehicles can reach, not this machine alone"
        yield expected, f"mqtt.public_host = {mqtt.public_host!r}"
    ports = {"web.port": settings.web.port, "web.tls_port": settings.web.tls_port} | {
        f"mqtt.{key}": getattr(mqtt, key) for key in ("port", "tls_port", "certificate_port")
    }
    for key, port in ports.items():
        other = next(each for each, taken in ports.items() if taken == port)
        if port and other != key:
            yield f"both {other} and {key} want the same port", f"{key} = {port}"
    if bool(settings.web.certificate) != bool(settings.web.certificate_key):
        given = "certificate" if settings.web.certificate else "certificate_key"
        expected = "expected both web.certificate and web.certificate_key, or neither"
        yield expected, f"web.{given} = {getattr(settings.web, given)!r}"
    if not _is_upstream(settings.upstream.url):
        yield UPSTREAM_EXPECTED, f"upstream.url = {settings.upstream.url!r}"
    if limits.silent_s <= limits.stale_s:
        yield (
            f"expected more than limits.stale_s, which is {limits.stale_s:g}",
            f"limits.silent_s = {limits.silent_s:g}",
        )
    if limits.asleep_s < limits.silent_s:
        expected = f"expected no less than limits.silent_s, which is {limits.silent_s:g}"
        yield expected, f"limits.asleep_s = {limits.asleep_s:g}"


def _is_upstream(url: str) -> bool:
    """Whether it is the address of a central office, or empty."""
    if not url:
        return True
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname or "", parts.port
    except ValueError:
        return False
    plain = parts.scheme == "http" and is_loopback(host)
    rest = parts.query or parts.fragment or parts.username or parts.password is not None
    return (plain or parts.scheme == "https") and _is_host(host) and not rest and not re.search(r"[\s\x00-\x1f]", url)


def _is_host(host: str) -> bool:
    """Whether it is the name, or the address, of one machine."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        labels = host.split(".")
        return len(host) <= 253 and all(map(_LABEL.fullmatch, labels)) and not labels[-1].isdigit()
    if address.version == 4:
        return 1 <= address.packed[0] < 224  # below: "this network", above: groups and broadcasts
    return not (address.is_unspecified or address.is_multicast)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _choose(file: Path | None, environ: Mapping[str, str]) -> Path | None:
    named = file or (Path(environ["DEPOTBOX_CONFIG"]) if environ.get("DEPOTBOX_CONFIG") else None)
    if named:
        if not os.path.isfile(named):  # a Path of its own raises where the name is too long
            raise ConfigError("no such configuration file", subject=str(named))
        return named.resolve()
    return next((path for path in (paths.INSTALLED_CONFIG, paths.DEVELOPMENT_CONFIG) if path.is_file()), None)


def _check_name(data_dir: str) -> None:
    try:
        os.stat(data_dir)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise ConfigError("the name is too long", subject=f"storage.data_dir = {data_dir!r}") from error


def read(file: Path) -> dict[str, Any]:
    """A TOML file. Raises ConfigError."""
    try:
        return _parsed(file.read_bytes(), file)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error}", subject=str(file)) from error


def _parsed(text: bytes, file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(text.decode())
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"not valid TOML: {error}", subject=str(file)) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"cannot be read: {error}", subject=str(file)) from error


def checked(tree: dict[str, Any], source: str, known: Sections) -> dict[str, dict[str, Any]]:
    """The sections of a file, each value of the type that it must have."""
    found: dict[str, dict[str, Any]] = {}
    for name, section in tree.items():
        if name not in known:
            raise ConfigError(_unknown(name, list(known)), subject=f"{source}: [{name}]")
        if not isinstance(section, dict):
            raise ConfigError(f"expected a section [{name}]", subject=f"{source}: {name} = {section!r}")
        found[name] = {key: _value(source, known, name, key, value, strict=True) for key, value in section.items()}
    return found


def from_environment(environ: Mapping[str, str], known: Sections) -> Iterator[tuple[str, str, str, str]]:
    """(section, key, value, variable) of each `DEPOTBOX_<SECTION>__<KEY>`."""
    for variable, value in environ.items():
        if variable.startswith("DEPOTBOX_") and "__" in variable:
            name, _, key = variable.removeprefix("DEPOTBOX_").lower().partition("__")
            if name not in known:
                raise ConfigError(_unknown(name, list(known)), subject=f"environment variable {variable}")
            yield name, key, value, variable


def from_variable(variable: str, known: Sections, name: str, key: str, value: str) -> Any:
    """The value of an environment variable, of the type that its key must have."""
    return _value(f"environment variable {variable}", known, name, key, value, strict=False)


def _value(source: str, known: Sections, name: str, key: str, value: Any, *, strict: bool) -> Any:
    kind = known[name]
    hints = get_type_hints(kind, include_extras=True)
    if key not in hints:
        # Somebody may have misspelt the name of a secret.
        shown = "********" if any(part in key.lower() for part in SECRET_NAMES) else repr(value)
        raise ConfigError(_unknown(key, list(hints)), subject=f"{source}: {name}.{key} = {shown}")
    try:
        return msgspec.convert(value, hints[key], strict=strict)
    except msgspec.ValidationError as error:
        shown = "********" if (extra := _metas(kind)[key].extra) and extra.get("secret") else repr(value)
        said = str(error).replace("`", "").partition(" - at ")[0]
        raise ConfigError(_expected(hints[key], said), subject=f"{source}: {name}.{key} = {shown}") from error


def _expected(hint: Any, said: str) -> str:
    choices = getattr(hint.__origin__, "__args__", None) if hasattr(hint, "__origin__") else None
    if choices and all(isinstance(choice, str) for choice in choices):
        return "expected " + " or ".join(choices)
    bounds = [meta for meta in hint.__metadata__ if isinstance(meta, Meta) and meta.ge is not None]
    out_of_range = re.search(r"int [<>]=|out of range", said)
    if out_of_range and bounds and hint.__origin__ is int and bounds[0].le is not None:
        return f"expected {bounds[0].ge} to {bounds[0].le}"
    return said[0].lower() + said[1:]


def _unknown(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"unknown key; did you mean {near[0]}?" if near else f"unknown key; expected one of {', '.join(known)}"


def _metas(kind: type[Struct]) -> dict[str, Meta]:
    """The description of each key: the Meta that names one (`Port` and `Seconds` add one for the range)."""
    hints = get_type_hints(kind, include_extras=True)
    found = {}
    for field in structs.fields(kind):
        metas = [meta for meta in hints[field.name].__metadata__ if isinstance(meta, Meta)]
        found[field.name] = next((meta for meta in metas if meta.description), Meta())
    return found
