"""Figures of reports as their columns say. A row is made at once: two years of days are thousands of cells."""

from collections.abc import Callable, Sequence
from typing import Any

from django import template
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from payments.reports.table import Column, Kind
from tenants.spreadsheets import Cell
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
def report_row(row: Sequence[Cell], columns: Sequence[Column]) -> SafeString:
    """The cells of a row of the table, the first of which names it."""
    shown = [_SHOW[column.kind](cell) for cell, column in zip(row, columns, strict=True)]
    rest = "".join([f'<td class="money">{cell}</td>' for cell in shown[1:]])
    return mark_safe(f'<th scope="row">{shown[0]}</th>{rest}')  # noqa: S308  as above
