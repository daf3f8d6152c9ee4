"""What a payment gave is taken back when the payment is: once, and exactly that.

The payment's `PaymentOutcome` is the gate here too, and locks come in the same order as in `awards`: whoever changes it
to REVERSED takes back what it had given, in the same commit. A payment that was reversed before it was awarded gets
its outcome here, and is never awarded.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from loyalty.members import lock_member
from loyalty.models import Member, PaymentOutcome, PointsEntry, Reward
from loyalty.tasks import take_back
from loyalty.totals import Change, add_to_totals
from payments.models import Payment
from tenants.queue import enqueue
from tenants.sentences import say_many

Status = PaymentOutcome.Status


def promise_taking_back(sender: Any, *, payment_id: UUID, **kwargs: Any) -> None:
    """Hear that a payment was reversed, in the commit that notes it."""
    enqueue(take_back, payment_id=str(payment_id))


@transaction.atomic
def take_back_points(*, payment_id: UUID, now: datetime) -> None:
    """Take back the points and the stamp that a reversed payment gave. Doing it twice does it once.

    Points that the member has spent can't be taken: the balance never falls below zero, and no debt is kept. How many
    stayed is written on the outcome (`points_kept`) and on the entry. A payment that is not reversed is left alone.
    """
    payment = Payment.objects.only("reversed_at").get(pk=payment_id)
    if payment.reversed_at is None:
        return
    outcome, _ = PaymentOutcome.objects.select_for_update().get_or_create(
        payment=payment, defaults={"status": Status.REVERSED, "decided_at": now}
    )
    if outcome.status == Status.REVERSED:
        return
    if outcome.status == Status.EARNED and outcome.member_id:
        member = lock_member(outcome.member_id)
        outcome.points_kept = outcome.points - _take_points(member, outcome, now=now)
        if outcome.gave_stamp:
            _take_stamp(member, payment_id)
        member.save(update_fields=["points_balance", "stamps"])
    outcome.status = Status.REVERSED
    outcome.save(update_fields=["status", "points_kept"])


def _take_points(member: Member, outcome: PaymentOutcome, *, now: datetime) -> int:
    """Returns how many there were to take."""
    taken = min(outcome.points, member.points_balance)
    if taken:
        member.points_balance -= taken
        kept = outcome.points - taken
        add_to_totals([Change(member.program_id, member.environment, PointsEntry.Kind.REVERSE, -taken)], now=now)
        PointsEntry.objects.create(
            member=member,
            kind=PointsEntry.Kind.REVERSE,
            points=-taken,
            balance_after=member.points_balance,
            payment_id=outcome.payment_id,
            note=_spent(outcome.points, kept) if kept else "",
            created_at=now,
        )
    return taken


def _take_stamp(member: Member, payment_id: UUID) -> None:
    """One stamp less. If the card was just begun, the last full one is not full any more: its reward goes, unless it
    was collected, the payment's own before others."""
    if member.stamps:
        member.stamps -= 1
        return
    ready = Reward.objects.select_for_update().filter(member=member, status=Reward.Status.READY).order_by("-pk")
    reward = ready.filter(payment=payment_id).first() or ready.first()
    if reward is None:
        return
    reward.status = Reward.Status.WITHDRAWN
    reward.save(update_fields=["status"])
    rule = getattr(member.program, "stamp_rule", None)
    member.stamps = rule.payments_needed - 1 if rule else 0


def _spent(points: int, kept: int) -> str:
    return say_many(
        "Of %(points)s points, %(count)s was spent already.",
        "Of %(points)s points, %(count)s were spent already.",
        count=kept,
        points=points,
    )
