"""Sessions of people on a business's host, and the step there from the platform host.

A session names its business, its place and that place's epoch; `TenantSessionMiddleware` checks all three on each
request. Who signed in on the platform host takes one signed step, good once and for a minute, to the business's host.
"""

import hashlib
import secrets
from datetime import datetime, timedelta

from django.contrib.auth import login
from django.db import transaction
from django.http import HttpRequest
from django.utils.translation import gettext as _

from tenants.errors import DomainError, NotFound
from tenants.models import HandOver, Membership, Tenant

SESSION_TENANT_KEY = "tenant_id"
_PLACE_KEY = "membership_id"
_EPOCH_KEY = "epoch"
_HAND_OVER_LASTS = timedelta(minutes=1)
_BACKEND = "django.contrib.auth.backends.ModelBackend"


class HandOverSpent(DomainError):
    code = "hand_over_spent"
    status = 410


def sign_in(request: HttpRequest, membership: Membership) -> None:
    """Open a session for this place, under a new key and with nothing of an earlier one.

    :raises NotFound: on any host but the business's own.
    """
    tenant: Tenant | None = request.tenant  # type: ignore[attr-defined]
    if tenant is None or tenant.pk != membership.tenant_id:
        raise NotFound(_("There is no such business here."))
    request.session.flush()
    login(request, membership.user, backend=_BACKEND)
    request.session[SESSION_TENANT_KEY] = str(membership.tenant_id)
    request.session[_PLACE_KEY] = str(membership.pk)
    request.session[_EPOCH_KEY] = membership.sign_in_epoch


def is_foreign(request: HttpRequest) -> bool:
    """Was the session made on another host than the one it came to?"""
    tenant: Tenant | None = request.tenant  # type: ignore[attr-defined]
    made_for: str | None = request.session.get(SESSION_TENANT_KEY)
    return made_for != (str(tenant.pk) if tenant else None)


def place_in_session(request: HttpRequest) -> Membership | None:
    """The place that the session was opened for, if it is still open to this person."""
    user = request.user
    if not user.is_authenticated:
        return None
    membership = Membership.objects.filter(
        pk=request.session[_PLACE_KEY],
        user=user,
        tenant=request.tenant,  # type: ignore[attr-defined]
        is_active=True,
        sign_in_epoch=request.session[_EPOCH_KEY],
    ).first()
    if membership is not None:
        membership.user = user
        membership.tenant = request.tenant  # type: ignore[attr-defined]
    return membership


def hand_over(membership: Membership, *, now: datetime) -> str:
    """The token of a step to the business's host. Only its hash is kept."""
    token = secrets.token_urlsafe(32)
    HandOver.objects.create(membership=membership, token_hash=_hash(token), expires_at=now + _HAND_OVER_LASTS)
    return token


def take_over(token: str, *, tenant: Tenant, now: datetime) -> Membership:
    """The place that a step to this business's host is for. It is spent by this.

    :raises HandOverSpent: if it was used, is older than a minute, is another business's, or the place has ended.
    """
    with transaction.atomic():
        step = (
            HandOver.objects.select_for_update(of=("self",))
            .select_related("membership__user", "membership__tenant")
            .filter(token_hash=_hash(token), membership__tenant=tenant, used_at=None, expires_at__gt=now)
            .filter(membership__is_active=True, membership__user__is_active=True)
            .first()
        )
        if step is None:
            raise HandOverSpent(_("This step was taken already, or is older than a minute. Sign in again."))
        step.used_at = now
        step.save(update_fields=["used_at"])
    return step.membership


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
