"""A business's own audit trail, for those of its people who may read it."""

from collections.abc import Collection
from datetime import datetime

from django.db.models import Q, QuerySet

from audit.ids import first_id_at
from audit.models import AuditEntry
from audit.services import Actor
from tenants.permissions import Permission, require


def entries(*, actor: Actor) -> QuerySet[AuditEntry]:
    """The present business's trail.

    :raises NotPermitted: if the actor may not read it.
    """
    require(actor, Permission.AUDIT_READ)
    return AuditEntry.objects.all()


def search(
    *,
    actor: Actor,
    who: str = "",
    things: Collection[str] = (),
    since: datetime | None = None,
    before: datetime | None = None,
) -> QuerySet[AuditEntry]:
    """What people with `who` in their label decided about `things` (the part of an action before its dot) in a time.

    Times are read from the key, which has an index.

    :raises NotPermitted: if the actor may not read the trail.
    """
    found = entries(actor=actor)
    if who:
        found = found.filter(actor_label__icontains=who)
    if things:
        about = Q()
        for thing in things:
            about |= Q(action__startswith=f"{thing}.")
        found = found.filter(about)
    if since is not None:
        found = found.filter(pk__gte=first_id_at(since))
    if before is not None:
        found = found.filter(pk__lt=first_id_at(before))
    return found
