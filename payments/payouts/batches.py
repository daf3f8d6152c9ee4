"""What people decide about a payout batch: a second person approves it, somebody releases it, or it is withdrawn."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Count, Max, QuerySet, Sum
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

import audit.services
from audit.services import Actor
from payments.models import Payout, PayoutBatch, PayoutPolicy
from payments.money_out.payouts import cancel_batch as cancel_payouts
from payments.money_out.payouts import reserve_batch
from payments.money_out.states import INNER_STATES
from payments.payouts.creating import VALID_FOR, OverDailyMaximum, require_usable
from payments.payouts.policy import locked_policy, rules_for
from payments.payouts.tasks import expire_batch as expire_batch_task
from tenants.errors import Conflict, NotFound, NotPermitted
from tenants.permissions import Permission, require
from tenants.queue import enqueue
from tenants.reauthentication import Proof, require_proof

Status = PayoutBatch.Status
_REASON_MAX = 254


class WrongState(Conflict):
    code = "wrong_state"


class BatchExpired(Conflict):
    code = "batch_expired"


class OwnBatch(NotPermitted):
    code = "own_batch"


class OverMaximum(Conflict):
    code = "over_maximum"


class ReceiverNotAllowed(Conflict):
    code = "receiver_not_allowed"


class AlreadyPaid(Conflict):
    code = "already_paid"


@dataclass(frozen=True, slots=True)
class Share:
    """The payouts of a batch that are in one state."""

    count: int
    amount: int  # KES


def payouts(*, actor: Actor) -> QuerySet[Payout]:
    """Every payout of the business, of all environments: a door shows one environment at a time."""
    require(actor, Permission.PAYOUTS_READ)
    return Payout.objects.all()


def payout(*, actor: Actor, payout_id: UUID) -> Payout:
    """:raises NotFound: if there is none such."""
    found = payouts(actor=actor).filter(pk=payout_id).first()
    if found is None:
        raise NotFound(_("There is no such payout."))
    return found


def payout_batches(*, actor: Actor) -> QuerySet[PayoutBatch]:
    """Every batch, likewise."""
    require(actor, Permission.PAYOUTS_READ)
    return PayoutBatch.objects.all()


def payout_batch(*, actor: Actor, batch_id: UUID) -> PayoutBatch:
    """:raises NotFound: if there is none such."""
    batch = payout_batches(actor=actor).filter(pk=batch_id).first()
    if batch is None:
        raise NotFound(_("There is no such batch."))
    return batch


def progress_of(batch: PayoutBatch) -> Mapping[str, Share]:
    """How far its payouts are, by outward state: `{"pending": Share(2, 1500), …}`, every state named."""
    found = {
        row["status"]: Share(row["count"], row["amount"])
        for row in batch.payouts.values("status").annotate(count=Count("pk"), amount=Sum("amount")).order_by()
    }
    return {
        word: Share(
            sum(found[inner].count for inner in inners if inner in found),
            sum(found[inner].amount for inner in inners if inner in found),
        )
        for word, inners in INNER_STATES.items()
    }


@transaction.atomic
def approve_batch(*, actor: Actor, batch_id: UUID, now: datetime) -> PayoutBatch:
    """The second person's yes. It may then be released for another 24 hours.

    :raises NotFound: if there is no such batch.
    :raises WrongState: if it does not wait for approval.
    :raises BatchExpired: if it waited too long.
    :raises OwnBatch: if the actor made it.
    """
    require(actor, Permission.PAYOUTS_APPROVE)
    batch = _locked(batch_id)
    _require_state(batch, Status.AWAITING_APPROVAL, now=now)
    if _is_maker(actor, batch):
        raise OwnBatch(_("You made this batch: somebody else has to approve it."))
    batch.status = Status.APPROVED
    batch.approved_by, batch.approved_by_id, batch.approved_at = actor.label, actor.id, now
    batch.expires_at = now + VALID_FOR
    batch.save(update_fields=["status", "approved_by", "approved_by_id", "approved_at", "expires_at"])
    _record(actor, "payout_batch.approved", batch)
    return batch


@transaction.atomic
def release_batch(*, actor: Actor, batch_id: UUID, proof: Proof, now: datetime) -> PayoutBatch:
    """Promise all its payouts at once, to be sent from now on. What the policy says now counts.

    :raises ProofNeeded: if the actor did not just prove who they are.
    :raises NotFound: if there is no such batch.
    :raises WrongState: if it waits for approval, or was released or withdrawn.
    :raises BatchExpired: if it was not released in time.
    :raises OwnBatch: if it needed a second person, and the actor made it.
    :raises NoUsableChannel: if its channel can't send money any more.
    :raises OverMaximum, OverDailyMaximum: if it is more than the policy allows.
    :raises ReceiverNotAllowed: if the policy pays only receivers on the list, and one is not on it.
    :raises AlreadyPaid: if it tries payouts again that did not fail after all.
    """
    require(actor, Permission.PAYOUTS_RELEASE)
    require_proof(proof, actor=actor, now=now)
    policy = _locked_policy_of(batch_id)
    batch = _locked(batch_id)
    _require_state(batch, Status.APPROVED, now=now)
    if batch.approved_at and _is_maker(actor, batch):
        raise OwnBatch(_("You made this batch: somebody else has to release it."))
    require_usable(batch.channel)
    _require_within_limits(batch, policy, actor=actor, now=now)
    _require_receivers_allowed(batch, policy)
    _require_still_failed(batch)
    batch.status = Status.RELEASED
    batch.released_by, batch.released_by_id, batch.released_at = actor.label, actor.id, now
    batch.save(update_fields=["status", "released_by", "released_by_id", "released_at"])
    reserve_batch(batch=batch, now=now)
    _record(actor, "payout_batch.released", batch)
    return batch


@transaction.atomic
def cancel_batch(*, actor: Actor, batch_id: UUID, reason: str, now: datetime) -> PayoutBatch:
    """Withdraw it before it is released. Nothing of it was sent.

    :raises NotFound: if there is no such batch.
    :raises WrongState: if it was released or withdrawn already.
    """
    require(actor, Permission.PAYOUTS_CREATE)
    batch = _locked(batch_id)
    if batch.status not in _WAITING:
        raise WrongState(str(_STATES[Status(batch.status)]))
    batch.reason = reason[:_REASON_MAX]
    _withdraw(batch, Status.CANCELLED, now=now)
    _record(actor, "payout_batch.cancelled", batch, reason=reason)
    return batch


@transaction.atomic
def expire_batch(*, batch_id: UUID, now: datetime) -> None:
    """Withdraw a batch that was not released in time; look again later if it has more time by now."""
    batch = _locked(batch_id)
    if batch.status not in _WAITING:
        return
    if now < batch.expires_at:
        enqueue(expire_batch_task, due_at=batch.expires_at, batch_id=str(batch.pk))
        return
    _withdraw(batch, Status.EXPIRED, now=now)


_WAITING = (Status.AWAITING_APPROVAL, Status.APPROVED)
_STATES = {
    Status.AWAITING_APPROVAL: gettext_lazy("This batch waits for a second person to approve it."),
    Status.APPROVED: gettext_lazy("This batch needs no approval any more: it may be released."),
    Status.RELEASED: gettext_lazy("This batch was released."),
    Status.FINISHED: gettext_lazy("This batch was released, and every payout of it has its outcome."),
    Status.CANCELLED: gettext_lazy("This batch was withdrawn."),
    Status.EXPIRED: gettext_lazy("This batch was not released in time. Nothing was sent: make a new one."),
}


def _locked(batch_id: UUID) -> PayoutBatch:
    batch = PayoutBatch.objects.select_for_update().filter(pk=batch_id).first()
    if batch is None:
        raise NotFound(_("There is no such batch."))
    return batch


def _locked_policy_of(batch_id: UUID) -> PayoutPolicy:
    environment = PayoutBatch.objects.filter(pk=batch_id).values_list("environment", flat=True).first()
    if environment is None:
        raise NotFound(_("There is no such batch."))
    return locked_policy(environment)


def _require_state(batch: PayoutBatch, state: Status, *, now: datetime) -> None:
    if batch.status != state:
        raise WrongState(str(_STATES[Status(batch.status)]))
    if batch.expires_at <= now:
        raise BatchExpired(str(_STATES[Status.EXPIRED]))


def _is_maker(actor: Actor, batch: PayoutBatch) -> bool:
    return actor.id == batch.created_by_id if actor.id else actor.label == batch.created_by


def _require_within_limits(batch: PayoutBatch, policy: PayoutPolicy, *, actor: Actor, now: datetime) -> None:
    """The day is Kenya's, and counts what was released in it and did not fail."""
    largest = batch.payouts.aggregate(largest=Max("amount"))["largest"]
    if largest > policy.maximum_per_payout:
        raise OverMaximum(
            _("A payout of it is KES %(largest)s, and your policy allows KES %(most)s.")
            % {"largest": f"{largest:,}", "most": f"{policy.maximum_per_payout:,}"}
        )
    midnight = timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)
    # Whoever released a moment after `now`, and had the policy before us, counts too.
    today = Payout.objects.filter(batch__environment=batch.environment, batch__released_at__gte=midnight).exclude(
        status=Payout.Status.FAILED
    )
    released = today.aggregate(amount=Sum("amount", default=0))["amount"]
    if released + batch.total_amount > policy.maximum_per_day:
        raise OverDailyMaximum(
            _("KES %(released)s was released today, and your policy allows KES %(most)s a day.")
            % {"released": f"{released:,}", "most": f"{policy.maximum_per_day:,}"}
        )
    if policy.maximum_per_actor is None:
        return
    own = today.filter(batch__released_by_id=actor.id).aggregate(amount=Sum("amount", default=0))["amount"]
    if own + batch.total_amount > policy.maximum_per_actor:
        raise OverDailyMaximum(
            _("You released KES %(own)s today, and your policy allows KES %(most)s a person and day.")
            % {"own": f"{own:,}", "most": f"{policy.maximum_per_actor:,}"}
        )


