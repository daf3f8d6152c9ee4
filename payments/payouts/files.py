"""Payouts from a spreadsheet: which column means what."""

from payments.payouts.checking import MAXIMUM_ROWS, GivenRow, columns, required_columns
from payments.tables import BinaryFile, Table, UnreadableTable, read_table

MAXIMUM_BYTES = 5_000_000

_HEADERS = {
    "phone_number": ("phone", "phone_number", "msisdn"),
    "shortcode": ("shortcode", "paybill", "till"),
    "amount": ("amount",),
    "name": ("name",),
    "account_reference": ("reference", "account_reference"),
    "transaction_desc": ("reason", "transaction_desc"),
}
_MEANS = {header.replace("_", ""): name for name, headers in _HEADERS.items() for header in headers}


def read_rows(file: BinaryFile, *, kind: str) -> list[GivenRow]:
    """The rows of a CSV or XLSX file, as they stand there; a row's number is the one that the spreadsheet shows.

    :raises UnreadableTable: if it is no such file, too large, or its columns are not what is needed;
        `errors["file"]` has a sentence for each thing.
    """
    table = read_table(file, maximum_bytes=MAXIMUM_BYTES, maximum_rows=MAXIMUM_ROWS)
    names = _names(table, kind)
    return [GivenRow(row.number, dict(zip(names, row.cells, strict=True))) for row in table.rows]


def _names(table: Table, kind: str) -> list[str]:
    """What each column of the table means.

    :raises UnreadableTable: if one is missing, unknown, or given twice.
    """
    names = [_MEANS.get(header.replace("_", ""), "") for header in table.headers]
    known = columns(kind)
    sentences = [
        f"There is no column “{name}”. It may be called {' or '.join(f'“{each}”' for each in _HEADERS[name])}."
        for name in required_columns(kind)
        if name not in names
    ]
    sentences += [
        f"The column “{header}” is not known. Known are: {', '.join(known)}."
        for header, name in zip(table.headers, names, strict=True)
        if name not in known
    ]
    sentences += [
        f"“{name}” is given twice, by the columns {' and '.join(f'“{header}”' for header in twice)}."
        for name in known
        if len(twice := [header for header, each in zip(table.headers, names, strict=True) if each == name]) > 1
    ]
    if sentences:
        raise UnreadableTable(sentences[0], errors={"file": sentences})
    return names
