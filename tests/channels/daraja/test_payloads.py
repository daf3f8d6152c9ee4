import json
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.daraja.payloads import (
    AccountBalance,
    AsyncResult,
    C2BPayment,
    QueueTimeout,
    StkResult,
    UnreadablePayload,
    parse_balances,
    parse_c2b,
    parse_result,
    parse_stk_callback,
    parse_timeout,
)

PAYLOADS = Path(__file__).parents[2] / "payloads" / "daraja"
HASH = "bbff37cea44ac0b2d964ee0dfb8d2df8513dc7ba1b36129a929fc3fbd6dd4af4"
PROCESSED = "The service request is processed successfully."


def payload(name):
    return (PAYLOADS / f"{name}.json").read_bytes()


def c2b_body(**changes):
    return orjson.dumps(orjson.loads(payload("c2b_confirmation_masked")) | changes)


def stk_body(**items):
    """A paid STK callback with these metadata items in place of the usual ones."""
    body = orjson.loads(payload("stk_callback_paid"))
    body["Body"]["stkCallback"]["CallbackMetadata"]["Item"] = [
        {"Name": name, "Value": value} for name, value in items.items()
    ]
    return orjson.dumps(body)


MASKED = C2BPayment(
    receipt="RKL51ZDR4F",
    paid_at=datetime(2023, 11, 21, 9, 13, 25, tzinfo=UTC),
    amount=Decimal("5.00"),
    shortcode="600966",
    account_reference="VIP001",
    msisdn="2547 ***** 149",
    first_name="JOHN",
    middle_name="",
    last_name="",
    transaction_type="Pay Bill",
    invoice_number="",
    org_account_balance="25.00",
    third_party_id="",
)
PLAIN = C2BPayment(
    receipt="OAK51ZDR4F",
    paid_at=datetime(2020, 1, 20, 13, 48, 25, tzinfo=UTC),
    amount=Decimal("10.00"),
    shortcode="600966",
    account_reference="VIP001",
    msisdn="254708374149",
    first_name="JOHN",
    middle_name="K",
    last_name="DOE",
    transaction_type="Pay Bill",
    invoice_number="",
    org_account_balance="25.00",
    third_party_id="",
)


def c2b_like(base, **changes):
    return C2BPayment(**{name: getattr(base, name) for name in base.__slots__} | changes)


C2B_CASES = {
    "c2b_confirmation_masked": MASKED,
    "c2b_confirmation_masked_without_spaces": c2b_like(MASKED, msisdn="25470****149"),
    "c2b_confirmation_hashed": c2b_like(
        MASKED, receipt="SG632NMUAB", paid_at=datetime(2024, 7, 6, 19, 48, 52, tzinfo=UTC), msisdn=HASH
    ),
    "c2b_confirmation_starred_hash": c2b_like(
        MASKED,
        receipt="SG642NMUAC",
        paid_at=datetime(2024, 7, 6, 19, 48, 53, tzinfo=UTC),
        msisdn=f"{HASH[:28]} ***** {HASH[36:]}",
    ),
    "c2b_confirmation_plain": PLAIN,
    "c2b_confirmation_numbers": c2b_like(
        PLAIN, receipt="OAK61ZDR4F", amount=Decimal("1500.50"), middle_name="", last_name=""
    ),
    "c2b_confirmation_no_names": c2b_like(MASKED, first_name=""),
    "c2b_confirmation_null_names": c2b_like(MASKED, first_name=""),
    "c2b_confirmation_stray_spaces": c2b_like(MASKED, account_reference=" vip-001 "),
    "c2b_confirmation_third_party_id": c2b_like(MASKED, third_party_id="optional-1234"),
    "c2b_validation": c2b_like(MASKED, org_account_balance=""),
    "c2b_validation_without_type": c2b_like(MASKED, org_account_balance="", transaction_type=""),
    "c2b_till": c2b_like(
        MASKED,
        transaction_type="Customer Merchant Payment",
        shortcode="555123",
        account_reference="",
        amount=Decimal("1200.00"),
    ),
}


def stk_failure(code, desc):
    return StkResult(
        merchant_request_id="f1e2-4b95-a71d-b30d3cdbb7a7942864",
        checkout_request_id="ws_CO_21072024125243250708374149",
        result_code=code,
        result_desc=desc,
        amount=None,
        receipt=None,
        paid_at=None,
        msisdn=None,
    )


