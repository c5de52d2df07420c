"""The protocol's JSON schemas (draft 2020-12), which stand in docs/protocol/: `python -m appliance.wire.schemas FOLDER`
writes them anew."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from appliance.wire import answers, batch, snapshots

ROOTS: tuple[type[Struct], ...] = (
    batch.Envelope,
    batch.Row,
    *dict.fromkeys(type_ for kinds in snapshots.KINDS.values() for type_ in kinds.values()),
    answers.Answer,
    answers.Problem,
    answers.News,
    answers.Enrol,
    answers.NewKey,
    answers.Enrolled,
    answers.Books,
    answers.Reconcile,
    answers.Receipt,
    answers.Receipted,
    answers.Whereabouts,
)


def schemas() -> Iterator[tuple[str, str]]:
    """(file name, text) of each."""
    for root in ROOTS:
        (schema,), components = msgspec.json.schema_components([root], ref_template="#/$defs/{name}")
        whole = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "$defs": components}
        yield f"{root.__name__}.schema.json", msgspec.json.format(msgspec.json.encode(whole)).decode() + "\n"


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in schemas():
        (folder / name).write_text(text)


if __name__ == "__main__":
    main()
