"""How pages speak of agreements, of money that goes out, of questions to M-PESA and of reconciliation."""

from decimal import Decimal
from typing import Any

from django import template
from django.db.models import Model
from django.utils.translation import gettext_lazy as _

from payments.models import (
    Invoice,
    MoneyOut,
    Payout,
    PayoutBatch,
    Pull,
    ReconciliationDay,
    ReconciliationItem,
    StandingOrder,
)
from payments.money_out.states import outward_state
from payments.payouts import names
from tenants.templatetags.tuzo import state

register = template.Library()

# Of each kind of row by its status: a look of static/css/tuzo.css, and the word.
BADGES: dict[type[Model], dict[str, tuple[str, Any]]] = {
    StandingOrder: {
        StandingOrder.Status.PENDING: ("state-pending", _("Waiting for the customer")),
        StandingOrder.Status.ACTIVE: ("good", _("Agreed")),
        StandingOrder.Status.FAILED: ("bad", _("Not agreed")),
        StandingOrder.Status.UNKNOWN: ("state-unknown", _("Not known yet")),
        StandingOrder.Status.CANCELLED: ("", _("Cancelled here")),
    },
    Invoice: {
        Invoice.Status.PENDING: ("state-pending", _("Being sent")),
        Invoice.Status.SENT: ("state-pending", _("Not paid yet")),
        Invoice.Status.PARTLY_PAID: ("state-pending", _("Partly paid")),
        Invoice.Status.PAID: ("good", _("Paid")),
        Invoice.Status.FAILED: ("bad", _("Refused")),
        Invoice.Status.UNKNOWN: ("state-unknown", _("Not known yet")),
        Invoice.Status.CANCELLED: ("", _("Withdrawn")),
    },
    PayoutBatch: {
        PayoutBatch.Status.AWAITING_APPROVAL: ("state-awaiting_approval", _("Waiting for approval")),
        PayoutBatch.Status.APPROVED: ("state-pending", _("Ready to release")),
        PayoutBatch.Status.RELEASED: ("state-pending", _("Being sent")),
        PayoutBatch.Status.FINISHED: ("", _("Finished")),
        PayoutBatch.Status.CANCELLED: ("", _("Withdrawn")),
        PayoutBatch.Status.EXPIRED: ("", _("Not released in time")),
    },
    ReconciliationDay: {
        ReconciliationDay.Status.UNPROVED: ("", _("Not proved yet")),
        ReconciliationDay.Status.AGREES: ("good", _("Agrees")),
        ReconciliationDay.Status.DIFFERS: ("bad", _("Differs")),
        ReconciliationDay.Status.SETTLED: ("", _("Settled")),
    },
    Pull: {
        Pull.Status.PENDING: ("state-pending", _("Reading")),
        Pull.Status.DONE: ("good", _("Read whole")),
        Pull.Status.FAILED: ("bad", _("Did not work")),
    },
}
_ITEMS = {
    ReconciliationItem.Kind.MISSING_HERE: _("Missing here"),
    ReconciliationItem.Kind.MISSING_THERE: _("Missing at M-PESA"),
    ReconciliationItem.Kind.DIFFERS: _("Different amounts"),
    ReconciliationItem.Kind.REQUEST_UNPROVED: _("Paid, by a request alone"),
    ReconciliationItem.Kind.BALANCE: _("Balances don't add up"),
}


@register.inclusion_tag("parts/badge.html")
def payout_state(payout: Payout, batch: PayoutBatch) -> dict[str, Any]:
    """`{% payout_state payout batch %}`: its outward state; before the release, what its batch waits for."""
    if payout.status == MoneyOut.Status.AWAITING_APPROVAL and batch.status == PayoutBatch.Status.APPROVED:
        return badge(batch)
    shown = state(outward_state(payout), "out")
    return {"look": f"state-{shown['key']}", "word": shown["word"]}


@register.filter
def outward(row: MoneyOut) -> str:
    """`{% state reversal|outward "out" %}`: how a payout or reversal stands for the outside."""
    return outward_state(row)


@register.inclusion_tag("parts/badge.html")
def badge(row: StandingOrder | Invoice | PayoutBatch | ReconciliationDay | Pull) -> dict[str, Any]:
    """`{% badge order %}`: how it stands."""
    look, word = BADGES[type(row)][row.status]
    return {"look": look, "word": word}


@register.filter
def other_name(payout: Payout) -> str:
    """M-PESA's name for who has the money, where the business plainly meant another."""
    return names.other_name(payout)


@register.filter
def kind_word(kind: str) -> str:
    """Of what does not match."""
    return str(_ITEMS[ReconciliationItem.Kind(kind)])


@register.filter
def decimal(text: str) -> Decimal | None:
    """An amount that is kept as text in JSON; None where there is none."""
    return Decimal(text) if text else None
