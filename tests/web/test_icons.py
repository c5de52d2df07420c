"""The signs of the pages: each one that is used has a picture."""

from __future__ import annotations

import re
from pathlib import Path

from appliance.paths import VENDOR_DIR, WEB_DIR
from web import icons

USED = re.compile(r"""icon\(["']([a-z_-]+)["']|["'`]#i-([a-z-]+)""")


def test_every_name_has_its_picture() -> None:
    sprite = icons.sprite(VENDOR_DIR)
    assert set(re.findall(r'<symbol id="i-([a-z-]+)"', sprite)) == set(icons.NAMES)
    assert "http" not in sprite


def test_pages_use_no_sign_that_is_not_there() -> None:
    files = [*WEB_DIR.glob("templates/**/*.html"), *WEB_DIR.glob("static/*.js")]
    used = {name for file in files for found in USED.findall(file.read_text()) for name in found if name}
    assert "van" in used
    assert used <= set(icons.NAMES)


def test_without_the_pictures_the_pages_work(tmp_path: Path) -> None:
    assert icons.sprite(tmp_path) == '<svg hidden aria-hidden="true"></svg>'
