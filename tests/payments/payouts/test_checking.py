"""What can be paid, and what is said of what can't."""

import math
from decimal import Decimal

import pytest

from payments.models import Payout
from payments.payouts.checking import GivenRow, Rules, UnpayableRow, UnpayableRows, check_row, check_rows
from payments.payouts.tariff import fee_estimate

Kind = Payout.Kind
PHONES = Rules(kind=Kind.PHONE, maximum=250_000)
WHOLE_SHILLINGS = "Write whole shillings in digits only, like 1500: no commas, no decimals, no letters."


def given(number=1, **values):
    return GivenRow(number, {"phone_number": "0712 345 678", "amount": 500} | values)


def sentences(row, rules=PHONES):
    with pytest.raises(UnpayableRow) as refusal:
        check_row(row, rules=rules)
    return refusal.value.errors


def test_a_row_that_can_be_paid_is_read_whole():
    row = check_row(
        given(7, amount="1500", name=" Amina\xa0 Otieno\n", account_reference=204, transaction_desc="Milk of March"),
        rules=PHONES,
    )

    assert (row.number, row.receiver, row.amount) == (7, "254712345678", 1500)
    assert (row.name, row.account_reference, row.transaction_desc) == ("Amina Otieno", "204", "Milk of March")
    assert (row.fee_estimate, row.warnings) == (Decimal(5), [])


@pytest.mark.parametrize(
    "phone_number",
    [
        "0712345678", "0712 345 678", "0712-345-678", "712345678", 712345678, "254712345678", 254712345678,
        "+254712345678", "+254 (0)712 345 678", "00254712345678", "0110345678", "110345678", "+254110345678",
    ],
)  # fmt: skip
def test_every_local_form_of_a_phone_number_is_read(phone_number):
    assert check_row(given(phone_number=phone_number), rules=PHONES).receiver in {"254712345678", "254110345678"}


@pytest.mark.parametrize(
    "phone_number",
    [
        "+256712345678", "+255712345678", "+14155550100", "+447911123456", "0812345678", "020 2345678", "07123456",
        "07123456789", "254", "Amina", "٠٧١٢٣٤٥٦٧٨", "0712345678,0712345679", True, ["0712345678"],
    ],
)  # fmt: skip
def test_other_countries_landlines_and_words_are_refused(phone_number):
    assert list(sentences(given(phone_number=phone_number))) == ["phone_number"]


@pytest.mark.parametrize(
    ("phone_number", "sentence"),
    [
        ("+256712345678", "Enter a Kenyan mobile number, like 0712 345 678."),
        ("", "Say who is to be paid."),
        (None, "Say who is to be paid."),
        ("=A2", "This is a formula. Put its value here instead."),
        ("2.54712E+11", "The spreadsheet has shortened this number. Format the column as text, and enter it again."),
        (True, "Write this as text."),
    ],
)
def test_each_bad_number_has_its_sentence(phone_number, sentence):
    assert sentences(given(phone_number=phone_number)) == {"phone_number": [sentence]}


@pytest.mark.parametrize(
    ("amount", "sentence"),
    [
        (0, "M-PESA sends KES 10 or more."),
        (9, "M-PESA sends KES 10 or more."),
        (-50, "M-PESA sends KES 10 or more."),
        ("-50", "M-PESA sends KES 10 or more."),
        (250_001, "M-PESA sends at most KES 250,000 at a time."),
        ("", "Give an amount."),
        (None, "Give an amount."),
        (True, "Write this as text."),
        ([500], "Write this as text."),
        ("=B2*2", "This is a formula. Put its value here instead."),
        *(
            (amount, WHOLE_SHILLINGS)
            for amount in (
                *(1.5, "1.5", "1e3", 1e22, "NaN", math.nan, math.inf, "1,000", "1 000", "KES 500", "500/=", "٥٠٠"),
                *("9" * 40, "--5", "+500", "0x10", "1_000"),
            )
        ),
    ],
)
def test_each_bad_amount_has_its_sentence(amount, sentence):
    assert sentences(given(amount=amount)) == {"amount": [sentence]}


@pytest.mark.parametrize("amount", [10, "10", " 250000 ", 250_000])
def test_the_limits_themselves_are_paid(amount):
    assert check_row(given(amount=amount), rules=PHONES).amount == int(amount)


def test_the_policy_may_allow_less_than_m_pesa():
    rules = Rules(kind=Kind.PHONE, maximum=1_000)

    assert check_row(given(amount=1_000), rules=rules).amount == 1_000
    assert sentences(given(amount=1_001), rules) == {"amount": ["Your policy allows at most KES 1,000 per payout."]}


def test_only_receivers_on_the_list_are_paid_where_the_policy_says_so():
    rules = Rules(kind=Kind.PHONE, maximum=250_000, allowed_receivers=frozenset({"254712345678"}))

    assert check_row(given(), rules=rules).receiver == "254712345678"
    assert sentences(given(phone_number="0712345679"), rules) == {
        "phone_number": ["Your policy pays only receivers on your list, and this one is not on it."]
    }


