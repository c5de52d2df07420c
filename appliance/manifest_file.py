"""Reading a manifest: CSV as brokers and spreadsheets write it.

The first line names the columns. `ref`, `pickup_at`, `pickup_address` and `dropoff_address` must be there; further
columns that the box does not know are left alone.
"""

from __future__ import annotations

import csv
import difflib
import io
from collections.abc import Iterator

from appliance.errors import InputError

REQUIRED = ("ref", "pickup_at", "pickup_address", "dropoff_address")
COORDINATES = ("pickup_lat", "pickup_lon", "dropoff_lat", "dropoff_lon")
OPTIONAL = ("level", "payer", "patient", "appointment_at", "driver", "vehicle", *COORDINATES)

SEPARATORS = ",;\t"

Cells = dict[str, str]


class BadCell(Exception):
    """A cell that does not fit."""

    def __init__(self, column: str, value: str, expected: str) -> None:
        self.column, self.value, self.expected = column, value, expected
        super().__init__(expected)


def rows(text: str | bytes) -> Iterator[tuple[int, Cells | BadCell]]:
    """Each row by its columns, blanks trimmed, with the line on which it begins; a row that is no CSV as a BadCell.

    Separators may be commas, semicolons or tabs. Raises InputError where the file is empty, is not text, or its header
    will not do.
    """
    text = decode(text) if isinstance(text, bytes) else text
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_separator(text), strict=True)
    header: list[str] = []
    while True:
        line = reader.line_num + 1
        try:
            cells = [" ".join(cell.split()) for cell in next(reader)]
        except StopIteration:
            break
        except csv.Error as error:
            if not header:
                raise InputError(f"not a line of CSV: {error}", subject=f"manifest, line {line}") from error
            yield line, BadCell("", "", f"a line of CSV: {error}")
            continue
        if not any(cells):
            continue
        if not header:
            header = _header(cells)
        elif len(cells) > len(header):
            beyond = " ".join(cells[len(header) :])
            yield line, BadCell("", beyond, f"{len(header)} columns; is a text without its quotes?")
        else:
            yield line, dict(zip(header, [*cells, *[""] * (len(header) - len(cells))], strict=True))
    if not header:
        raise InputError("the file is empty", subject="manifest", hint=f"expected columns {', '.join(REQUIRED)}, ...")


def decode(content: bytes) -> str:
    """The text of a file in UTF-8, or in UTF-16 with its byte order mark. Raises InputError for anything else: a guess
    would spoil names without anybody seeing it."""
    wide = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        return content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        hint = "in a spreadsheet, save as CSV UTF-8"
        raise InputError("expected text in UTF-8", subject=f"manifest, byte {error.start}", hint=hint) from error


def _separator(text: str) -> str:
    """The separator by which the first line names the most columns that are known."""
    first = next((line for line in text.split("\n") if line.strip()), "")

    def known(separator: str) -> int:
        return sum(_name(cell.strip('" ')) in REQUIRED + OPTIONAL for cell in first.split(separator))

    return max(SEPARATORS, key=known)


def _header(cells: list[str]) -> list[str]:
    names = [_name(cell) for cell in cells]
    missing = [name for name in REQUIRED if name not in names]
    for name in names:
        absent = [known for known in REQUIRED + OPTIONAL if known not in names]
        if name not in REQUIRED + OPTIONAL and (near := difflib.get_close_matches(name, absent, n=1, cutoff=0.85)):
            raise InputError(f"did you mean {near[0]}?", subject=f"manifest, column {name}")
        if name and names.count(name) > 1:
            raise InputError("the column is there twice", subject=f"manifest, column {name}")
    if missing:
        columns = "column" if len(missing) == 1 else "columns"
        raise InputError(f"{columns} {', '.join(missing)} missing", subject="manifest")
    return names


def _name(cell: str) -> str:
    return cell.lower().replace(" ", "_")
