"""Files as spreadsheets and portals write them."""

import io
import zipfile

import openpyxl
import pytest

from payments.tables import Row, UnreadableTable, column_name, read_table


def read(content, **options):
    return read_table(io.BytesIO(content), **{"maximum_bytes": 100_000, "maximum_rows": 100} | options)


def refusal(content, **options):
    with pytest.raises(UnreadableTable) as refused:
        read(content, **options)
    assert refused.value.code == "unreadable_file"
    assert refused.value.errors["file"][0] == refused.value.detail
    return refused.value.errors["file"]


def xlsx(*rows):
    workbook = openpyxl.Workbook()
    for row in rows:
        workbook.active.append(row)
    file = io.BytesIO()
    workbook.save(file)
    return file.getvalue()


PHONES = (Row(2, ("0712345678", "100")), Row(3, ("0712345679", "200")))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_csv_is_read_whatever_wrote_it(encoding, delimiter, end):
    text = end.join(["Phone,Amount", "0712345678,100", "0712345679,200", ""]).replace(",", delimiter)

    table = read(text.encode(encoding))

    assert table.headers == ("phone", "amount")
    assert table.rows == PHONES


def test_names_keep_their_letters():
    assert dict(read("name\nWanjikũ".encode()).records()) == {2: {"name": "Wanjikũ"}}
    assert dict(read("name\nRené".encode("cp1252")).records()) == {2: {"name": "René"}}
    assert dict(read("name,x\nWanjikũ,1".encode("utf-16-le")).records()) == {2: {"name": "Wanjikũ", "x": "1"}}


def test_quoted_cells_keep_delimiters_and_line_breaks():
    table = read(b'Name,Amount\n"Doe, Jane","1,000"\n"two\nlines",5\n')

    assert table.rows == (Row(2, ("Doe, Jane", "1,000")), Row(3, ("two\nlines", "5")))


def test_rows_are_numbered_as_a_spreadsheet_shows_them_and_empty_ones_are_none():
    table = read(b"\n\nphone,amount\n\n0712345678,100\n,\n0712345679,200\n")

    assert [row.number for row in table.rows] == [5, 7]


def test_missing_cells_at_the_end_are_empty_and_unnamed_columns_there_are_none():
    table = read(b"phone,amount,name,,\n0712345678,100\n0712345679,200,Jane,,\n")

    assert table.headers == ("phone", "amount", "name")
    assert table.rows[0].cells == ("0712345678", "100", "")


def test_formulas_stay_text():
    assert read(b"amount\n=1+1\n").rows == (Row(2, ("=1+1",)),)
    assert read(xlsx(["amount"], ["=1+1"])).rows == (Row(2, ("=1+1",)),)


def test_an_xlsx_gives_text_as_it_is_shown():
    from datetime import date, datetime

    content = xlsx(
        ["Phone", "Amount", "Rate", "When", "Day", "Nothing"],
        [254712345678, 100, 12.5, datetime(2026, 8, 1, 10, 13), date(2026, 8, 1), None],  # noqa: DTZ001
        ["0712 345 678", 100.0, 0.1, datetime(2026, 8, 1, 10, 13, 9), None, None],  # noqa: DTZ001
    )

    table = read(content)

    assert table.rows[0].cells == ("254712345678", "100", "12.5", "2026-08-01 10:13:00", "2026-08-01 00:00:00", "")
    assert table.rows[1].cells == ("0712 345 678", "100", "0.1", "2026-08-01 10:13:09", "", "")


def test_the_header_may_stand_below_other_lines():
    content = b"Short Code:,600966\n\nA note; with, signs\nReceipt No.,Paid In\nABC,5\n"

    table = read(content, header_has=["Receipt No.", "Paid In"])

    assert table.above == (("Short Code:", "600966"), ("A note; with", "signs"))
    assert table.headers == ("receipt_no", "paid_in")
    assert table.rows == (Row(5, ("ABC", "5")),)
    assert column_name(" A/C No. ") == "a_c_no"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "The file is empty."),
        (b" \n\t ", "The file is empty."),
        (b"%PDF-1.4 ...", "This is a PDF. Download the statement as CSV or as an Excel file."),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600,
            "This is an Excel file of the old kind (.xls), or has a password. Save it as XLSX or CSV.",
        ),
        (
            b"<html><table>",
            "This is a web page, whatever its name says. Open it in a spreadsheet, and save it as XLSX or CSV.",
        ),
        (b'{"rows": []}', "This is JSON. Send a CSV or an XLSX."),
        (b"\x89PNG\r\n\0\0\0", "The file is neither text nor a spreadsheet. Save it as CSV (UTF-8) or as XLSX."),
        (b"PK\x03\x04 nonsense", "The file can't be read as XLSX: it is damaged, or another kind of file."),
        (
            b'phone,amount\n"0712345678,100\n0712345679,200\n',
            "The file can't be read as CSV: a quotation mark is not closed, or a cell is far too long.",
        ),
        (b"phone,phone\n1,2\n", "The header has the same column twice: “phone”."),
        (b"phone,amount\n1,2,3\n", "Row 2 has more cells than the header has columns."),
    ],
)
def test_what_is_no_table_is_refused_with_a_sentence(content, sentence):
    assert refusal(content) == [sentence]


def test_a_missing_header_is_named():
    assert refusal(b"a,b\n1,2\n", header_has=["Receipt No.", "Paid In"]) == [
        "There is no row with the columns “Receipt No.”, “Paid In”."
    ]


def test_too_large_a_file_is_not_read():
    assert refusal(b"x" * 2_000_001, maximum_bytes=2_000_000) == ["The file is larger than 2 MB. Split it."]
    assert refusal(b"a\n" + b"1\n" * 101) == ["The file has more than 100 rows. Split it."]
    assert len(read(b"a\n" + b"1\n" * 100).rows) == 100


def test_a_zip_that_swells_is_not_unpacked():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", b"0" * 201_000_000)

    assert refusal(file.getvalue(), maximum_bytes=1_000_000) == [
        "The file is too large when it is unpacked. Split it, or save it as CSV."
    ]


def test_a_zip_that_is_no_workbook_is_refused():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("letter.txt", b"hello")

    assert refusal(file.getvalue()) == ["The file can't be read as XLSX: it is damaged, or another kind of file."]
