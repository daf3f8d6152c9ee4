"""Payouts from a spreadsheet: which column means what."""

from payments.payouts.checking import MAXIMUM_ROWS, GivenRow, columns, required_columns
from payments.tables import BinaryFile, match_columns, read_table

MAXIMUM_BYTES = 5_000_000

_HEADERS = {
    "phone_number": ("phone", "phone_number", "msisdn"),
    "shortcode": ("shortcode", "paybill", "till"),
    "amount": ("amount",),
    "name": ("name",),
    "account_reference": ("reference", "account_reference"),
    "transaction_desc": ("reason", "transaction_desc"),
}


def headers(kind: str) -> dict[str, str]:
    """What the columns of a file are called that we make ourselves: {"phone_number": "phone", …}."""
    return {name: _HEADERS[name][0] for name in columns(kind)}


def read_rows(file: BinaryFile, *, kind: str) -> list[GivenRow]:
    """The rows of a CSV or XLSX file, as they stand there; a row's number is the one that the spreadsheet shows.

    :raises UnreadableTable: if it is no such file, too large, or its columns are not what is needed;
        `errors["file"]` has a sentence for each thing.
    """
    table = read_table(file, maximum_bytes=MAXIMUM_BYTES, maximum_rows=MAXIMUM_ROWS)
    names = match_columns(table, {name: _HEADERS[name] for name in columns(kind)}, needed=required_columns(kind))
    return [GivenRow(row.number, dict(zip(names, row.cells, strict=True))) for row in table.rows]
