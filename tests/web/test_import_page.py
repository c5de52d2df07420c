"""`/trips/import`: the file, its columns, the preview, the import; and that the file stays nowhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from appliance.storage.db import rows
from tests.manifests import SEA, WEST
from tests.web import world
from tests.web.conftest import Client, problem, sign_in
from tests.web.serving import wait_for
from web.uploads import Uploads

PAGE = {"accept": "text/html"}


def upload(client: Client, content: bytes = SEA, payer: str = world.BROKER, name: str = "day.csv") -> str:
    answer = client.post("/trips/import", data={"payer": payer}, files={"file": (name, content)}, headers=PAGE)
    assert answer.status_code in (200, 422), answer.text
    return answer.text


def token(text: str) -> str:
    found = re.search(r"/trips/import/([\w-]+)/preview", text)
    assert found, text
    return found[1]


def chosen(text: str) -> dict[str, str]:
    """What the form of the columns would send as it stands."""
    form = text[text.index('name="column_0"') - 20 :]
    found: dict[str, str] = {}
    for name, options in re.findall(r'<select[^>]* name="(\w+)"[^>]*>(.*?)</select>', form, re.DOTALL):
        selected = re.search(r'<option value="([^"]*)" selected', options)
        found[name] = selected[1] if selected else ""
    for name, value in re.findall(r'<input type="(?:text|hidden)"[^>]* name="(\w+)" value="([^"]*)"', form):
        found[name] = value
    return found


def preview(client: Client, content: bytes = SEA, **more: str) -> tuple[str, str]:
    """The page of the preview, and the token of the upload."""
    text = upload(client, content)
    key = token(text)
    answer = client.post(
        f"/trips/import/{key}/preview", data=chosen(text) | {"level_0": "wheelchair"} | more, headers=PAGE
    )
    assert answer.status_code == 200, answer.text
    return answer.text, key


def imported(client: Client, text: str, key: str) -> Any:
    found = re.search(r'name="digest" value="(\w+)"', text)
    assert found
    return client.post(f"/trips/import/{key}/apply", data={"digest": found[1]}, headers=PAGE)


def test_three_steps_bring_a_day_in(client: Client, depot_db: Database) -> None:
    text, key = preview(client)
    assert "Zoë Brennan" in text
    assert "quarter to ten" in text
    assert "2 patients are new" in text
    assert rows(depot_db, "SELECT id FROM trips WHERE ref LIKE 'MB-%'") == []
    done = imported(client, text, key)
    assert "4 added, 1 bad row left out" in done.text
    assert len(rows(depot_db, "SELECT id FROM trips WHERE ref LIKE 'MB-%'")) == 4
    again, _ = preview(client)
    assert "Nothing to import" in again


def test_what_was_said_of_the_columns_is_there_the_next_time(client: Client) -> None:
    text = upload(client, WEST.encode())
    assert "guessed from their names" in text
    given = chosen(text) | {"level_0": "wheelchair"}
    assert given["word_0"] == "WHC"
    assert client.post(f"/trips/import/{token(text)}/preview", data=given, headers=PAGE).status_code == 200
    again = upload(client, WEST.encode())
    assert "remembered from this broker's last file" in again
    assert chosen(again)["level_0"] == "wheelchair"
    assert chosen(again)["date_format"] == "mdy"


def test_a_word_that_means_nothing_yet_is_asked_for(client: Client) -> None:
    text = upload(client, WEST.encode())
    answer = client.post(f"/trips/import/{token(text)}/preview", data=chosen(text), headers=PAGE)
    assert answer.status_code == 422
    assert "say what these words for levels of service mean" in answer.text


def test_a_day_that_changed_meanwhile_is_shown_anew(client: Client) -> None:
    text, key = preview(client)
    new = {"pickup_at": "2026-02-13T09:00:00Z", "pickup_address": "x", "dropoff_address": "y"}
    made = client.post("/api/v1/trips", json=new | {"ref": "MB-301", "payer": world.BROKER})
    assert made.status_code == 201
    answer = imported(client, text, key)
    assert answer.status_code == 422
    assert "The day was changed meanwhile, and nothing was imported" in answer.text
    assert 'id="changed-title"' in answer.text
    assert "3 added, 1 changed" in imported(client, answer.text, key).text


def test_a_file_that_is_none_is_said_beside_its_field(client: Client) -> None:
    for content, said in ((b"PK\x03\x04", "This is a spreadsheet"), (b"", "The file is empty")):
        assert said in upload(client, content)
    assert "Expected a broker or a facility" in upload(client, payer="")


def test_the_file_is_in_no_file_of_the_box(client: Client, depot: world.World) -> None:
    marked = SEA.replace(b"Broadgreen", b"Zanzibarium")
    text, key = preview(client, marked)
    assert "Zanzibarium" in text
    folder = Path(depot.settings.storage.data_dir)
    assert [file for file in folder.rglob("*") if file.is_file() and b"Zanzibarium" in file.read_bytes()] == []
    client.post(f"/trips/import/{key}/drop", headers=PAGE)
    gone = client.post(f"/trips/import/{key}/preview", data={}, headers=PAGE)
    assert "The file is not kept any more" in gone.text


def test_a_file_is_its_users_own(client: Client, depot: world.World) -> None:
    key = token(upload(client))
    sign_in(client, depot, "dispatcher")
    assert "not kept any more" in client.post(f"/trips/import/{key}/columns", headers=PAGE).text
    sign_in(client, depot, "viewer")
    problem(client.post(f"/trips/import/{key}/columns"), 403)


def test_a_file_goes_by_itself_and_makes_room() -> None:
    uploads = Uploads(kept_s=0.05)
    made = uploads.put(1, "Broker", "a.csv", b"x")
    assert uploads.get(made.token, 1) is made
    assert uploads.get(made.token, 2) is None
    wait_for(lambda: len(uploads) == 0, "it is gone")
    held = Uploads()
    for user in range(10):
        held.put(user, "Broker", "a.csv", b"x")
    held.put(9, "Broker", "b.csv", b"x")
    assert len(held) == 8
