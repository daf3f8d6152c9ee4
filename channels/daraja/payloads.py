"""What Daraja's bodies mean: bytes in, a frozen dataclass with our names out.

Daraja mixes types, leaves keys out, and repeats or misspells others (sections 5.4, 8, 10, 16). The readers take
every documented variant. What can't be read raises `UnreadablePayload`, and nothing else is ever raised.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson

EAT = timedelta(hours=3)  # Daraja's clock: East Africa Time, without daylight saving

RECEIPT_MAX = 20
TEXT_MAX = 64  # what the customer typed (20 in practice), names, types
MSISDN_MAX = 128  # plain, masked, hashed, or a hash that is itself partly starred
ID_MAX = 128
DESC_MAX = 1024

_AMOUNT = re.compile(r"[0-9]{1,12}(\.[0-9]{1,2})?")
_BALANCE = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,2})?")
_CENT = Decimal("0.01")
_ESCAPED_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_PLACEHOLDER = "0000000"  # how the transaction id of a failure ends; never a receipt
_FIRST_YEAR = 2007  # M-PESA's own


class UnreadablePayload(Exception):
    """This is not what Daraja sends here. `reason` is a sentence for the person who looks at the delivery."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


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


def read_object(body: bytes) -> dict[str, Any]:
    """Read a JSON object that PostgreSQL can keep, that is without NUL characters.

    :raises UnreadablePayload: if the body is anything else.
    """
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise UnreadablePayload("The body is not JSON.") from exc
    if not isinstance(data, dict):
        raise UnreadablePayload("The body is not a JSON object.")
    if b"\\u0000" in body and _ESCAPED_NUL.search(body):
        raise UnreadablePayload("The body contains a NUL character.")
    return data


def parse_c2b(body: bytes) -> C2BPayment:
    """Read a C2B validation or confirmation.

    :raises UnreadablePayload: without a receipt, a time, a positive amount and a shortcode.
    """
    get = read_object(body).get
    return C2BPayment(
        _receipt(get("TransID"), "TransID"),
        _moment(get("TransTime"), "TransTime"),
        _paid_amount(get("TransAmount"), "TransAmount"),
        _required(get("BusinessShortCode"), "BusinessShortCode"),
        _text(get("BillRefNumber"), "BillRefNumber"),
        _text(get("MSISDN"), "MSISDN", MSISDN_MAX),
        _text(get("FirstName"), "FirstName"),
        _text(get("MiddleName"), "MiddleName"),
        _text(get("LastName"), "LastName"),
        _text(get("TransactionType"), "TransactionType"),
        _text(get("InvoiceNumber"), "InvoiceNumber"),
        _text(get("OrgAccountBalance"), "OrgAccountBalance"),
        _text(get("ThirdPartyTransID"), "ThirdPartyTransID", ID_MAX),
    )


def parse_stk_callback(body: bytes) -> StkResult:
    """Read an STK callback.

    :raises UnreadablePayload: without both ids and a result code, or when paid without an amount and a receipt.
    """
    callback = _object(_object(read_object(body), "Body"), "stkCallback")
    merchant_request_id = _required(callback.get("MerchantRequestID"), "MerchantRequestID", ID_MAX)
    checkout_request_id = _required(callback.get("CheckoutRequestID"), "CheckoutRequestID", ID_MAX)
    result_code = _required(callback.get("ResultCode"), "ResultCode")
    result_desc = _description(callback.get("ResultDesc"))
    if result_code != "0":
        return StkResult(merchant_request_id, checkout_request_id, result_code, result_desc, None, None, None, None)
    item = {
        entry.get("Name"): entry.get("Value")
        for entry in _items(_object(callback, "CallbackMetadata").get("Item"), "Item")
        if isinstance(entry.get("Name"), str)
    }
    paid_at, msisdn = item.get("TransactionDate"), item.get("PhoneNumber")
    return StkResult(
        merchant_request_id,
        checkout_request_id,
        result_code,
        result_desc,
        _paid_amount(item.get("Amount"), "Amount"),
        _receipt(item.get("MpesaReceiptNumber"), "MpesaReceiptNumber"),
        None if paid_at is None else _moment(paid_at, "TransactionDate"),
        None if msisdn is None else _text(msisdn, "PhoneNumber", MSISDN_MAX),
    )


