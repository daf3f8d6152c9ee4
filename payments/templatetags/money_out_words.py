"""How pages speak of money that goes out, of questions to M-PESA and of reconciliation."""

from decimal import Decimal
from typing import Any

from django import template
from django.utils.translation import gettext_lazy as _

from payments.models import MoneyOut, PayoutBatch, Pull, ReconciliationDay, ReconciliationItem
from payments.money_out.states import outward_state

register = template.Library()

_Words = dict[Any, tuple[str, Any]]

# A look of static/css/tuzo.css, and the word.
_BATCHES: _Words = {
    PayoutBatch.Status.AWAITING_APPROVAL: ("state-awaiting_approval", _("Waiting for approval")),
    PayoutBatch.Status.APPROVED: ("state-pending", _("Ready to release")),
    PayoutBatch.Status.RELEASED: ("state-pending", _("Being sent")),
    PayoutBatch.Status.FINISHED: ("", _("Finished")),
    PayoutBatch.Status.CANCELLED: ("", _("Withdrawn")),
    PayoutBatch.Status.EXPIRED: ("", _("Not released in time")),
}
_DAYS: _Words = {
    ReconciliationDay.Status.UNPROVED: ("", _("Not proved yet")),
    ReconciliationDay.Status.AGREES: ("good", _("Agrees")),
    ReconciliationDay.Status.DIFFERS: ("bad", _("Differs")),
    ReconciliationDay.Status.SETTLED: ("", _("Settled")),
}
_PULLS: _Words = {
    Pull.Status.PENDING: ("state-pending", _("Reading")),
    Pull.Status.DONE: ("good", _("Read whole")),
    Pull.Status.FAILED: ("bad", _("Did not work")),
}
_ITEMS = {
    ReconciliationItem.Kind.MISSING_HERE: _("Missing here"),
    ReconciliationItem.Kind.MISSING_THERE: _("Missing at M-PESA"),
    ReconciliationItem.Kind.DIFFERS: _("Different amounts"),
    ReconciliationItem.Kind.REQUEST_UNPROVED: _("Paid, by a request alone"),
    ReconciliationItem.Kind.BALANCE: _("Balances don't add up"),
}


@register.filter
def outward(row: MoneyOut) -> str:
    """`{% state payout|outward "out" %}`: how a payout or reversal stands for the outside."""
    return outward_state(row)


@register.inclusion_tag("payments/money_out_badge.html")
def batch_state(batch: PayoutBatch) -> dict[str, Any]:
    look, word = _BATCHES[PayoutBatch.Status(batch.status)]
    return {"look": look, "word": word}


@register.inclusion_tag("payments/money_out_badge.html")
def day_state(day: ReconciliationDay) -> dict[str, Any]:
    look, word = _DAYS[ReconciliationDay.Status(day.status)]
    return {"look": look, "word": word}


@register.inclusion_tag("payments/money_out_badge.html")
def pull_state(pull: Pull) -> dict[str, Any]:
    look, word = _PULLS[Pull.Status(pull.status)]
    return {"look": look, "word": word}


@register.filter
def item_word(item: ReconciliationItem) -> str:
    return str(_ITEMS[ReconciliationItem.Kind(item.kind)])


@register.filter
def decimal(text: str) -> Decimal | None:
    """An amount that is kept as text in JSON; None where there is none."""
    return Decimal(text) if text else None
