"""Lists that page and search on the server: what part of a list a page shows, and the addresses of the other parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

from litestar.params import QueryParameter

ROWS = 50
"""Rows on one page of a list."""

PageNumber = Annotated[int, QueryParameter(name="page", ge=1, le=1_000_000)]
Search = Annotated[str, QueryParameter(name="q", max_length=100)]


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of a list. `filters` are the other parameters of its address; empty ones are left out of it.

    Patients are never searched by an address: their lists pass no `q` here.
    """

    path: str
    items: list[Any]
    total: int
    page: int = 1
    filters: tuple[tuple[str, str], ...] = ()

    @property
    def first(self) -> int:
        """The number of the first row shown; 0 in an empty list."""
        return (self.page - 1) * ROWS + 1 if self.items else 0

    @property
    def last(self) -> int:
        return self.first + len(self.items) - 1 if self.items else 0

    @property
    def previous(self) -> str:
        """The address of the page before; empty on the first."""
        return self.address(self.page - 1) if self.page > 1 else ""

    @property
    def next(self) -> str:
        """The address of the page after; empty on the last."""
        return self.address(self.page + 1) if self.page * ROWS < self.total else ""

    def filter(self, name: str) -> str:
        """What the list is filtered by; empty where it is not."""
        return dict(self.filters).get(name, "")

    def address(self, page: int = 1, **changed: str) -> str:
        """The list's address at another page, or with other filters (then at their first page)."""
        given = {**dict(self.filters), **changed, "page": "" if page == 1 else str(page)}
        query = urlencode({name: value for name, value in given.items() if value})
        return f"{self.path}?{query}" if query else self.path


def offset(page: int) -> int:
    """How many rows stand before this page."""
    return (page - 1) * ROWS
