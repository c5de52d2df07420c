"""The `redis` role: broker, results and live state on a unix socket. Nothing in it is ever saved (promise 5)."""

from __future__ import annotations

from pathlib import Path

from appliance import atomicfile, sharing
from appliance.config import Settings
from appliance.paths import Paths
from appliance.servers import native

MAXMEMORY = "256mb"


def main(settings: Settings) -> int:
    """Writes the configuration and becomes redis-server."""
    file = settings.paths.redis_dir / "redis.conf"
    atomicfile.write(file, configuration(settings.paths))
    native.become("redis-server", str(file))


def configuration(paths: Paths) -> str:
    """redis.conf: no TCP, the socket as private as its folder, nothing on disk. With `noeviction` a full Redis refuses
    writes: evicting would silently take messages out of a queue."""
    return f"""\
port 0
unixsocket {_quoted(paths.redis_socket)}
unixsocketperm {770 if sharing.is_shared(paths.redis_dir) else 700}
databases 4
save ""
appendonly no
maxmemory {MAXMEMORY}
maxmemory-policy noeviction
daemonize no
supervised systemd
dir {_quoted(paths.redis_dir)}
logfile ""
loglevel warning
"""


def _quoted(path: Path) -> str:
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
