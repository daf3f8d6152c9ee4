from datetime import date
from decimal import Decimal
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.daraja.notices import (
    ExpressResult,
    InvoicePayment,
    StandingOrderResult,
    parse_express_callback,
    parse_invoice_payment,
    parse_standing_order_callback,
)
from channels.daraja.reading import UnreadablePayload

PAYLOADS = Path(__file__).parents[2] / "payloads" / "daraja"


def payload(name):
    return (PAYLOADS / f"{name}.json").read_bytes()


def changed(name, **changes):
    return orjson.dumps(orjson.loads(payload(name)) | changes)


CASES = [
    (
        parse_express_callback,
        "express_callback_cancelled",
        ExpressResult(
            request_id="c2a9ba32-9e11-4b90-892c-7bc54944609a",
            result_code="4001",
            result_desc="User cancelled transaction",
            amount=Decimal("71.00"),
            receipt=None,
            conversation_id="",
            payment_reference="MAndbubry3hi",
        ),
    ),
    (
        parse_express_callback,
        "express_callback_paid",
        ExpressResult(
            request_id="404e1aec-19e0-4ce3-973d-bd92e94c8021",
            result_code="0",
            result_desc="The service request is processed successfully.",
            amount=Decimal("71.00"),
            receipt="RDQ01NFT1Q",
            conversation_id="AG_20230426_2010434680d9f5a73766",
            payment_reference="",
        ),
    ),
    (
        parse_standing_order_callback,
        "ratiba_callback_agreed",
        StandingOrderResult(
            response_ref_id="0acc0239-20fa-4a52-8b9d-9ba64c2a4f26",
            request_ref_id="0acc0239-20fa-4a52-8b9d-9ba64c2a4f26",
            result_code="0",
            result_desc="The service request is processed successfully",
            order_id="SC8F2IQMH5",
            status="OKAY",
            msisdn="254******867",
        ),
    ),
    (
        parse_standing_order_callback,
        "ratiba_callback_unreachable",
        StandingOrderResult(
            response_ref_id="4dd9b5d9-d738-42ba-9326-2cc99e966000",
            request_ref_id="c8e0f5c1-3a5d-4d0b-a11c-5b1a2e0c7f11",
            result_code="1037",
            result_desc="Error",
            order_id=None,
            status="ERROR",
            msisdn="*********149",
        ),
    ),
    (
        parse_invoice_payment,
        "bill_payment",
        InvoicePayment(
            receipt="RJB53MYR1N",
            amount=Decimal("5000.00"),
            shortcode="349350",
            account_reference="LGHJIO789",
            msisdn="254708374149",
            paid_on=date(2021, 9, 15),
        ),
    ),
]


@pytest.mark.parametrize(("parse", "name", "expected"), CASES, ids=[name for _, name, _ in CASES])
def test_every_documented_notice_is_read_to_its_exact_values(parse, name, expected):
    assert parse(payload(name)) == expected


def test_no_notice_file_is_without_a_case():
    files = {path.stem for pattern in ("express_*", "ratiba_*", "bill_*") for path in PAYLOADS.glob(f"{pattern}.json")}

    assert files == {name for _, name, _ in CASES}


@pytest.mark.parametrize(
    "changes", [{"requestId": ""}, {"resultCode": None}, {"amount": None}, {"transactionId": "RDQ0000000"}], ids=str
)
def test_a_paid_checkout_needs_its_id_code_amount_and_receipt(changes):
    with pytest.raises(UnreadablePayload):
        parse_express_callback(changed("express_callback_paid", **changes))


def test_a_cancelled_checkout_needs_neither_amount_nor_receipt():
    read = parse_express_callback(changed("express_callback_cancelled", amount=None))

    assert (read.amount, read.receipt, read.result_code) == (None, None, "4001")


def test_the_code_of_a_standing_order_is_the_one_beside_its_status():
    """The header may say 200, as it does in the acknowledgement."""
    body = orjson.loads(payload("ratiba_callback_unreachable"))
    body["ResponseHeader"]["responseCode"] = "200"

    assert parse_standing_order_callback(orjson.dumps(body)).result_code == "1037"


def test_a_standing_order_without_data_has_the_code_of_its_header():
    body = {"ResponseHeader": {"responseRefID": "4dd9b5d9", "responseCode": "1051"}}

    read = parse_standing_order_callback(orjson.dumps(body))

    assert (read.result_code, read.order_id, read.status) == ("1051", None, "")


@pytest.mark.parametrize("header", [{}, {"responseRefID": "4dd9b5d9"}, {"responseCode": "0"}], ids=str)
def test_a_standing_order_needs_its_id_and_code(header):
    with pytest.raises(UnreadablePayload):
        parse_standing_order_callback(orjson.dumps({"responseHeader": header}))


@pytest.mark.parametrize(
    "changes", [{"transactionId": ""}, {"paidAmount": "0"}, {"paidAmount": "5,000"}, {"shortCode": None}], ids=str
)
def test_an_invoice_payment_needs_a_receipt_an_amount_and_a_shortcode(changes):
    with pytest.raises(UnreadablePayload):
        parse_invoice_payment(changed("bill_payment", **changes))


def test_an_invoice_payment_without_a_readable_day_is_a_payment_still():
    assert parse_invoice_payment(changed("bill_payment", dateCreated="yesterday")).paid_on is None
    assert parse_invoice_payment(changed("bill_payment", dateCreated="2021-09-15 08:00:00.00")).paid_on == date(
        2021, 9, 15
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)


@pytest.mark.parametrize(("parse", "name", "kind"), [(parse, name, type(read)) for parse, name, read in CASES])
@given(data=st.data())
def test_any_change_to_a_notice_is_read_or_unreadable(parse, name, kind, data):
    body = orjson.loads(payload(name))
    changes = data.draw(st.dictionaries(st.sampled_from(sorted(body)), JSON, max_size=3))
    try:
        read = parse(orjson.dumps(body | changes))
    except UnreadablePayload:
        return
    assert type(read) is kind


@pytest.mark.parametrize("parse", [parse_express_callback, parse_standing_order_callback, parse_invoice_payment])
@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"<html></html>", b"{}"])
def test_nonsense_is_unreadable_and_nothing_else(parse, body):
    with pytest.raises(UnreadablePayload):
        parse(body)
