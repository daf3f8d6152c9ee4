"""Giving a payment back: asked for by one person, approved by another, then sent by `payments.money_out`, once.

M-PESA gives back payments of customers (C2B, and so prompts too), whole (docs/daraja.md section 18). Parts of a payment
and payouts are given back by hand, on the M-PESA portal. A reversal is not measured against the caps of payouts: it is
never more than the customer had paid.
"""

from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

import audit.services
from audit.services import Actor
from channels.daraja.rules import REMARKS_MAX
from channels.models import MpesaChannel
from payments.models import Payment, PayoutPolicy, Reversal
from payments.money_out.reversals import cancel_reversal as withdraw_reversal
from payments.money_out.reversals import reserve_reversal
from payments.payouts.creating import require_usable
from payments.payouts.policy import locked_policy, policy_in_force
from payments.tasks import expire_reversal as expire_reversal_task
from tenants.errors import Conflict, Invalid, NotFound, NotPermitted
from tenants.permissions import Permission, require
from tenants.queue import enqueue
from tenants.reauthentication import Proof, require_proof
from tenants.sentences import fitting, say

Status = Reversal.Status

VALID_FOR = timedelta(hours=24)
_REASON_MIN = 2  # of Remarks (section 18)

PART_BY_HAND = say(
    "M-PESA's API gives back a payment only whole. To give back a part, sign in to the M-PESA portal with the role for "
    "reversals, find the payment by its receipt, and reverse it there; or pay the part out."
)
PAYOUT_BY_HAND = say(
    "M-PESA's API gives back payments from customers, not payouts. Ask for a payout back on the M-PESA portal, by its "
    "receipt, within Safaricom's time for it, or call Safaricom: the receiver's money is held and looked into."
)


class PartialReversal(Conflict):
    code = "partial_reversal"


class AlreadyReversed(Conflict):
    code = "already_reversed"


class ReversalOpen(Conflict):
    """One of this payment is under way, or its outcome is open."""

    code = "reversal_open"


class WrongState(Conflict):
    code = "wrong_state"


class ReversalExpired(Conflict):
    code = "reversal_expired"


class OwnReversal(NotPermitted):
    code = "own_reversal"


class ReversalNotFound(NotFound):
    def __init__(self) -> None:
        super().__init__(_("There is no such reversal."))


def reversals_of(*, actor: Actor) -> QuerySet[Reversal]:
    """Every reversal of the business, of all environments: a door shows one environment at a time."""
    require(actor, Permission.PAYMENTS_READ)
    return Reversal.objects.select_related("payment")


def read_reversal(*, actor: Actor, reversal_id: UUID) -> Reversal:
    """:raises ReversalNotFound: if the business has none such."""
    reversal = reversals_of(actor=actor).filter(pk=reversal_id).first()
    if reversal is None:
        raise ReversalNotFound
    return reversal


@transaction.atomic
def request_reversal(
    *, actor: Actor, payment_id: UUID, reason: str, now: datetime, amount: Decimal | None = None
) -> Reversal:
    """Ask that a payment be given back, whole. It waits for approval for 24 hours. `reason` goes to Safaricom.

    :raises Invalid: for a reason that M-PESA does not take: 2 to 100 characters.
    :raises NotFound: if there is no such payment.
    :raises PartialReversal: if `amount` (KES) is not the payment's.
    :raises AlreadyReversed: if the customer has the money back.
    :raises ReversalOpen: if it was asked for already.
    :raises NoUsableChannel: if the channel is not active, or has no API operator, in whose name it is done.
    """
    require(actor, Permission.REVERSALS_REQUEST)
    reason = " ".join(reason.split())
    if not _REASON_MIN <= len(reason) <= REMARKS_MAX or not reason.isprintable():
        sentence = _("Use %(least)s to %(most)s characters.") % {"least": _REASON_MIN, "most": REMARKS_MAX}
        raise Invalid(_("Say why."), errors={"reason": [sentence]})
    payment = Payment.objects.select_for_update(no_key=True).filter(pk=payment_id).first()
    if payment is None:
        raise NotFound(_("There is no such payment."))
    if payment.reversed_at:
        raise AlreadyReversed(
            say("Payment %(receipt)s was reversed: the customer has the money back.", receipt=payment.receipt)
        )
    if (amount is not None and amount != payment.amount) or payment.amount != int(payment.amount):
        is_of = say("The payment is KES %(amount)s.", amount=str(payment.amount))
        raise PartialReversal(PART_BY_HAND, errors={"amount": [is_of]})
    if Reversal.objects.filter(payment=payment).exclude(status__in=[Status.FAILED, Status.CANCELLED]).exists():
        raise ReversalOpen(
            say("A reversal of payment %(receipt)s is under way. Its outcome comes first.", receipt=payment.receipt)
        )
    require_usable(MpesaChannel.objects.without_secrets().get(pk=payment.channel_id))
    reversal = Reversal.objects.create(
        payment=payment,
        channel_id=payment.channel_id,
        environment=payment.environment,
        amount=int(payment.amount),
        reason=reason,
        requested_by=actor.label[:254],
        requested_by_id=actor.id,
        expires_at=now + VALID_FOR,
        created_at=now,
    )
    enqueue(expire_reversal_task, due_at=reversal.expires_at, reversal_id=str(reversal.pk))
    _record(actor, "reversal.requested", reversal, reason=reason)
    return reversal


