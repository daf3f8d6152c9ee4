"""Who stands behind a request, as the services and the audit trail know them."""

from django.conf import settings
from django.http import HttpRequest

from audit.models import AuditRow
from audit.services import Actor
from tenants.addresses import caller_address
from tenants.models import Membership, User
from tenants.permissions import VISITOR


def client_address(request: HttpRequest) -> str:
    return caller_address(
        socket_address=str(request.META.get("REMOTE_ADDR") or ""),
        forwarded_for=request.headers.get("X-Forwarded-For", ""),
        trusted_proxies=settings.TRUSTED_PROXIES,
    )


def person(request: HttpRequest, membership: Membership) -> Actor:
    """Somebody in their place in a business."""
    return Actor(
        kind=AuditRow.ActorKind.PERSON,
        id=membership.user_id,
        label=membership.user.email,
        role=membership.role,
        address=client_address(request),
        user_agent=request.headers.get("User-Agent", ""),
    )


def visitor(request: HttpRequest, *, email: str) -> Actor:
    """Somebody without a place yet, by the e-mail address they give: to sign up, or to take up an invitation."""
    return Actor(
        kind=AuditRow.ActorKind.PERSON,
        label=email,
        address=client_address(request),
        user_agent=request.headers.get("User-Agent", ""),
    )


def demo_visitor(request: HttpRequest) -> Actor:
    """Somebody who looks around in the demo, and has no place there."""
    return Actor(
        kind=AuditRow.ActorKind.PERSON,
        label="a visitor of the demo",
        role=VISITOR,
        address=client_address(request),
        user_agent=request.headers.get("User-Agent", ""),
    )


def operator(request: HttpRequest, user: User) -> Actor:
    """An operator of the platform, at the platform's own host."""
    return Actor(
        kind=AuditRow.ActorKind.OPERATOR,
        id=user.pk,
        label=user.email,
        role="super_admin",
        address=client_address(request),
        user_agent=request.headers.get("User-Agent", ""),
    )


def note_member(request: HttpRequest, membership: Membership) -> None:
    """From here on the request acts for this person: `request.membership` and `request.actor`."""
    request.membership = membership  # type: ignore[attr-defined]
    request.actor = person(request, membership)  # type: ignore[attr-defined]
