"""What people and their software may look at of the business's payments."""

from django.db.models import QuerySet

from audit.services import Actor
from payments.models import Payment
from tenants.permissions import Permission, require


def payments_of(*, actor: Actor) -> QuerySet[Payment]:
    """Every payment of the present tenant, of all environments: a door shows one environment at a time."""
    require(actor, Permission.PAYMENTS_READ)
    return Payment.objects.select_related("channel")