STK_CASES = {
    "stk_callback_paid": StkResult(
        merchant_request_id="2654-4b64-97ff-b827b542881d3130",
        checkout_request_id="ws_CO_191220191020363925",
        result_code="0",
        result_desc=PROCESSED,
        amount=Decimal("1.00"),
        receipt="NLJ7RT61SV",
        paid_at=datetime(2019, 12, 19, 7, 21, 15, tzinfo=UTC),
        msisdn="254708374149",
    ),
    "stk_callback_paid_without_balance": StkResult(
        merchant_request_id="29115-34620561-1",
        checkout_request_id="ws_CO_10122023133400273708374149",
        result_code="0",
        result_desc=PROCESSED,
        amount=Decimal("10500.00"),
        receipt="RLA7RT61SV",
        paid_at=datetime(2023, 12, 10, 10, 34, 15, tzinfo=UTC),
        msisdn="254708374149",
    ),
    "stk_callback_paid_other_order": StkResult(
        merchant_request_id="29115-34620561-2",
        checkout_request_id="ws_CO_10122023133400274708374149",
        result_code="0",
        result_desc=PROCESSED,
        amount=Decimal("168.00"),
        receipt="RLA8RT61SV",
        paid_at=None,
        msisdn="254708374149",
    ),
    "stk_callback_cancelled": stk_failure("1032", "Request cancelled by user"),
    "stk_callback_cancelled_2017": stk_failure("1032", "[STK_CB - ]Request cancelled by user"),
    "stk_callback_unreachable": stk_failure("1037", "DS timeout user cannot be reached."),
    "stk_callback_wrong_pin": stk_failure("2001", "The initiator information is invalid."),
    "stk_callback_string_code": stk_failure("SFC_IC0003", "The operator does not exist."),
}

