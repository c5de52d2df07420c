"""A box of made-up roles under the real supervisor: `python fakebox.py DATA_DIR TABLE`.

TABLE is a JSON list of roles; `script` is Python, run with the few functions below. What the roles `note` stands in
DATA_DIR/journal, one line each.
"""

from __future__ import annotations

import functools
import json
import sys
from pathlib import Path

from appliance import log
from appliance.paths import Paths
from appliance.roles import Role
from appliance.supervisor import lock
from appliance.supervisor.loop import Supervisor

PRELUDE = """
import os, signal, subprocess, sys, time
from pathlib import Path
from appliance import lifeline
from appliance.notify import notify
lifeline.die_with_parent(int(os.environ.pop(lifeline.PARENT)))
folder, name = Path(sys.argv[1]), sys.argv[2]
LOOSE = "import signal; signal.pause()"
TIED = "import signal, sys; from appliance import lifeline; lifeline.die_with_parent(int(sys.argv[1])); signal.pause()"
def note(text):
    with (folder / "journal").open("a") as journal:
        journal.write(f"{name} {text}\\n")
def ready():
    note(f"ready {os.getpid()}")
    notify("READY=1")
def wait_for_file(file):
    while not (folder / file).exists():
        time.sleep(0.005)
def spawn(program=LOOSE, **options):
    argv = [sys.executable, "-c", program, str(os.getpid())]
    note(f"child {subprocess.Popen(argv, **options).pid}")
def until_told():
    signal.signal(signal.SIGTERM, lambda *_: (note("told"), sys.exit(0)))
    ready()
    signal.pause()
"""


def main(data_dir: str, table: str) -> int:
    log.configure("supervisor")
    paths = Paths(Path(data_dir))
    paths.prepare()
    made = []
    for one in json.loads(table):
        script = PRELUDE + one.pop("script", "until_told()")
        argv = [sys.executable, "-c", script, data_dir, one["name"]]
        made.append(Role(**{"after": (), **one}, entry=functools.partial(list, argv)))
    with lock.hold(paths):
        return Supervisor(made, paths.run_dir, paths.status_file).run()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
