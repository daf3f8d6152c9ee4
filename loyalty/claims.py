"""Payments whose payer nobody knew: they wait until somebody shows M-PESA's receipt for them."""

from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

import audit.services
from audit.services import Actor
from loyalty.awards import Award, give, rules_of
from loyalty.models import Member, PaymentOutcome
from loyalty.points import require_active
from payments.models import Payment
from payments.payers import may_come_from
from tenants.errors import Conflict, NotFound
from tenants.permissions import Permission, require


class UnknownReceipt(NotFound):
    code = "unknown_receipt"


class PaymentNotWaiting(Conflict):
    """It was claimed already, or it earns nothing."""

    code = "payment_not_waiting"


class OtherProgram(Conflict):
    code = "other_program"


class PaidByAnotherPhone(Conflict):
    code = "paid_by_another_phone"


def waiting_payments(*, actor: Actor) -> QuerySet[Payment]:
    """Payments that wait for their payer, of all environments: a door shows one environment at a time."""
    require(actor, Permission.LOYALTY_READ)
    waiting = Payment.objects.filter(outcome__status=PaymentOutcome.Status.WAITING)
    return waiting.select_related("outcome__program")


@transaction.atomic
def claim_payment(*, actor: Actor, member_id: UUID, receipt: str, now: datetime) -> PaymentOutcome:
    """Give a waiting payment's points and stamp to the member who shows its receipt, by the terms of today. Whoever
    does it has seen M-PESA's SMS, so the member may have paid from another phone.

    :raises NotFound: if there is no such member.
    :raises UnknownReceipt: if no payment in the member's environment has that receipt.
    :raises OtherProgram: if the payment belongs to another program.
    :raises PaymentNotWaiting: if it was claimed before, or earns nothing.
    :raises MemberInactive: if the member was deactivated.
    """
    require(actor, Permission.MEMBERS_CHANGE)
    member = _claimant(member_id)
    return _claim(actor, member, _lock_waiting(receipt, member), now=now)


@transaction.atomic
def claim_by_oneself(*, actor: Actor, member_id: UUID, receipt: str, now: datetime) -> PaymentOutcome:
    """The same, by the member alone: nobody else has seen more of it than a receipt, which others can read, too.

    :raises PaidByAnotherPhone: if M-PESA named another payer than the member's own number.
    :raises DomainError: as `claim_payment`.
    """
    require(actor, Permission.MEMBERS_CHANGE)
    member = _claimant(member_id)
    outcome = _lock_waiting(receipt, member)
    if member.phone_number and not may_come_from(payment=outcome.payment, phone_number=member.phone_number):
        raise PaidByAnotherPhone(_("That payment came from another phone. Show its SMS at the counter."))
    return _claim(actor, member, outcome, now=now)


def _claimant(member_id: UUID) -> Member:
    members = Member.objects.select_related("program__accrual_rule", "program__stamp_rule")
    member = members.filter(pk=member_id).first()
    if member is None:
        raise NotFound(_("There is no such member."))
    require_active(member)
    return member


def _claim(actor: Actor, member: Member, outcome: PaymentOutcome, *, now: datetime) -> PaymentOutcome:
    payment, rules = outcome.payment, rules_of(member.program)
    earned = rules.earned_by(payment)
    if not earned:
        sentence = _("By the terms of “%(program)s”, payment %(receipt)s gives nothing.")
        raise PaymentNotWaiting(sentence % {"program": member.program, "receipt": payment.receipt})
    outcome.status, outcome.member, outcome.decided_at = PaymentOutcome.Status.EARNED, member, now
    outcome.points, outcome.gave_stamp = earned.points, earned.stamp
    outcome.save()
    give([Award(payment, rules, earned, member_id=member.pk)], now=now)
    audit.services.record(
        actor=actor,
        action="payment.claimed",
        subject=payment,
        after={"member": str(member), "points": earned.points, "stamp": earned.stamp},
    )
    return outcome


def _lock_waiting(text: str, member: Member) -> PaymentOutcome:
    """The outcome that the member may have, until the caller's commit. A receipt is unique only within a channel."""
    receipt = text.strip().upper()
    outcomes = list(
        PaymentOutcome.objects.select_for_update(of=("self",))
        .select_related("payment")
        .filter(payment__receipt=receipt, payment__environment=member.environment)
    )
    if not outcomes:
        sentence = _("We know of no payment %(receipt)s. It may take a few seconds to arrive.")
        raise UnknownReceipt(sentence % {"receipt": receipt})
    waiting = [outcome for outcome in outcomes if outcome.status == PaymentOutcome.Status.WAITING]
    if not waiting:
        sentence = _("Payment %(receipt)s was claimed already, or earns nothing.")
        raise PaymentNotWaiting(sentence % {"receipt": receipt})
    for outcome in waiting:
        if outcome.program_id == member.program_id:
            return outcome
    sentence = _("Payment %(receipt)s belongs to another program than this member.")
    raise OtherProgram(sentence % {"receipt": receipt})