INTERNAL = "https://internalsandbox.safaricom.co.ke/mpesa/abresults/v1/submit"
BALANCE_TEXT = (
    "Working Account|KES|46713.00|46713.00|0.00|0.00&Float Account|KES|0.00|0.00|0.00|0.00"
    "&Utility Account|KES|49217.00|49217.00|0.00|0.00&Charges Paid Account|KES|-220.00|-220.00|0.00|0.00"
    "&Organization Settlement Account|KES|0.00|0.00|0.00|0.00"
)
BALANCE_2026_TEXT = (
    "Working Account|KES|7000.00|7000.00|0.00|0.00&Utility Account|KES|187.50|187.50|0.00|0.00"
    "&Charges Paid Account|KES|-12.00|-12.00|0.00|0.00&Merchant Account|KES|0.00|0.00|0.00|0.00"
    "&Organization Settlement Account|KES|0.00|0.00|0.00|0.00"
)
RESULT_CASES = {
    "result_balance": AsyncResult(
        result_type="0",
        result_code="0",
        result_desc=PROCESSED,
        originator_conversation_id="16917-22577599-3",
        conversation_id="AG_20200120_00004af94ccb9fd46a83",
        transaction_id=None,
        parameters=(("AccountBalance", BALANCE_TEXT), ("BOCompletedTime", "20200120164825")),
        references=(("QueueTimeoutURL", INTERNAL),),
    ),
    "result_balance_2026": AsyncResult(
        result_type="0",
        result_code="0",
        result_desc=PROCESSED,
        originator_conversation_id="8423-4a3b-87d8-1d918a78741e243712",
        conversation_id="AG_20260825_010020480ucukatfpxp2",
        transaction_id=None,
        parameters=(
            ("ActionType", "AccountBalance"),
            ("AccountBalance", BALANCE_2026_TEXT),
            ("BOCompletedTime", "20260825101500"),
        ),
        references=(("QueueTimeoutURL", INTERNAL),),
    ),
    "result_balance_locked": AsyncResult(
        result_type="0",
        result_code="8006",
        result_desc="The security credential is locked.",
        originator_conversation_id="1c5b-4ba8-815c-ac45c57a3db01495926",
        conversation_id="AG_20260930_010020480ucukatfpxp3",
        transaction_id=None,
        parameters=(
            ("ActionType", "AccountBalance"),
            ("ErrorMsg", "API Password is locked. "),
            ("BOCompletedTime", "20260930101500"),
        ),
        references=(("QueueTimeoutURL", INTERNAL),),
    ),
    "result_wrong_initiator": AsyncResult(
        result_type="0",
        result_code="2001",
        result_desc="The initiator information is invalid.",
        originator_conversation_id="29112-34801843-1",
        conversation_id="AG_20191219_00006c6fddb15123addf",
        transaction_id=None,
        parameters=(),
        references=(("QueueTimeoutURL", INTERNAL),),
    ),
    "result_lone_parameter": AsyncResult(
        result_type="0",
        result_code="SFC_IC0003",
        result_desc="The operator does not exist.",
        originator_conversation_id="8521-4298025-1",
        conversation_id="AG_20200120_00007d2a6d8fd9f2f7c3",
        transaction_id=None,
        parameters=(("BOCompletedTime", "20200120164825"),),
        references=(("QueueTimeoutURL", "https://internalsandbox.safaricom.co.ke/mpesa/b2bresults/v1/submit"),),
    ),
    "result_status": AsyncResult(
        result_type="0",
        result_code="0",
        result_desc=PROCESSED,
        originator_conversation_id="10816-694520-2",
        conversation_id="AG_20170727_000059c52529a8e080bd",
        transaction_id=None,
        parameters=(
            ("ReceiptNo", "LGR919G2AV"),
            ("ConversationID", "AG_20170727_00004492b1b6d0078fbe"),
            ("FinalisedTime", "20170727101415"),
            ("Amount", "10"),
            ("TransactionStatus", "Completed"),
            ("ReasonType", "Salary Payment via API"),
            ("TransactionReason", None),
            ("DebitPartyCharges", "Fee For B2C Payment|KES|33.00"),
            ("DebitAccountType", "Utility Account"),
            ("InitiatedTime", "20170727101415"),
            ("OriginatorConversationID", "19455-773836-1"),
            ("CreditPartyName", "254708374149 - John Doe"),
            ("DebitPartyName", "600134 - Safaricom157"),
            ("DebitPartyName", "600134 - Safaricom157"),
        ),
        references=(("Occasion", None),),
    ),
    "result_status_spaced_ids": AsyncResult(
        result_type="0",
        result_code="2032",
        result_desc="The transaction receipt number does not exist.",
        originator_conversation_id="10816-694520-3",
        conversation_id="AG_20170727_000059c52529a8e080be",
        transaction_id=None,
        parameters=(),
        references=(),
    ),
    "result_payout": AsyncResult(
        result_type="0",
        result_code="0",
        result_desc=PROCESSED,
        originator_conversation_id="5118-111210482-1",
        conversation_id="AG_20240706_20106e9209f64bebd05b",
        transaction_id="SG632NMUAB",
        parameters=(
            ("TransactionAmount", "10"),
            ("TransactionReceipt", "SG632NMUAB"),
            ("B2CChargesPaidAccountAvailableFunds", "-4510.0"),
            ("B2CRecipientIsRegisteredCustomer", "Y"),
            ("TransactionCompletedDateTime", "06.07.2024 22:48:52"),
        ),
        references=(("BillReferenceNumber", "19008"), ("QueueTimeoutURL", INTERNAL), ("Occassion", None)),
    ),
}

TIMEOUT_CASES = {
    "timeout_envelope": QueueTimeout(
        result_code="100000000",
        result_desc="Request cached, waiting for resending.",
        originator_conversation_id="16917-22577599-4",
        conversation_id="AG_20200120_00004af94ccb9fd46a84",
    ),
    "timeout_flat": QueueTimeout(
        result_code="",
        result_desc="",
        originator_conversation_id="",
        conversation_id="AG_20200120_00004af94ccb9fd46a85",
    ),
    "timeout_empty": QueueTimeout("", "", "", ""),
}

CASES = [
    *((parse_c2b, name, expected) for name, expected in C2B_CASES.items()),
    *((parse_stk_callback, name, expected) for name, expected in STK_CASES.items()),
    *((parse_result, name, expected) for name, expected in RESULT_CASES.items()),
    *((parse_timeout, name, expected) for name, expected in TIMEOUT_CASES.items()),
]


@pytest.mark.parametrize(("parse", "name", "expected"), CASES, ids=[name for _, name, _ in CASES])
def test_every_documented_payload_is_read_to_its_exact_values(parse, name, expected):
    assert parse(payload(name)) == expected


