"""Figures of reports as their columns say. All rows are made at once: two years of days are thousands of cells."""

from collections.abc import Callable
from typing import Any

from django import template
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from payments.reports.table import Kind, ReportTable
from tenants.templatetags.tuzo import count, day, kes

register = template.Library()

# What comes out of these is safe: figures have no letters that HTML reads, and text is escaped.
_SHOW: dict[Kind, Callable[[Any], str]] = {
    Kind.MONEY: kes,
    Kind.COUNT: count,
    Kind.DATE: day,
    Kind.TEXT: escape,
}


@register.filter
def report_rows(table: ReportTable) -> SafeString:
    """The rows of the table; the first cell of each names it."""
    shows = [_SHOW[column.kind] for column in table.columns]
    rows = []
    for row in table.rows:
        first, *rest = [show(cell) for show, cell in zip(shows, row, strict=True)]
        cells = "".join([f'<td class="money">{cell}</td>' for cell in rest])
        rows.append(f'<tr><th scope="row">{first}</th>{cells}</tr>')
    return mark_safe("\n".join(rows))  # noqa: S308  as above
