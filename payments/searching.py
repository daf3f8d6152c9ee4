"""Finding payments as people ask for them: “did she pay?”, with whatever they have at hand."""

import re
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID

from django.db.models import Q, QuerySet

from audit.services import Actor
from channels.msisdn import InvalidPhoneNumber, normalise, sha256_hex
from payments.models import Payment
from payments.queries import payments_of
from payments.services import NAIROBI

_AMOUNT = re.compile(r"(?:KES|KSH)?\.? ?([0-9][0-9,]{0,11}(?:\.[0-9]{1,2})?)(?:/=)?", re.IGNORECASE)
_RECEIPT = re.compile(r"(?=.*[0-9])(?=.*[A-Z])[A-Z0-9]{10}")


def search_payments(
    *,
    actor: Actor,
    environment: str,
    text: str = "",
    since: date | None = None,
    until: date | None = None,
    channel_id: UUID | None = None,
) -> QuerySet[Payment]:
    """Payments of one environment that fit all that is given. Days are Kenya's, `until` is the last one.

    `text` is a receipt, a phone number in any local form, an amount, what the customer typed as account number, or a
    part of a name: its form decides. A whole account number wins over beginnings and names, because an index knows it.
    A masked number is found by what M-PESA left of it.
    """
    rows = payments_of(actor=actor).filter(environment=environment)
    if since:
        rows = rows.filter(paid_at__gte=start_of(since))
    if until:
        rows = rows.filter(paid_at__lt=start_of(until + timedelta(days=1)))
    if channel_id:
        rows = rows.filter(channel_id=channel_id)
    typed = " ".join(text.split())
    return _with(rows, typed) if typed else rows


def start_of(day: date) -> datetime:
    """When a day of Kenya's clock begins."""
    return datetime.combine(day, time.min, tzinfo=NAIROBI)


def _with(rows: QuerySet[Payment], typed: str) -> QuerySet[Payment]:
    reference = Q(account_reference__in={typed, typed.upper(), typed.lower()})
    try:
        return rows.filter(reference | _paid_from(normalise(typed)))
    except InvalidPhoneNumber:
        pass
    if amount := _AMOUNT.fullmatch(typed):
        return rows.filter(reference | Q(amount=Decimal(amount[1].replace(",", ""))))
    if _RECEIPT.fullmatch(typed.upper()):
        return rows.filter(reference | Q(receipt=typed.upper()))
    if rows.filter(reference).exists():
        return rows.filter(reference)
    beginning = Q(receipt__startswith=typed.upper())
    for spelling in (typed, typed.upper(), typed.lower()):  # cheaper than folding the case of every row
        beginning |= Q(account_reference__startswith=spelling)
    name = Q(payer_name__contains=typed.upper()) | Q(payer_name__contains=typed.title())
    return rows.filter(beginning | name)


def _paid_from(msisdn: str) -> Q:
    """Plain, hashed, or masked: M-PESA leaves the first digits and the last three."""
    masked = Q(payer__contains="*", payer__startswith=msisdn[:4], payer__endswith=msisdn[-3:])
    return Q(payer__in=[msisdn, sha256_hex(msisdn)]) | masked
