"""Statement files of the M-PESA portal."""

import csv
import io
from datetime import UTC, datetime
from decimal import Decimal

import openpyxl
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django_tenants.utils import tenant_context

from audit.ids import public_id
from audit.models import AuditEntry
from payments.models import StatementLine
from payments.statements import UnusableStatement, load_statement
from payments.tables import UnreadableTable
from tenants.errors import NotFound, NotPermitted
from tenants.models import DueTask, Role

NOW = datetime(2026, 9, 10, 12, tzinfo=UTC)
HEADER = (
    "Receipt No.,Completion Time,Details,Transaction Status,Paid In,Withdrawn,Balance,Balance Confirmed,Reason Type,"
    "Other Party Info,Linked Transaction ID,A/C No."
)
FILE = f"""\
Short Code:,600966
Account:,Utility Account
Time Period:,From 31-08-2026 00:00:00 to 31-08-2026 23:59:59
,
{HEADER}
UHV00AAAA3,31-08-2026 18:30:05,Business Payment to 254712345679,Completed,,-500.00,"1,745.00",TRUE,B2C,254712345679,,
UHV00AAAA2,31-08-2026 14:05:00,Pay merchant Charge,Completed,0.00,5.00,"2,245.00",TRUE,Charge,,,
UHV00AAAA2,31-08-2026 14:05:00,Pay Bill from 2547****126 - JANE DOE,Completed,"1,250.00",,"2,250.00",TRUE,\
Pay Bill,2547****126 - JANE DOE,,VIP001
UHV00AAAA1,31-08-2026 08:00:00,Pay Bill from 254712345678,Completed,500,-,"1,000.00",TRUE,Pay Bill,\
254712345678 - JOHN DOE,,shoes
,,Total,,"1,750.00",505.00,,,,,,
"""


@pytest.fixture
def paybill(acme_paybill, acme):
    with tenant_context(acme):
        yield acme_paybill


@pytest.fixture
def load(paybill, actor):
    def do(content, **options):
        if isinstance(content, str):
            content = content.encode()
        return load_statement(
            **{"actor": actor(), "channel_id": paybill.pk, "file": io.BytesIO(content), "now": NOW} | options
        )

    return do


def refused(load, content):
    with pytest.raises(UnusableStatement) as refusal:
        load(content)
    assert not StatementLine.objects.exists()
    assert not DueTask.objects.filter(task="payments.tasks.recount_day").exists()
    assert not AuditEntry.objects.exists()
    return refusal.value


def with_row(*cells):
    return f"{HEADER}\nUHV00AAAA1,31-08-2026 08:00:00,Pay Bill,Completed,500,,,,,,,\n{','.join(cells)}"


def test_a_statement_is_kept_line_by_line(load):
    loaded = load(FILE)

    assert (loaded.line_count, loaded.new_count) == (4, 4)
    assert loaded.first_at == datetime(2026, 8, 31, 5, tzinfo=UTC)
    assert loaded.last_at == datetime(2026, 8, 31, 15, 30, 5, tzinfo=UTC)
    first, second, charge, payout = StatementLine.objects.order_by("id")  # the oldest first, though the file is not
    assert (first.receipt, first.paid_in, first.withdrawn, first.balance) == (
        "UHV00AAAA1",
        Decimal("500.00"),
        Decimal("0.00"),
        Decimal("1000.00"),
    )
    assert (first.account, first.party, first.account_reference) == (
        "Utility Account",
        "254712345678 - JOHN DOE",
        "shoes",
    )
    assert (second.receipt, second.paid_in, second.details) == (
        "UHV00AAAA2",
        Decimal("1250.00"),
        "Pay Bill from 2547****126 - JANE DOE",
    )
    assert (charge.receipt, charge.withdrawn, charge.details) == ("UHV00AAAA2", Decimal("5.00"), "Pay merchant Charge")
    assert (payout.withdrawn, payout.source, payout.status) == (Decimal("500.00"), "STATEMENT", "Completed")
    due = DueTask.objects.get(task="payments.tasks.recount_day")
    assert due.arguments["date"] == "2026-08-31"
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.after["lines"], entry.after["new"]) == ("statement.loaded", 4, 4)


def test_loading_the_same_again_changes_nothing(load):
    load(FILE)
    DueTask.objects.all().delete()

    semicolons = io.StringIO()
    csv.writer(semicolons, delimiter=";").writerows(csv.reader(io.StringIO(FILE)))
    again = load(semicolons.getvalue().replace("Pay merchant Charge", "PAY  MERCHANT CHARGE").encode("utf-16"))

    assert (again.line_count, again.new_count) == (4, 0)
    assert StatementLine.objects.count() == 4
    assert not DueTask.objects.exists()
    assert AuditEntry.objects.count() == 1