def test_no_payload_file_is_without_a_case():
    """Those of results have theirs in test_results.py too, the others in test_notices.py and test_pulling.py."""
    read_here = {name for _, name, _ in CASES}
    read_elsewhere = ("result_", "express_", "ratiba_", "bill_", "pull_")

    files = {path.stem for path in PAYLOADS.glob("*.json")}

    assert read_here <= files
    assert {name for name in files - read_here if not name.startswith(read_elsewhere)} == set()


def test_paid_at_is_aware_utc():
    assert parse_c2b(payload("c2b_confirmation_masked")).paid_at.tzinfo is UTC


def test_the_first_of_repeated_parameters_is_the_one_that_is_got():
    result = parse_result(payload("result_status"))

    assert result.parameters.get("DebitPartyName") == "600134 - Safaricom157"
    assert result.parameters.get("TransactionReason") is None
    assert result.parameters.get("NotThere") is None
    assert result.references.get("Occasion") is None


@pytest.mark.parametrize(
    ("sent", "amount"),
    [
        ("5.00", "5.00"),
        ("10", "10.00"),
        (10, "10.00"),
        (0.1, "0.10"),
        ("0.01", "0.01"),
        (999999999999.99, "999999999999.99"),
        ("999999999999.99", "999999999999.99"),
        (" 7 ", "7.00"),
    ],
)
def test_amounts_are_exact_whatever_their_json_type(sent, amount):
    assert str(parse_c2b(c2b_body(TransAmount=sent)).amount) == amount
    assert str(parse_stk_callback(stk_body(Amount=sent, MpesaReceiptNumber="NLJ7RT61SV")).amount) == amount


@pytest.mark.parametrize(
    "sent",
    [
        *(None, "", True, [], {}, "five", "1,000.00", "\u0665"),
        *("0", "0.00", 0, 0.0, -5, "-5.00", "+5", "5.", ".5"),
        *("NaN", "Infinity", "1e3", 1e300, "5.005", 5.005, "9" * 13),
    ],
)
def test_what_is_no_positive_amount_is_unreadable(sent):
    with pytest.raises(UnreadablePayload):
        parse_c2b(c2b_body(TransAmount=sent))
    with pytest.raises(UnreadablePayload):
        parse_stk_callback(stk_body(Amount=sent, MpesaReceiptNumber="NLJ7RT61SV"))


@pytest.mark.parametrize(
    "changes",
    [
        {"TransID": ""},
        {"TransID": None},
        {"TransID": "RKL51ZDR4F; DROP"},
        {"TransID": "R" * 21},
        {"TransID": "OAK0000000"},
        {"TransTime": "2023112112132"},
        {"TransTime": "20231321121325"},
        {"TransTime": "20230229121325"},
        {"TransTime": "20231121251325"},
        {"TransTime": "00010101000000"},
        {"TransTime": "2023-11-21 12:13"},
        {"TransTime": None},
        {"BusinessShortCode": ""},
        {"BusinessShortCode": None},
        {"BillRefNumber": "A" * 65},
        {"BillRefNumber": "VIP\x00001"},
        {"BillRefNumber": ["VIP001"]},
        {"MSISDN": "2" * 129},
        {"MSISDN": 2547.5},
        {"FirstName": {"en": "JOHN"}},
    ],
    ids=str,
)
def test_a_confirmation_that_can_not_be_a_payment_is_unreadable(changes):
    with pytest.raises(UnreadablePayload) as unreadable:
        parse_c2b(c2b_body(**changes))

    assert unreadable.value.reason.endswith(".")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'"text"',
        b"null",
        b"<html></html>",
        b'{"a": NaN}',
        b'{"a": "\\ud800"}',
        b'{"a": "\xff"}',
        b"\xef\xbb\xbf{}",
        b"[" * 5000,
        b'{"Result": []}',
    ],
)
@pytest.mark.parametrize("parse", [parse_c2b, parse_stk_callback, parse_result])
def test_nonsense_is_unreadable_and_nothing_else(parse, body):
    with pytest.raises(UnreadablePayload):
        parse(body)


def test_only_a_real_nul_is_refused():
    """A customer may type a backslash and u0000; that is six ordinary characters."""
    assert parse_c2b(c2b_body(BillRefNumber="\\u0000")).account_reference == "\\u0000"
    with pytest.raises(UnreadablePayload):
        parse_c2b(c2b_body(BillRefNumber="\\\x00"))