@pytest.mark.parametrize(
    ("column", "value", "sentence"),
    [
        ("name", "=HYPERLINK(1)", "This is a formula. Put its value here instead."),
        ("name", "000", "This is not a name. If a comma stood inside an amount, take it out."),
        ("name", "A" * 121, "Use at most 120 characters."),
        ("name", "Amina\u200bOtieno", "This has invisible characters in it. Type it again."),
        ("account_reference", "x" * 21, "Use at most 20 characters."),
        ("transaction_desc", "x", "Use 2 to 100 characters."),
        ("transaction_desc", "x" * 101, "Use 2 to 100 characters."),
        ("shortcode", "600966", "There is no such column. There are: phone_number, amount, name, account_reference,"),
    ],
)
def test_each_bad_text_has_its_sentence(column, value, sentence):
    errors = sentences(given(**{column: value}))

    assert list(errors) == [column]
    assert errors[column][0].startswith(sentence)


def test_everything_that_is_wrong_with_a_row_is_said_at_once():
    assert list(sentences(given(phone_number="x", amount="x", name="1"))) == ["phone_number", "amount", "name"]


@pytest.mark.parametrize(
    ("kind", "values", "receiver", "fee"),
    [
        (Kind.POCHI, {"phone_number": "0712345678"}, "254712345678", 9),
        (Kind.PAYBILL, {"shortcode": "888880", "account_reference": "4412"}, "888880", 34),
        (Kind.BUY_GOODS, {"shortcode": 5123456}, "5123456", 34),
        (Kind.TOP_UP, {"shortcode": "600997"}, "600997", 0),
        (Kind.TAX, {"account_reference": "2020160000"}, "572572", 0),
    ],
)
def test_each_kind_of_payout_has_its_receiver(kind, values, receiver, fee):
    row = check_row(GivenRow(1, {"amount": 5_000} | values), rules=Rules(kind=kind, maximum=10_000))

    assert (row.receiver, row.fee_estimate) == (receiver, Decimal(fee))


@pytest.mark.parametrize(
    ("kind", "values", "column"),
    [
        (Kind.PAYBILL, {"shortcode": "888880"}, "account_reference"),
        (Kind.PAYBILL, {"shortcode": "888880", "account_reference": "x" * 14}, "account_reference"),
        (Kind.PAYBILL, {"shortcode": "88a880", "account_reference": "1"}, "shortcode"),
        (Kind.BUY_GOODS, {"shortcode": "512"}, "shortcode"),
        (Kind.TAX, {}, "account_reference"),
        (Kind.TAX, {"account_reference": "1", "shortcode": "600997"}, "shortcode"),
        (Kind.BUY_GOODS, {"shortcode": "512345", "amount": 0}, "amount"),
    ],
)
def test_each_kind_of_payout_has_its_rules(kind, values, column):
    assert list(sentences(GivenRow(1, {"amount": 5_000} | values), Rules(kind=kind, maximum=10_000))) == [column]


def test_businesses_may_be_paid_one_shilling():
    row = GivenRow(1, {"amount": 1, "shortcode": "512345"})

    assert check_row(row, rules=Rules(kind=Kind.BUY_GOODS, maximum=10_000)).amount == 1


def test_one_bad_row_refuses_all_and_every_bad_row_is_named():
    with pytest.raises(UnpayableRows) as refusal:
        check_rows([given(1), given(2, amount=9), given(3), given(4, phone_number="x", amount="")], rules=PHONES)

    assert refusal.value.detail == "2 of 4 rows can't be paid. Nothing was kept."
    assert refusal.value.errors == {
        "rows[2].amount": ["M-PESA sends KES 10 or more."],
        "rows[4].phone_number": ["Enter a Kenyan mobile number, like 0712 345 678."],
        "rows[4].amount": ["Give an amount."],
    }


def test_of_very_many_bad_rows_each_has_its_sentence():
    with pytest.raises(UnpayableRows) as refusal:
        check_rows([given(number, amount=1) for number in range(1, 1_235)], rules=PHONES)

    assert refusal.value.detail == ("1,234 of 1,234 rows can't be paid. Nothing was kept.")
    assert len(refusal.value.errors) == 1_234


def test_a_batch_has_rows_and_not_more_than_ten_thousand():
    for rows, sentence in (([], "There are no rows to pay."), ([given()] * 10_001, "at most 10,000 rows")):
        with pytest.raises(UnpayableRows, match=sentence):
            check_rows(rows, rules=PHONES)

    assert len(check_rows([given()] * 10_000, rules=PHONES)) == 10_000


@pytest.mark.parametrize(
    ("amount", "charge"),
    [(10, 0), (100, 0), (101, 5), (1_500, 5), (1_501, 9), (5_000, 9), (5_001, 11), (20_001, 13), (250_000, 13)],
)
def test_the_estimate_follows_the_bands(amount, charge):
    assert fee_estimate(Kind.PHONE, amount) == Decimal(charge)


def test_above_the_last_band_its_charge_stays():
    assert fee_estimate(Kind.PAYBILL, 9_000_000) == Decimal(108)
