"""Tables that people download, as CSV or XLSX, and open in a spreadsheet.

What people typed may begin like a formula. A spreadsheet that opens a CSV would run it, so an apostrophe goes before
it (`harmless`); in an XLSX it is written as text.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import TextIO

import xlsxwriter
from django.utils import timezone

_BEGINS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r")

Cell = str | int | Decimal | date | datetime | None
Line = Sequence[Cell]


def harmless(text: str) -> str:
    """A text that no spreadsheet takes for a formula: `"=1+1"` → `"'=1+1"`."""
    return f"'{text}" if text.startswith(_BEGINS_A_FORMULA) else text


def as_typed(text: str) -> str:
    """The text before `harmless`, when a file of ours comes back."""
    return text[1:] if text.startswith("'") and text[1:].startswith(_BEGINS_A_FORMULA) else text


def write_csv(file: TextIO, lines: Iterable[Line]) -> None:
    """Times are ISO 8601 in Nairobi's offset, amounts plain decimals."""
    writer = csv.writer(file)
    writer.writerows([_plain(cell) for cell in line] for line in lines)


def csv_bytes(lines: Iterable[Line]) -> bytes:
    """UTF-8, with the mark at its start that Excel needs."""
    text = io.StringIO(newline="")
    write_csv(text, lines)
    return text.getvalue().encode("utf-8-sig")


def xlsx_bytes(lines: Iterable[Line], *, sheet: str, bold: frozenset[int] = frozenset({0})) -> bytes:
    """A workbook of one sheet, its first line frozen. `bold`: the numbers of the lines that are, from 0."""
    content = io.BytesIO()
    with xlsxwriter.Workbook(content, {"constant_memory": True}) as workbook:
        formats = {
            (number_format, is_bold): workbook.add_format({"num_format": number_format, "bold": is_bold})
            for number_format in ("General", "@", "#,##0", "#,##0.00", "yyyy-mm-dd", "yyyy-mm-dd hh:mm:ss")
            for is_bold in (False, True)
        }
        page = workbook.add_worksheet(sheet[:31])
        page.freeze_panes(1, 0)
        page.set_column(0, 40, 16)
        for row, line in enumerate(lines):
            for column, cell in enumerate(line):
                match cell:
                    case None | "":
                        pass
                    case str():
                        page.write_string(row, column, cell, formats["@", row in bold])
                    case int():
                        page.write_number(row, column, cell, formats["#,##0", row in bold])
                    case Decimal():
                        page.write_number(row, column, cell, formats["#,##0.00", row in bold])
                    case datetime():
                        local = timezone.make_naive(cell) if timezone.is_aware(cell) else cell
                        page.write_datetime(row, column, local, formats["yyyy-mm-dd hh:mm:ss", row in bold])
                    case date():
                        page.write_datetime(row, column, cell, formats["yyyy-mm-dd", row in bold])
    return content.getvalue()


def _plain(cell: Cell) -> str | int:
    match cell:
        case None:
            return ""
        case str():
            return harmless(cell)
        case datetime():
            return (timezone.localtime(cell) if timezone.is_aware(cell) else cell).isoformat(timespec="seconds")
        case Decimal() | date():
            return str(cell)
        case _:
            return cell