def test_the_same_as_xlsx_is_the_same(load):
    workbook = openpyxl.Workbook()
    workbook.active.append(["Short Code:", 600966])
    workbook.active.append([])
    workbook.active.append(HEADER.split(","))
    at = datetime(2026, 8, 31, 8)  # noqa: DTZ001 - a spreadsheet's times have no zone
    workbook.active.append(["UHV00AAAA1", at, "Pay Bill from 254712345678", "Completed", 500, None, 1000.0, "TRUE"])
    file = io.BytesIO()
    workbook.save(file)
    load(FILE)

    loaded = load(file.getvalue())

    assert (loaded.line_count, loaded.new_count) == (1, 0)
    assert loaded.first_at == datetime(2026, 8, 31, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    ["2026-08-31 14:05:00", "31/08/2026 14:05", "31-08-2026 02:05:00 PM", "2026-08-31T14:05:00", "31.08.2026 14:05:00"],
)
def test_times_are_read_however_they_are_written(load, text):
    assert load(f"{HEADER}\nUHV00AAAA1,{text},,,1,,,,,,,").first_at == datetime(2026, 8, 31, 11, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "amount"),
    [("1250", "1250.00"), ('"1,250.5"', "1250.50"), ("KES 1250", "1250.00"), ("Ksh1250.00", "1250.00"), ("-", "0.00")],
)
def test_amounts_are_read_however_they_are_written(load, text, amount):
    load(f"{HEADER}\nUHV00AAAA1,31-08-2026 14:05:00,,,{text},,,,,,,")

    assert StatementLine.objects.get().paid_in == Decimal(amount)


@pytest.mark.parametrize(
    ("row", "errors"),
    [
        (
            ["UHV00AAAA2", "yesterday", "", "Completed", "1", "", ""],
            {"rows[3].completion_time": ["This is not a time, like 31-08-2026 14:05:00."]},
        ),
        (
            ["UHV00AAAA2", "08-31-2026 10:00:00", "", "Completed", "1", "", ""],
            {"rows[3].completion_time": ["This is not a time, like 31-08-2026 14:05:00."]},
        ),
        (
            ["UHV00AAAA2", "08-12-2026 10:00:00", "", "Completed", "1", "", ""],
            {"rows[3].completion_time": ["This time lies in the future. Are day and month the wrong way round?"]},
        ),
        (
            ["not a receipt", "31-08-2026 10:00:00", "", "Completed", "1.555", "=1+1", "x"],
            {
                "rows[3].receipt_no": ["This is not an M-PESA receipt, like SG632NMUAB."],
                "rows[3].paid_in": ["This is not an amount in shillings, like 1,250.00."],
                "rows[3].withdrawn": ["This is not an amount in shillings, like 1,250.00."],
                "rows[3].balance": ["This is not an amount in shillings, like 1,250.00."],
            },
        ),
        (
            ["UHV00AAAA2", "31-08-2026 10:00:00", "", "Completed", "-100", "", ""],
            {"rows[3].paid_in": ["What was paid in is not less than nought."]},
        ),
        (
            ["UHV00AAAA2", "", "", "Completed", "100", "", ""],
            {"rows[3].completion_time": ["This is not a time, like 31-08-2026 14:05:00."]},
        ),
    ],
)
def test_one_bad_row_and_nothing_is_loaded(load, row, errors):
    refusal = refused(load, with_row(*row))

    assert refusal.errors == errors
    assert refusal.detail == "1 row can't be used, so nothing was loaded."
    assert refusal.code == "unusable_statement"


def test_many_bad_rows_are_counted_and_the_first_are_named(load):
    content = "\n".join([HEADER, *("UHV00AAAA1,never,,,1,,,,,,," for _ in range(1500))])

    refusal = refused(load, content)

    assert refusal.detail == "1,500 rows can't be used, so nothing was loaded."
    assert len(refusal.errors) == 100


def test_a_statement_of_another_short_code_is_refused(load):
    refusal = refused(load, FILE.replace("600966", "600111"))

    assert refusal.detail == "This is the statement of 600111, not of 600966."


def test_a_file_without_the_columns_or_lines_is_refused(load):
    with pytest.raises(UnreadableTable):
        load("Date,Amount\n2026-08-31,5\n")
    assert refused(load, HEADER + "\n,,Total,,0,0\n").detail == "The statement has no lines."


def test_who_may_not_load(load, actor, rival, paybill):
    with pytest.raises(NotPermitted):
        load(FILE, actor=actor(Role.USER))
    assert not StatementLine.objects.exists()
    with tenant_context(rival):
        with pytest.raises(NotFound):
            load(FILE)
        assert not StatementLine.objects.exists()


def test_the_api_takes_a_file(paybill, acme, api):
    connection.set_schema_to_public()
    client, channel = api(acme), public_id("ch", paybill.pk)

    answer = client.post(
        "/api/v1/statements/",
        {"channel": channel, "file": SimpleUploadedFile("statement.csv", FILE.encode())},
        format="multipart",
    )

    assert answer.status_code == 201, answer.content
    assert (answer.json()["line_count"], answer.json()["new_count"]) == (4, 4)
    bad = client.post(
        "/api/v1/statements/", {"channel": channel, "file": SimpleUploadedFile("x.pdf", b"%PDF-1")}, format="multipart"
    )
    assert (bad.status_code, bad.json()["code"]) == (400, "unreadable_file")
    assert bad.json()["errors"] == {"file": ["This is a PDF. Download the statement as CSV or as an Excel file."]}


def test_a_large_statement_is_loaded_whole(load):
    rows = (f"UHV{number:07},31-08-2026 10:00:00,Pay Bill,Completed,100,,{number}" for number in range(20_001))

    assert load("\n".join([HEADER, *rows])).new_count == 20_001
    assert StatementLine.objects.count() == 20_001
