"""The files that a browser loads: our own, and the libraries and map data that `make setup` puts into `web/vendor`.

Each folder is served under a path that contains a digest of its contents, so that browsers may keep the files for
ever and a new version is a new address. Only files that were there at the start are served.
"""

from __future__ import annotations

import gzip
import hashlib
import threading
from pathlib import Path
from typing import Any

from litestar import Request, Response, get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}
FOR_EVER = "public, max-age=31536000, immutable"


class Folder:
    """One folder of files, known by the digest of its contents. A file is compressed once, when first asked for."""

    def __init__(self, path: Path) -> None:
        self._files = {found.name: found for found in sorted(path.glob("*")) if found.suffix in TYPES}
        digest = hashlib.sha256()
        for name, found in self._files.items():
            digest.update(name.encode() + b"\0" + found.read_bytes())
        self.digest = digest.hexdigest()[:12]
        self._gzipped: dict[str, bytes] = {}
        self._lock = threading.Lock()

    @property
    def names(self) -> list[str]:
        return list(self._files)

    def answer(self, name: str, *, zipped: bool) -> Response[bytes]:
        """The file as an answer. Raises NotFoundException for any other name."""
        found = self._files.get(name)
        if found is None:
            raise NotFoundException("no such file")
        headers = {"Cache-Control": FOR_EVER, "Vary": "Accept-Encoding"}
        if zipped:
            headers["Content-Encoding"] = "gzip"
        return Response(
            self._zip(name) if zipped else found.read_bytes(), media_type=TYPES[found.suffix], headers=headers
        )

    def _zip(self, name: str) -> bytes:
        with self._lock:
            if name not in self._gzipped:
                self._gzipped[name] = gzip.compress(self._files[name].read_bytes(), 6, mtime=0)
            return self._gzipped[name]


class Assets:
    """Our own files and those of others, and the addresses that pages use for them."""

    def __init__(self, static: Path, vendor: Path) -> None:
        self._folders = {"static": Folder(static), "vendor": Folder(vendor)}

    def url(self, folder: str, name: str = "") -> str:
        """The address of a file, or of the folder with a slash at its end."""
        return f"/assets/{folder}/{self._folders[folder].digest}/{name}"

    def has(self, folder: str, name: str) -> bool:
        return name in self._folders[folder].names

    def handler(self) -> Any:
        """The route that serves them. The digest in the address is for caches; an older one gets the present file."""

        @get("/assets/{folder:str}/{digest:str}/{name:str}", sync_to_thread=True, include_in_schema=False)
        def asset(
            request: Request[Any, Any, Any], folder: FromPath[str], digest: FromPath[str], name: FromPath[str]
        ) -> Response[bytes]:
            if folder not in self._folders:
                raise NotFoundException("no such file")
            return self._folders[folder].answer(name, zipped="gzip" in request.headers.get("accept-encoding", ""))

        return asset
