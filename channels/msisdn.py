"""Kenyan mobile numbers: read as people type them, kept as 12 digits, shown masked.

An MSISDN is `2547XXXXXXXX` or `2541XXXXXXXX`, without a plus sign (section 2).
"""

import hashlib
import re

from channels.daraja.phrases import Phrase

_SEPARATORS = re.compile(r"[\s\-.()\u2010-\u2015]")
_LOCAL_FORM = re.compile(r"(?:(?:\+|00)?254)?0?([17][0-9]{8})")
_PLAIN = re.compile(r"254[17][0-9]{8}")
_NAMES_ONE = re.compile(r"(?:254|0)[17][0-9]{8}|[0-9a-f]{64}")
_LONGEST = 40


class InvalidPhoneNumber(Exception):
    """What was typed is not a Kenyan mobile number; `phrase` says so to the person who typed it."""

    phrase = Phrase("Enter a Kenyan mobile number, like 0712 345 678.")

    def __init__(self) -> None:
        super().__init__(self.phrase)


def normalise(text: str) -> str:
    """Turn a number as typed (`0712 345 678`, `+254 (0)110-345-678`, `712345678`) into its 12 digits.

    :raises InvalidPhoneNumber: if it is no Kenyan mobile number.
    """
    if len(text) <= _LONGEST and (match := _LOCAL_FORM.fullmatch(_SEPARATORS.sub("", text))):
        return f"254{match[1]}"
    raise InvalidPhoneNumber


def is_plain(text: str) -> bool:
    """Is this a whole number, neither masked nor hashed?"""
    return _PLAIN.fullmatch(text) is not None


def mask(msisdn: str) -> str:
    """Hide the middle of a number: `2547****126`. What came masked stays as it came; a hash is hidden whole."""
    if is_plain(msisdn):
        return f"{msisdn[:4]}****{msisdn[-3:]}"
    return msisdn if "*" in msisdn else "****"


def masks(msisdn: str) -> list[str]:
    """The ways in which M-PESA may write a whole number: its first digits, stars, its last three, perhaps with spaces.

    Its versions differ in how many: `2547 ***** 126`, `254******126`, `25471****126`.
    """
    return [
        f"{msisdn[:shown]}{space}{'*' * hidden}{space}{msisdn[-3:]}"
        for shown in (3, 4, 5, 6)
        for hidden in (3, 4, 5, 6, 7)
        for space in ("", " ")
    ]


def spellings(msisdn: str) -> list[str]:
    """Every way in which M-PESA may name a whole number: plain, hashed, masked."""
    return [msisdn, sha256_hex(msisdn), *masks(msisdn)]


def may_be(named: str, msisdn: str) -> bool:
    """Could what M-PESA wrote be this whole number? Plain, masked or hashed; what can't be read speaks against none."""
    written = _SEPARATORS.sub("", named).removeprefix("+").lower()
    spelt = (msisdn, f"0{msisdn[3:]}", sha256_hex(msisdn))
    if "*" in written:
        first, last = written.split("*", 1)[0], written.rsplit("*", 1)[1]
        return any(each.startswith(first) and each.endswith(last) for each in spelt)
    return not _NAMES_ONE.fullmatch(written) or written in spelt


def sha256_hex(msisdn: str) -> str:
    """Hash the 12 digits, lower-case hex, as C2B version 1 is presumed to (section 8).

    :raises InvalidPhoneNumber: if it is not 12 plain digits.
    """
    if not is_plain(msisdn):
        raise InvalidPhoneNumber
    return hashlib.sha256(msisdn.encode()).hexdigest()
