"""A page worth printing: A4, with whose it is, what it is, which world it speaks of, and tables that go over pages.

The font comes with us (`fonts/`, the Latin letters of DejaVu Sans Condensed), because the fonts that every reader of
PDF has lack letters such as the ũ of Wanjikũ. What it lacks too, an emoji, is printed as an empty box.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from django.utils.formats import date_format
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from fpdf import FPDF
from fpdf.enums import XPos, YPos
from fpdf.fonts import TTFFont

from tenants.clock import NAIROBI
from tenants.models import Branding, Tenant
from tenants.templatetags.tuzo import environment as environment_words

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise

_FONTS = Path(__file__).parent / "fonts"
_FONT = "DejaVu"
_BOX = "□"  # in the place of a character that the font lacks

_MARGIN = 14.0  # mm, as everything here
_ROW = 5.4
_LOGO_HEIGHT = 11.0
_GREY, _BLACK, _PAPER = (95, 95, 95), (20, 20, 20), (255, 255, 255)
_LINE, _HEAD = (205, 205, 205), (236, 236, 236)
_WARNING = (146, 64, 14)  # white on it has a contrast of 7:1
_WIDTHS_FROM = 200  # rows that decide how wide columns are


@dataclass(frozen=True, slots=True)
class Column:
    heading: "_StrOrPromise"
    is_number: bool = False  # on the right


class Sheet(FPDF):
    """Add parts from the top down: `facts`, `rows`; then `content()`.

    `about` is a line or two below the title, such as the days that it is about.
    """

    def __init__(
        self, *, tenant: Tenant, title: str, environment: str, about: Sequence[str], made_at: datetime
    ) -> None:
        super().__init__(format="A4")
        self.add_font(_FONT, "", _FONTS / "DejaVuSansCondensed.ttf")
        self.add_font(_FONT, "B", _FONTS / "DejaVuSansCondensed-Bold.ttf")
        self._known = set.intersection(*(set(font.cmap) for font in self.fonts.values() if isinstance(font, TTFFont)))
        self._tenant, self._title, self._about = tenant, title, about
        self._warning = "" if environment.upper() == "PRODUCTION" else str(environment_words(environment)["meaning"])
        self._made_at = made_at
        self.set_margin(_MARGIN)
        self.set_auto_page_break(auto=True, margin=_MARGIN + 8)
        self.set_title(self.printable(f"{title}, {tenant.business_name}"))
        self.set_creator("Tuzo")
        self.set_lang(get_language() or "en")
        self.set_creation_date(made_at)
        self.add_page()
        self._begin()

    # -- What fpdf calls on each page

    def header(self) -> None:
        """Practice and sandbox can't be mistaken for money, on any page."""
        self.set_y(_MARGIN)
        if self._warning:
            self.set_fill_color(*_WARNING)
            self._write(self._warning, size=10, bold=True, colour=_PAPER, height=7, align="C", fill=True)
            self.ln(2)
        if self.page > 1:
            self._write(f"{self._tenant.business_name} · {self._title}", size=8, colour=_GREY, height=5)
            self.ln(1)

    def footer(self) -> None:
        made = date_format(self._made_at.astimezone(NAIROBI), "j M Y, H:i")
        self.set_y(-_MARGIN - 2)
        self.set_font(_FONT, size=8)
        self.set_text_color(*_GREY)
        self.cell(self.epw * 0.7, 4, self.printable(_("Made by Tuzo on %(when)s (Nairobi)") % {"when": made}))
        page = _("Page %(page)s of %(pages)s") % {"page": self.page, "pages": self.str_alias_nb_pages}
        self.cell(self.epw * 0.3, 4, page, align="R")

    # -- Parts

    def _begin(self) -> None:
        logo = Branding.objects.filter(tenant=self._tenant).values_list("logo", flat=True).first()
        if logo:
            self.image(BytesIO(bytes(logo)), x=self.l_margin, y=self.get_y(), h=_LOGO_HEIGHT)
            self.ln(_LOGO_HEIGHT + 2)
        self._write(self._tenant.business_name, size=11, colour=_GREY, height=6)
        self._write(self._title, size=18, bold=True, height=9)
        for line in self._about:
            self._write(line, size=10, colour=_GREY, height=5.5)
        self.ln(3)

    def facts(self, pairs: Iterable[tuple[str, str]], *, in_a_row: int = 3) -> None:
        """Figures with a word above each."""
        width = self.epw / in_a_row
        waiting = list(pairs)
        while waiting:
            some, waiting = waiting[:in_a_row], waiting[in_a_row:]
            for size, style, colour, height, place in ((8, "", _GREY, 4.5, 0), (12, "B", _BLACK, 6.0, 1)):
                self.set_text_color(*colour)
                self.set_font(_FONT, style, size)
                for pair in some:
                    self.cell(width, height, self._cut(self.printable(pair[place]), width - 2))
                self.ln(height)
            self.ln(2.5)
        self.ln(1)

    def rows(self, columns: Sequence[Column], lines: Iterable[Sequence[str]], *, totals: Sequence[str] = ()) -> None:
        """Lines of text under headings that every page repeats. A text that is too long for its column ends in “…”."""
        coming = iter(lines)
        first = [line for line, _number in zip(coming, range(_WIDTHS_FROM), strict=False)]
        widths = self._widths(columns, [*first, totals] if totals else first)
        self._head(columns, widths)
        for some in (first, coming):
            for line in some:
                if self.will_page_break(_ROW):
                    self.add_page()
                    self._head(columns, widths)
                self._line(columns, line, widths)
        if totals:
            if self.will_page_break(_ROW):
                self.add_page()
                self._head(columns, widths)
            self._line(columns, totals, widths, bold=True)
        self.ln(3)

    def word(self, text: str, x: float, y: float, *, align: str) -> None:
        """A small word beside a drawing: it ends at `x`, or has its middle there (align R, C), `y` is its middle."""
        width = 18.0
        self.set_font(_FONT, size=7.5)
        self.set_text_color(*_GREY)
        self.set_xy(x - (width if align == "R" else width / 2), y - 2)
        self.cell(width, 4, self.printable(text), align=align)

    def content(self) -> bytes:
        return bytes(self.output())

    # -- How they are set

    def _head(self, columns: Sequence[Column], widths: Sequence[float]) -> None:
        """As many lines as the longest heading needs."""
        self.set_font(_FONT, "B", 8.5)
        self.set_text_color(*_BLACK)
        self.set_fill_color(*_HEAD)
        headings = [self.printable(str(column.heading)) for column in columns]
        wrapped = [
            cast("list[str]", self.multi_cell(width, 4.2, heading, dry_run=True, output="LINES"))
            for heading, width in zip(headings, widths, strict=True)
        ]
        most = max(len(lines) for lines in wrapped)
        self.rect(self.l_margin, self.get_y(), self.epw, most * 4.2 + 1.6, style="F")
        self.set_y(self.get_y() + 0.8)
        for number in range(most):
            for column, lines, width in zip(columns, wrapped, widths, strict=True):
                text = lines[number] if number < len(lines) else ""
                self.cell(width, 4.2, text, align="R" if column.is_number else "L")
            self.ln(4.2)
        self.ln(0.8)

    def _line(
        self, columns: Sequence[Column], line: Sequence[str], widths: Sequence[float], *, bold: bool = False
    ) -> None:
        self.set_font(_FONT, "B" if bold else "", 8.5)
        self.set_text_color(*_BLACK)
        for column, text, width in zip(columns, line, widths, strict=True):
            shown = self._cut(self.printable(text), width - 2)
            self.cell(width, _ROW, shown, align="R" if column.is_number else "L")
        self.ln(_ROW)
        self.set_draw_color(*_LINE)
        self.set_line_width(0.15)
        self.line(self.l_margin, self.get_y(), self.l_margin + self.epw, self.get_y())

    def _widths(self, columns: Sequence[Column], lines: Sequence[Sequence[str]]) -> list[float]:
        """Each column gets what its widest cell needs; figures are never cut, what is missing the texts give."""
        self.set_font(_FONT, "B", 8.5)
        needed = []
        for position, column in enumerate(columns):
            words = str(column.heading).split()
            texts = [*words, *(line[position] for line in lines)]
            needed.append(max(self.get_string_width(self.printable(text)) for text in texts) + 2.6)
        spare = self.epw - sum(needed)
        if spare >= 0:
            return [width + spare / len(needed) for width in needed]
        texts_need = sum(width for width, column in zip(needed, columns, strict=True) if not column.is_number)
        share = max(1 + spare / texts_need, 0.25) if texts_need else 1.0
        return [width if column.is_number else width * share for width, column in zip(needed, columns, strict=True)]

    def _write(self, text: str, *, size: float, height: float, bold: bool = False, **more: Any) -> None:
        """One line over the whole width."""
        self.set_font(_FONT, "B" if bold else "", size)
        self.set_text_color(*more.pop("colour", _BLACK))
        shown = self._cut(self.printable(text), self.epw - 2)
        self.cell(self.epw, height, shown, new_x=XPos.LMARGIN, new_y=YPos.NEXT, **more)

    def _cut(self, text: str, width: float) -> str:
        if self.get_string_width(text) <= width:
            return text
        while text and self.get_string_width(f"{text}…") > width:
            text = text[:-1]
        return f"{text.rstrip()}…"

    def printable(self, text: str) -> str:
        """The text with what the font can show: letters without an accent that it lacks, a box for what is strange."""
        if text.isascii() and text.isprintable():
            return text
        return "".join(self._shown(letter) for letter in unicodedata.normalize("NFC", text))

    def _shown(self, letter: str) -> str:
        if letter.isspace():
            return letter if letter == "\N{NO-BREAK SPACE}" else " "
        if ord(letter) in self._known:
            return letter
        if unicodedata.category(letter)[0] in "CM":  # joins or changes its neighbours, and is nothing by itself
            return ""
        parts = [part for part in unicodedata.normalize("NFKD", letter) if ord(part) in self._known]
        return "".join(parts) or _BOX
