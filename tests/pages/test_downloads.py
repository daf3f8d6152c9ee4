"""Lists and reports as files: what the filters show, at once or, of many rows, made in the background."""

import csv
import io
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import openpyxl
import pytest
from django.utils import timezone
from django_tenants.utils import tenant_context
from pypdf import PdfReader

from audit.ids import public_id
from audit.models import AuditEntry
from channels.models import Environment
from payments import downloads
from payments.models import Payment, Payout, PayoutBatch
from payments.payouts import export
from tenants import files, spreadsheets
from tenants.models import PreparedFile, PreparedFilePart, Role, User
from tests.factories import make_channel
from tests.pages.test_files import at
from tests.pages.test_loyalty import text_of

HEADER = [
    "Receipt", "Paid (Nairobi)", "Amount (KES)", "Paid by", "Name", "Account number", "Channel", "PayBill or till",
    "Program", "M-PESA charge (KES)", "Given back (Nairobi)", "Payment",
]  # fmt: skip
NOON = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


@pytest.fixture
def paybill(acme):
    return make_channel(acme, "600966", name="Shop")


@pytest.fixture
def paid(acme, paybill):
    """Three payments in practice, one of another day, and one in the sandbox."""
    sandbox = make_channel(acme, "600200", environment=Environment.SANDBOX)

    def make(number, channel, hours, **columns):
        at_moment = NOON + timedelta(hours=hours)
        values = {
            "receipt": f"UKL000000{number}",
            "channel": channel,
            "environment": channel.environment,
            "payer": "254712345126",
            "payer_name": "JOHN KAMAU",
            "amount": Decimal("500.00"),
            "account_reference": "VIP001",
            "routed_to": "loyalty",
            "source": Payment.Source.CONFIRMATION,
            "paid_at": at_moment,
            "created_at": at_moment,
        }
        return Payment.objects.create(**values | columns)

    with tenant_context(acme):
        return [
            make(1, paybill, 0, charge=Decimal("2.75"), reversed_at=NOON),
            make(2, paybill, 1, payer_name="=cmd", amount=Decimal("1500.50"), account_reference="+1", routed_to=""),
            make(3, paybill, -48),
            make(4, sandbox, 0),
        ]


@pytest.fixture
def clerk(acme, browser, member_of):
    return browser(member_of(acme, Role.USER))


def rows_of(content: bytes) -> list[list[str]]:
    assert content.startswith(b"\xef\xbb\xbf")
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def sheets_of(content: bytes) -> list[list[tuple]]:
    workbook = openpyxl.load_workbook(io.BytesIO(content))
    return [list(sheet.iter_rows(values_only=True)) for sheet in workbook.worksheets]


def last_entry(tenant) -> AuditEntry:
    with tenant_context(tenant):
        return AuditEntry.objects.latest("sequence")


# -- Payments ---------------------------------------------------------------------------------------------------------


def test_the_list_of_payments_is_offered_and_downloaded_as_csv(acme, paid, clerk):
    page = clerk.get("/payments/?since=2026-11-20").content.decode()
    assert 'action="/payments/download/"' in page
    assert '<input type="hidden" name="since" value="2026-11-20">' in page

    answer = clerk.post("/payments/download/", {"type": "csv", "since": "2026-11-20", "until": "", "q": ""})
    assert answer["Content-Disposition"] == 'attachment; filename="payments-practice-2026-11-20.csv"'
    header, second, first = rows_of(answer.content)
    assert header == HEADER
    assert first == [
        "UKL0000001", "2026-11-20T12:00:00+03:00", "500.00", "254712345126", "JOHN KAMAU", "VIP001", "Shop", "600966",
        "loyalty", "2.75", "2026-11-20T12:00:00+03:00", public_id("pay", paid[0].pk),
    ]  # fmt: skip
    assert second[:6] == ["UKL0000002", "2026-11-20T13:00:00+03:00", "1500.50", "254712345126", "'=cmd", "'+1"]
    entry = last_entry(acme)
    assert (entry.action, entry.after["kind"], entry.after["since"]) == ("file.downloaded", "payments", "2026-11-20")
    assert not PreparedFile.objects.exists()


def test_the_list_of_payments_is_downloaded_as_xlsx_with_numbers_and_times(acme, paid, clerk):
    answer = clerk.post("/payments/download/", {"type": "xlsx", "q": "1,500.50"})
    [[header, row]] = sheets_of(answer.content)
    assert list(header) == HEADER
    assert row[:5] == ("UKL0000002", datetime(2026, 11, 20, 13), 1500.5, "254712345126", "=cmd")  # noqa: DTZ001


def test_the_times_of_files_are_kenyas_whatever_clock_the_reader_chose(acme, paid, browser, member_of):
    place = member_of(acme, Role.USER)
    User.objects.filter(pk=place.user_id).update(time_zone="Asia/Tokyo")
    answer = browser(place).post("/payments/download/", {"type": "csv", "q": "UKL0000001"})
    assert rows_of(answer.content)[1][1] == "2026-11-20T12:00:00+03:00"