def _require_receivers_allowed(batch: PayoutBatch, policy: PayoutPolicy) -> None:
    for kind in batch.payouts.values_list("kind", flat=True).order_by().distinct():
        allowed = rules_for(kind, policy=policy).allowed_receivers
        if allowed is None:
            continue
        stranger = batch.payouts.filter(kind=kind).exclude(receiver__in=allowed).order_by("row").first()
        if stranger is not None:
            raise ReceiverNotAllowed(
                _("Row %(row)s pays somebody who is not on your list of receivers any more.") % {"row": stranger.row}
            )


def _require_still_failed(batch: PayoutBatch) -> None:
    """What M-PESA first called failed may turn out to have been paid, until the last moment."""
    rows = list(batch.payouts.values_list("row", flat=True))
    earlier = batch.retry_of
    while earlier is not None:
        paid = earlier.payouts.filter(row__in=rows).exclude(status=Payout.Status.FAILED).order_by("row").first()
        if paid is not None:
            raise AlreadyPaid(
                _("Row %(row)s has not failed after all: M-PESA said so later. Cancel this batch, and retry the rest.")
                % {"row": paid.row}
            )
        earlier = earlier.retry_of


def _withdraw(batch: PayoutBatch, status: Status, *, now: datetime) -> None:
    batch.status, batch.cancelled_at = status, now
    batch.save(update_fields=["status", "cancelled_at", "reason"])
    cancel_payouts(batch=batch, now=now)


def _record(actor: Actor, action: str, batch: PayoutBatch, *, reason: str = "") -> None:
    audit.services.record(
        actor=actor,
        action=action,
        subject=batch,
        after={"status": batch.status, "payout_count": batch.payout_count, "total_amount": batch.total_amount},
        reason=reason,
    )
