"""What people and their software may look at of the business's payments."""

from django.db.models import QuerySet

from audit.services import Actor
from channels.models import Environment, MpesaChannel
from payments.models import Payment
from tenants.permissions import Permission, require


def payments_of(*, actor: Actor) -> QuerySet[Payment]:
    """Every payment of the present tenant, of all environments: a door shows one environment at a time."""
    require(actor, Permission.PAYMENTS_READ)
    return Payment.objects.select_related("channel")


def usual_environment() -> str:
    """The environment that a list shows when nobody names one: the primary channel's."""
    environment = MpesaChannel.objects.filter(is_primary=True).values_list("environment", flat=True).first()
    return environment or Environment.PRACTICE
