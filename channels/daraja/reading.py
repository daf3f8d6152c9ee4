"""The values in Daraja's JSON, read with care: what is absent, what is text or number, what makes no sense.

Daraja mixes types, leaves keys out, and repeats or misspells others. The readers take every documented variant. What
can't be read raises `UnreadablePayload`, and nothing else is ever raised.
"""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson

from channels.daraja.phrases import Phrase

EAT = timedelta(hours=3)  # Daraja's clock: East Africa Time, without daylight saving

RECEIPT_MAX = 20
TEXT_MAX = 64  # what the customer typed (20 in practice), names, types
MSISDN_MAX = 128  # plain, masked, hashed, or a hash that is itself partly starred
ID_MAX = 128
DESC_MAX = 1024

_AMOUNT = re.compile(r"[0-9]{1,12}(\.[0-9]{1,2})?")
_CENT = Decimal("0.01")
_ESCAPED_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
PLACEHOLDER = "0000000"  # how the transaction id of a failure ends; never a receipt
_FIRST_YEAR = 2007  # M-PESA's own


class UnreadablePayload(Exception):
    """This is not what Daraja sends here. `reason` is a sentence for the person who looks at the delivery."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def read_object(body: bytes) -> dict[str, Any]:
    """Read a JSON object that PostgreSQL can keep, that is without NUL characters.

    :raises UnreadablePayload: if the body is anything else.
    """
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise UnreadablePayload(Phrase("The body is not JSON.")) from exc
    if not isinstance(data, dict):
        raise UnreadablePayload(Phrase("The body is not a JSON object."))
    if b"\\u0000" in body and _ESCAPED_NUL.search(body):
        raise UnreadablePayload(Phrase("The body contains a NUL character."))
    return data


def text_in(value: object, key: str, longest: int = TEXT_MAX) -> str:
    """Text as it is, a whole number as its digits, null and absent as ''."""
    if value is None:
        return ""
    if type(value) is int:
        value = str(value)
    if type(value) is not str:
        raise UnreadablePayload(Phrase("%(key)s is neither text nor a whole number.", key=key))
    if len(value) > longest:
        raise UnreadablePayload(Phrase("%(key)s is longer than %(most)s characters.", key=key, most=str(longest)))
    return value


def required_in(value: object, key: str, longest: int = TEXT_MAX) -> str:
    """The same without the spaces around it, and never ''."""
    if text := text_in(value, key, longest).strip():
        return text
    raise UnreadablePayload(Phrase("%(key)s is missing.", key=key))


def description_in(value: object) -> str:
    """Daraja's own words, or '': they never make a body unreadable."""
    return value[:DESC_MAX] if isinstance(value, str) else ""


def receipt_in(value: object, key: str) -> str:
    """M-PESA's number of a payment, in capitals; not the placeholder of a failure."""
    receipt = required_in(value, key, RECEIPT_MAX).upper()
    if not (receipt.isascii() and receipt.isalnum()) or receipt.endswith(PLACEHOLDER):
        raise UnreadablePayload(Phrase("%(key)s is not an M-PESA receipt.", key=key))
    return receipt


def moment_in(value: object, key: str) -> datetime:
    """An aware UTC time from Daraja's 14 digits of East Africa Time."""
    digits = text_in(value, key).strip()
    if len(digits) == 14 and digits.isascii() and digits.isdigit():
        year, month, day = int(digits[:4]), int(digits[4:6]), int(digits[6:8])
        hour, minute, second = int(digits[8:10]), int(digits[10:12]), int(digits[12:])
        if year >= _FIRST_YEAR:
            try:
                return datetime(year, month, day, hour, minute, second, tzinfo=UTC) - EAT
            except ValueError:
                pass
    raise UnreadablePayload(Phrase("%(key)s is not a time of the form YYYYMMDDHHmmss.", key=key))


def amount_in(value: object, key: str) -> Decimal:
    """A positive amount with at most two decimals.

    A JSON number arrives as a float; its shortest text has the digits that were sent, for the 14 that we allow.
    """
    if type(value) is float:
        value = repr(value)
    text = text_in(value, key).strip()
    if _AMOUNT.fullmatch(text) and (amount := Decimal(text)):
        return amount.quantize(_CENT)
    raise UnreadablePayload(Phrase("%(key)s is not a positive amount in shillings.", key=key))


def object_in(parent: dict[str, Any], key: str) -> dict[str, Any]:
    """The object under `key`."""
    value = parent.get(key)
    if isinstance(value, dict):
        return value
    raise UnreadablePayload(Phrase("%(key)s is missing or is not an object.", key=key))


def items_in(value: object, key: str) -> list[dict[str, Any]]:
    """A list of objects, given as a list, as a lone object, or not at all."""
    if value is None:
        return []
    items = value if isinstance(value, list) else [value]
    objects = [item for item in items if isinstance(item, dict)]
    if len(objects) == len(items):
        return objects
    raise UnreadablePayload(Phrase("%(key)s is neither an object nor a list of objects.", key=key))
