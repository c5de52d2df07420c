"""The base map: which file counts, its tiles, and sending one."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlite_utils import Database

from appliance import basemap, disk
from appliance.errors import Busy
from tests.web import tileset, world
from tests.web.conftest import Client, problem, sign_in

URL = "/api/v1/map"


def sent(client: Client, file: Path) -> dict[str, object]:
    answer = client.put(URL, content=file.read_bytes())
    assert answer.status_code == 200, answer.text
    found: dict[str, object] = answer.json()["source"]
    return found


def test_without_a_file_the_pages_have_outlines_only(client: Client) -> None:
    assert client.get(URL).json() == {"source": None}
    assert client.get("/tiles/000000000000/0/0/0").status_code == 204


def test_a_file_in_the_data_folder_is_used_as_it_says(client: Client, depot: world.World) -> None:
    tileset.pictures(depot.settings.paths.data_dir / "liverpool.mbtiles", minzoom="3", name="Liverpool")
    found = client.get(URL).json()["source"]
    assert found | {"url": ""} == {
        "url": "", "kind": "raster", "name": "Liverpool", "minzoom": 0, "maxzoom": 14,
        "bounds": list(tileset.LIVERPOOL), "attribution": "© Invented", "layers": [],
    }  # fmt: skip


def test_a_tile_is_the_one_of_its_place_and_may_be_kept(client: Client, depot: world.World) -> None:
    tileset.pictures(depot.settings.paths.data_dir / "liverpool.mbtiles")
    x, y = tileset.number(53.41, -2.98, 12)
    url = client.get(URL).json()["source"]["url"]
    answer = client.get(url.format(z=12, x=x, y=y))
    assert answer.content == tileset.png(212, 235 - x % 40, 200 + y % 50)
    assert answer.headers["content-type"] == "image/png"
    assert "immutable" in answer.headers["cache-control"]
    for missing in (url.format(z=12, x=0, y=0), url.format(z=15, x=0, y=0), url.format(z=3, x=8, y=0)):
        assert client.get(missing).status_code == 204


@pytest.mark.parametrize("zipped", [True, False])
def test_a_vector_tile_comes_with_its_encoding(client: Client, depot: world.World, zipped: bool) -> None:
    tileset.streets(depot.settings.paths.data_dir / "map.mbtiles", zipped=zipped)
    found = client.get(URL).json()["source"]
    assert (found["kind"], "transportation" in found["layers"]) == ("vector", True)
    x, y = tileset.number(53.41, -2.98, 14)
    answer = client.get(found["url"].format(z=14, x=x, y=y))
    assert answer.headers["content-type"] == "application/vnd.mapbox-vector-tile"
    assert answer.headers.get("content-encoding") == ("gzip" if zipped else None)
    assert b"Invented Road" in answer.content  # unpacked by the client


def _none(path: Path) -> None:
    path.write_bytes(b"no map" * 1000)


def _empty(path: Path) -> None:
    tileset.write(path, lambda z, x, y: None)


def _other(path: Path) -> None:
    with closing(sqlite3.connect(path)) as conn, conn:
        conn.execute("CREATE TABLE tiles (a)")


def _endless(path: Path) -> None:
    with closing(sqlite3.connect(path)) as conn, conn:
        conn.execute("CREATE TABLE metadata (name TEXT, value TEXT)")
        conn.execute(
            "CREATE VIEW tiles AS WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t)"
            " SELECT n AS zoom_level, n AS tile_column, n AS tile_row, n AS tile_data FROM t"
        )


def _false(path: Path) -> None:
    tileset.write(path, lambda z, x, y: b"<html>", format="png")


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "none": (_none, "no SQLite file"), "empty": (_empty, "holds no tiles"), "other": (_other, "no such table"),
    "endless": (_endless, "not authorized"), "false": (_false, "not png"),
}  # fmt: skip


@pytest.mark.parametrize(("make", "why"), BAD.values(), ids=BAD)
def test_a_bad_file_is_one_clear_line_and_the_next_one_is_used(
    client: Client, depot: world.World, make: Callable[[Path], object], why: str
) -> None:
    make(depot.settings.paths.data_dir / "a.mbtiles")
    (issue,) = [each for each in client.get("/api/v1/system/issues").json()["items"] if each["code"] == "map_unusable"]
    assert "a.mbtiles: " in issue["cause"]
    assert why in issue["cause"]
    assert client.get(URL).json() == {"source": None}
    tileset.pictures(depot.settings.paths.data_dir / "b.mbtiles", name="b")
    assert client.get(URL).json()["source"]["name"] == "b"


def test_a_file_that_is_damaged_inside_shows_outlines_there(client: Client, depot: world.World) -> None:
    path = tileset.pictures(depot.settings.paths.data_dir / "a.mbtiles")
    url = client.get(URL).json()["source"]["url"]
    data = bytearray(path.read_bytes())
    data[4096 * 8 :] = b"\xaa" * (len(data) - 4096 * 8)
    stat = path.stat()
    with path.open("r+b") as file:  # the same file in every other way
        file.write(data)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    x, y = tileset.number(53.41, -2.98, 14)
    assert client.get(url.format(z=14, x=x, y=y)).status_code == 204


def test_one_that_is_sent_is_larger_than_any_other_body_and_takes_the_place(
    client: Client, depot: world.World, depot_db: Database, tmp_path: Path
) -> None:
    pad = bytes(6 * 1024 * 1024)
    tileset.pictures(depot.settings.paths.data_dir / "a.mbtiles", name="a")
    first = sent(client, tileset.write(tmp_path / "1", lambda z, x, y: tileset.png(1, 2, 3) + pad, zooms=[8], name="1"))
    assert first["name"] == "1"
    second = sent(client, tileset.streets(tmp_path / "2"))
    assert (second["kind"], second["url"] == first["url"]) == ("vector", False)
    assert client.get(str(first["url"]).format(z=8, x=125, y=82)).status_code == 204  # of a page that is still open
    told = [row["action"] for row in depot_db.query("SELECT action FROM audit_log WHERE subject = 'base map'")]
    assert told == ["map.replaced", "map.replaced"]
    assert [path.name for path in depot.settings.paths.data_dir.glob(".map*")] == []


def test_what_is_no_map_replaces_nothing_and_leaves_nothing(client: Client, depot: world.World, tmp_path: Path) -> None:
    sent(client, tileset.pictures(tmp_path / "good", name="good"))
    whole = tileset.pictures(tmp_path / "cut").read_bytes()
    for body, why in ((b"PK\3\4" * 999, "no SQLite file"), (whole[: len(whole) // 2], "damaged"), (b"", "nothing was")):
        assert why in problem(client.put(URL, content=body), 400)
    assert client.get(URL).json()["source"]["name"] == "good"
    assert [path.name for path in depot.settings.paths.data_dir.glob(".map*")] == []


def test_one_that_will_not_fit_is_refused_before_it_is_sent(
    client: Client, depot: world.World, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = depot.settings.limits.disk_free_mb * 2**20 + disk.RESERVE_BYTES
    monkeypatch.setattr(disk, "room", lambda _folder: disk.Room(total=2**40, free=kept + 2**20))
    assert "room for 1" in problem(client.put(URL, content=bytes(2**20 + 1)), 503)


def test_two_at_a_time_do_not_mix(client: Client, depot: world.World, tmp_path: Path) -> None:
    with basemap.uploading(depot.settings), pytest.raises(Busy), basemap.uploading(depot.settings):
        pass
    sent(client, tileset.pictures(tmp_path / "a"))


def test_only_an_administrator_sends_or_removes(client: Client, depot: world.World, tmp_path: Path) -> None:
    body = tileset.pictures(tmp_path / "a").read_bytes()
    for role in ("dispatcher", "biller", "viewer"):
        sign_in(client, depot, role)
        assert client.get(URL).json() == {"source": None}
        problem(client.put(URL, content=body), 403)
        problem(client.delete(f"{URL}/map.mbtiles"), 403)
        assert client.get("/system/map", headers={"Accept": "text/html"}).status_code == 403


def test_the_page_lists_what_is_there_and_removes_it(client: Client, depot: world.World) -> None:
    folder = depot.settings.paths.data_dir
    tileset.pictures(folder / "a.mbtiles", name="Harbour")
    _none(folder / "b.mbtiles")
    page = client.get("/system/map").text
    assert re.findall(r'data-file="([^"]+)"', page) == ["a.mbtiles", "b.mbtiles"]
    assert "Harbour" in page
    assert "cannot be used" in page
    assert "a.mbtiles is removed" in client.post("/system/map/remove", data={"name": "a.mbtiles"}).text
    assert not (folder / "a.mbtiles").exists()
    again = client.post("/system/map/remove", data={"name": "../depot.db"})
    assert again.status_code == 422
    assert "no such base map" in again.text.lower()
    assert client.delete(f"{URL}/b.mbtiles").status_code == 204
    assert client.get(URL).json() == {"source": None}


def test_what_a_crash_has_left_of_an_upload_is_deleted_at_the_next_start(depot: world.World) -> None:
    left = depot.settings.paths.data_dir / ".map.mbtiles.new"
    left.write_bytes(b"half")
    basemap.tidy(depot.settings)
    assert not left.exists()
