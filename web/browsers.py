"""What a browser is called, so that people know their logins apart. Nothing is decided by it."""

from __future__ import annotations

import re

_BROWSERS = (("Edg", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("FxiOS/", "Firefox"), ("Chrome/", "Chrome"),
             ("CriOS/", "Chrome"), ("Safari/", "Safari"))  # fmt: skip
_SYSTEMS = (("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Windows", "Windows"),
            ("CrOS", "ChromeOS"), ("Mac OS X", "macOS"), ("Linux", "Linux"))  # fmt: skip


def name(user_agent: str) -> str:
    """`Firefox on Windows`; of what is none of the usual ones the first word, at most 40 letters of it."""
    browser = next((word for mark, word in _BROWSERS if mark in user_agent), "")
    system = next((word for mark, word in _SYSTEMS if mark in user_agent), "")
    if browser:
        return f"{browser} on {system}" if system else browser
    found = re.match(r"[A-Za-z][\w.-]{0,39}", user_agent)
    return found.group() if found else "unknown"