def parse_result(body: bytes) -> AsyncResult:
    """Read what Daraja posts to a ResultURL.

    Spaces inside keys are dropped: "Conversation ID" and "ConversationID" are one key.

    :raises UnreadablePayload: without a result code and at least one of the two conversation ids.
    """
    result = _unspaced(_object(read_object(body), "Result"))
    originator_conversation_id, conversation_id = _conversation_ids(result)
    if not (originator_conversation_id or conversation_id):
        raise UnreadablePayload("The result has no conversation id.")
    transaction_id = _text(result.get("TransactionID"), "TransactionID")
    return AsyncResult(
        result_type=_text(result.get("ResultType"), "ResultType"),
        result_code=_required(result.get("ResultCode"), "ResultCode"),
        result_desc=_description(result.get("ResultDesc")),
        originator_conversation_id=originator_conversation_id,
        conversation_id=conversation_id,
        transaction_id=None if transaction_id.endswith(_PLACEHOLDER) else transaction_id or None,
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
        result_code=_text(notice.get("ResultCode"), "ResultCode"),
        result_desc=_description(notice.get("ResultDesc")),
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
            raise UnreadablePayload("AccountBalance is not in the form that Daraja documents.")
        current, available, reserved, uncleared = (Decimal(amount) for amount in fields[2:])
        balances.append(AccountBalance(fields[0], fields[1], current, available, reserved, uncleared))
    return balances


def _text(value: object, key: str, longest: int = TEXT_MAX) -> str:
    """Text as it is, a whole number as its digits, null and absent as ''."""
    if value is None:
        return ""
    if type(value) is int:
        value = str(value)
    if type(value) is not str:
        raise UnreadablePayload(f"{key} is neither text nor a whole number.")
    if len(value) > longest:
        raise UnreadablePayload(f"{key} is longer than {longest} characters.")
    return value


def _required(value: object, key: str, longest: int = TEXT_MAX) -> str:
    if text := _text(value, key, longest).strip():
        return text
    raise UnreadablePayload(f"{key} is missing.")


def _description(value: object) -> str:
    return value[:DESC_MAX] if isinstance(value, str) else ""


def _receipt(value: object, key: str) -> str:
    receipt = _required(value, key, RECEIPT_MAX).upper()
    if not (receipt.isascii() and receipt.isalnum()) or receipt.endswith(_PLACEHOLDER):
        raise UnreadablePayload(f"{key} is not an M-PESA receipt.")
    return receipt


def _moment(value: object, key: str) -> datetime:
    """An aware UTC time from Daraja's 14 digits of East Africa Time."""
    digits = _text(value, key).strip()
    if len(digits) == 14 and digits.isascii() and digits.isdigit():
        year, month, day = int(digits[:4]), int(digits[4:6]), int(digits[6:8])
        hour, minute, second = int(digits[8:10]), int(digits[10:12]), int(digits[12:])
        if year >= _FIRST_YEAR:
            try:
                return datetime(year, month, day, hour, minute, second, tzinfo=UTC) - EAT
            except ValueError:
                pass
    raise UnreadablePayload(f"{key} is not a time of the form YYYYMMDDHHmmss.")


def _paid_amount(value: object, key: str) -> Decimal:
    """A positive amount with at most two decimals.

    A JSON number arrives as a float; its shortest text has the digits that were sent, for the 14 that we allow.
    """
    if type(value) is float:
        value = repr(value)
    text = _text(value, key).strip()
    if _AMOUNT.fullmatch(text) and (amount := Decimal(text)):
        return amount.quantize(_CENT)
    raise UnreadablePayload(f"{key} is not a positive amount in shillings.")


def _object(parent: dict[str, Any], key: str) -> dict[str, Any]:
    value = parent.get(key)
    if isinstance(value, dict):
        return value
    raise UnreadablePayload(f"{key} is missing or is not an object.")


def _items(value: object, key: str) -> list[dict[str, Any]]:
    """A list of objects, given as a list, as a lone object, or not at all."""
    if value is None:
        return []
    items = value if isinstance(value, list) else [value]
    objects = [item for item in items if isinstance(item, dict)]
    if len(objects) == len(items):
        return objects
    raise UnreadablePayload(f"{key} is neither an object nor a list of objects.")


def _pairs(result: dict[str, Any], group: str, key: str) -> Pairs:
    if result.get(group) is None:
        return Pairs()
    return Pairs(
        (_required(item.get("Key"), "Key").replace(" ", ""), _value(item.get("Value")))
        for item in _items(_object(result, group).get(key), key)
    )


def _value(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int | float):
        return orjson.dumps(value).decode()
    raise UnreadablePayload("A Value is neither text nor a number.")


def _unspaced(data: dict[str, Any]) -> dict[str, Any]:
    return {key.replace(" ", ""): value for key, value in data.items()}


def _conversation_ids(data: dict[str, Any]) -> tuple[str, str]:
    """(OriginatorConversationID, ConversationID), '' for what is not there."""
    return (
        _text(data.get("OriginatorConversationID"), "OriginatorConversationID", ID_MAX).strip(),
        _text(data.get("ConversationID"), "ConversationID", ID_MAX).strip(),
    )
