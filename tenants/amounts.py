"""Amounts as people write them."""

import re

_AMOUNT = re.compile(
    r"(?:(?:KES|KSHS?|SHS?)\.?\s?)?([0-9]{1,12}|[0-9]{1,3}(?:[,\s][0-9]{3}){1,3})(\.[0-9]{1,2})?(?:\s?/[=-])?", re.I
)


def read_amount(text: str) -> str | None:
    """The digits of an amount in shillings, however it is written: `KES 1,200`, `12 500/=`, `Sh. 99.50` → `99.50`."""
    found = _AMOUNT.fullmatch(text.strip())
    return re.sub(r"[,\s]", "", found[1]) + (found[2] or "") if found else None
