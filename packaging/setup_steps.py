"""Steps of `make setup`: each runs once for the same inputs, shows one progress line, and fails in one line.

Standard library only, and run by the system's python3.
"""

from __future__ import annotations

import hashlib
import os
import selectors
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from complaints import last_line, telling_line

SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
TICK_S = 0.5


class SetupError(Exception):
    """One line: what went wrong, and what to do about it or where to read on."""


@dataclass(frozen=True)
class Step:
    """One thing that setup makes.

    `inputs` is asked before the step (is it current?) and after it (what to stamp); `products` must all exist for the
    step to count as done, whatever its stamp says.
    """

    name: str
    title: str
    inputs: Callable[[], str]
    products: Sequence[Path]
    build: Callable[[Shell], None]


class Stamps:
    """Remembers, in one small file a step, for which inputs the step was last done."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def is_current(self, step: Step) -> bool:
        """True only if the step was finished for exactly these inputs, and its products are still there."""
        try:
            done_for = self._path(step).read_text(encoding="ascii")
        except FileNotFoundError:
            return False
        return all(path.exists() for path in step.products) and done_for == step.inputs()

    def forget(self, step: Step) -> None:
        """Called before a step begins, so that a half-done step is never taken for a done one."""
        self._path(step).unlink(missing_ok=True)

    def remember(self, step: Step) -> None:
        fresh = self._path(step).with_suffix(".new")
        fresh.write_text(step.inputs(), encoding="ascii")
        fresh.replace(self._path(step))

    def _path(self, step: Step) -> Path:
        return self.folder / f"{step.name}.stamp"


class ProgressLine:
    """`[2/6] locked packages ... 41.2 s`, with what is going on behind it while it runs, if a person is watching."""

    def __init__(self, number: int, count: int, title: str, out: IO[str]) -> None:
        self._head = f"[{number}/{count}] {title} ..."
        self._out = out
        self._live = out.isatty() and os.environ.get("TERM") != "dumb"
        self._started = time.monotonic()
        self._note = ""
        self._write(self._head)

    def tick(self, note: str = "") -> None:
        """Show that time passes, and the newest note (kept until there is another)."""
        self._note = note or self._note
        if self._live:
            columns = shutil.get_terminal_size().columns
            text = f"{self._head} {time.monotonic() - self._started:.0f} s  {self._note}"
            self._write(f"\r\x1b[K{text[: columns - 1]}")

    def end(self, result: str = "") -> None:
        """Finish the line with the result, or with the seconds that it took."""
        result = result or f"{time.monotonic() - self._started:.1f} s"
        self._write(f"\r\x1b[K{self._head} {result}\n" if self._live else f" {result}\n")

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()


class Shell:
    """Runs external commands for one step: output into its log, progress onto its line, failure as one line."""

    def __init__(self, log: Path, shown_log: str, line: ProgressLine) -> None:
        self.line = line
        self._shown_log = shown_log
        self._log = log
        log.write_bytes(b"")

    def run(
        self,
        what: str,
        command: Sequence[object],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        fine: Sequence[int] = (0,),
    ) -> str:
        """Run to the end without standard input and return what it printed; SetupError unless its exit code is fine."""
        words = [str(word) for word in command]
        try:
            process = subprocess.Popen(
                words,
                cwd=cwd,
                env={**os.environ, "PATH": wide_path(), "LC_ALL": "C.UTF-8", **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except OSError as error:
            raise SetupError(f"{what}: cannot start {words[0]}: {error.strerror}") from error
        with self._log.open("ab") as log:
            log.write(f"$ {' '.join(words)}\n".encode())
            try:
                printed, complaints = self._follow(process, log)
            except BaseException:
                # Ctrl-C reaches the child by itself on a terminal; a plain kill of this program does not.
                process.terminate()
                process.wait()
                raise
        if process.returncode not in fine:
            said = telling_line(complaints) or telling_line(printed) or f"exit code {process.returncode}"
            raise SetupError(f"{what} failed: {said} (full log: {self._shown_log})")
        return printed

    def _follow(self, process: subprocess.Popen[bytes], log: IO[bytes]) -> tuple[str, str]:
        assert process.stdout is not None
        assert process.stderr is not None
        heard: dict[int, bytearray] = {process.stdout.fileno(): bytearray(), process.stderr.fileno(): bytearray()}
        with process, selectors.DefaultSelector() as ready:
            for stream in heard:
                ready.register(stream, selectors.EVENT_READ)
            while ready.get_map():
                note = ""
                for key, _ in ready.select(TICK_S):
                    chunk = os.read(key.fd, 65536)
                    if not chunk:
                        ready.unregister(key.fd)
                    heard[key.fd] += chunk
                    log.write(chunk)
                    note = last_line(chunk.decode(errors="replace"))
                self.line.tick(note)
        printed, complaints = (bytes(text).decode(errors="replace") for text in heard.values())
        return printed, complaints


def pip_install(shell: Shell, venv: Path, what: str, *arguments: object) -> None:
    """pip of the virtual environment; a user's own pip settings must not send packages anywhere else."""
    command = [venv / "bin" / "python", "-m", "pip", "install", "--no-input", "--progress-bar=off", *arguments]
    shell.run(what, command, env={"PIP_USER": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"})


def wide_path() -> str:
    """PATH with the system's own folders behind it: an ordinary user's PATH lacks the sbin ones, where servers live."""
    folders = os.environ.get("PATH", "").split(os.pathsep)
    return os.pathsep.join(folder for folder in dict.fromkeys((*folders, *SYSTEM_FOLDERS)) if folder)


def find_program(name: str) -> str | None:
    return shutil.which(name, path=wide_path())


def digest(parts: Iterable[object]) -> str:
    """One hash over the parts in their order; a Path counts with its file's content, or as absent."""
    total = hashlib.sha256()
    for part in parts:
        content = content_of(part) if isinstance(part, Path) else str(part).encode()
        total.update(hashlib.sha256(content).digest())
    return total.hexdigest()


def content_of(file: Path) -> bytes:
    return file.read_bytes() if file.is_file() else b"absent"


def perform(steps: Sequence[Step], state: Path, out: IO[str] = sys.stdout) -> None:
    """Do the steps that are not current, in order; one line each, or a single one if there is nothing to do."""
    stamps = Stamps(state)
    log_folder = state / "log"
    log_folder.mkdir(parents=True, exist_ok=True)
    if all(stamps.is_current(step) for step in steps):
        out.write("setup: everything is in place\n")
        return
    for number, step in enumerate(steps, start=1):
        line = ProgressLine(number, len(steps), step.title, out)
        # Asked again: a step that was current may not be, now that the one before it has run.
        if stamps.is_current(step):
            line.end("in place")
            continue
        stamps.forget(step)
        log = log_folder / f"{step.name}.log"
        try:
            step.build(Shell(log, str(log.relative_to(state.parent)), line))
            check_products(step)
        except BaseException as error:
            line.end("stopped" if isinstance(error, KeyboardInterrupt) else "failed")
            raise
        stamps.remember(step)
        line.end()


def check_products(step: Step) -> None:
    """SetupError if a step that ran without complaint did not leave what it promised."""
    for path in step.products:
        if not path.exists():
            raise SetupError(f"{step.title}: {path.name} is missing although every command succeeded")
