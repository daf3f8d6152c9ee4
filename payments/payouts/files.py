"""Payouts from a spreadsheet: which column means what."""

from collections.abc import Iterable

from django.utils.translation import gettext as _

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


def headers(kind: str) -> dict[str, str]:
    """What the columns of a file are called that we make ourselves: {"phone_number": "phone", …}."""
    return {name: _HEADERS[name][0] for name in columns(kind)}


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
        _("There is no column “%(name)s”. It may be called %(names)s.")
        % {"name": name, "names": _listed(_("or"), _HEADERS[name])}
        for name in required_columns(kind)
        if name not in names
    ]
    sentences += [
        _("The column “%(header)s” is not known. Known are: %(names)s.") % {"header": header, "names": ", ".join(known)}
        for header, name in zip(table.headers, names, strict=True)
        if name not in known
    ]
    sentences += [
        _("“%(name)s” is given twice, by the columns %(names)s.") % {"name": name, "names": _listed(_("and"), twice)}
        for name in known
        if len(twice := [header for header, each in zip(table.headers, names, strict=True) if each == name]) > 1
    ]
    if sentences:
        raise UnreadableTable(sentences[0], errors={"file": sentences})
    return names


def _listed(word: str, names: Iterable[str]) -> str:
    return f" {word} ".join(f"“{name}”" for name in names)
