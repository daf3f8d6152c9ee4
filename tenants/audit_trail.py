"""A business's own audit trail, for those of its people who may read it."""

from django.db.models import QuerySet

from audit.models import AuditEntry
from audit.services import Actor
from tenants.permissions import Permission, require


def entries(*, actor: Actor) -> QuerySet[AuditEntry]:
    """The present business's trail.

    :raises NotPermitted: if the actor may not read it.
    """
    require(actor, Permission.AUDIT_READ)
    return AuditEntry.objects.all()
