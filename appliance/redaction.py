"""Taking people and secrets out of what leaves the box's own pages: log lines that are shown, the diagnostics bundle.

Nothing of either should be in there. This is the net below: every word of a name and every address, number and secret
that the box knows is looked for, and whatever has the form of an e-mail address, a token, a telephone number or a key.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from sqlite_utils import Database

from appliance.config import Settings
from appliance.storage import personal

PERSON, SECRET, PLACE = "[person]", "[secret]", "[place]"
SHORTEST_WORD = 3
SHORTEST_SECRET = 6
PLACES = frozenset({"lat", "lon", "latitude", "longitude"})
"""Keys whose values say where a vehicle was."""
AS_IT_IS = frozenset({"event", "level", "role", "timestamp", "logger"})
"""Keys of a log line whose values are the program's own words."""

_WORD = re.compile(r"\w+")
_E_MAIL = re.compile(r"[\w.+-]+@[\w-]+(\.[\w-]+)+")
_PHONE = re.compile(r"\+\d[\d ()/-]{6,}\d")
_USERINFO = re.compile(r"(?<=://)[^/@\s]+@")
_PEM = re.compile(r"-----BEGIN [A-Z ]+-----.*?(-----END [A-Z ]+-----|\Z)", re.DOTALL)
_TOKEN = re.compile(r"[A-Za-z0-9_+=-]{32,}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_FRAME = re.compile(r"\s+File |Traceback |\s*$")


class Redactor:
    """Knows what must not be seen."""

    def __init__(self, names: Iterable[str] = (), texts: Iterable[str] = (), secrets: Iterable[str] = ()) -> None:
        self._phrases: dict[str, set[tuple[str, ...]]] = defaultdict(set)
        for name in names:
            self._learn(name)
            for word in _WORD.findall(name):
                if len(word) >= SHORTEST_WORD:
                    self._learn(word)
        for text in texts:
            self._learn(text)
            for part in re.split(r"[,\n;]", text):
                if len(_WORD.findall(part)) > 1:
                    self._learn(part)
        self._secrets = sorted({one for one in secrets if len(one) >= SHORTEST_SECRET}, key=len, reverse=True)

    def text(self, text: str) -> str:
        """The text without people and secrets."""
        for secret in self._secrets:
            text = text.replace(secret, SECRET)
        text = _PEM.sub(SECRET, text)
        text = _USERINFO.sub(f"{SECRET}@", text)
        text = _E_MAIL.sub(PERSON, text)
        text = _PHONE.sub(PERSON, text)
        text = _TOKEN.sub(lambda found: found[0] if _is_plain(found[0]) else SECRET, text)
        return self._without_people(text)

    def value(self, value: Any) -> Any:
        """The same for a value of JSON, however deep; keys stay as they are, but for those of places."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {key: PLACE if key in PLACES else self.value(one) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(one) for one in value]
        return value

    def line(self, event: dict[str, Any]) -> dict[str, Any]:
        """A line of the log. Of an error its kind and where it came from are left, not what it says."""
        found = {}
        for key, value in event.items():
            if key in AS_IT_IS and "role" in event:
                found[key] = value
            elif key == "exception":
                found[key] = _frames(str(value))
            else:
                found[key] = PLACE if key in PLACES else self.value(value)
        return found

    def _learn(self, text: str) -> None:
        words = tuple(word.casefold() for word in _WORD.findall(text))
        if words and sum(map(len, words)) >= SHORTEST_WORD:
            self._phrases[words[0]].add(words)

    def _without_people(self, text: str) -> str:
        words = list(_WORD.finditer(text))
        folded = [word[0].casefold() for word in words]
        kept, at, index = [], 0, 0
        while index < len(words):
            fitting = [
                one for one in self._phrases.get(folded[index], ()) if tuple(folded[index : index + len(one)]) == one
            ]
            if not fitting:
                index += 1
                continue
            longest = max(map(len, fitting))
            kept += [text[at : words[index].start()], PERSON]
            at = words[index + longest - 1].end()
            index += longest
        return "".join([*kept, text[at:]])


def of_box(settings: Settings, db: Database) -> Redactor:
    """One that knows this box's people and secrets."""
    secrets = [settings.mail.password, settings.depot.tax_id, *settings.depot.bank_details.splitlines()]
    for file in settings.paths.secrets_dir.glob("*"):
        if file.is_file():
            secrets += [line.strip() for line in file.read_text(encoding="utf-8", errors="replace").splitlines()]
    return Redactor(personal.names(db), personal.texts(db), secrets)


def _is_plain(text: str) -> bool:
    """What is long and no secret: an id of a job, a run of one sign, words in snake case."""
    return bool(_UUID.fullmatch(text)) or len(set(text)) < 5 or not any(one.isdigit() for one in text)


def _frames(text: str) -> str:
    """Where an error came from, and of what kind it was."""
    lines = text.splitlines()
    kept = [line for line in lines if _FRAME.match(line)]
    return "\n".join([*kept, lines[-1].partition(":")[0]] if lines else kept)
