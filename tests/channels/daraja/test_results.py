from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.daraja.payloads import AccountBalance, Pairs, UnreadablePayload, parse_result
from channels.daraja.results import (
    B2BResult,
    B2CResult,
    BalanceResult,
    Party,
    ReversalResult,
    StatusResult,
    read_b2b,
    read_b2c,
    read_balance,
    read_reversal,
    read_status,
)

PAYLOADS = Path(__file__).parents[2] / "payloads" / "daraja"


def result(name):
    return parse_result((PAYLOADS / f"{name}.json").read_bytes())


def account(name, *amounts):
    return AccountBalance(name, "KES", *(Decimal(amount) for amount in amounts))


def at(*moment):
    return datetime(*moment, tzinfo=UTC)


WORKING_2017 = account("Working Account", "46713.00", "46713.00", "0.00", "0.00")
NOTHING_B2C = B2CResult(None, None, None, None, None, None, None, None)
NOTHING_B2B = B2BResult(None, None, "", None, None, None, None, None, None, "")
NOTHING_REVERSED = ReversalResult(None, None, None, None, None, None, None, None)
NOTHING_FOUND = StatusResult("", None, "", "", None, None, None, None, None, "", "", "", None, None)

CASES = {
    "result_b2c": B2CResult(
        receipt="SG632NMUAB",
        amount=Decimal("10.00"),
        receiver=Party("254708374149", "JOHN K DOE"),
        is_registered=True,
        completed_at=at(2024, 7, 6, 19, 48, 52),
        utility_available=Decimal("10116.00"),
        working_available=Decimal("900000.00"),
        charges_paid_available=Decimal("-4510.00"),
    ),
    "result_b2c_local_number": B2CResult(
        receipt="SG642NMUAC",
        amount=Decimal("1500.00"),
        receiver=Party("0708374149", "JANE DOE"),
        is_registered=False,
        completed_at=at(2024, 7, 5, 21, 30),
        utility_available=None,
        working_available=None,
        charges_paid_available=Decimal("-4515.00"),
    ),
    "result_payout": B2CResult(
        receipt="SG632NMUAB",
        amount=Decimal("10.00"),
        receiver=None,
        is_registered=True,
        completed_at=at(2024, 7, 6, 19, 48, 52),
        utility_available=None,
        working_available=None,
        charges_paid_available=Decimal("-4510.00"),
    ),
    "result_b2c_unregistered": NOTHING_B2C,
    "result_wrong_initiator": NOTHING_B2C,
    "result_waiting": replace(NOTHING_B2C, receipt="UHP12NMUAB"),
    "result_b2b": B2BResult(
        receipt="QKA81LK5CY",
        amount=Decimal("190.00"),
        currency="KES",
        receiver=Party("000000", "Biller Company"),
        completed_at=at(2022, 11, 10, 8, 7, 17),
        charge=None,
        debit_account=account("Working Account", "346568.83", "6186.83", "340382.00", "0.00"),
        debit_balance=Decimal("6186.83"),
        initiator_balance=Decimal("6186.83"),
        bill_reference="19008",
    ),
    "result_b2b_2017": B2BResult(
        receipt="LGR519G2QV",
        amount=Decimal("10.00"),
        currency="KES",
        receiver=Party("603094", "Safaricom3117"),
        completed_at=at(2017, 7, 27, 7, 25, 24),
        charge=Decimal("77.00"),
        debit_account=WORKING_2017,
        debit_balance=Decimal("46713.00"),
        initiator_balance=Decimal("46713.00"),
        bill_reference="19008",
    ),
    "result_b2b_no_charge": B2BResult(
        receipt="SG652NMUAD",
        amount=Decimal("190.00"),
        currency="KES",
        receiver=Party("600000", "Acme Electronics"),
        completed_at=at(2024, 7, 6, 19, 48, 52),
        charge=None,
        debit_account=None,
        debit_balance=None,
        initiator_balance=None,
        bill_reference="VIP001",
    ),
    "result_tax": B2BResult(
        receipt="MJ561H6X5O",
        amount=Decimal("239.00"),
        currency="KES",
        receiver=Party("572572", "Kenya Revenue Authority"),
        completed_at=at(2018, 10, 5, 7, 57, 15),
        charge=None,
        debit_account=account("Working Account", "10000.00", "10000.00", "0.00", "0.00"),
        debit_balance=None,
        initiator_balance=None,
        bill_reference="2020220016420161",
    ),
    "result_lone_parameter": replace(NOTHING_B2B, completed_at=at(2020, 1, 20, 13, 48, 25)),
    "result_top_up_failed": replace(NOTHING_B2B, bill_reference="12323333"),
    "result_reversal": ReversalResult(
        receipt="SKE52PAWR9",
        original_receipt="SKC82PACB8",
        amount=Decimal("1.00"),
        charge=Decimal("0.00"),
        completed_at=at(2021, 11, 14, 10, 27, 11),
        debit_account=account("Utility Account", "7722179.62", "7722179.62", "0.00", "0.00"),
        payer=Party("600992", "Safaricom Daraja 992"),
        receiver=Party("254708374149", "JOHN DOE"),
    ),
    "result_reversal_2017": replace(NOTHING_REVERSED, receipt="LGR019G3J2"),
    "result_reversal_invalid": NOTHING_REVERSED,
    "result_reversal_again": NOTHING_REVERSED,
    "result_balance": BalanceResult(
        accounts=(
            WORKING_2017,
            account("Float Account", "0.00", "0.00", "0.00", "0.00"),
            account("Utility Account", "49217.00", "49217.00", "0.00", "0.00"),
            account("Charges Paid Account", "-220.00", "-220.00", "0.00", "0.00"),
            account("Organization Settlement Account", "0.00", "0.00", "0.00", "0.00"),
        ),
        as_at=at(2020, 1, 20, 13, 48, 25),
        error_message="",
    ),
    "result_balance_2026": BalanceResult(
        accounts=(
            account("Working Account", "7000.00", "7000.00", "0.00", "0.00"),
            account("Utility Account", "187.50", "187.50", "0.00", "0.00"),
            account("Charges Paid Account", "-12.00", "-12.00", "0.00", "0.00"),
            account("Merchant Account", "0.00", "0.00", "0.00", "0.00"),
            account("Organization Settlement Account", "0.00", "0.00", "0.00", "0.00"),
        ),
        as_at=at(2026, 8, 25, 7, 15),
        error_message="",
    ),
    "result_balance_locked": BalanceResult((), at(2026, 9, 30, 7, 15), "API Password is locked."),
    "result_status": StatusResult(
        status="Completed",
        receipt="LGR919G2AV",
        conversation_id="AG_20170727_00004492b1b6d0078fbe",
        originator_conversation_id="19455-773836-1",
        amount=Decimal("10.00"),
        payer=Party("600134", "Safaricom157"),
        receiver=Party("254708374149", "John Doe"),
        payer_charge=Decimal("33.00"),
        receiver_charge=None,
        debit_account_type="Utility Account",
        reason_type="Salary Payment via API",
        reason="",
        initiated_at=at(2017, 7, 27, 7, 14, 15),
        finalised_at=at(2017, 7, 27, 7, 14, 15),
    ),
    "result_status_text_amount": StatusResult(
        status="Completed",
        receipt="MBN31H462N",
        conversation_id="AG_20180223_000041b09c22e613d6c9",
        originator_conversation_id="3211-416020-3",
        amount=Decimal("300.00"),
        payer=Party("600310", "Safaricom333"),
        receiver=Party("254708374149", "John Doe"),
        payer_charge=None,
        receiver_charge=None,
        debit_account_type="Utility Account",
        reason_type="Business Payment to Customer via API",
        reason="",
        initiated_at=at(2018, 2, 23, 2, 41, 12),
        finalised_at=at(2018, 2, 23, 2, 41, 12),
    ),
    "result_status_pending": replace(
        NOTHING_FOUND,
        status="Pending Authorized",
        originator_conversation_id="b7b2e7a0-1c5b-4ba8-815c-ac45c57a3db0",
        amount=Decimal("1500.00"),
        reason_type="Business Payment to Customer via API",
        initiated_at=at(2026, 8, 25, 7, 15),
    ),
    "result_status_unknown_receipt": NOTHING_FOUND,
    "result_status_spaced_ids": NOTHING_FOUND,
}
READ = {
    B2CResult: read_b2c,
    B2BResult: read_b2b,
    ReversalResult: read_reversal,
    BalanceResult: read_balance,
    StatusResult: read_status,
}


