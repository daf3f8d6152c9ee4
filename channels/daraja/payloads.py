"""What Daraja's bodies mean: bytes in, a frozen dataclass with our names out.

Here: C2B, STK, and the envelope of results (sections 5.4, 8 and 10); what a result's parameters say is in
`results.py`, the callbacks without an envelope are in `notices.py`. What can't be read raises `UnreadablePayload`, and
nothing else is ever raised.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import orjson

from channels.daraja.phrases import Phrase
from channels.daraja.reading import (
    ID_MAX,
    MSISDN_MAX,
    PLACEHOLDER,
    UnreadablePayload,
    amount_in,
    description_in,
    items_in,
    moment_in,
    object_in,
    read_object,
    receipt_in,
    required_in,
    text_in,
)

__all__ = [
    "AccountBalance",
    "AsyncResult",
    "C2BPayment",
    "Pairs",
    "QueueTimeout",
    "StkResult",
    "UnreadablePayload",
    "parse_balances",
    "parse_c2b",
    "parse_result",
    "parse_stk_callback",
    "parse_timeout",
]

_BALANCE = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,2})?")


@dataclass(frozen=True, slots=True)
class C2BPayment:
    """A C2B validation or confirmation; they have the same shape (section 8)."""

    receipt: str
    paid_at: datetime  # UTC
    amount: Decimal  # KES, two decimals
    shortcode: str
    account_reference: str  # exactly as typed; '' for tills
    msisdn: str  # opaque: plain, masked, hashed or ''
    first_name: str
    middle_name: str
    last_name: str
    transaction_type: str
    invoice_number: str
    org_account_balance: str  # '' on validation
    third_party_id: str  # what our validation answer gave, if it did


@dataclass(frozen=True, slots=True)
class StkResult:
    """How an STK push ended (section 5.4). The last four are None unless `result_code` is "0"."""

    merchant_request_id: str
    checkout_request_id: str
    result_code: str  # "0": paid
    result_desc: str
    amount: Decimal | None
    receipt: str | None
    paid_at: datetime | None  # UTC; may be absent even when paid
    msisdn: str | None  # may be absent even when paid


class Pairs(tuple[tuple[str, str | None], ...]):
    """Daraja's Key and Value items in their order, repeats included; values are text, or None if there was none."""

    __slots__ = ()

    def get(self, key: str) -> str | None:
        """The first value of `key`, or None."""
        return next((value for name, value in self if name == key), None)


@dataclass(frozen=True, slots=True)
class AsyncResult:
    """The late answer to an initiator's call (section 10). At least one of the two ids is there."""

    result_type: str
    result_code: str  # "0": the call succeeded; for a status query that is not "the payment did"
    result_desc: str
    originator_conversation_id: str
    conversation_id: str
    transaction_id: str | None  # None for the placeholder of a failure
    parameters: Pairs
    references: Pairs


@dataclass(frozen=True, slots=True)
class QueueTimeout:
    """Daraja's queue gave up (section 10): the outcome is unknown. The shape is undocumented, all may be ''."""

    result_code: str
    result_desc: str
    originator_conversation_id: str
    conversation_id: str


@dataclass(frozen=True, slots=True)
class AccountBalance:
    """One account of a shortcode (section 16). KES amounts may be negative."""

    name: str
    currency: str
    current: Decimal
    available: Decimal
    reserved: Decimal
    uncleared: Decimal


def parse_c2b(body: bytes) -> C2BPayment:
    """Read a C2B validation or confirmation.

    :raises UnreadablePayload: without a receipt, a time, a positive amount and a shortcode.
    """
    get = read_object(body).get
    return C2BPayment(
        receipt_in(get("TransID"), "TransID"),
        moment_in(get("TransTime"), "TransTime"),
        amount_in(get("TransAmount"), "TransAmount"),
        required_in(get("BusinessShortCode"), "BusinessShortCode"),
        text_in(get("BillRefNumber"), "BillRefNumber"),
        text_in(get("MSISDN"), "MSISDN", MSISDN_MAX),
        text_in(get("FirstName"), "FirstName"),
        text_in(get("MiddleName"), "MiddleName"),
        text_in(get("LastName"), "LastName"),
        text_in(get("TransactionType"), "TransactionType"),
        text_in(get("InvoiceNumber"), "InvoiceNumber"),
        text_in(get("OrgAccountBalance"), "OrgAccountBalance"),
        text_in(get("ThirdPartyTransID"), "ThirdPartyTransID", ID_MAX),
    )


