"""The ways into the pages: plain HTTP on this machine, HTTPS from everywhere, and the certificate of the latter.

From elsewhere plain HTTP gets the box's public certificate and the page about it, and is led to HTTPS with all else.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from litestar.types import Scope

from appliance import log
from appliance.config import Settings
from appliance.errors import DepotError
from appliance.servers import certificate
from appliance.servers.certificate import Chosen

LOOPBACK_NAMES = frozenset({"127.0.0.1", "::1", "localhost"})
LOOK_S = 2.0
"""How soon a certificate that was uploaded, or taken away, is served."""
RENEW_S = 60.0
"""How often the names of the box and the dates of its certificate are looked at."""

_log = log.get(__name__)


class Certificates:
    """The certificate that new connections are given.

    Open connections, and the sessions and live streams on them, go on with what they began with: a handshake takes the
    newest certificate, and nothing is closed for it.
    """

    def __init__(self, settings: Settings, now: Callable[[], datetime]) -> None:
        """Raises a DepotError where there is none to begin with."""
        self._settings = settings
        self._now = now
        self._files: object = None
        self._said: list[str] = []
        self._names: list[str] = []
        self.chosen, self._context = self._load()
        self.context = certificate.context(self.chosen.file, self.chosen.key)
        self.context.sni_callback = self._hand_over

    def knows(self, host: str) -> bool:
        """Whether browsers may reach the box by this name or address."""
        return host in self._names or certificate.matches(self.chosen.certificate.names, host)

    async def watch(self) -> None:
        """Takes what has changed, until it is cancelled."""
        since = 0.0
        while True:
            await asyncio.sleep(LOOK_S)
            since += LOOK_S
            if since >= RENEW_S or await asyncio.to_thread(self._stamps) != self._files:
                since = 0.0
                await asyncio.to_thread(self.look)

    def look(self) -> None:
        """Renews the box's own certificate where that is due, and serves the right one from now on. What goes wrong is
        logged, and what was served before goes on."""
        try:
            self.chosen, self._context = self._load()
        except (DepotError, OSError) as error:
            _log.error("web.certificate_failed", error=str(error))

    def _load(self) -> tuple[Chosen, ssl.SSLContext]:
        self._files = self._stamps()
        now = self._now()
        certificate.renew(self._settings, now)
        found = certificate.chosen(self._settings, now)
        made = certificate.context(found.file, found.key)
        self._names = certificate.names(self._settings)
        if found.problems != self._said:
            self._said = found.problems
            for problem in found.problems:
                _log.error("web.certificate_unusable", problem=problem)
        if getattr(self, "chosen", None) != found:
            until = found.certificate.valid_to.date().isoformat()
            _log.info("web.certificate", source=found.source, names=found.certificate.names, until=until)
        return found, made

    def _stamps(self) -> object:
        """Changes with the files that somebody may have given."""
        web, paths = self._settings.web, self._settings.paths
        found = []
        for file in (web.certificate, web.certificate_key, paths.uploaded_certificate):
            with contextlib.suppress(OSError, ValueError):
                stat = Path(file).stat()
                found.append((str(file), stat.st_mtime_ns, stat.st_ino))
        return found

    def _hand_over(self, connection: ssl.SSLObject, _name: str, _context: ssl.SSLContext) -> None:
        """Called in each handshake, also without a name."""
        connection.context = self._context


class Doors:
    """Through which door a request came, and where another one is."""

    def __init__(self, tls_port: int = 0, knows: Callable[[str], bool] = lambda host: False) -> None:
        """`tls_port` 0: there is no HTTPS, and only this machine is answered."""
        self.tls_port = tls_port
        self._knows = knows

    def fits(self, scope: Scope, host: str) -> bool:
        """Whether the name in the request's Host header is one of this machine's, for that door."""
        name = name_of(host)
        if name in LOOPBACK_NAMES:
            return is_local(scope)
        if not self.tls_port:
            return False
        return name == local_address(scope) or self._knows(name)

    def leads_on(self, scope: Scope, host: str) -> bool:
        """Whether the request must come again over HTTPS: it would cross the network in the clear."""
        return scope.get("scheme") != "https" and not (is_local(scope) and name_of(host) in LOOPBACK_NAMES)

    def https(self, scope: Scope, host: str) -> str:
        """The same address over HTTPS."""
        name = name_of(host)
        raw, query = scope.get("raw_path") or b"/", scope.get("query_string", b"")
        path = raw.decode("latin-1").partition("?")[0] + (f"?{query.decode('latin-1')}" if query else "")
        return f"https://{f'[{name}]' if ':' in name else name}:{self.tls_port}{path}"


def name_of(host: str) -> str:
    """The name or address in a Host header, empty where there is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def local_address(scope: Scope) -> str:
    """The address of this machine to which the connection came."""
    return str((scope.get("server") or ("", 0))[0])


def is_local(scope: Scope) -> bool:
    """Whether the connection stays on this machine: it came to loopback, and from there."""
    server, client = local_address(scope), str((scope.get("client") or ("", 0))[0])
    return is_loopback(server) and is_loopback(client, otherwise=True)


def is_loopback(address: str, *, otherwise: bool = False) -> bool:
    """Whether only this machine can reach the address; `otherwise` for what is no address."""
    if address in LOOPBACK_NAMES:
        return True
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return otherwise