@pytest.mark.parametrize("name", CASES)
def test_every_documented_result_is_read_to_its_exact_values(name):
    read = READ[type(CASES[name])]

    assert read(result(name)) == CASES[name]


def test_no_result_file_is_without_a_case():
    assert {path.stem for path in PAYLOADS.glob("result_*.json")} == CASES.keys()


@pytest.mark.parametrize(
    ("name", "code", "transaction_id"),
    [
        ("result_b2c", "0", "SG632NMUAB"),
        ("result_b2c_local_number", "0", "SG642NMUAC"),
        ("result_b2c_unregistered", "2040", None),
        ("result_b2b", "0", "QKA81LK5CY"),
        ("result_top_up_failed", "2001", None),
        ("result_reversal_invalid", "R000002", None),
        ("result_reversal_again", "R000001", None),
        ("result_status_text_amount", "0", None),
        ("result_status_unknown_receipt", "2032", None),
    ],
)
def test_a_code_is_text_and_the_placeholder_of_a_failure_is_no_receipt(name, code, transaction_id):
    assert (result(name).result_code, result(name).transaction_id) == (code, transaction_id)


def test_an_account_is_found_by_its_name():
    balances = read_balance(result("result_balance_2026"))

    assert balances.account("Utility Account").available == Decimal("187.50")
    assert balances.account("Float Account") is None


