"""Reading a CSV file of anybody's making: its text, its separator, its header, and its rows with their lines.

Nothing here knows what the columns mean; `manifest.py` does.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass

MAX_BYTES = 5 * 1024 * 1024
MAX_ROWS = 5000
MAX_COLUMNS = 200
LONGEST = 2000
"""Characters of one cell."""
RECORD_LINES = 50
"""Lines that one row may take: a quote that is still open then was never meant to be."""
HEADER_WITHIN = 10
"""Rows of title and remarks that may stand above the header."""

SEPARATORS = ",;\t"
_SPREADSHEET = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")


class Unreadable(Exception):
    """The file as a whole cannot be used: `what` is wrong, and a `hint` for whoever has it."""

    def __init__(self, what: str, hint: str = "") -> None:
        self.what, self.hint = what, hint
        super().__init__(what)


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be used: the line on which it begins (the file's first is 1), and what was expected where."""

    line: int
    column: str
    value: str
    expected: str


@dataclass(frozen=True, slots=True)
class Sheet:
    """A file by its columns. Each row has as many cells as `header`, blanks trimmed; lines in a cell stay lines."""

    header: tuple[str, ...]
    header_line: int
    rows: tuple[tuple[int, tuple[str, ...]], ...]
    bad: tuple[BadRow, ...]
    separator: str

    def column(self, name: str) -> list[str]:
        """What stands in a column, empty cells left out."""
        place = self.header.index(name)
        return [cells[place] for _, cells in self.rows if cells[place]]


def read(content: bytes, score: Callable[[tuple[str, ...]], int]) -> Sheet:
    """The sheet of a file. `score` says how much a row looks like the header: the best of the first rows is it.

    A row that is no CSV is bad and costs no other one. Raises Unreadable.
    """
    lines = decode(content).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    separator = _separator(lines)
    header, header_line = _header(lines, separator, score)
    found: list[tuple[int, tuple[str, ...]]] = []
    bad: list[BadRow] = []
    for line, cells in _records(lines, separator, header_line):
        if cells is None:
            bad.append(BadRow(line, "", lines[line - 1].strip()[:80], "a row of CSV; is a quote not closed?"))
        elif not any(cells):
            continue
        elif any(cells[len(header) :]):
            beyond = " ".join(cells[len(header) :])[:80]
            bad.append(BadRow(line, "", beyond, f"{len(header)} columns; is a text without its quotes?"))
        elif (long := next((place for place, cell in enumerate(cells) if len(cell) > LONGEST), None)) is not None:
            bad.append(BadRow(line, header[long], cells[long][:80], f"at most {LONGEST} characters"))
        else:
            filled = (*cells, *[""] * len(header))[: len(header)]
            found.append((line, tuple(filled)))
        if len(found) + len(bad) > MAX_ROWS:
            raise Unreadable(f"expected at most {MAX_ROWS:,} rows", "split the file")
    if not found and not bad:
        raise Unreadable("there is no row below the header")
    return Sheet(header, header_line, tuple(found), tuple(bad), separator)


def decode(content: bytes) -> str:
    """The text of a file: UTF-8 or UTF-16 where it says so or can be, else Windows-1252, as older programs write."""
    if len(content) > MAX_BYTES:
        raise Unreadable(f"expected at most {MAX_BYTES // 2**20} MiB")
    if content.startswith(_SPREADSHEET):
        raise Unreadable("this is a spreadsheet, not a CSV file", "in the spreadsheet, save as CSV")
    try:
        if content.startswith((b"\xff\xfe", b"\xfe\xff")):
            text = content.decode("utf-16")
        else:
            try:
                text = content.decode("utf-8-sig")
            except UnicodeDecodeError:
                text = content.decode("cp1252")
    except UnicodeDecodeError as error:
        raise Unreadable("this is no text", "expected a CSV file") from error
    if "\0" in text:
        raise Unreadable("this is no text", "expected a CSV file")
    if not text.strip():
        raise Unreadable("the file is empty")
    return text


def _records(lines: list[str], separator: str, after: int = 0) -> Iterator[tuple[int, list[str] | None]]:
    """Each row below a line with the line on which it begins; None where it is no CSV. After such a line the next one
    begins a row again, so that an open quote swallows nothing."""
    at = after
    while at < len(lines):
        window = (line + "\n" for line in lines[at : at + RECORD_LINES])
        reader = csv.reader(window, delimiter=separator, strict=True)
        try:
            cells = next(reader)
        except (csv.Error, StopIteration):
            yield at + 1, None
            at += 1
            continue
        yield at + 1, ["\n".join(" ".join(part.split()) for part in cell.strip().split("\n")) for cell in cells]
        at += reader.line_num


def _separator(lines: list[str]) -> str:
    """The one that divides the first lines into the most columns that all of them share."""
    first = [line for line in lines if line.strip()][: HEADER_WITHIN * 2]

    def columns(separator: str) -> int:
        counts = sorted(line.count(separator) for line in first)
        return counts[len(counts) // 2]

    return max(SEPARATORS, key=lambda separator: (columns(separator), sum(line.count(separator) for line in first)))


def _header(lines: list[str], separator: str, score: Callable[[tuple[str, ...]], int]) -> tuple[tuple[str, ...], int]:
    """The names of the columns, each once, and the last line of the header."""
    best: tuple[int, list[str], int] | None = None
    seen = 0
    begun: list[tuple[int, list[str] | None]] = []
    for line, cells in _records(lines, separator):
        if cells and any(cells[MAX_COLUMNS:]):  # before anything is guessed from so many
            raise Unreadable(f"expected at most {MAX_COLUMNS} columns")
        begun.append((line, cells))
        if seen > HEADER_WITHIN:
            break
        seen += bool(cells and any(cells))
    for place, (line, cells) in enumerate(begun):
        if not cells or not any(cells):
            continue
        last = begun[place + 1][0] - 1 if place + 1 < len(begun) else len(lines)
        points = score(tuple(cells))
        if best is None or points > best[0]:
            best = (points, cells, last if last >= line else line)
    if best is None:
        raise Unreadable("there is no header", "expected the names of the columns in the first row")
    _, cells, last = best
    while cells and not cells[-1]:
        cells.pop()
    names: list[str] = []
    for place, cell in enumerate(cells, start=1):
        name = " ".join(cell.split())[:100] or f"Column {place}"
        again = sum(1 for known in names if known == name or known.startswith(f"{name} ("))
        names.append(f"{name} ({again + 1})" if again else name)
    return tuple(names), last
