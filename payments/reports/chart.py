"""A report as bars: where each stands, for a template to draw. The table behind it has the figures."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from django.utils.formats import date_format
from django.utils.translation import gettext as _

from payments.reports.table import Kind, ReportTable

WIDTH, HEIGHT = 400, 210
_TOP, _BOTTOM, LEFT = 12, 184, 46  # of the field that the bars stand in
_MOST_BARS = 120  # that a pointer can rest on one by one
_MOST_NAMES = 6  # under the bars; more would run into each other
_LONGEST_NAME = 9
_STEPS = (Decimal(1), Decimal(2), Decimal("2.5"), Decimal(5), Decimal(10))


@dataclass(frozen=True, slots=True)
class Bar:
    x: str
    y: str
    width: str
    height: str
    title: str  # what a pointer that rests on it shows; nothing where there are too many to tell apart


@dataclass(frozen=True, slots=True)
class Mark:
    """A name under the bars at `x`, or a figure beside a line at `y`."""

    at: str
    word: str


@dataclass(frozen=True, slots=True)
class Chart:
    bars: Sequence[Bar]
    names: Sequence[Mark]
    lines: Sequence[Mark]
    sentence: str  # for who can't see it

    @property
    def outline(self) -> str:
        """All bars as one path, where they are too many and too thin to be told apart; else empty."""
        if len(self.bars) <= _MOST_BARS:
            return ""
        return "".join(f"M{bar.x} {bar.y}h{bar.width}v{bar.height}h-{bar.width}z" for bar in self.bars)


def draw(table: ReportTable) -> Chart | None:
    """None if there is nothing to draw: no rows, or all of them 0."""
    column = table.columns[table.charted]
    values = [Decimal(str(row[table.charted])) for row in table.rows]
    highest = max(values, default=Decimal(0))
    if highest <= 0:
        return None
    top = _round_up(highest)
    slot = Decimal(WIDTH - LEFT) / len(values)
    gap = min(slot / 5, Decimal(8))
    width = min(slot - gap, Decimal(48))
    bars, names = [], []
    every = -(-len(values) // _MOST_NAMES)
    for number, (row, value) in enumerate(zip(table.rows, values, strict=True)):
        middle = LEFT + slot * number + slot / 2
        height = (_BOTTOM - _TOP) * max(value, Decimal(0)) / top
        is_named, is_titled = number % every == 0, len(values) <= _MOST_BARS
        word = _name(row[0]) if is_named or is_titled else ""
        title = f"{word}: {value:,}" if is_titled else ""
        bars.append(Bar(_at(middle - width / 2), _at(_BOTTOM - height), _at(width), _at(height), title))
        if is_named:
            names.append(Mark(_at(middle), word if len(word) <= _LONGEST_NAME else f"{word[: _LONGEST_NAME - 1]}…"))
    best = table.rows[values.index(highest)][0]
    unit = "KES " if column.kind == Kind.MONEY else ""
    return Chart(
        bars,
        names,
        [Mark(_at(_BOTTOM - Decimal(_BOTTOM - _TOP) * part / 2), _short(top * part / 2)) for part in range(3)],
        _("%(column)s. Most: %(name)s with %(value)s. The table below has every figure.")
        % {"column": column.label, "name": _name(best), "value": f"{unit}{highest:,}"},
    )


def _name(cell: object) -> str:
    return date_format(cell, "j M") if isinstance(cell, date) else str(cell)


def _round_up(highest: Decimal) -> Decimal:
    """To a figure that people read at a glance: 4,310 → 5,000."""
    magnitude = Decimal(10) ** highest.adjusted()
    return next(step * magnitude for step in _STEPS if step * magnitude >= highest)


def _short(value: Decimal) -> str:
    """`1.5M`, `250k`, `40`."""
    for size, letter in ((1_000_000, "M"), (1_000, "k")):
        if value >= size:
            return f"{(value / size).normalize():f}{letter}"
    return f"{value.normalize():f}"


def _at(value: Decimal) -> str:
    """With a point, whatever the language: SVG reads no comma."""
    return f"{value:.1f}"
