"""A4 paper for what the box prints: fonts, colours, margins, page numbers, and text that people typed made drawable."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import cast

from fpdf import FPDF
from fpdf.bidi import BidiParagraph
from fpdf.enums import MethodReturnValue, TextDirection, XPos, YPos

from appliance import paths
from appliance.errors import ConfigError

FONTS = {"": "DejaVuSans.ttf", "B": "DejaVuSans-Bold.ttf"}

LEFT, TOP, WIDTH, BOTTOM = 20.0, 18.0, 170.0, 24.0  # millimetres, like all lengths on paper
LINE = 4.8

INK, GREY, RULE, ACCENT = (28, 32, 38), (102, 109, 120), (208, 213, 220), (22, 78, 112)
BODY, SMALL = 9.0, 7.5  # points

MAX_TEXT = 600
MAX_LINES = 10


class Paper(FPDF):
    """A4 with the box's two fonts, the same bytes for the same content: what it is dated and called comes from outside.

    `title` heads the second page and those after it; `imprint` stands at the foot of each beside the page number. With
    several letters `page_counts` says of each how many pages it has.
    Raises ConfigError where the fonts are missing.
    """

    def __init__(self, title: str, dated: date) -> None:
        super().__init__(format="A4")
        self.imprint = ""
        self.page_counts: list[int] = []
        self.before = self.pages_of_letter = 0
        self._next: tuple[str, str] | None = None
        for style, name in FONTS.items():
            file = paths.VENDOR_DIR / name
            if not file.is_file():
                raise ConfigError("font not found", subject=str(file), hint="run `make setup`")
            self.add_font("dejavu", style, file)
        self._drawable = set.intersection(*(set(font.cmap) for font in self.fonts.values()))  # type: ignore[union-attr]
        self.heading = self.clean(title)
        self.set_title(self.heading)
        self.set_creation_date(datetime(dated.year, dated.month, dated.day, tzinfo=UTC))
        self.set_creator("depotbox")
        self.set_lang("en")
        self.set_margins(LEFT, TOP, self.w - LEFT - WIDTH)
        self.set_auto_page_break(True, BOTTOM)
        self.c_margin = 0
        self.ink()

    def begin_letter(self, title: str, imprint: str) -> None:
        """Another letter on a page of its own, which counts its own pages. The footer of the page before is still that
        of the letter before."""
        self._next = (self.clean(title), self.clean(imprint))
        self.add_page()

    def header(self) -> None:
        if self._next:
            self.heading, self.imprint = self._next
            self._next = None
            self.before = self.page - 1
            self.pages_of_letter = self.page_counts.pop(0) if self.page_counts else 0
        elif self.page_no() > 1:
            self.ink(SMALL, GREY)
            self.cell(WIDTH, LINE, f"{self.heading}, continued", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
            self.rule(self.y + 1)
            self.set_y(self.y + 5)
            self.ink()

    def footer(self) -> None:
        self.rule(self.h - 18)
        self.set_y(self.h - 16)
        self.ink(SMALL, GREY)
        self.cell(120, LINE, self.clipped(self.imprint, 120))
        # {nb} becomes the number of pages once it is known; set flush right by the width that it will have.
        number = self.page_no() - self.before
        self.set_x(LEFT + WIDTH - self.get_string_width(f"Page {number} of {self.pages_of_letter or number}"))
        self.cell(0, LINE, f"Page {number} of {self.pages_of_letter or '{nb}'}")

    def throw_away(self) -> None:
        """Closes what was drawn on for a trial and is not put out."""
        for font in self.fonts.values():
            font.close()  # type: ignore[union-attr]

    def ink(self, size: float = BODY, colour: tuple[int, int, int] = INK, *, bold: bool = False) -> None:
        self.set_font("dejavu", "B" if bold else "", size)
        self.set_text_color(*colour)

    def rule(self, y: float, colour: tuple[int, int, int] = RULE, width: float = 0.2, x: float = LEFT) -> None:
        self.set_draw_color(*colour)
        self.set_line_width(width)
        self.line(x, y, LEFT + WIDTH, y)

    def block(self, x: float, width: float, text: str, line: float = LINE, align: str = "L") -> None:
        """Text at `x` that wraps within `width`; what comes next stands below it."""
        self.set_x(x)
        self.multi_cell(width, line, text, align=align, new_x=XPos.LMARGIN, new_y=YPos.NEXT)

    def clean(self, text: str) -> str:
        """One line that the font can draw, of a bounded length: what a person typed may be anything."""
        joined = " ".join(unicodedata.normalize("NFC", text).split())
        shown = "".join(
            char if ord(char) in self._drawable else "\ufffd" for char in joined if unicodedata.category(char)[0] != "C"
        )
        shown = shown if len(shown) <= MAX_TEXT else shown[: MAX_TEXT - 1] + "…"
        if any(unicodedata.bidirectional(char) in ("R", "AL") for char in shown):
            return BidiParagraph(shown, base_direction=TextDirection.LTR).get_reordered_string()
        return shown

    def lines_of(self, text: str, limit: int = MAX_LINES) -> list[str]:
        """The lines of an address or of bank details, the empty ones left out."""
        found = [line for line in map(self.clean, text.splitlines()) if line]
        return found if len(found) <= limit else [*found[: limit - 1], "…"]

    def clipped(self, text: str, width: float) -> str:
        """As much of a clean text as fits on one line of the font that is set."""
        if self.get_string_width(text) <= width:
            return text
        while text and self.get_string_width(text + "…") > width:
            text = text[:-1]
        return text.rstrip() + "…"

    def fitting(
        self, width: float, height: float, text: str, sizes: Sequence[float], *, bold: bool = False
    ) -> tuple[str, float, float]:
        """The text, its size and line height, at the largest size that fits; cut where even the smallest does not."""
        size = line = 0.0
        rows: list[str] = []
        for size in sizes:
            self.ink(size, bold=bold)
            line = size * 0.5
            measured = self.multi_cell(width, line, text, dry_run=True, output=MethodReturnValue.LINES)
            rows = cast("list[str]", measured)
            if len(rows) * line <= height:
                return text, size, line
        return "\n".join([*rows[: max(int(height / line) - 1, 0)], "…"]), size, line
