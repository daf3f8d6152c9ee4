"""The callbacks that come without the envelope of a result: B2B express, Ratiba and Bill Manager.

Bytes in, a frozen dataclass with our names out. What can't be read raises `UnreadablePayload`, and nothing else is
ever raised.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from channels.daraja.reading import (
    DESC_MAX,
    ID_MAX,
    MSISDN_MAX,
    PLACEHOLDER,
    amount_in,
    description_in,
    items_in,
    read_object,
    receipt_in,
    required_in,
    text_in,
)


@dataclass(frozen=True, slots=True)
class ExpressResult:
    """How a B2B express checkout ended (section 15). `request_id` is presumed to be the `request_ref_id` we sent."""

    request_id: str
    result_code: str  # "0": paid
    result_desc: str
    amount: Decimal | None
    receipt: str | None  # None unless paid
    conversation_id: str
    payment_reference: str  # only seen when cancelled


@dataclass(frozen=True, slots=True)
class StandingOrderResult:
    """Whether a customer agreed to a standing order (section 20). What it pays later comes as C2B confirmations.

    `response_ref_id` is the one of the acknowledgement.
    """

    response_ref_id: str
    request_ref_id: str
    result_code: str  # "0": the order stands
    result_desc: str
    order_id: str | None  # M-PESA's number of the order; None when there is none
    status: str  # such as OKAY or ERROR
    msisdn: str  # masked


@dataclass(frozen=True, slots=True)
class InvoicePayment:
    """An invoice was paid, in full or in part (section 21). Daraja sends it up to five times."""

    receipt: str
    amount: Decimal  # KES, two decimals
    shortcode: str
    account_reference: str
    msisdn: str
    paid_on: date | None  # by Kenya's calendar


def parse_express_callback(body: bytes) -> ExpressResult:
    """Read what Daraja posts to the callbackUrl of a B2B express checkout.

    :raises UnreadablePayload: without a request id and a result code, or when paid without an amount and a receipt.
    """
    get = read_object(body).get
    result_code = required_in(get("resultCode"), "resultCode")
    is_paid = result_code == "0"
    return ExpressResult(
        request_id=required_in(get("requestId"), "requestId", ID_MAX),
        result_code=result_code,
        result_desc=description_in(get("resultDesc")),
        amount=amount_in(get("amount"), "amount") if is_paid or get("amount") else None,
        receipt=receipt_in(get("transactionId"), "transactionId") if is_paid else None,
        conversation_id=text_in(get("conversationID"), "conversationID", ID_MAX),
        payment_reference=text_in(get("paymentReference"), "paymentReference"),
    )


def parse_standing_order_callback(body: bytes) -> StandingOrderResult:
    """Read what Daraja posts to the CallBackURL of a standing order; the keys' capitals vary.

    :raises UnreadablePayload: without a responseRefID and a result code.
    """
    answer = _lower(read_object(body))
    header, data = _lower(answer.get("responseheader")), _data(_lower(answer.get("responsebody")))
    order_id = text_in(data.get("transactionid"), "TransactionID").strip()
    code = data.get("responsecode")
    return StandingOrderResult(
        response_ref_id=required_in(header.get("responserefid"), "responseRefID", ID_MAX),
        request_ref_id=text_in(header.get("requestrefid"), "requestRefID", ID_MAX),
        result_code=required_in(header.get("responsecode") if code is None else code, "responseCode"),
        result_desc=description_in(header.get("responsedescription")),
        order_id=None if order_id.endswith(PLACEHOLDER) else order_id or None,
        status=text_in(data.get("status"), "Status"),
        msisdn=text_in(data.get("msisdn"), "Msisdn", MSISDN_MAX),
    )


def parse_invoice_payment(body: bytes) -> InvoicePayment:
    """Read what Bill Manager posts to the callbackurl of the opt-in. Answer with `INVOICE_PAYMENT_ANSWER`.

    :raises UnreadablePayload: without a receipt, a positive amount and a shortcode.
    """
    get = read_object(body).get
    return InvoicePayment(
        receipt=receipt_in(get("transactionId"), "transactionId"),
        amount=amount_in(get("paidAmount"), "paidAmount"),
        shortcode=required_in(get("shortCode"), "shortCode"),
        account_reference=text_in(get("accountReference"), "accountReference"),
        msisdn=text_in(get("msisdn"), "msisdn", MSISDN_MAX),
        paid_on=_day(text_in(get("dateCreated"), "dateCreated")),
    )


INVOICE_PAYMENT_ANSWER = {"resmsg": "Success", "rescode": "200"}  # section 21


def _lower(value: object) -> dict[str, Any]:
    """An object with its keys in lower case; an empty one for anything else."""
    return {key.lower(): inner for key, inner in value.items()} if isinstance(value, Mapping) else {}


def _data(response_body: Mapping[str, Any]) -> dict[str, object]:
    return dict(_named(response_body.get("responsedata")))


def _named(value: object) -> Iterator[tuple[str, object]]:
    for item in map(_lower, items_in(value, "responseData")):
        yield required_in(item.get("name"), "name", DESC_MAX).lower(), item.get("value")


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text.strip()[:10])
    except ValueError:
        return None
