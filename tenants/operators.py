"""What operators of the platform do that is not about one business: prove who they are, see what is wrong, push on.

An operator signs in with a password and a second factor: a code of an authenticator app, or one of ten recovery codes
that are good once each (django-otp keeps both, slows guessing down and refuses a code the second time).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Count
from django.db.models.functions import Now
from django_otp import user_has_device
from django_otp.models import Device
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

import audit.services
from audit.services import Actor
from tenants.errors import DomainError, NotPermitted
from tenants.models import DueTask, InboundCallback, Tenant, TenantActivity, User
from tenants.permissions import require_operator

_RECOVERY_CODES = 10
_PROVISIONING_TAKES_AT_MOST = timedelta(minutes=5)
_DELIVERY_WAITS_AT_MOST = timedelta(minutes=5)
_FAILING_AFTER_ATTEMPTS = 3


class WrongCode(DomainError):
    code = "wrong_code"


class TooManyCodes(DomainError):
    """Wrong codes came one after the other: the next is looked at only after a wait that doubles each time."""

    code = "too_many_codes"
    status = 429


class SecondFactorNeeded(NotPermitted):
    code = "second_factor_needed"


def has_second_factor(user: User) -> bool:
    return bool(user_has_device(user))


def unsaved_authenticator(user: User, *, key: str) -> TOTPDevice:
    """The authenticator that `key` (40 hexadecimal digits) would make; its `config_url` goes into the QR code."""
    return TOTPDevice(user=user, name="Authenticator", key=key)


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
    if has_second_factor(user) and proved_by is None:
        raise SecondFactorNeeded("Prove your present second factor first.")
    TOTPDevice.objects.filter(user=user).delete()
    StaticDevice.objects.filter(user=user).delete()
    authenticator = unsaved_authenticator(user, key=key)
    if not authenticator.verify_token(code):
        raise WrongCode("This is not the code that the app shows now.")
    recovery = StaticDevice.objects.create(user=user, name="Recovery codes")
    codes = [StaticToken.random_token() for _ in range(_RECOVERY_CODES)]
    StaticToken.objects.bulk_create(StaticToken(device=recovery, token=each) for each in codes)
    audit.services.record(actor=actor, action="operator.second_factor_set_up", subject=user)
    return authenticator, codes


def prove_second_factor(*, actor: Actor, user: User, code: str) -> Device:
    """The device that `code` came from: six digits from the authenticator, anything else from the recovery codes.

    :raises WrongCode: if it is from neither, or was used before.
    :raises TooManyCodes: while too many wrong ones are remembered.
    """
    require_operator(actor)
    kind = TOTPDevice if len(code) == 6 and code.isdecimal() else StaticDevice
    with transaction.atomic():
        device = kind.objects.devices_for_user(user, confirmed=True).select_for_update().first()
        is_allowed = device is not None and device.verify_is_allowed()[0]
        # A wrong code is counted on the device, so it is refused after the commit.
        is_proved = is_allowed and device.verify_token(code)
        if is_proved:
            audit.services.record(
                actor=actor, action="operator.signed_in", subject=user, after={"second_factor": device.name}
            )
    if device is not None and not is_allowed:
        raise TooManyCodes("Too many wrong codes. Wait a little, then try the next one.")
    if not is_proved:
        raise WrongCode("This code is wrong, or was used before.")
    return device


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
        Problem(kind="waiting", sentence="Deliveries that wait longer than 5 minutes", count=waiting.count()),
        Problem(kind="failing", sentence="Work that failed three times or more", count=failing.count()),
        Problem(kind="stuck", sentence="Businesses that are not made after 5 minutes", count=stuck.count()),
        Problem(kind="ill", sentence="Businesses with a channel that needs somebody", count=ill.count()),
        *(
            Problem(
                kind="quarantined",
                sentence=f"Deliveries put aside: {InboundCallback.Reason(row['reason']).label}",
                count=row["count"],
                reason=row["reason"],
            )
            for row in quarantined
        ),
    ]
    return [problem for problem in found if problem.count]


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
