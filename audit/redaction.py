"""What must not be read by whoever reads logs, trails and evidence: credentials, and phone numbers in full."""

import re

HIDDEN = "(hidden)"
_SECRET_NAMES = re.compile(
    r"(?i)password|passkey|secret|credential|token|(?:api|consumer|private)[_-]?key|authorization|cookie"
)

_NAMED_SECRET = re.compile(
    r"(?i)((?:password|passkey|secret|credential|(?:api|consumer|private)[_-]?key|(?:access|refresh)[_-]?token)"
    rf"['\"]?\s*[=:]\s*['\"]?)(?!{re.escape(HIDDEN)})[^\s'\",;&}})]+"
)
_SECRETS = [
    # The path of a link to a question.
    (re.compile(r"(/link/)[A-Za-z0-9_-]{20,}"), r"\1(token)"),
    # The path that Safaricom calls, and its token by itself: 29 characters of its own alphabet.
    (re.compile(r"(/h/)[^/\s?#'\"]+"), r"\1(token)"),
    # A member's own page, and the link by which a customer joins.
    (re.compile(r"(/(?:m|join)/)[^/\s?#'\"]{16,}"), r"\1(token)"),
    (re.compile(r"(?<![A-Za-z0-9])[bdfghjkmnprtvwxz2456789]{29}(?![A-Za-z0-9])"), "(token)"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+"), "(token)"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{16,}"), rf"\1 {HIDDEN}"),
    (_NAMED_SECRET, rf"\1{HIDDEN}"),
    # The password in postgresql://user:password@host
    (re.compile(r"(://[^\s:/@]*:)[^\s/@]+(@)"), rf"\1{HIDDEN}\2"),
]
_PHONE_NUMBERS = [
    (re.compile(r"(?<![A-Za-z0-9])(\+?254[17]|0?[17])\d{5}(\d{3})(?![A-Za-z0-9]|\.\d)"), r"\1****\2"),
    # A CheckoutRequestID ends with the nine digits of the customer's number.
    (re.compile(r"(\bws_CO_\d+[17])\d{5}(\d{3})(?!\d)"), r"\1****\2"),
]


def is_secret(name: str) -> bool:
    """Does a column, header or field of this name hold a secret?"""
    return _SECRET_NAMES.search(name) is not None


def without_secrets(text: str) -> str:
    """`text` without path tokens, credentials and JWTs."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def mask_phone_numbers(text: str) -> str:
    """`text` with the middle of every Kenyan mobile number hidden: `2547****678`."""
    for pattern, replacement in _PHONE_NUMBERS:
        text = pattern.sub(replacement, text)
    return text