@transaction.atomic
def approve_reversal(*, actor: Actor, reversal_id: UUID, proof: Proof, now: datetime) -> Reversal:
    """Let it be sent, from now on. Above the policy's threshold whoever asked for it can't.

    :raises ProofNeeded: if the actor did not just prove who they are.
    :raises ReversalNotFound: if there is none such.
    :raises WrongState: if it does not wait for approval.
    :raises ReversalExpired: if it waited too long.
    :raises OwnReversal: if it needs a second person.
    :raises NoUsableChannel: if the channel can't send money any more.
    """
    require(actor, Permission.REVERSALS_APPROVE)
    require_proof(proof, actor=actor, now=now)
    found = read_reversal(actor=actor, reversal_id=reversal_id)
    policy = locked_policy(found.environment)
    reversal = _locked(reversal_id)
    _require_waiting(reversal)
    if reversal.expires_at <= now:
        raise ReversalExpired(_("It was not approved in time. Nothing was sent: ask for it again."))
    if _needs_another(reversal, policy, actor=actor):
        raise OwnReversal(_("You asked for this reversal: somebody else has to approve it."))
    require_usable(MpesaChannel.objects.without_secrets().get(pk=reversal.channel_id))
    reversal.approved_by, reversal.approved_by_id, reversal.approved_at = actor.label[:254], actor.id, now
    reversal.expires_at = now + VALID_FOR
    reversal.save(update_fields=["approved_by", "approved_by_id", "approved_at", "expires_at"])
    reserve_reversal(reversal=reversal, now=now)
    _record(actor, "reversal.approved", reversal)
    return reversal


@transaction.atomic
def cancel_reversal(*, actor: Actor, reversal_id: UUID, reason: str, now: datetime) -> Reversal:
    """Withdraw one that waits for approval. Nothing was sent.

    :raises ReversalNotFound: if there is none such.
    :raises WrongState: if it does not wait any more.
    """
    require(actor, Permission.REVERSALS_REQUEST)
    reversal = _locked(reversal_id)
    _require_waiting(reversal)
    _withdraw(reversal, note=reason, now=now)
    _record(actor, "reversal.cancelled", reversal, reason=reason)
    return reversal


@transaction.atomic
def expire_reversal(*, reversal_id: UUID, now: datetime) -> None:
    """Withdraw one that nobody approved in time; look again later if it has more time."""
    reversal = _locked(reversal_id)
    if reversal.status != Status.AWAITING_APPROVAL:
        return
    if now < reversal.expires_at:
        enqueue(expire_reversal_task, due_at=reversal.expires_at, reversal_id=str(reversal.pk))
        return
    _withdraw(reversal, note=say("It was not approved in time."), now=now)


_STATES = {
    Status.FAILED: gettext_lazy("This reversal failed. Ask for a new one."),
    Status.CANCELLED: gettext_lazy("This reversal was withdrawn. Ask for a new one."),
    Status.SUCCEEDED: gettext_lazy("This reversal was done: the customer has the money back."),
}


def _locked(reversal_id: UUID) -> Reversal:
    rows = Reversal.objects.select_for_update(no_key=True, of=("self",)).select_related("payment")
    reversal = rows.filter(pk=reversal_id).first()
    if reversal is None:
        raise ReversalNotFound
    return reversal


def _require_waiting(reversal: Reversal) -> None:
    if reversal.status != Status.AWAITING_APPROVAL:
        raise WrongState(
            str(_STATES.get(Status(reversal.status), gettext_lazy("This reversal was approved, and is under way.")))
        )


def _is_maker(actor: Actor, reversal: Reversal) -> bool:
    if actor.id is None:
        return actor.label == reversal.requested_by
    return actor.id == reversal.requested_by_id


def needs_another(*, actor: Actor, reversal: Reversal) -> bool:
    """Has somebody else to approve it, because the actor asked for it?"""
    return _needs_another(reversal, policy_in_force(reversal.environment), actor=actor)


def _needs_another(reversal: Reversal, policy: PayoutPolicy, *, actor: Actor) -> bool:
    return _is_maker(actor, reversal) and reversal.amount > policy.approval_threshold


def _withdraw(reversal: Reversal, *, note: str, now: datetime) -> None:
    reversal.note = fitting(note, 254)
    reversal.save(update_fields=["note"])
    withdraw_reversal(reversal=reversal, now=now)


def _record(actor: Actor, action: str, reversal: Reversal, *, reason: str = "") -> None:
    audit.services.record(
        actor=actor,
        action=action,
        subject=reversal,
        after={"status": str(reversal.status), "amount": reversal.amount, "receipt": reversal.payment.receipt},
        reason=reason,
    )