def with_parameters(**parameters):
    return replace(result("result_b2c"), parameters=Pairs(parameters.items()), references=Pairs())


def test_an_odd_parameter_does_not_keep_the_rest_from_being_read():
    read = read_b2c(
        with_parameters(
            TransactionAmount="ten",
            TransactionCompletedDateTime="2024-07-06",
            ReceiverPartyPublicName="254708374149",
            B2CRecipientIsRegisteredCustomer="?",
            B2CUtilityAccountAvailableFunds="500",
        )
    )

    assert read == replace(
        NOTHING_B2C,
        receipt="SG632NMUAB",
        receiver=Party("254708374149", ""),
        utility_available=Decimal("500.00"),
    )


@pytest.mark.parametrize(
    ("text", "party"),
    [
        ("254708374149 - John Doe", Party("254708374149", "John Doe")),
        ("2547****149 - John - Doe", Party("2547****149", "John - Doe")),
        ("600310", Party("600310", "")),
        ("Safaricom", Party("", "Safaricom")),
        ("  ", None),
        (None, None),
    ],
)
def test_a_party_is_a_number_and_a_name(text, party):
    assert read_status(with_parameters(CreditPartyName=text)).receiver == party


@pytest.mark.parametrize(
    ("text", "charge"),
    [
        ("Fee For B2C Payment|KES|33.00", Decimal("33.00")),
        ("Fee For B2C Payment|KES|0", Decimal("0.00")),
        ("Fee For B2C Payment|KES|free", None),
        ("33.00", None),
        ("", None),
        (None, None),
    ],
)
def test_a_charge_is_its_amount_or_not_known(text, charge):
    assert read_status(with_parameters(DebitPartyCharges=text)).payer_charge == charge
    assert read_b2b(with_parameters(DebitPartyCharges=text)).charge == charge


def test_a_garbled_balance_is_unreadable_and_not_an_empty_one():
    with pytest.raises(UnreadablePayload):
        read_balance(with_parameters(AccountBalance="Working Account|KES|1.00"))


KEYS = st.sampled_from(sorted({key for name in CASES for key, _ in result(name).parameters}))


@given(st.dictionaries(KEYS, st.none() | st.text(max_size=40) | st.just("A|KES|1e9|NaN|1|1"), max_size=12))
def test_any_parameters_are_read_or_unreadable(parameters):
    for kind, read in READ.items():
        try:
            found = read(with_parameters(**parameters))
        except UnreadablePayload:
            assert read is read_balance
            continue
        assert type(found) is kind


def test_a_result_is_found_again_by_the_id_that_we_chose():
    assert result("result_b2c").originator_conversation_id == "600997_Test_32et3241ed8yu"
    assert result("result_b2c").conversation_id == "AG_20240706_20106e9209f64bebd05b"
