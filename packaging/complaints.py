"""What external commands print, reduced to the one line that a person needs."""

from __future__ import annotations

import re


def last_line(text: str) -> str:
    """The last line with something in it, its blanks reduced to single ones and control characters dropped."""
    lines = [" ".join(line.split()) for line in text.replace("\r", "\n").split("\n")]
    newest = next((line for line in reversed(lines) if line), "")
    return "".join(character for character in newest if character.isprintable())


def telling_line(complaints: str) -> str:
    """The line of an error output that says most: the last one that is an error, else the last one at all.

    pip, apt and npm each end with lines that only say where to read on, or that a newer pip exists. pip calls a
    registry that it cannot reach "no matching distribution", so what broke the connection is said as well.
    """
    idle = ("[notice]", "warning:", "w:", "n:", "npm warn", "npm notice", "npm error a complete log", "e: some index")
    lines = [last_line(line) for line in complaints.replace("\r", "\n").split("\n")]
    told = [line for line in lines if line and not line.lower().startswith(idle)]
    errors = [line for line in told if line.lower().startswith(("error", "e:", "npm error", "fatal"))]
    telling = next(iter((*reversed(errors), *reversed(told), last_line(complaints))), "")
    if telling.endswith(":"):
        telling = " ".join([telling, *lines[lines.index(telling) + 1 :][:1]])
    broken = re.findall(r"connection broken by '(.+)': /", complaints)
    return f"{telling} [{without_python(broken[-1])}]" if broken else telling


def without_python(reason: str) -> str:
    """An exception's message out of its repr, also where exceptions are wrapped in one another."""
    return re.sub(r"""^(\w+\((\d+, )?)+['"]?(<[^>]*>: )?|['"]?\)+$""", "", reason)
