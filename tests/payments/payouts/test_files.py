"""Payouts from a spreadsheet, as people's spreadsheets write them."""

import io

import openpyxl
import pytest

from payments.models import Payout
from payments.payouts.checking import Rules, UnpayableRows, check_rows
from payments.payouts.files import read_rows
from payments.tables import UnreadableTable

Kind = Payout.Kind
RULES = Rules(kind=Kind.PHONE, maximum=250_000)
TABLE = "phone,amount,name,reference,reason\n0712345678,500,Wanjikũ Njeri,INV-1,Milk\n0712345679,750,Otieno,,\n"


def rows(content, kind=Kind.PHONE):
    return [
        (row.number, *row.values.values())
        for row in read_rows(io.BytesIO(content if isinstance(content, bytes) else content.encode()), kind=kind)
    ]


def refusal(content, kind=Kind.PHONE):
    with pytest.raises(UnreadableTable) as refused:
        rows(content, kind)
    return refused.value.errors["file"]


def xlsx(*lines):
    workbook, content = openpyxl.Workbook(), io.BytesIO()
    for line in lines:
        workbook.active.append(line)
    workbook.save(content)
    return content.getvalue()


READ = [(2, "0712345678", "500", "Wanjikũ Njeri", "INV-1", "Milk"), (3, "0712345679", "750", "Otieno", "", "")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_csv_is_read_however_a_spreadsheet_wrote_it(encoding, delimiter, line_end):
    assert rows(TABLE.replace(",", delimiter).replace("\n", line_end).encode(encoding)) == READ


def test_windows_1252_is_recognised():
    assert rows("phone;amount;name\r\n0712345678;500;Zoë\r\n".encode("cp1252")) == [(2, "0712345678", "500", "Zoë")]


def test_a_row_has_the_number_that_the_spreadsheet_shows():
    assert [row[0] for row in rows("\nphone,amount\n\n0712345678,500\n,,\n0712345679,500\n")] == [4, 6]


def test_xlsx_is_read_with_numbers_as_text():
    content = xlsx(["Phone Number", "Amount", "Name"], [712345678, 500, "Amina"], ["+254 712 345 679", 750.0, None])

    assert rows(content) == [(2, "712345678", "500", "Amina"), (3, "+254 712 345 679", "750", "")]


@pytest.mark.parametrize(
    "header",
    [
        "phone,amount,name,reference,reason",
        "PHONE , Amount, NAME ,Reference,Reason",
        "Phone Number,AMOUNT,name,Account Reference,Transaction Desc",
        "phonenumber,amount,name,account-reference,transaction_desc",
        "MSISDN,amount,Name,account_reference,reason",
    ],
)
def test_a_header_may_be_written_in_many_ways(header):
    (row,) = read_rows(io.BytesIO(f"{header}\n0712345678,500,Amina,INV-1,Milk\n".encode()), kind=Kind.PHONE)

    assert row.values == {
        "phone_number": "0712345678",
        "amount": "500",
        "name": "Amina",
        "account_reference": "INV-1",
        "transaction_desc": "Milk",
    }


def test_businesses_are_named_by_their_number():
    content = b"Till,Amount\n5123456,900\n"

    assert rows(content, Kind.BUY_GOODS) == [(2, "5123456", "900")]
    assert refusal(content) == [
        "There is no column “phone_number”. It may be called “phone” or “phone_number” or “msisdn”.",
        "The column “till” is not known. Known are: phone_number, amount, name, account_reference, transaction_desc.",
    ]


def test_missing_unknown_and_repeated_columns_are_named():
    assert refusal("phone,msisdn,naem\n0712345678,0712345678,Amina\n") == [
        "There is no column “amount”. It may be called “amount”.",
        "The column “naem” is not known. Known are: phone_number, amount, name, account_reference, transaction_desc.",
        "“phone_number” is given twice, by the columns “phone” and “msisdn”.",
    ]


def test_a_file_without_a_header_is_refused():
    assert refusal("0712345678,500\n0712345679,500\n")[0].startswith("There is no column “phone_number”.")


def test_a_comma_inside_an_amount_makes_a_row_too_wide():
    assert refusal("phone,amount\n0712345678,1,000\n") == ["Row 2 has more cells than the header has columns."]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "The file is empty."),
        (b"%PDF-1.7 ...", "This is a PDF."),
        (b"\xd0\xcf\x11\xe0" + b"\0" * 600, "This is an Excel file of the old kind"),
        (b"PK\x03\x04 and nothing more", "The file can't be read as XLSX"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + b"\0\x01" * 40 + b"\x81", "The file is neither text nor a spreadsheet."),
        (b'phone,amount\n"0712345678,500\n', "The file can't be read as CSV: a quotation mark is not closed"),
        ("phone,amount\n" + "0712345678,500\n" * 10_001, "The file has more than 10,000 rows. Split it."),
        ("phone,amount\n" + "0712345678,500\n" * 400_000, "The file is larger than 5 MB. Split it."),
    ],
    ids=["empty", "pdf", "xls", "broken zip", "picture", "open quote", "too many rows", "too large"],
)
def test_what_is_no_table_is_refused_with_a_sentence(content, sentence):
    assert refusal(content)[0].startswith(sentence)


def test_formulas_are_refused_and_not_calculated():
    for content in (
        b"phone,amount,name\n0712345678,=250*2,=cmd|' /C calc'!A0\n",
        xlsx(["phone", "amount", "name"], ["0712345678", "=250*2", "=A1"]),
    ):
        with pytest.raises(UnpayableRows) as refused:
            check_rows(read_rows(io.BytesIO(content), kind=Kind.PHONE), rules=RULES)

        assert refused.value.errors == {
            "rows[2].amount": ["This is a formula. Put its value here instead."],
            "rows[2].name": ["This is a formula. Put its value here instead."],
        }
