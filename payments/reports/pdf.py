"""A report on paper: its totals, its chart and its table."""

from datetime import date, datetime
from decimal import Decimal

from django.utils.formats import date_format
from django.utils.translation import gettext as _

from payments.reports import chart
from payments.reports.table import Column, Kind, ReportTable
from tenants import pdf
from tenants.queue import require_current_tenant
from tenants.spreadsheets import Cell
from tenants.templatetags.tuzo import count, kes

_BAR, _GRID = (11, 107, 58), (222, 222, 222)
_HEIGHT = 55.0  # mm, of the chart


def pdf_bytes(table: ReportTable, *, now: datetime) -> bytes:
    """Of the present business, in the language in use."""
    period = table.period
    days = " \N{EN DASH} ".join(dict.fromkeys([_day(period.first), _day(period.last)]))
    sheet = pdf.Sheet(
        tenant=require_current_tenant(),
        title=str(table.title),
        environment=table.environment,
        about=[f"{days}, " + _("by Kenya's clock"), *([str(table.note)] if table.note else [])],
        made_at=now,
    )
    totals = table.totals
    sheet.facts(
        (str(column.label), _figure(cell, column))
        for column, cell in zip(table.columns, totals, strict=True)
        if column.adds_up
    )
    if drawn := chart.draw(table):
        _draw(sheet, drawn)
    sheet.rows(
        [pdf.Column(column.label, column.adds_up) for column in table.columns],
        ([_text(cell, column) for cell, column in zip(row, table.columns, strict=True)] for row in table.rows),
        totals=[_text(cell, column) for cell, column in zip(totals, table.columns, strict=True)],
    )
    return sheet.content()


def _figure(cell: Cell, column: Column) -> str:
    return kes(cell) if column.kind == Kind.MONEY else _text(cell, column)  # type: ignore[arg-type]  # by the kind


def _text(cell: Cell, column: Column) -> str:
    match cell:
        case Decimal():
            return f"{cell:,.2f}"
        case int():
            return count(cell)
        case date():
            return _day(cell)
        case _:
            return str(cell or "")


def _day(value: date) -> str:
    return date_format(value, "j M Y")


def _draw(sheet: pdf.Sheet, drawn: chart.Chart) -> None:
    """The bars of the page, as wide as the paper."""
    left, top = sheet.l_margin, sheet.get_y()
    across, down = sheet.epw / chart.WIDTH, _HEIGHT / chart.HEIGHT  # mm for a unit of the drawing

    def place(x: str | float, y: str | float) -> tuple[float, float]:
        return left + float(x) * across, top + float(y) * down

    sheet.set_draw_color(*_GRID)
    sheet.set_line_width(0.2)
    for line in drawn.lines:
        sheet.line(*place(chart.LEFT, line.at), *place(chart.WIDTH, line.at))
        sheet.word(line.word, *place(chart.LEFT - 3, line.at), align="R")
    sheet.set_fill_color(*_BAR)
    for bar in drawn.bars:
        if float(bar.height) == 0:
            continue  # it would be printed as a line
        sheet.rect(*place(bar.x, bar.y), float(bar.width) * across, float(bar.height) * down, style="F")
    for name in drawn.names:
        sheet.word(name.word, *place(name.at, chart.HEIGHT - 10), align="C")
    sheet.set_y(top + _HEIGHT + 3)
