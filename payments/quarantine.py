"""Deliveries that did not fit: looked at by people, and applied again when a person says so."""

from collections.abc import Sequence
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

import audit.services
from audit.models import AuditRow
from audit.services import Actor
from payments.tasks import drain_inbox
from tenants.models import InboundCallback
from tenants.permissions import Permission, require
from tenants.queue import require_current_tenant, ring_after_commit

State = InboundCallback.State


def quarantined_callbacks(*, actor: Actor) -> QuerySet[InboundCallback]:
    """What was put aside of the present tenant's deliveries."""
    require(actor, Permission.CALLBACKS_REDRIVE)
    return InboundCallback.objects.filter(tenant=require_current_tenant(), state=State.QUARANTINED)


@transaction.atomic
def redrive_callbacks(*, actor: Actor, callback_ids: Sequence[UUID]) -> int:
    """Apply quarantined deliveries again, and return how many are taken up.

    Whoever decides this vouches for the address they came from; every other reason is judged afresh. An operator may
    name any business's deliveries, a person only those of the present one. Deliveries to no known channel stay.
    """
    rows = InboundCallback.objects.select_for_update().filter(
        pk__in=callback_ids, state=State.QUARANTINED, tenant__isnull=False
    )
    if actor.kind != AuditRow.ActorKind.OPERATOR:
        require(actor, Permission.CALLBACKS_REDRIVE)
        rows = rows.filter(tenant=require_current_tenant())
    found = list(rows.order_by("pk"))
    for row in found:
        audit.services.record(
            actor=actor,
            action="callback.redriven",
            subject=row,
            before={"state": row.state, "reason": row.reason},
            after={"state": State.PENDING},
        )
    InboundCallback.objects.filter(pk__in=[row.pk for row in found]).update(
        state=State.PENDING, reason="", error="", attempts=0, address_is_listed=True, due_at=timezone.now()
    )
    for tenant_id in {row.tenant_id for row in found}:
        ring_after_commit(drain_inbox, tenant_id=tenant_id)
    return len(found)
