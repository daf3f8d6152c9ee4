"""What a person should look at before they release: twice the same, the same as lately, a name that does not fit.

Warnings are sentences on the row. They stop nothing.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db.models.expressions import RawSQL
from django.utils import timezone

from payments.models import Payout
from payments.payouts.checking import Row
from payments.payouts.names import differ
from tenants.sentences import Day, say

_LATELY = timedelta(days=7)
_NOT_PAID = (Payout.Status.FAILED, Payout.Status.CANCELLED)


def add_warnings(rows: Sequence[Row], *, kind: str, environment: str, now: datetime) -> int:
    """Add to each row what is odd about it; returns how many rows have something."""
    _warn_of_repeats(rows)
    _warn_of_recent(rows, kind=kind, environment=environment, now=now)
    _warn_of_names(rows, environment=environment)
    return sum(bool(row.warnings) for row in rows)


def _warn_of_repeats(rows: Sequence[Row]) -> None:
    by_payee: dict[tuple[str, str], int] = {}
    by_payment: dict[tuple[str, str, int], int] = {}
    for row in rows:
        payee = (row.receiver, _account(row))
        if first := by_payment.get((*payee, row.amount)):
            row.warnings.append(say("Row %(row)s pays the same amount to the same receiver.", row=str(first)))
        elif first := by_payee.get(payee):
            row.warnings.append(say("Row %(row)s pays the same receiver.", row=str(first)))
        by_payee.setdefault(payee, row.number)
        by_payment.setdefault((*payee, row.amount), row.number)


def _warn_of_recent(rows: Sequence[Row], *, kind: str, environment: str, now: datetime) -> None:
    recent = (
        Payout.objects.filter(
            environment=environment,
            kind=kind,
            receiver__in=_all_of({row.receiver for row in rows}),
            created_at__gte=now - _LATELY,
        )
        .exclude(status__in=_NOT_PAID)
        .order_by("pk")
        .values_list("receiver", "amount", "created_at")
    )
    known = {(receiver, amount): at for receiver, amount, at in recent}
    for row in rows:
        if at := known.get((row.receiver, row.amount)):
            day = Day(timezone.localtime(at).date(), has_year=False)
            row.warnings.append(say("The same amount was meant for the same receiver on %(day)s.", day=day))


def _warn_of_names(rows: Sequence[Row], *, environment: str) -> None:
    named = {row.receiver for row in rows if row.name}
    known = dict(
        Payout.objects.filter(environment=environment, receiver__in=_all_of(named), status=Payout.Status.SUCCEEDED)
        .exclude(receiver_name="")
        .order_by("receiver", "-pk")
        .distinct("receiver")
        .values_list("receiver", "receiver_name")
    )
    for row in rows:
        if any(character.isdecimal() for character in row.name):
            row.warnings.append(say("The name has digits in it."))
        m_pesas = known.get(row.receiver, "")
        if differ(row.name, m_pesas):
            row.warnings.append(say("M-PESA knows this receiver as %(name)s.", name=m_pesas))


def _all_of(receivers: set[str]) -> RawSQL:
    """As one parameter: to bind each of 10,000 by itself takes longer than to look for them."""
    return RawSQL("SELECT unnest(%s::text[])", [list(receivers)])


def _account(row: Row) -> str:
    """Of organisations many accounts may be paid; a phone is one, whatever the business notes beside it."""
    return "" if row.receiver.startswith("254") else row.account_reference
