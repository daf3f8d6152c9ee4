"""The result file of a batch: every row as it stands, to download as CSV or XLSX.

In an XLSX whatever people typed is written as text; in a CSV `tenants.spreadsheets` keeps formulas from running.
"""

import io
from collections.abc import Iterator
from datetime import datetime

import xlsxwriter
from django.utils import timezone

from payments.models import Payout, PayoutBatch
from payments.money_out.states import outward_state
from payments.payouts.checking import columns
from payments.payouts.explaining import do_now_about, meaning_of
from tenants.spreadsheets import csv_bytes

_OUTCOME = ("status", "meaning", "do_now", "receipt", "receiver_name", "charge", "completed_at", "warnings")
_ROWS_AT_ONCE = 2_000

Cell = str | int


def as_csv(batch: PayoutBatch) -> bytes:
    """UTF-8, with the mark at its start that Excel needs."""
    return csv_bytes(_lines(batch))


def as_xlsx(batch: PayoutBatch) -> bytes:
    """A workbook of one sheet."""
    content = io.BytesIO()
    with xlsxwriter.Workbook(content, {"constant_memory": True}) as workbook:
        sheet = workbook.add_worksheet("Payouts")
        for number, line in enumerate(_lines(batch)):
            for column, cell in enumerate(line):
                if isinstance(cell, int):
                    sheet.write_number(number, column, cell)
                else:
                    sheet.write_string(number, column, cell)
    return content.getvalue()


def _lines(batch: PayoutBatch) -> Iterator[tuple[Cell, ...]]:
    payouts = batch.payouts.order_by("row").iterator(chunk_size=_ROWS_AT_ONCE)
    first = next(payouts)
    names = columns(first.kind)
    yield ("row", *names, *_OUTCOME)
    yield _line(first, names)
    for payout in payouts:
        yield _line(payout, names)


def _line(payout: Payout, names: tuple[str, ...]) -> tuple[Cell, ...]:
    given = (payout.receiver if name in {"phone_number", "shortcode"} else getattr(payout, name) for name in names)
    return (
        payout.row,
        *given,
        outward_state(payout),
        meaning_of(payout),
        do_now_about(payout),
        payout.receipt,
        payout.receiver_name,
        "" if payout.charge is None else str(payout.charge),
        _time(payout.completed_at),
        " ".join(payout.warnings),
    )


def _time(at: datetime | None) -> str:
    return timezone.localtime(at).isoformat(timespec="seconds") if at else ""
