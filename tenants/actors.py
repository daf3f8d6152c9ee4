"""Who stands behind a request, or behind what was asked for earlier, as services and the audit trail know them."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest

from audit.models import AuditRow
from audit.services import Actor
from tenants.addresses import caller_address
from tenants.models import Membership, User
from tenants.permissions import VISITOR
from tenants.queue import require_current_tenant


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


def as_kept(actor: Actor) -> dict[str, Any]:
    """Who asked for something, as JSON, for when it is done."""
    return asdict(actor) | {"id": actor.id.hex if actor.id else None}


def as_of_now(kept: Mapping[str, Any]) -> Actor:
    """Who asked, with the role that they have in the present business by now: a person without a place has none."""
    actor = Actor(**{**kept, "id": UUID(kept["id"]) if kept["id"] else None})
    if actor.kind != AuditRow.ActorKind.PERSON or actor.id is None:
        return actor
    places = Membership.objects.filter(
        tenant=require_current_tenant(), user_id=actor.id, is_active=True, user__is_active=True
    )
    return replace(actor, role=places.values_list("role", flat=True).first() or "")


def note_member(request: HttpRequest, membership: Membership) -> None:
    """From here on the request acts for this person: `request.membership` and `request.actor`."""
    request.membership = membership  # type: ignore[attr-defined]
    request.actor = person(request, membership)  # type: ignore[attr-defined]
