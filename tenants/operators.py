"""What operators of the platform do that is not about one business: prove who they are, see what is wrong, push on.

An operator signs in with a password and a second factor (`tenants.second_factor`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Count, Q
from django.db.models.functions import Now
from django.utils.translation import gettext as _
from django_otp.models import Device

import audit.services
from audit.services import Actor
from tenants import second_factor
from tenants.errors import NotPermitted
from tenants.models import DueTask, InboundCallback, Tenant, TenantActivity, User
from tenants.permissions import require_operator
from tenants.sentences import told

_PROVISIONING_TAKES_AT_MOST = timedelta(minutes=5)
_DELIVERY_WAITS_AT_MOST = timedelta(minutes=5)
_FAILING_AFTER_ATTEMPTS = 3


class SecondFactorNeeded(NotPermitted):
    code = "second_factor_needed"


@transaction.atomic
def set_up_second_factor(
    *, actor: Actor, user: User, key: str, code: str, proved_by: Device | None
) -> tuple[Device, list[str]]:
    """Make `key` the operator's authenticator, if `code` shows that they hold it.

    Returns the authenticator and the recovery codes, which are shown this once. What there was before is gone. Whoever
    has a second factor already must have proved it in this session: `proved_by` is that device.

    :raises SecondFactorNeeded: if they have one and did not prove it.
    :raises WrongCode: if the code is not the authenticator's.
    """
    require_operator(actor)
    User.objects.select_for_update().get(pk=user.pk)
    if second_factor.has_second_factor(user) and proved_by is None:
        raise SecondFactorNeeded(_("Prove your present second factor first."))
    made = second_factor.replace(user, key=key, code=code)
    audit.services.record(actor=actor, action="operator.second_factor_set_up", subject=user)
    return made


def prove_second_factor(*, actor: Actor, user: User, code: str) -> Device:
    """The device that an operator's code came from.

    :raises WrongCode: if it is from none, or was used before.
    :raises TooManyCodes: while too many wrong ones are remembered.
    """
    require_operator(actor)
    return second_factor.prove(
        user,
        code=code,
        record=lambda device: audit.services.record(
            actor=actor, action="operator.signed_in", subject=user, after={"second_factor": device.name}
        ),
    )


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Something that waits for a person. `kind` and `reason` say what; `reason` only for quarantined deliveries."""

    kind: str
    sentence: str
    count: int
    reason: str = ""


def problems(*, actor: Actor, now: datetime) -> list[Problem]:
    """What is wrong on the platform now, worst first; empty when nothing is."""
    require_operator(actor)
    waiting = InboundCallback.objects.filter(
        state=InboundCallback.State.PENDING, due_at__lt=now - _DELIVERY_WAITS_AT_MOST
    )
    stuck = Tenant.objects.filter(status=Tenant.Status.PROVISIONING, created_at__lt=now - _PROVISIONING_TAKES_AT_MOST)
    ill = TenantActivity.objects.filter(channel_health=TenantActivity.Health.PROBLEM)
    failing = DueTask.objects.filter(attempts__gte=_FAILING_AFTER_ATTEMPTS)
    quarantined = (
        InboundCallback.objects.filter(state=InboundCallback.State.QUARANTINED)
        .values("reason")
        .annotate(count=Count("pk"))
        .order_by("-count", "reason")
    )
    found = [
        Problem(kind="waiting", sentence=_("Deliveries that wait longer than 5 minutes"), count=waiting.count()),
        Problem(kind="failing", sentence=_("Work that failed three times or more"), count=failing.count()),
        Problem(kind="stuck", sentence=_("Businesses that are not made after 5 minutes"), count=stuck.count()),
        Problem(kind="ill", sentence=_("Businesses with a channel that needs somebody"), count=ill.count()),
        *(
            Problem(
                kind="quarantined",
                sentence=_("Deliveries put aside: %(why)s")
                % {"why": told(InboundCallback.Reason(row["reason"]).label)},
                count=row["count"],
                reason=row["reason"],
            )
            for row in quarantined
        ),
    ]
    return [problem for problem in found if problem.count]


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """The platform at a glance."""

    businesses: int  # on trial or in service
    on_trial: int
    suspended: int
    new_this_week: int
    paid_today: int  # businesses whose last payment came within a day
    work_due: int


def numbers(*, actor: Actor) -> Numbers:
    """How much of everything there is now. The demo is no business of anybody's, and not counted."""
    require_operator(actor)
    status = Tenant.Status
    counted = Tenant.objects.filter(is_demo=False).aggregate(
        businesses=Count("pk", filter=Q(status__in=[status.TRIAL, status.ACTIVE])),
        on_trial=Count("pk", filter=Q(status=status.TRIAL)),
        suspended=Count("pk", filter=Q(status=status.SUSPENDED)),
        new_this_week=Count("pk", filter=Q(created_at__gte=Now() - timedelta(days=7))),
        paid_today=Count("pk", filter=Q(activity__last_payment_at__gte=Now() - timedelta(days=1))),
    )
    due = DueTask.objects.filter(due_at__lte=Now(), leased_until=None)
    return Numbers(**counted, work_due=due.count())


@transaction.atomic
def run_tasks_now(*, actor: Actor, task_ids: Sequence[UUID]) -> int:
    """Let waiting work fall due now, for the next sweep to find, and return how much of it. What runs is left alone."""
    require_operator(actor)
    waiting = DueTask.objects.filter(pk__in=task_ids, leased_until=None, due_at__gt=Now())
    hastened = list(waiting.select_for_update().order_by("pk"))
    DueTask.objects.filter(pk__in=[task.pk for task in hastened]).update(due_at=Now())
    for task in hastened:
        audit.services.record(
            actor=actor, action="task.hastened", subject=task, after={"task": task.task, "tenant_id": task.tenant_id}
        )
    return len(hastened)
