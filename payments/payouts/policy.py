"""What a business allows itself to send: limits, the second person, and whom."""

from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

import audit.services
from audit.services import Actor
from channels.explaining import wrong_number
from channels.msisdn import InvalidPhoneNumber, normalise
from payments.models import AllowedReceiver, Payout, PayoutBatch, PayoutPolicy
from payments.payouts.checking import SHORTCODE, Rules
from tenants.errors import Conflict, Invalid, NotFound
from tenants.permissions import Permission, require
from tenants.reauthentication import Proof, require_proof

_LIMITS = ("approval_threshold", "maximum_per_payout", "maximum_per_day", "maximum_per_actor")
_MOST = {"approval_threshold": 2**31 - 1, "maximum_per_payout": 2**31 - 1}  # as wide as their columns
_MOST_ELSE = 2**53 - 1  # what every JSON reader holds


class AlreadyAllowed(Conflict):
    code = "already_allowed"


def payout_policy(*, actor: Actor, environment: str) -> PayoutPolicy:
    """The policy of one environment: as it was set, else the defaults."""
    require(actor, Permission.PAYOUTS_READ)
    return policy_in_force(environment)


def policy_in_force(environment: str) -> PayoutPolicy:
    return PayoutPolicy.objects.filter(pk=environment).first() or PayoutPolicy(environment=environment)


def locked_policy(environment: str) -> PayoutPolicy:
    """The policy, which nobody changes until the commit; whoever creates or releases waits here for their turn.

    Lock it before a batch, never after.
    """
    PayoutPolicy.objects.get_or_create(pk=environment)
    return PayoutPolicy.objects.select_for_update().get(pk=environment)


@transaction.atomic
def change_payout_policy(
    *,
    actor: Actor,
    environment: str,
    limits: dict[str, int | None],
    proof: Proof,
    now: datetime,
    allowed_receivers_only: bool | None = None,
) -> PayoutPolicy:
    """Change some of the limits (KES, by the names of the columns), and whether only receivers on the list are paid.

    Batches that were made without a second person, and now need one, wait for one. Those that wait for one go on
    waiting, whatever the threshold is now.

    :raises ProofNeeded: if the actor did not just prove who they are.
    :raises Invalid: for a limit that is none.
    """
    require(actor, Permission.PAYOUTS_POLICY)
    require_proof(proof, actor=actor, now=now)
    policy = locked_policy(environment)
    before = _values(policy)
    errors = {}
    for name, limit in limits.items():
        if problem := _problem(name, limit):
            errors[name] = [problem]
        else:
            setattr(policy, name, limit)
    if errors:
        raise Invalid(_("Some of these limits can't be set."), errors=errors)
    if allowed_receivers_only is not None:
        policy.allowed_receivers_only = allowed_receivers_only
    policy.save()
    PayoutBatch.objects.filter(
        environment=environment,
        status=PayoutBatch.Status.APPROVED,
        approved_at=None,
        total_amount__gt=policy.approval_threshold,
    ).update(status=PayoutBatch.Status.AWAITING_APPROVAL)
    audit.services.record(
        actor=actor, action="payout_policy.changed", subject=policy, before=before, after=_values(policy)
    )
    return policy


def rules_for(kind: str, *, policy: PayoutPolicy) -> Rules:
    """What payouts of this kind have to keep to now. The list of receivers is of people and businesses alike; taxes
    have one receiver."""
    allowed = None
    if policy.allowed_receivers_only and kind != Payout.Kind.TAX:
        receivers = AllowedReceiver.objects.filter(environment=policy.environment)
        allowed = frozenset(receivers.values_list("receiver", flat=True))
    return Rules(kind=kind, maximum=policy.maximum_per_payout, allowed_receivers=allowed)


def allowed_receivers(*, actor: Actor) -> QuerySet[AllowedReceiver]:
    require(actor, Permission.PAYOUTS_READ)
    return AllowedReceiver.objects.all()


@transaction.atomic
def allow_receiver(
    *, actor: Actor, environment: str, phone_number: str = "", shortcode: str = "", name: str = ""
) -> AllowedReceiver:
    """Put a phone, or a PayBill or till, on the list.

    :raises Invalid: if it is not exactly one of the two, or not a number.
    :raises AlreadyAllowed: if it is on the list.
    """
    require(actor, Permission.PAYOUTS_POLICY)
    if bool(phone_number) == bool(shortcode):
        sentence = _("Give a phone number or a shortcode, and not both.")
        raise Invalid(sentence, errors={"phone_number": [_("Give one.")]})
    if shortcode and not SHORTCODE.fullmatch(shortcode):
        sentence = _("Enter a PayBill or till number: 5 digits or more.")
        raise Invalid(sentence, errors={"shortcode": [sentence]})
    try:
        number = shortcode or normalise(phone_number)
    except InvalidPhoneNumber:
        raise Invalid(wrong_number(), errors={"phone_number": [wrong_number()]}) from None
    receiver, is_new = AllowedReceiver.objects.get_or_create(
        environment=environment, receiver=number, defaults={"name": name, "added_by": actor.label}
    )
    if not is_new:
        raise AlreadyAllowed(_("This receiver is on the list."))
    audit.services.record(actor=actor, action="allowed_receiver.added", subject=receiver, after={"name": name})
    return receiver


@transaction.atomic
def disallow_receiver(*, actor: Actor, receiver_id: UUID) -> None:
    """Take one off the list. What is not released yet is not paid to them, where only the list is paid.

    :raises NotFound: if there is none such.
    """
    require(actor, Permission.PAYOUTS_POLICY)
    receiver = AllowedReceiver.objects.select_for_update().filter(pk=receiver_id).first()
    if receiver is None:
        raise NotFound(_("There is no such receiver."))
    audit.services.record(
        actor=actor, action="allowed_receiver.removed", subject=receiver, before={"name": receiver.name}
    )
    receiver.delete()


def _problem(name: str, limit: int | None) -> str:
    if limit is None:
        return "" if name == "maximum_per_actor" else _("Give an amount.")
    most = _MOST.get(name, _MOST_ELSE)
    return "" if 0 <= limit <= most else _("Use whole shillings from 0 to %(most)s.") % {"most": f"{most:,}"}


def _values(policy: PayoutPolicy) -> dict[str, int | bool | None]:
    return {name: getattr(policy, name) for name in (*_LIMITS, "allowed_receivers_only")}
