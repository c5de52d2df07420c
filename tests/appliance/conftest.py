"""What the tests of the core share: a data folder, free ports, bounded waiting, processes that end with the test."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import ports

WaitFor = Callable[..., Any]
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A data folder with a path short enough for the sockets below it, as that of an installed box."""
    folder = Path(tempfile.mkdtemp(prefix="depot-"))
    yield folder / "data"
    shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def environ(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test sees this machine's configuration, nor what a command of another test exported."""
    before = dict(os.environ)
    for name in before:
        if name.startswith("DEPOTBOX_") and name != "DEPOTBOX_NATIVE":
            del os.environ[name]
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def free_port() -> Callable[[], int]:
    return ports.free_port


@pytest.fixture
def wait_for() -> WaitFor:
    """`wait_for(condition)` returns the first true answer of the condition, or fails after the bound."""

    def wait(condition: Callable[[], Any], bound_s: float = 20.0) -> Any:
        end = time.monotonic() + bound_s
        while not (found := condition()):
            assert time.monotonic() < end, f"not within {bound_s} s"
            time.sleep(0.005)
        return found

    return wait


@pytest.fixture
def start() -> Iterator[Start]:
    """`start(argv)` is a process with its standard error as text; what is left of it after the test is ended."""
    with contextlib.ExitStack() as cleanup:

        def begin(argv: list[str], **kwargs: Any) -> subprocess.Popen[str]:
            kwargs.setdefault("stderr", subprocess.PIPE)
            process = subprocess.Popen(argv, text=True, **kwargs)
            cleanup.callback(_end, process)
            return process

        yield begin


def _end(process: subprocess.Popen[str]) -> None:
    """Asks first: a supervisor that is killed cannot end what its roles have started."""
    process.terminate()
    try:
        process.communicate(timeout=35)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate(timeout=5)
