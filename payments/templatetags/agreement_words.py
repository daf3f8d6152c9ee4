"""How pages speak of standing orders and invoices."""

from typing import Any

from django import template
from django.utils.translation import gettext_lazy as _

from payments.models import Invoice, StandingOrder

register = template.Library()

# A look of static/css/tuzo.css, and the word.
ORDERS = {
    StandingOrder.Status.PENDING: ("state-pending", _("Waiting for the customer")),
    StandingOrder.Status.ACTIVE: ("good", _("Agreed")),
    StandingOrder.Status.FAILED: ("bad", _("Not agreed")),
    StandingOrder.Status.UNKNOWN: ("state-unknown", _("Not known yet")),
    StandingOrder.Status.CANCELLED: ("", _("Cancelled here")),
}
INVOICES = {
    Invoice.Status.PENDING: ("state-pending", _("Being sent")),
    Invoice.Status.SENT: ("state-pending", _("Not paid yet")),
    Invoice.Status.PARTLY_PAID: ("state-pending", _("Partly paid")),
    Invoice.Status.PAID: ("good", _("Paid")),
    Invoice.Status.FAILED: ("bad", _("Refused")),
    Invoice.Status.UNKNOWN: ("state-unknown", _("Not known yet")),
    Invoice.Status.CANCELLED: ("", _("Withdrawn")),
}


@register.inclusion_tag("payments/money_out_badge.html")
def order_state(order: StandingOrder) -> dict[str, Any]:
    look, word = ORDERS[StandingOrder.Status(order.status)]
    return {"look": look, "word": word}


@register.inclusion_tag("payments/money_out_badge.html")
def invoice_state(invoice: Invoice) -> dict[str, Any]:
    look, word = INVOICES[Invoice.Status(invoice.status)]
    return {"look": look, "word": word}
