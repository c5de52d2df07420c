"""The role `init`: folders, secrets, migrations, the default schedule. Runs once, before the others."""

from __future__ import annotations

from appliance import access, backup, basemap, ca, keys, log, notices, setup, uplink_desk
from appliance.config import Settings
from appliance.servers import mosquitto
from appliance.storage import schedules
from appliance.storage.db import open_depot, write_tx
from appliance.storage.migrations import migrate

_log = log.get(__name__)


def main(settings: Settings) -> int:
    """Makes what is missing and changes nothing that is there. Safe to run at any time."""
    paths = settings.paths
    paths.prepare()
    if kept := backup.finish(paths):
        _log.warning("box.restored", kept=kept)
        paths.prepare()
    for name in migrate(paths.depot_db):
        _log.info("storage.migrated", migration=name)
    mosquitto.make_secrets(paths)
    ca.own(paths)
    for name in (notices.LINK_KEY, access.MARK_KEY):
        keys.own(paths, name)
    db = open_depot(paths.depot_db)
    with write_tx(db) as tx:
        schedules.ensure_defaults(tx)
        if settings.upstream.url:
            schedules.ensure_sync(tx, uplink_desk.crontab(settings))
    setup.ensure_code(db, paths)
    db.conn.close()
    basemap.tidy(settings)
    return 0
