"""The depot's own tasks: every Python file of the folder `tasks.folder`, loaded when Celery imports its modules."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

from celery import signals

from appliance import config, log

_log = log.get(__name__)


@signals.import_modules.connect(weak=False)
def load(sender: Any, **_: Any) -> None:
    """Loads the files once, in the order of their names. One that fails is left out: the box's own work goes on."""
    folder = config.load().tasks.folder if sender.main == "tasks" else ""
    for file in sorted(Path(folder).glob("*.py")) if folder else ():
        name = f"depot_tasks_{file.stem}"
        spec = importlib.util.spec_from_file_location(name, file)
        if name in sys.modules or spec is None or spec.loader is None:
            continue
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except Exception:
            del sys.modules[name]
            _log.exception("tasks.file_failed", file=file.name)