def test_a_search_that_can_not_be_leads_back_to_the_list(acme, paid, clerk):
    assert clerk.post("/payments/download/", {"type": "csv", "since": "x"})["Location"] == "/payments/"


def test_many_payments_are_put_together_in_the_background(acme, paid, clerk, browser, member_of, run_due, monkeypatch):
    monkeypatch.setattr(downloads, "LARGE_ROWS", 2)
    asked = {"type": "csv", "q": "", "until": "2026-11-20"}
    assert clerk.post("/payments/download/", asked)["Location"] == "/files/"
    assert clerk.post("/payments/download/", asked)["Location"] == "/files/"
    file = PreparedFile.objects.get()
    assert file.name == "payments-practice-2026-11-20.csv"
    assert "Payments To come Practice · until 20 Nov 2026 · CSV" in text_of(clerk.get("/files/"))

    run_due()
    file.refresh_from_db()
    assert (file.status, file.rows, file.rows_done) == ("READY", 3, 3)
    answer = clerk.get(at(file))
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert [row[0] for row in rows_of(answer.getvalue())[1:]] == ["UKL0000002", "UKL0000001", "UKL0000003"]
    assert browser(member_of(acme, Role.MANAGER)).get(at(file)).status_code == 200


def test_an_xlsx_that_was_made_in_pieces_opens(acme, paid, clerk, run_due, monkeypatch):
    monkeypatch.setattr(downloads, "LARGE_ROWS", 2)
    monkeypatch.setattr(files, "_PART_BYTES", 1000)
    clerk.post("/payments/download/", {"type": "xlsx"})
    run_due()
    assert PreparedFilePart.objects.count() > 3
    [[header, *rows]] = sheets_of(clerk.get(at(PreparedFile.objects.get())).getvalue())
    assert (list(header), [row[0] for row in rows]) == (HEADER, ["UKL0000002", "UKL0000001", "UKL0000003"])


def test_a_rival_gets_none_of_the_payments(acme, rival, paid, browser, member_of, run_due, monkeypatch):
    make_channel(rival, "600300")
    theirs = browser(member_of(rival))
    answer = theirs.post("/payments/download/", {"type": "csv"})
    assert rows_of(answer.content) == [HEADER]

    monkeypatch.setattr(downloads, "LARGE_ROWS", 2)
    browser(member_of(acme)).post("/payments/download/", {"type": "xlsx"})
    run_due()
    assert theirs.get(at(PreparedFile.objects.get())).status_code == 404


def test_a_file_speaks_the_language_of_who_asked(acme, paid, browser, member_of, run_due, monkeypatch):
    monkeypatch.setattr(downloads, "LARGE_ROWS", 2)
    place = member_of(acme, Role.USER)
    User.objects.filter(pk=place.user_id).update(language="sw")
    client = browser(place)
    client.post("/payments/download/", {"type": "csv"})
    run_due()
    file = PreparedFile.objects.get()
    assert file.language == "sw"
    assert rows_of(client.get(at(file)).getvalue())[0][4] == "Jina"


def test_more_rows_than_a_sheet_holds_go_on_in_another(monkeypatch):
    monkeypatch.setattr(spreadsheets, "_ROWS_OF_A_SHEET", 4)
    lines = [("Number", "Amount"), *((f"R{number}", number) for number in range(8))]
    sheets = sheets_of(spreadsheets.xlsx_bytes(lines, sheet="Payments"))
    assert [len(sheet) for sheet in sheets] == [4, 4, 3]
    assert [sheet[0] for sheet in sheets] == [("Number", "Amount")] * 3
    assert [row[1] for sheet in sheets for row in sheet[1:]] == list(range(8))


def test_a_sheet_may_be_called_anything(monkeypatch):
    assert sheets_of(spreadsheets.xlsx_bytes([("a",)], sheet="What's [this]: a/b?" * 3)) == [[("a",)]]


# -- Payouts ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def batch(acme, paybill):
    with tenant_context(acme):
        common = {"channel": paybill, "environment": paybill.environment, "created_at": NOON}
        batch = PayoutBatch.objects.create(
            reference="Casuals",
            status=PayoutBatch.Status.FINISHED,
            payout_count=2,
            total_amount=1250,
            fee_estimate=Decimal("18.00"),
            created_by="Wanjikũ",
            released_by="Otieno",
            released_at=NOON,
            expires_at=NOON,
            **common,
        )
        for row, (status, amount, receipt) in enumerate([("SUCCEEDED", 500, "UKL1"), ("FAILED", 750, "")], start=1):
            Payout.objects.create(
                batch=batch,
                row=row,
                receiver=f"25471234567{row}",
                name="Amina",
                amount=amount,
                fee_estimate=Decimal("9.00"),
                status=status,
                receipt=receipt,
                result_code="" if receipt else "1",
                charge=Decimal("9.00") if receipt else None,
                completed_at=NOON if receipt else None,
                finished_at=NOON,
                **common,
            )
        return batch


def result_of(batch) -> str:
    return f"/money-out/batches/{public_id('pbat', batch.pk)}/result/"


