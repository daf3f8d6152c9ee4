"""What people and their software may look at of the business's payments."""

from uuid import UUID

from django.db.models import F, QuerySet
from django.utils.translation import gettext as _

from audit.services import Actor
from channels.models import MpesaChannel
from payments.models import DayTotal, Payment
from tenants.errors import NotFound
from tenants.permissions import Permission, require


def read_payment(*, actor: Actor, payment_id: UUID) -> Payment:
    """With its reversals, and with the request that it answered.

    :raises NotFound: if the business has none such.
    """
    rows = payments_of(actor=actor).select_related("request").prefetch_related("reversals")
    payment = rows.filter(pk=payment_id).first()
    if payment is None:
        raise NotFound(_("There is no such payment."))
    return payment


def newest_references(channel: MpesaChannel, limit: int) -> list[str]:
    """What customers typed for the channel's newest payments, the newest first; for `channels.previews`."""
    paid = Payment.objects.filter(environment=channel.environment, channel=channel)
    return list(paid.order_by("-paid_at", "-pk").values_list("account_reference", flat=True)[:limit])


def day_totals_of(*, actor: Actor) -> QuerySet[DayTotal]:
    """What each channel took on each day, of all environments: a door shows one environment at a time."""
    require(actor, Permission.PAYMENTS_READ)
    return DayTotal.objects.annotate(net=F("amount") - F("reversed_amount") - F("charges"))


def payments_of(*, actor: Actor) -> QuerySet[Payment]:
    """Every payment of the present tenant, of all environments: a door shows one environment at a time."""
    require(actor, Permission.PAYMENTS_READ)
    return Payment.objects.select_related("channel").defer(*(f"channel__{name}" for name in MpesaChannel.UNREAD))
