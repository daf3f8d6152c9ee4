"""What of the money waits for a person: approvals, money of which nobody knows whether it moved, what was put aside."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, F, Model, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce

from audit.ids import first_id_at
from audit.services import Actor
from payments.models import PaymentRequest, Payout, PayoutBatch, PayoutPolicy, Reversal
from payments.quarantine import quarantined_callbacks
from tenants.permissions import Permission, permissions_of, require

_REQUESTS_OF = timedelta(days=7)  # nobody looks for older ones any more


@dataclass(frozen=True, slots=True)
class Attention:
    """How many of each wait. What the actor may not see to is 0."""

    batches_to_approve: int = 0
    batches_to_release: int = 0
    reversals_to_approve: int = 0
    unknown_payouts: int = 0
    unknown_reversals: int = 0
    unknown_requests: int = 0
    put_aside: int = 0


def attention(*, actor: Actor, environment: str, now: datetime) -> Attention:
    """What waits in one environment, without what another person has to see to because the actor made it; what was put
    aside belongs to all environments. One query."""
    require(actor, Permission.PAYMENTS_READ)
    batches = PayoutBatch.objects.filter(environment=environment, expires_at__gt=now)
    of_others = ~Q(created_by_id=actor.id)
    reversals = Reversal.objects.filter(environment=environment)
    policies = PayoutPolicy.objects.filter(environment=environment).values("approval_threshold")[:1]
    to_approve = reversals.annotate(threshold=Coalesce(Subquery(policies), 0)).filter(
        ~Q(requested_by_id=actor.id) | Q(amount__lte=F("threshold")), status="AWAITING_APPROVAL", expires_at__gt=now
    )
    wanted: list[tuple[str, QuerySet[Model], Permission]] = [
        ("batches_to_approve", batches.filter(of_others, status="AWAITING_APPROVAL"), Permission.PAYOUTS_APPROVE),
        (
            "batches_to_release",
            batches.filter(of_others | Q(approved_at=None), status="APPROVED"),
            Permission.PAYOUTS_RELEASE,
        ),
        ("reversals_to_approve", to_approve, Permission.REVERSALS_APPROVE),
        (
            "unknown_payouts",
            Payout.objects.filter(environment=environment, status="NEEDS_REVIEW").exclude(
                batch__created_by_id=actor.id
            ),
            Permission.PAYOUTS_APPROVE,
        ),
        (
            "unknown_reversals",
            reversals.filter(~Q(requested_by_id=actor.id), status="NEEDS_REVIEW"),
            Permission.REVERSALS_APPROVE,
        ),
        (
            "unknown_requests",
            PaymentRequest.objects.filter(
                environment=environment, status="UNKNOWN", pk__gte=first_id_at(now - _REQUESTS_OF)
            ),
            Permission.PAYMENTS_READ,
        ),
    ]
    allowed = permissions_of(actor)
    counts = [_count(name, rows) for name, rows, permission in wanted if permission in allowed]
    if Permission.CALLBACKS_REDRIVE in allowed:
        counts.append(_count("put_aside", quarantined_callbacks(actor=actor)))
    return Attention(**dict(counts[0].union(*counts[1:], all=True)))


def _count(name: str, rows: QuerySet[Model]) -> QuerySet[Model, tuple[str, int]]:
    counted: QuerySet[Model, tuple[str, int]] = (
        rows.order_by().values(what=Value(name)).annotate(number=Count("pk")).values_list("what", "number")
    )
    return counted
