"""Phone numbers: how people write them and how Daraja shows them (sections 2 and 8 of the reference)."""

import hashlib
import re
from enum import StrEnum

_WIRE = re.compile(r"254[17]\d{8}")
_LOCAL = re.compile(r"(?:\+?254|0)?([17]\d{8})")
_PUNCTUATION = re.compile(r"[\s()\-.]")


class MsisdnStyle(StrEnum):
    """How a C2B callback shows the payer's number."""

    PLAIN = "plain"  # 254712345126, until about July 2022
    MASKED = "masked"  # 2547 ***** 126
    MASKED_COMPACT = "masked_compact"  # 25471****126
    HASHED = "hashed"  # SHA-256 of the 12 digits, in lower-case hex
    STARRED_HASH = "starred_hash"  # such a hash with its middle starred out


def is_wire(text: str) -> bool:
    """Whether this is a number as Daraja wants it: 12 digits, 2547… or 2541…."""
    return _WIRE.fullmatch(text) is not None


def normalise(text: str) -> str | None:
    """The 12 digits of a number in any local form (0712…, 712…, +254 712…), or None."""
    match = _LOCAL.fullmatch(_PUNCTUATION.sub("", text))
    return f"254{match[1]}" if match else None


def shown(msisdn: str, style: MsisdnStyle) -> str:
    """The number as a callback of that style shows it."""
    if style is MsisdnStyle.PLAIN:
        return msisdn
    if style is MsisdnStyle.MASKED:
        return f"{msisdn[:4]} ***** {msisdn[-3:]}"
    if style is MsisdnStyle.MASKED_COMPACT:
        return f"{msisdn[:5]}****{msisdn[-3:]}"
    digest = hashlib.sha256(msisdn.encode()).hexdigest()
    return digest if style is MsisdnStyle.HASHED else f"{digest[:30]} ***** {digest[34:]}"
