"""A spreadsheet to fill in and upload: the columns that a batch may have, and no rows."""

import csv
import io

import xlsxwriter

from payments.payouts.checking import required_columns
from payments.payouts.files import headers

_WIDTH = 22  # characters


def as_csv(kind: str) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerow(headers(kind).values())
    return text.getvalue().encode("utf-8-sig")


def as_xlsx(kind: str) -> bytes:
    """Every column but the amount is text, so that no spreadsheet shortens a number or drops its first nought."""
    content = io.BytesIO()
    needed = required_columns(kind)
    with xlsxwriter.Workbook(content) as workbook:
        sheet = workbook.add_worksheet("Payouts")
        text, number = workbook.add_format({"num_format": "@"}), workbook.add_format({"num_format": "0"})
        must, may = workbook.add_format({"bold": True}), workbook.add_format({"italic": True})
        for column, (name, header) in enumerate(headers(kind).items()):
            sheet.set_column(column, column, _WIDTH, number if name == "amount" else text)
            sheet.write_string(0, column, header, must if name in needed else may)
        sheet.freeze_panes(1, 0)
    return content.getvalue()
