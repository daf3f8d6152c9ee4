"""Tables that people download, as CSV or XLSX, and open in a spreadsheet.

What people typed may begin like a formula. A spreadsheet that opens a CSV would run it, so an apostrophe goes before
it (`harmless`); in an XLSX it is written as text.
"""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import IO, Any

import xlsxwriter
from django.utils import timezone

from tenants.clock import NAIROBI

_BEGINS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r")

_ROWS_OF_A_SHEET = 1_048_576  # that Excel opens
_NOT_IN_NAMES = re.compile(r"[\[\]:*?/\\']")  # of sheets

Cell = str | int | Decimal | date | datetime | None
Line = Sequence[Cell]


def harmless(text: str) -> str:
    """A text that no spreadsheet takes for a formula: `"=1+1"` → `"'=1+1"`."""
    return f"'{text}" if text.startswith(_BEGINS_A_FORMULA) else text


def as_typed(text: str) -> str:
    """The text before `harmless`, when a file of ours comes back."""
    return text[1:] if text.startswith("'") and text[1:].startswith(_BEGINS_A_FORMULA) else text


def write_csv(file: IO[bytes], lines: Iterable[Line]) -> None:
    """Times are ISO 8601 in Nairobi's offset, amounts plain decimals. UTF-8, with the mark at its start that Excel
    needs. Only the line at hand is in memory."""
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="", write_through=False)
    writer = csv.writer(text)
    writer.writerows([_plain(cell) for cell in line] for line in lines)
    text.flush()
    text.detach()


def csv_bytes(lines: Iterable[Line]) -> bytes:
    content = io.BytesIO()
    write_csv(content, lines)
    return content.getvalue()


def write_xlsx(file: IO[bytes], lines: Iterable[Line], *, sheet: str, bold: frozenset[int] = frozenset({0})) -> None:
    """A workbook whose first line is frozen. `bold`: the numbers of the lines that are, from 0.

    A sheet holds 1,048,576 rows: what is beyond goes on in a further sheet, under the same first line. Rows wait in a
    file of the system's temporary folder, not in memory.
    """
    with xlsxwriter.Workbook(file, {"constant_memory": True}) as workbook:
        formats = {
            (number_format, is_bold): workbook.add_format({"num_format": number_format, "bold": is_bold})
            for number_format in ("General", "@", "#,##0", "#,##0.00", "yyyy-mm-dd", "yyyy-mm-dd hh:mm:ss")
            for is_bold in (False, True)
        }
        page, row = _add_sheet(workbook, sheet[:31]), 0
        header: Line = ()
        for number, line in enumerate(lines):
            header = header or line
            if row == _ROWS_OF_A_SHEET:
                page, row = _add_sheet(workbook, f"{sheet[:24]} {len(workbook.worksheets()) + 1}"), 1
                _write_line(page, 0, header, formats, is_bold=True)
            _write_line(page, row, line, formats, is_bold=number in bold)
            row += 1


def xlsx_bytes(lines: Iterable[Line], *, sheet: str, bold: frozenset[int] = frozenset({0})) -> bytes:
    content = io.BytesIO()
    write_xlsx(content, lines, sheet=sheet, bold=bold)
    return content.getvalue()


def _add_sheet(workbook: Any, name: str) -> Any:
    page = workbook.add_worksheet(_NOT_IN_NAMES.sub(" ", name))
    page.freeze_panes(1, 0)
    page.set_column(0, 40, 16)
    return page


def _write_line(page: Any, row: int, line: Line, formats: Mapping[tuple[str, bool], Any], *, is_bold: bool) -> None:
    for column, cell in enumerate(line):
        match cell:
            case None | "":
                pass
            case str():
                page.write_string(row, column, cell, formats["@", is_bold])
            case int():
                page.write_number(row, column, cell, formats["#,##0", is_bold])
            case Decimal():
                page.write_number(row, column, cell, formats["#,##0.00", is_bold])
            case datetime():
                local = cell.astimezone(NAIROBI).replace(tzinfo=None) if timezone.is_aware(cell) else cell
                page.write_datetime(row, column, local, formats["yyyy-mm-dd hh:mm:ss", is_bold])
            case date():
                page.write_datetime(row, column, cell, formats["yyyy-mm-dd", is_bold])


def _plain(cell: Cell) -> str | int:
    match cell:
        case None:
            return ""
        case str():
            return harmless(cell)
        case datetime():
            return (cell.astimezone(NAIROBI) if timezone.is_aware(cell) else cell).isoformat(timespec="seconds")
        case Decimal() | date():
            return str(cell)
        case _:
            return cell
