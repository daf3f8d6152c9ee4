"""Whose number is it? The name that the business wrote beside the one that M-PESA answers with."""

import re

from payments.models import Payout

_WORD = re.compile(r"[^\W\d_]+")


def differ(given: str, m_pesas: str) -> bool:
    """Have two names no word in common, whatever their capitals and order? With one that says nothing: no."""
    ours, theirs = _words(given), _words(m_pesas)
    return bool(ours and theirs) and not ours & theirs


def other_name(payout: Payout) -> str:
    """M-PESA's name for who has the money, where it is plainly another than the business wrote; else nothing."""
    is_other = payout.status == Payout.Status.SUCCEEDED and differ(payout.name, payout.receiver_name)
    return payout.receiver_name if is_other else ""


def _words(name: str) -> set[str]:
    return set(_WORD.findall(name.casefold()))
