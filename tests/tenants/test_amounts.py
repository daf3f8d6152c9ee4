import pytest

from tenants.amounts import read_amount


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("12500", "12500"),
        (" 12 500 ", "12500"),
        ("12,500", "12500"),
        ("sh 12500", "12500"),
        ("Sh. 12,500", "12500"),
        ("Shs 12 500", "12500"),
        ("KES12,500", "12500"),
        ("KES\u00a01,200", "1200"),
        ("Ksh. 1 250 000.5", "1250000.5"),
        ("12500/-", "12500"),
        ("12,500/=", "12500"),
        ("12500 /=", "12500"),
        ("99.50", "99.50"),
    ],
)
def test_an_amount_is_read_however_it_is_written(text, amount):
    assert read_amount(text) == amount


@pytest.mark.parametrize(
    "text",
    [
        "",
        "KES",
        "12 50",
        "1250 0",
        "12-500",
        "1,5",
        "1,2000",
        "-5",
        "1e3",
        "\u0661\u0662",
        "1.500",
        "5 bob",
        ".5",
        "0712 345 126",
    ],
)
def test_what_may_be_something_else_is_none(text):
    assert read_amount(text) is None
