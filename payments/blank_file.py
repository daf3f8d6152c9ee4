"""A spreadsheet to fill in and upload: the columns that it may have, and no rows."""

import csv
import io
from collections.abc import Collection, Sequence

import xlsxwriter

_WIDTH = 22  # characters


def as_csv(headers: Sequence[str]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerow(headers)
    return text.getvalue().encode("utf-8-sig")


def as_xlsx(headers: Sequence[str], *, needed: Collection[str], sheet: str) -> bytes:
    """Every column but the amount is text, so that no spreadsheet shortens a number or drops its first nought."""
    content = io.BytesIO()
    with xlsxwriter.Workbook(content) as workbook:
        page = workbook.add_worksheet(sheet)
        text, number = workbook.add_format({"num_format": "@"}), workbook.add_format({"num_format": "0"})
        must, may = workbook.add_format({"bold": True}), workbook.add_format({"italic": True})
        for column, header in enumerate(headers):
            page.set_column(column, column, _WIDTH, number if header == "amount" else text)
            page.write_string(0, column, header, must if header in needed else may)
        page.freeze_panes(1, 0)
    return content.getvalue()
