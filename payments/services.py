"""Recording money that arrived. One function serves one report and ten thousand."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.db.models import F
from django.db.models.functions import Now

from audit.ids import new_id
from channels.models import MpesaChannel
from payments.models import DayTotal, HourTotal, Payment
from payments.signals import payments_recorded
from tenants.clock import NAIROBI as NAIROBI
from tenants.models import TenantActivity
from tenants.queue import require_current_tenant

_INSERT_PAYMENTS = """
    INSERT INTO payments_payment (id, channel_id, receipt, environment, payer, payer_name, amount, account_reference,
                                  routed_to, source, paid_at, callback_id, created_at)
    SELECT given.*, now()
      FROM unnest(%s::uuid[], %s::uuid[], %s::text[], %s::text[], %s::text[], %s::text[], %s::numeric[], %s::text[],
                  %s::text[], %s::text[], %s::timestamptz[], %s::uuid[]) AS given
        ON CONFLICT (channel_id, receipt) DO NOTHING
 RETURNING id, channel_id, receipt, amount, routed_to, paid_at
"""
_ADD_NAMES = """
      WITH nameless AS (
           SELECT known.id, given.payer_name
             FROM payments_payment AS known
             JOIN unnest(%s::uuid[], %s::text[], %s::numeric[], %s::text[])
                  AS given (channel_id, receipt, amount, payer_name) USING (channel_id, receipt, amount)
            WHERE known.payer_name = ''
            ORDER BY known.id
              FOR NO KEY UPDATE OF known)
    UPDATE payments_payment AS known
       SET payer_name = nameless.payer_name
      FROM nameless
     WHERE known.id = nameless.id
"""
_ADD_TO_DAY_TOTALS = """
    INSERT INTO payments_daytotal AS known (id, channel_id, date, payment_count, amount)
    SELECT * FROM unnest(%s::uuid[], %s::uuid[], %s::date[], %s::int[], %s::numeric[])
        ON CONFLICT (channel_id, date) DO UPDATE
       SET payment_count = known.payment_count + excluded.payment_count, amount = known.amount + excluded.amount
"""
_ADD_TO_HOUR_TOTALS = """
    INSERT INTO payments_hourtotal AS known (id, channel_id, date, hour, routed_to, payment_count, amount)
    SELECT * FROM unnest(%s::uuid[], %s::uuid[], %s::date[], %s::int[], %s::text[], %s::int[], %s::numeric[])
        ON CONFLICT (channel_id, date, hour, routed_to) DO UPDATE
       SET payment_count = known.payment_count + excluded.payment_count, amount = known.amount + excluded.amount
"""


_Sums = defaultdict[tuple[Any, ...], tuple[int, Decimal]]  # how many payments, and their KES


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentReport:
    """M-PESA's word that money arrived on a channel, from whichever of its mouths."""

    receipt: str
    channel: MpesaChannel
    payer: str
    payer_name: str
    amount: Decimal  # KES
    account_reference: str
    routed_to: str  # the program that the channel's mapping gives it to, "" for none
    source: Payment.Source
    paid_at: datetime
    callback_id: UUID | None


@dataclass(frozen=True, slots=True)
class NewPayment:
    """What the database says about a payment that it did not know before."""

    id: UUID
    channel_id: UUID
    receipt: str
    amount: Decimal
    routed_to: str
    paid_at: datetime


@transaction.atomic(savepoint=False)
def record_payments(*, reports: Sequence[PaymentReport]) -> list[NewPayment]:
    """Record money that M-PESA says has arrived, in the present tenant, and return the payments that are new.

    M-PESA repeats itself: one receipt may be reported by a confirmation, an STK result and a Pull, at once. The first
    report wins; the rest change nothing, but a name that was missing is added. The totals of days and hours change and
    followers are told in the same commit.
    """
    if not reports:
        return []
    # In one order everywhere, so that two workers with the same receipts wait for each other instead of deadlocking.
    ordered = sorted(reports, key=lambda report: (report.channel.pk, report.receipt))
    with connection.cursor() as cursor:
        cursor.execute(
            _INSERT_PAYMENTS,
            [
                [new_id() for _ in ordered],
                [report.channel.pk for report in ordered],
                [report.receipt for report in ordered],
                [report.channel.environment for report in ordered],
                [report.payer for report in ordered],
                [report.payer_name for report in ordered],
                [report.amount for report in ordered],
                [report.account_reference for report in ordered],
                [report.routed_to for report in ordered],
                [report.source.value for report in ordered],
                [report.paid_at for report in ordered],
                [report.callback_id for report in ordered],
            ],
        )
        new = [NewPayment(*row) for row in cursor.fetchall()]
        if len(new) < len(ordered):
            _add_names(cursor, ordered, new)
        if new:
            _add_to_totals(cursor, new)  # last: a reversal takes the payment first, too
    if new:
        TenantActivity.objects.filter(tenant=require_current_tenant()).update(last_payment_at=Now())
        payments_recorded.send(sender=Payment, payment_ids=[payment.id for payment in new])
    return new


def _add_names(cursor: CursorWrapper, reports: Sequence[PaymentReport], new: Sequence[NewPayment]) -> None:
    """What was reported without a name before, as a prompt's answer is, gets it from a later report."""
    are_new = {(payment.channel_id, payment.receipt) for payment in new}
    named = [report for report in reports if report.payer_name and (report.channel.pk, report.receipt) not in are_new]
    if named:
        cursor.execute(
            _ADD_NAMES,
            [
                [report.channel.pk for report in named],
                [report.receipt for report in named],
                [report.amount for report in named],
                [report.payer_name for report in named],
            ],
        )


def note_given_back(payment: Payment) -> None:
    """Take a payment that was just reversed out of what is left of its day and hour, in the caller's commit."""
    paid_at = payment.paid_at.astimezone(NAIROBI)
    change = {"reversed_count": F("reversed_count") + 1, "reversed_amount": F("reversed_amount") + payment.amount}
    day = {"channel_id": payment.channel_id, "date": paid_at.date()}
    DayTotal.objects.filter(**day).update(**change)
    HourTotal.objects.filter(**day, hour=paid_at.hour, routed_to=payment.routed_to).update(**change)


def note_charge(payment: Payment, charge: Decimal) -> None:
    """Write down what M-PESA kept of a payment, unless that is known, and add it to its day, in the caller's commit."""
    if Payment.objects.filter(pk=payment.pk, charge=None).update(charge=charge):
        day = DayTotal.objects.filter(channel=payment.channel_id, date=payment.paid_at.astimezone(NAIROBI).date())
        day.update(charges=F("charges") + charge)


def _add_to_totals(cursor: CursorWrapper, payments: Sequence[NewPayment]) -> None:
    """Days before hours, each in one order, as everybody takes them."""
    days: _Sums = defaultdict(lambda: (0, Decimal(0)))
    hours: _Sums = defaultdict(lambda: (0, Decimal(0)))
    for payment in payments:
        paid_at = payment.paid_at.astimezone(NAIROBI)
        day = (payment.channel_id, paid_at.date())
        _add(days, day, payment.amount)
        _add(hours, (*day, paid_at.hour, payment.routed_to), payment.amount)
    for statement, sums in ((_ADD_TO_DAY_TOTALS, days), (_ADD_TO_HOUR_TOTALS, hours)):
        rows = [(new_id(), *key, *sums[key]) for key in sorted(sums)]
        cursor.execute(statement, [list(column) for column in zip(*rows, strict=True)])


def _add(sums: _Sums, key: tuple[Any, ...], amount: Decimal) -> None:
    count, total = sums[key]
    sums[key] = (count + 1, total + amount)
