"""What the pages of money out show besides one batch: where money can be sent from, what waits for a person, who was
paid."""

from dataclasses import dataclass

from django.db.models import QuerySet

from audit.services import Actor
from channels.models import MpesaChannel
from channels.msisdn import InvalidPhoneNumber, normalise
from payments.initiator import has_initiator
from payments.models import Payout, PayoutBatch
from payments.money_out.states import INNER_STATES
from tenants.permissions import Permission, require

TO_REVIEW = "review"  # a word beside the outward states: those that a person has to decide


@dataclass(frozen=True, slots=True)
class Waiting:
    """How much waits for a person: batches, and payouts of which nobody could tell whether they were sent."""

    awaiting_approval: int
    approved: int
    to_review: int


def sending_channels(*, actor: Actor, environment: str) -> list[MpesaChannel]:
    """Those that can send money now, the primary one first."""
    require(actor, Permission.PAYOUTS_READ)
    channels = MpesaChannel.objects.without_secrets().filter(environment=environment, status=MpesaChannel.Status.ACTIVE)
    return [channel for channel in channels.order_by("-is_primary", "name", "pk") if has_initiator(channel)]


def waiting(*, actor: Actor, environment: str) -> Waiting:
    require(actor, Permission.PAYOUTS_READ)
    batches = PayoutBatch.objects.filter(environment=environment)
    return Waiting(
        awaiting_approval=batches.filter(status=PayoutBatch.Status.AWAITING_APPROVAL).count(),
        approved=batches.filter(status=PayoutBatch.Status.APPROVED).count(),
        to_review=Payout.objects.filter(environment=environment, status=Payout.Status.NEEDS_REVIEW).count(),
    )


def payouts_like(*, actor: Actor, environment: str, words: str = "", state: str = "") -> QuerySet[Payout]:
    """Payouts in an outward state (or `TO_REVIEW`), and to a phone or shortcode, or of a receipt, that somebody typed.

    An unknown state is none.
    """
    require(actor, Permission.PAYOUTS_READ)
    rows = Payout.objects.filter(environment=environment)
    if state == TO_REVIEW:
        rows = rows.filter(status=Payout.Status.NEEDS_REVIEW)
    elif state in INNER_STATES:
        rows = rows.filter(status__in=INNER_STATES[state])
    if words := words.strip():
        rows = rows.filter(**_sought(words))
    return rows


def _sought(words: str) -> dict[str, str]:
    """A phone number, or what has digits alone, is a receiver; an M-PESA receipt has letters."""
    try:
        return {"receiver": normalise(words)}
    except InvalidPhoneNumber:
        return {"receiver": words} if words.isdecimal() else {"receipt": words.upper()}
