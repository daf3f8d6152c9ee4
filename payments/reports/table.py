"""What every report is: rows under columns, with totals. The page, its chart and the downloads all read this."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING

from django.utils.translation import gettext

from payments.reports.period import Period
from tenants.spreadsheets import Cell

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise


class Kind(StrEnum):
    TEXT = "text"
    DATE = "date"
    COUNT = "count"
    MONEY = "money"  # KES, a Decimal with two places


@dataclass(frozen=True, slots=True)
class Column:
    label: "_StrOrPromise"
    kind: Kind = Kind.TEXT

    @property
    def adds_up(self) -> bool:
        return self.kind in {Kind.COUNT, Kind.MONEY}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportTable:
    """A report that was made. The first column names the row; a cell's type follows from its column's kind."""

    title: "_StrOrPromise"
    environment: str
    period: Period
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    charted: int  # the number of the column that the chart shows, from 0
    note: "_StrOrPromise" = ""  # what a reader of the figures has to know

    @property
    def is_nothing(self) -> bool:
        """Is there no figure in it but 0?"""
        return not any(self.totals[1:])

    @property
    def totals(self) -> tuple[Cell, ...]:
        """One cell for each column: the word first, then the sums of what adds up."""
        sums = [
            sum((row[position] for row in self.rows), Decimal(0) if column.kind == Kind.MONEY else 0)  # type: ignore[misc,arg-type]
            if column.adds_up
            else None
            for position, column in enumerate(self.columns)
        ]
        return (gettext("Total"), *sums[1:])

    @property
    def lines(self) -> list[Sequence[Cell]]:
        """As a spreadsheet has it: header, rows, totals."""
        return [tuple(str(column.label) for column in self.columns), *self.rows, self.totals]