def parse_stk_callback(body: bytes) -> StkResult:
    """Read an STK callback.

    :raises UnreadablePayload: without both ids and a result code, or when paid without an amount and a receipt.
    """
    callback = object_in(object_in(read_object(body), "Body"), "stkCallback")
    merchant_request_id = required_in(callback.get("MerchantRequestID"), "MerchantRequestID", ID_MAX)
    checkout_request_id = required_in(callback.get("CheckoutRequestID"), "CheckoutRequestID", ID_MAX)
    result_code = required_in(callback.get("ResultCode"), "ResultCode")
    result_desc = description_in(callback.get("ResultDesc"))
    if result_code != "0":
        return StkResult(merchant_request_id, checkout_request_id, result_code, result_desc, None, None, None, None)
    item = {
        entry.get("Name"): entry.get("Value")
        for entry in items_in(object_in(callback, "CallbackMetadata").get("Item"), "Item")
        if isinstance(entry.get("Name"), str)
    }
    paid_at, msisdn = item.get("TransactionDate"), item.get("PhoneNumber")
    return StkResult(
        merchant_request_id,
        checkout_request_id,
        result_code,
        result_desc,
        amount_in(item.get("Amount"), "Amount"),
        receipt_in(item.get("MpesaReceiptNumber"), "MpesaReceiptNumber"),
        None if paid_at is None else moment_in(paid_at, "TransactionDate"),
        None if msisdn is None else text_in(msisdn, "PhoneNumber", MSISDN_MAX),
    )


def parse_result(body: bytes) -> AsyncResult:
    """Read what Daraja posts to a ResultURL.

    Spaces inside keys are dropped: "Conversation ID" and "ConversationID" are one key.

    :raises UnreadablePayload: without a result code and at least one of the two conversation ids.
    """
    result = _unspaced(object_in(read_object(body), "Result"))
    originator_conversation_id, conversation_id = _conversation_ids(result)
    if not (originator_conversation_id or conversation_id):
        raise UnreadablePayload(Phrase("The result has no conversation id."))
    transaction_id = text_in(result.get("TransactionID"), "TransactionID")
    return AsyncResult(
        result_type=text_in(result.get("ResultType"), "ResultType"),
        result_code=required_in(result.get("ResultCode"), "ResultCode"),
        result_desc=description_in(result.get("ResultDesc")),
        originator_conversation_id=originator_conversation_id,
        conversation_id=conversation_id,
        transaction_id=None if transaction_id.endswith(PLACEHOLDER) else transaction_id or None,
        parameters=_pairs(result, "ResultParameters", "ResultParameter"),
        references=_pairs(result, "ReferenceData", "ReferenceItem"),
    )


def parse_timeout(body: bytes) -> QueueTimeout:
    """Read what Daraja posts to a QueueTimeOutURL, as far as it has anything we know.

    :raises UnreadablePayload: if it is no JSON object, or what we know in it makes no sense.
    """
    outer = read_object(body)
    inner = outer.get("Result")
    notice = _unspaced(inner if isinstance(inner, dict) else outer)
    originator_conversation_id, conversation_id = _conversation_ids(notice)
    return QueueTimeout(
        result_code=text_in(notice.get("ResultCode"), "ResultCode"),
        result_desc=description_in(notice.get("ResultDesc")),
        originator_conversation_id=originator_conversation_id,
        conversation_id=conversation_id,
    )


def parse_balances(text: str) -> list[AccountBalance]:
    """Read the `AccountBalance` parameter: `name|currency|current|available|reserved|uncleared`, joined by `&`.

    :raises UnreadablePayload: if any account can't be read.
    """
    balances = []
    for account in text.split("&"):
        fields = [field.strip() for field in account.split("|")]
        if len(fields) != 6 or not fields[0] or not all(_BALANCE.fullmatch(amount) for amount in fields[2:]):
            raise UnreadablePayload(Phrase("AccountBalance is not in the form that Daraja documents."))
        current, available, reserved, uncleared = (Decimal(amount) for amount in fields[2:])
        balances.append(AccountBalance(fields[0], fields[1], current, available, reserved, uncleared))
    return balances


def _pairs(result: dict[str, Any], group: str, key: str) -> Pairs:
    if result.get(group) is None:
        return Pairs()
    return Pairs(
        (required_in(item.get("Key"), "Key").replace(" ", ""), _value(item.get("Value")))
        for item in items_in(object_in(result, group).get(key), key)
    )


def _value(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int | float):
        return orjson.dumps(value).decode()
    raise UnreadablePayload(Phrase("A Value is neither text nor a number."))


def _unspaced(data: dict[str, Any]) -> dict[str, Any]:
    return {key.replace(" ", ""): value for key, value in data.items()}


def _conversation_ids(data: dict[str, Any]) -> tuple[str, str]:
    """(OriginatorConversationID, ConversationID), '' for what is not there."""
    return (
        text_in(data.get("OriginatorConversationID"), "OriginatorConversationID", ID_MAX).strip(),
        text_in(data.get("ConversationID"), "ConversationID", ID_MAX).strip(),
    )
