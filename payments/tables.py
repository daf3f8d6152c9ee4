"""Tables that people upload, CSV or XLSX, as rows of text: whatever the spreadsheet did to them on the way."""

import csv
import io
import re
import zipfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

import openpyxl
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from tenants.errors import Invalid

_UNPACKED_MAX_BYTES = 200_000_000  # of an XLSX, which is a ZIP
_MOST_COLUMNS = 64
_MOST_SENTENCES = 100
_DELIMITERS = (",", ";", "\t", "|")
_LINES_TO_JUDGE_BY = 200

Cells = tuple[str, ...]


class UnreadableTable(Invalid):
    """The file is no table that we can read; `errors["file"]` says why, a sentence for each thing."""

    code = "unreadable_file"


class BinaryFile(Protocol):
    def read(self, size: int = ..., /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Row:
    number: int  # from 1, as a spreadsheet shows it
    cells: Cells  # as many as there are headers; '' where the file has nothing


@dataclass(frozen=True, slots=True)
class Table:
    """The rows under a header. A cell is text without spaces around it, nothing else is done to it: "=1+1" stays."""

    above: tuple[Cells, ...]  # the lines above the header that are not empty
    headers: Cells  # as `column_name` gives them
    rows: tuple[Row, ...]  # without the empty ones

    def records(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Each row's number and its cells by column."""
        for row in self.rows:
            yield row.number, dict(zip(self.headers, row.cells, strict=True))


def column_name(header: str) -> str:
    """`"Receipt No."` → `"receipt_no"`: capitals, spaces and punctuation in a header don't count."""
    return re.sub(r"[^0-9a-z]+", "_", header.lower()).strip("_")


def read_table(file: BinaryFile, *, maximum_bytes: int, maximum_rows: int, header_has: Collection[str] = ()) -> Table:
    """Read a CSV (comma, semicolon, tab or bar; UTF-8, UTF-16 or Windows-1252) or the first sheet of an XLSX.

    The header is the first row that has all the columns of `header_has`, compared by `column_name`. Without
    `header_has` it is the first row that is not empty.

    Times of an XLSX become "2026-08-01 10:13:00", its numbers as few digits as they need.

    :raises UnreadableTable: if it is too large, no table, without that header, or a row has more cells than the header.
    """
    content = file.read(maximum_bytes + 1)
    if len(content) > maximum_bytes:
        raise _unreadable(_("The file is larger than %(most)s MB. Split it.") % {"most": maximum_bytes // 1_000_000})
    if not content.strip():
        raise _unreadable(_("The file is empty."))
    lines = _sheet(content) if content.startswith(b"PK\x03\x04") else _csv(content)
    return _table(lines, maximum_rows=maximum_rows, header_has=header_has)


def _table(lines: Iterable[Cells], *, maximum_rows: int, header_has: Collection[str]) -> Table:
    wanted = {column_name(name) for name in header_has}
    above: list[Cells] = []
    headers: Cells = ()
    rows: list[Row] = []
    too_wide: list[str] = []
    for number, line in enumerate(lines, start=1):
        if not any(line):
            continue
        if not headers:
            headers = _headers(line, wanted)
            if not headers:
                above.append(line)
            continue
        if len(rows) == maximum_rows:
            raise _unreadable(_("The file has more than %(most)s rows. Split it.") % {"most": f"{maximum_rows:,}"})
        if any(line[len(headers) :]):
            too_wide.append(_("Row %(row)s has more cells than the header has columns.") % {"row": number})
        rows.append(Row(number, (*line, *("",) * (len(headers) - len(line)))[: len(headers)]))
    if not headers:
        raise _unreadable(_("There is no row with the columns %(names)s.") % {"names": _listed(header_has)})
    if too_wide:
        raise _unreadable(*too_wide[:_MOST_SENTENCES])
    return Table(tuple(above), headers, tuple(rows))


def _headers(line: Cells, wanted: set[str]) -> Cells:
    """The header, if that is what the line is, else nothing. Columns at its end that have no name are none."""
    names = [column_name(cell) for cell in line]
    if not wanted.issubset(names):
        return ()
    while names and not names[-1]:
        names.pop()
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise _unreadable(_("The header has the same column twice: %(names)s.") % {"names": _listed(twice)})
    return tuple(name or f"column_{position}" for position, name in enumerate(names, start=1))


def match_columns(table: Table, headers: Mapping[str, Sequence[str]], *, needed: Collection[str]) -> list[str]:
    """What each column of a table means. `headers`: what it may be called; capitals, spaces and `_` don't count.

    :raises UnreadableTable: if one is missing, unknown, or given twice.
    """
    means = {spelt.replace("_", ""): name for name, spellings in headers.items() for spelt in spellings}
    names = [means.get(header.replace("_", ""), "") for header in table.headers]
    sentences = [
        _("There is no column “%(name)s”. It may be called %(names)s.")
        % {"name": name, "names": _joined(_("or"), headers[name])}
        for name in headers
        if name in needed and name not in names
    ]
    sentences += [
        _("The column “%(header)s” is not known. Known are: %(names)s.")
        % {"header": header, "names": ", ".join(headers)}
        for header, name in zip(table.headers, names, strict=True)
        if not name
    ]
    sentences += [
        _("“%(name)s” is given twice, by the columns %(names)s.") % {"name": name, "names": _joined(_("and"), twice)}
        for name in headers
        if len(twice := [header for header, each in zip(table.headers, names, strict=True) if each == name]) > 1
    ]
    if sentences:
        raise _unreadable(*sentences)
    return names


# -- CSV --------------------------------------------------------------------------------------------------------------


def _csv(content: bytes) -> Iterator[Cells]:
    text = _text(content)
    delimiter = max(_DELIMITERS, key=lambda delimiter: _widest(text, delimiter))  # the first of equals
    if _widest(text, delimiter) == 0:
        raise _unreadable(str(_BROKEN_CSV))
    try:
        for line in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True):
            yield tuple(cell.strip() for cell in line)
    except csv.Error:
        raise _unreadable(str(_BROKEN_CSV)) from None


_BROKEN_CSV = gettext_lazy("The file can't be read as CSV: a quotation mark is not closed, or a cell is far too long.")


def _widest(text: str, delimiter: str) -> int:
    """How many cells a line has at most, if this were the delimiter; 0 if it can't be."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    widest = 0
    try:
        for line, _ in zip(reader, range(_LINES_TO_JUDGE_BY), strict=False):
            widest = max(widest, len(line))
    except csv.Error:
        return 0
    return widest


def _text(content: bytes) -> str:
    for start, sentence in _OTHER_FORMATS.items():
        if content[:512].lstrip().lower().startswith(start):
            raise _unreadable(str(sentence))
    for encoding in _encodings(content):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise _unreadable(_("The file is neither text nor a spreadsheet. Save it as CSV (UTF-8) or as XLSX."))


def _encodings(content: bytes) -> tuple[str, ...]:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return ("utf-16",)
    if b"\0" in content[:512]:  # without its mark: where the zeros are says which half of a character comes first
        return ("utf-16-be",) if content[:1] == b"\0" else ("utf-16-le",)
    return ("utf-8-sig", "cp1252")


_OTHER_FORMATS = {
    b"%pdf": gettext_lazy("This is a PDF. Download the statement as CSV or as an Excel file."),
    b"\xd0\xcf\x11\xe0": gettext_lazy(
        "This is an Excel file of the old kind (.xls), or has a password. Save it as XLSX or CSV."
    ),
    b"<": gettext_lazy(
        "This is a web page, whatever its name says. Open it in a spreadsheet, and save it as XLSX or CSV."
    ),
    b"{": gettext_lazy("This is JSON. Send a CSV or an XLSX."),
}


# -- XLSX -------------------------------------------------------------------------------------------------------------


def _sheet(content: bytes) -> Iterator[Cells]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except zipfile.BadZipFile:
        raise _unreadable(str(_BROKEN_XLSX)) from None
    if unpacked > _UNPACKED_MAX_BYTES:
        raise _unreadable(_("The file is too large when it is unpacked. Split it, or save it as CSV."))
    try:
        workbook = openpyxl.load_workbook(io.BytesIO(content), read_only=True, keep_links=False)
        sheet = workbook.worksheets[0]
        sheet.reset_dimensions()  # what the file says of them may be wrong
        for line in sheet.iter_rows(max_col=_MOST_COLUMNS, values_only=True):
            yield tuple(_cell(value) for value in line)
    except Exception as problem:  # a broken workbook breaks its reader in any way; the sentence is the same
        raise _unreadable(str(_BROKEN_XLSX)) from problem


_BROKEN_XLSX = gettext_lazy("The file can't be read as XLSX: it is damaged, or another kind of file.")


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case datetime():
            return value.isoformat(sep=" ", timespec="seconds")
        case date():
            return value.isoformat()
        case float() if value.is_integer():
            return str(int(value))
        case _:
            return str(value).strip()


def _listed(names: Collection[str]) -> str:
    return ", ".join(f"“{name}”" for name in names)


def _joined(word: str, names: Iterable[str]) -> str:
    return f" {word} ".join(f"“{name}”" for name in names)


def _unreadable(*sentences: str) -> UnreadableTable:
    return UnreadableTable(sentences[0], errors={"file": sentences})
