"""The result file, and what a spreadsheet must not do with it."""

import csv
import io
from datetime import UTC, datetime
from decimal import Decimal

import openpyxl
import pytest

from payments.models import Payout
from payments.payouts.checking import GivenRow
from payments.payouts.creating import create_batch
from payments.payouts.export import as_csv, as_xlsx
from tests.payments.payouts.conftest import NOW

HEADER = [
    "row", "phone_number", "amount", "name", "account_reference", "transaction_desc", "status", "meaning", "do_now",
    "receipt", "receiver_name", "charge", "completed_at", "warnings",
]  # fmt: skip


@pytest.fixture
def batch(acme_paybill, in_acme, maker):
    rows = [
        GivenRow(2, {"phone_number": "0712345678", "amount": 500, "name": "Amina", "account_reference": "INV-1"}),
        GivenRow(3, {"phone_number": "0712345679", "amount": 750, "name": "+cmd|' /C calc'!A0 x"}),
        GivenRow(4, {"phone_number": "0712345680", "amount": 900, "transaction_desc": "@SUM(A1:A9)"}),
    ]
    batch = create_batch(actor=maker, rows=rows, now=NOW)
    batch.payouts.filter(row=2).update(
        status="SUCCEEDED",
        receipt="UKL1",
        receiver_name="=AMINA OTIENO",
        charge=Decimal("5.00"),
        completed_at=datetime(2026, 11, 21, 9, 30, tzinfo=UTC),
        finished_at=NOW,
    )
    batch.payouts.filter(row=3).update(status="FAILED", result_code="1", result_desc="insufficient", finished_at=NOW)
    batch.payouts.filter(row=4).update(status="UNKNOWN")
    return batch


def lines_of_csv(content):
    assert content.startswith(b"\xef\xbb\xbf")
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def lines_of_xlsx(content):
    sheet = openpyxl.load_workbook(io.BytesIO(content)).active
    return [["" if cell is None else str(cell) for cell in line] for line in sheet.iter_rows(values_only=True)]


@pytest.mark.parametrize(("write", "read"), [(as_csv, lines_of_csv), (as_xlsx, lines_of_xlsx)])
def test_every_row_is_in_the_file_with_its_outcome(batch, write, read):
    header, paid, failed, unknown = read(write(batch))

    assert header == HEADER
    assert paid[:3] == ["2", "254712345678", "500"]
    assert paid[6:10] == ["succeeded", "The receiver has the money.", "", "UKL1"]
    assert paid[11:13] == ["5.00", "2026-11-21T12:30:00+03:00"]
    assert (failed[0], failed[6]) == ("3", "failed")
    assert failed[7]
    assert unknown[6:9] == [
        "unknown",
        "M-PESA may have sent the money. We are asking.",
        "Do not pay again until it is known.",
    ]
    assert unknown[13] == ""


def test_what_begins_like_a_formula_is_harmless_in_csv(batch):
    _, paid, failed, unknown = lines_of_csv(as_csv(batch))

    assert paid[10] == "'=AMINA OTIENO"
    assert failed[3] == "'+cmd|' /C calc'!A0 x"
    assert unknown[5] == "'@SUM(A1:A9)"


def test_what_begins_like_a_formula_is_text_in_xlsx(batch):
    sheet = openpyxl.load_workbook(io.BytesIO(as_xlsx(batch))).active

    assert {cell.data_type for line in sheet.iter_rows() for cell in line if cell.value is not None} == {"s", "n"}
    assert sheet["K2"].value == "=AMINA OTIENO"


def test_the_file_has_all_rows_of_a_large_batch(acme_paybill, in_acme, maker):
    rows = [GivenRow(number, {"phone_number": f"0712{number:06}", "amount": 10}) for number in range(1, 2_502)]
    batch = create_batch(actor=maker, rows=rows, now=NOW)

    assert [int(line[0]) for line in lines_of_csv(as_csv(batch))[1:]] == list(range(1, 2_502))
    assert Payout.objects.count() == 2_501