def test_a_receipt_is_one_receipt_whatever_its_case_and_spaces():
    assert parse_c2b(c2b_body(TransID=" rkl51zdr4f ")).receipt == "RKL51ZDR4F"


@pytest.mark.parametrize(
    "items",
    [{}, {"Amount": 1}, {"MpesaReceiptNumber": "NLJ7RT61SV"}, {"Amount": 1, "MpesaReceiptNumber": "NLJ0000000"}],
    ids=str,
)
def test_paid_without_an_amount_or_a_receipt_is_unreadable(items):
    with pytest.raises(UnreadablePayload):
        parse_stk_callback(stk_body(**items))


@pytest.mark.parametrize("missing", ["MerchantRequestID", "CheckoutRequestID", "ResultCode", "CallbackMetadata"])
def test_a_paid_callback_needs_its_ids_code_and_metadata(missing):
    body = orjson.loads(payload("stk_callback_paid"))
    del body["Body"]["stkCallback"][missing]

    with pytest.raises(UnreadablePayload):
        parse_stk_callback(orjson.dumps(body))


def test_a_result_is_found_again_by_either_id_but_not_without():
    body = {"Result": {"ResultCode": 0, "ConversationID": "AG_1"}}
    assert parse_result(orjson.dumps(body)).conversation_id == "AG_1"

    del body["Result"]["ConversationID"]
    with pytest.raises(UnreadablePayload):
        parse_result(orjson.dumps(body))


def test_the_balance_text_is_read_account_by_account():
    balances = parse_balances(BALANCE_TEXT)

    assert [balance.name for balance in balances] == [
        "Working Account",
        "Float Account",
        "Utility Account",
        "Charges Paid Account",
        "Organization Settlement Account",
    ]
    assert balances[2] == AccountBalance(
        name="Utility Account",
        currency="KES",
        current=Decimal("49217.00"),
        available=Decimal("49217.00"),
        reserved=Decimal("0.00"),
        uncleared=Decimal("0.00"),
    )
    assert balances[3].current == Decimal("-220.00")


@pytest.mark.parametrize("text", ["", "Working Account|KES|1.00", "A|KES|1|1|1|NaN", "A|KES|1|1|1|1&", "|KES|1|1|1|1"])
def test_a_garbled_balance_text_is_unreadable(text):
    with pytest.raises(UnreadablePayload):
        parse_balances(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
C2B_KEYS = st.sampled_from(sorted(orjson.loads(payload("c2b_confirmation_masked"))))


def encoded(value):
    return json.dumps(value).encode()


@pytest.mark.parametrize(
    ("parse", "kind"),
    [
        (parse_c2b, C2BPayment),
        (parse_stk_callback, StkResult),
        (parse_result, AsyncResult),
        (parse_timeout, QueueTimeout),
    ],
)
@given(body=st.binary(max_size=200) | JSON.map(encoded))
def test_any_bytes_are_read_or_unreadable(parse, kind, body):
    try:
        read = parse(body)
    except UnreadablePayload:
        return
    assert type(read) is kind


@given(changes=st.dictionaries(C2B_KEYS, JSON, max_size=4))
def test_any_change_to_a_confirmation_is_read_or_unreadable(changes):
    body = encoded(orjson.loads(payload("c2b_confirmation_masked")) | changes)
    try:
        read = parse_c2b(body)
    except UnreadablePayload:
        return
    assert read.amount > 0
    assert read.receipt
    assert "\x00" not in "".join((read.account_reference, read.msisdn, read.first_name, read.last_name))


@given(code=JSON, items=JSON, group=JSON)
def test_any_change_to_a_callback_or_result_is_read_or_unreadable(code, items, group):
    stk = orjson.loads(payload("stk_callback_paid"))
    stk["Body"]["stkCallback"] |= {"ResultCode": code, "CallbackMetadata": {"Item": items}}
    result = orjson.loads(payload("result_balance"))
    result["Result"] |= {"ResultCode": code, "ResultParameters": group, "ReferenceData": {"ReferenceItem": items}}

    for parse, kind, body in ((parse_stk_callback, StkResult, stk), (parse_result, AsyncResult, result)):
        with suppress(UnreadablePayload):
            assert type(parse(encoded(body))) is kind


@given(st.text(max_size=80))
def test_any_balance_text_is_read_or_unreadable(text):
    with suppress(UnreadablePayload):
        assert parse_balances(text)