def test_payouts_that_are_shown_are_downloaded(acme, batch, browser, member_of):
    client = browser(member_of(acme, Role.MANAGER))
    assert 'action="/money-out/payouts/download/"' in client.get("/money-out/payouts/").content.decode()
    answer = client.post("/money-out/payouts/download/", {"type": "csv", "q": "", "state": "succeeded"})
    [header, row] = rows_of(answer.content)
    assert header[:5] == ["Made (Nairobi)", "Paid to", "Name", "Amount (KES)", "State"]
    assert row[:-1] == [
        "2026-11-20T12:00:00+03:00", "254712345671", "Amina", "500", "succeeded", "UKL1", "", "9.00",
        "2026-11-20T12:00:00+03:00", "Casuals",
    ]  # fmt: skip


def test_payouts_are_no_clerks_and_no_rivals(acme, rival, batch, clerk, browser, member_of, run_due, monkeypatch):
    assert clerk.post("/money-out/payouts/download/", {"type": "csv"}).status_code == 403
    assert clerk.post(result_of(batch), {"type": "pdf"}).status_code == 403
    theirs = browser(member_of(rival))
    assert theirs.post(result_of(batch), {"type": "pdf"}).status_code == 404

    monkeypatch.setattr(downloads, "LARGE_ROWS", 1)
    manager = browser(member_of(acme, Role.MANAGER))
    manager.post("/money-out/payouts/download/", {"type": "csv"})
    run_due()
    file = PreparedFile.objects.get()
    assert clerk.get(at(file)).status_code == 404
    assert file.name not in clerk.get("/files/").content.decode()
    assert theirs.get(at(file)).status_code == 404
    assert len(rows_of(manager.get(at(file)).getvalue())) == 3


def test_a_batch_is_printed_with_its_people_and_every_row(acme, batch, browser, member_of):
    answer = browser(member_of(acme, Role.MANAGER)).post(result_of(batch), {"type": "pdf"})
    assert answer["Content-Type"] == "application/pdf"
    [page] = PdfReader(io.BytesIO(answer.content), strict=True).pages
    text = " ".join(page.extract_text().split())
    assert "Practice: no real money" in text
    assert "Payouts: Casuals" in text
    assert re.search(r"Made by Approved by Released by Wanjikũ – Otieno", text)
    assert "1 0712 345 671 Amina 500 Sent UKL1" in text
    assert "2 0712 345 672 Amina 750 Not sent" in text
    assert "Total 1,250" in text


def test_a_large_batch_is_printed_in_the_background(acme, batch, browser, member_of, run_due, monkeypatch):
    monkeypatch.setattr(export, "_LARGE_ROWS_ON_PAPER", 1)
    client = browser(member_of(acme, Role.MANAGER))
    assert client.post(result_of(batch), {"type": "xlsx"}).status_code == 200
    assert client.post(result_of(batch), {"type": "pdf"})["Location"] == "/files/"
    run_due()
    file = PreparedFile.objects.get()
    assert (file.name, file.rows_done) == (f"{public_id('pbat', batch.pk)}.pdf", 2)
    assert len(PdfReader(io.BytesIO(client.get(at(file)).getvalue())).pages) == 1
    assert "Result of a batch of payouts Casuals · PDF" in text_of(client.get("/files/"))


# -- Reports ----------------------------------------------------------------------------------------------------------


def test_a_report_of_more_than_a_year_is_put_together_in_the_background(acme, paybill, clerk, run_due):
    short = clerk.get("/reports/takings-by-day/?since=2025-11-01&until=2026-11-01").content.decode()
    assert "type=pdf&amp;since=2025-11-01" in short
    assert "Files”" not in short.partition("<main")[2]
    days = "since=2025-11-01&until=2026-11-02"
    long = clerk.get(f"/reports/takings-by-day/?{days}").content.decode()
    assert "More than a year is put together in the background" in long
    assert f'action="/reports/takings-by-day/download/?{days.replace("&", "&amp;")}"' in long

    assert clerk.post(f"/reports/takings-by-day/download/?{days}", {"type": "csv"})["Location"] == "/files/"
    run_due()
    file = PreparedFile.objects.get()
    assert (file.kind, file.rows, file.rows_done) == ("report-takings-by-day", 367, 367)
    rows = rows_of(clerk.get(at(file)).getvalue())
    assert (len(rows), rows[1][0], rows[-1][0]) == (369, "2025-11-01", "Total")
    assert "Takings by day Practice · 1 Nov 2025 – 2 Nov 2026 · CSV" in text_of(clerk.get("/files/"))


def test_a_report_on_fees_is_not_asked_for_nor_taken_by_clerks(acme, paybill, clerk, browser, member_of, run_due):
    path = "/reports/fees/download/?since=2025-01-01&until=2026-11-02"
    assert clerk.post(path, {"type": "pdf"}).status_code == 403
    browser(member_of(acme, Role.MANAGER)).post(path, {"type": "pdf"})
    run_due()
    assert clerk.get(at(PreparedFile.objects.get())).status_code == 404
    assert clerk.post("/reports/nothing/download/", {"type": "pdf"}).status_code == 404
    assert PreparedFile.objects.filter(expires_at__gt=timezone.now()).count() == 1
