"""Finding payments as people ask for them: “did she pay?”, with whatever they have at hand.

No search reads a million rows while somebody waits. What is typed whole (a receipt, a number, an amount, an account
number) is found by an index, at any age. A part of a name or of an account number is looked for among the newest
payments only: docs/adr/0021-whole-words-by-index-parts-among-the-newest.md.
"""

import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID

from django.db import connection
from django.db.models import Q, QuerySet

from audit.services import Actor
from channels.msisdn import InvalidPhoneNumber, normalise, spellings
from payments.accounts import account_key, of_account
from payments.models import Payment
from payments.queries import payments_of
from payments.services import NAIROBI
from tenants.amounts import read_amount

LOOKED_THROUGH = 20_000  # payments, where no index answers

_RECEIPT = re.compile(r"(?=.*[A-Z])[A-Z0-9]{10}")
_PAYERS_THAT_ARE = """
    SELECT payer
      FROM unnest(%s::text[]) AS payer
     WHERE EXISTS (SELECT FROM payments_payment AS known WHERE known.environment = %s AND known.payer = payer.payer)
"""


@dataclass(frozen=True, slots=True)
class Found:
    """Payments that fit. Those of `looked_back_to` and older were not looked at; None: all were."""

    rows: QuerySet[Payment]
    looked_back_to: datetime | None = None


def search_payments(
    *,
    actor: Actor,
    environment: str,
    text: str = "",
    since: date | None = None,
    until: date | None = None,
    channel_id: UUID | None = None,
) -> QuerySet[Payment]:
    """Payments of one environment that fit all that is given, however old: for files, which are made in the background.

    Days are Kenya's, `until` is the last one. `text` is a receipt, a phone number in any local form, an amount, what
    the customer typed as account number, or a part of a name: its form decides. A whole account number wins over
    beginnings and names. A masked number is found by what M-PESA left of it.
    """
    rows = _of(_in_days(actor=actor, environment=environment, since=since, until=until), channel_id)
    typed = " ".join(text.split())
    return rows.filter(_whole(typed, environment) or _parts(typed)) if typed else rows


def find_payments(
    *,
    actor: Actor,
    environment: str,
    text: str = "",
    since: date | None = None,
    until: date | None = None,
    channel_id: UUID | None = None,
    before: datetime | None = None,
) -> Found:
    """What `search_payments` finds, for somebody who waits: as much as can be looked at in a page's time.

    `before` is where a search that did not look at all goes on: its `looked_back_to`.
    """
    days = _in_days(actor=actor, environment=environment, since=since, until=until)
    if before:
        days = days.filter(paid_at__lte=before)
    rows = _of(days, channel_id)
    typed = " ".join(text.split())
    if not typed:
        return Found(rows)
    whole = _whole(typed, environment)
    if whole is None:
        return _among_the_newest(rows, _parts(typed))
    if channel_id:  # which the index that finds them does not know
        return _among_the_newest(days.filter(whole), Q(channel_id=channel_id))
    return Found(rows.filter(whole))


def start_of(day: date) -> datetime:
    """When a day of Kenya's clock begins."""
    return datetime.combine(day, time.min, tzinfo=NAIROBI)


def _in_days(*, actor: Actor, environment: str, since: date | None, until: date | None) -> QuerySet[Payment]:
    rows = payments_of(actor=actor).filter(environment=environment)
    if since:
        rows = rows.filter(paid_at__gte=start_of(since))
    if until:
        rows = rows.filter(paid_at__lt=start_of(until + timedelta(days=1)))
    return rows


def _of(rows: QuerySet[Payment], channel_id: UUID | None) -> QuerySet[Payment]:
    return rows.filter(channel_id=channel_id) if channel_id else rows


def _among_the_newest(rows: QuerySet[Payment], wanted: Q) -> Found:
    """Those of `rows`, which an index gives by age, that are wanted; the newest `LOOKED_THROUGH` are looked at."""
    by_age = rows.order_by("-paid_at").values_list("paid_at", flat=True)
    first_left_out = by_age[LOOKED_THROUGH : LOOKED_THROUGH + 1].first()
    if first_left_out is not None:
        rows = rows.filter(paid_at__gt=first_left_out)
    return Found(rows.filter(wanted), first_left_out)


def _whole(typed: str, environment: str) -> Q | None:
    """What is known by an index, if that is what was typed."""
    account = of_account(typed)
    other = _known_otherwise(typed, environment)
    if Payment.objects.filter(account, environment=environment).exists():
        return account | other if other else account
    return other


def _known_otherwise(typed: str, environment: str) -> Q | None:
    """A phone number, an amount or a receipt."""
    try:
        return Q(payer__in=_payers(normalise(typed), environment))
    except InvalidPhoneNumber:
        pass
    if amount := read_amount(typed):
        return Q(amount=Decimal(amount))
    receipt = typed.upper()
    if _RECEIPT.fullmatch(receipt) and (not receipt.isalpha() or _is_receipt(receipt, environment)):
        return Q(receipt=receipt)
    return None


def _is_receipt(letters: str, environment: str) -> bool:
    """Are these ten letters a receipt? Most receipts have a digit, but not all; and a name may have ten letters."""
    return Payment.objects.filter(receipt=letters, environment=environment).exists()


def _payers(msisdn: str, environment: str) -> list[str]:
    """The ways in which payers of that number came: plain, hashed, masked. Asked one by one, each of the index: for a
    long list of which few exist PostgreSQL would rather read the newest payments."""
    with connection.cursor() as cursor:
        cursor.execute(_PAYERS_THAT_ARE, [spellings(msisdn), environment])
        return [payer for (payer,) in cursor.fetchall()]


def _parts(typed: str) -> Q:
    """The beginning of a receipt or account number, or something in a name."""
    parts = Q(receipt__startswith=typed.upper())
    bare = account_key(typed)
    for spelling in {typed, typed.upper(), typed.lower(), bare, bare.upper()} - {""}:  # cheaper than every row's key
        parts |= Q(account_reference__startswith=spelling)
    return parts | Q(payer_name__contains=typed.upper()) | Q(payer_name__contains=typed.title())
