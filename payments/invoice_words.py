"""How an invoice stands, in plain words, and what happened to it."""

from collections.abc import Sequence
from decimal import Decimal

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from payments.invoice_payments import Part
from payments.models import Invoice
from payments.timeline import Moment

Status = Invoice.Status

_MEANINGS = {
    Status.PENDING: gettext_lazy("It is being handed to M-PESA. The customer has nothing yet."),
    Status.SENT: gettext_lazy("M-PESA sent it to the customer. Nothing is paid yet."),
    Status.PARTLY_PAID: gettext_lazy("Something of it is paid."),
    Status.PAID: gettext_lazy("It is paid."),
    Status.FAILED: gettext_lazy("M-PESA refused it. The customer has nothing."),
    Status.UNKNOWN: gettext_lazy("Nobody can say whether M-PESA sent it to the customer."),
    Status.CANCELLED: gettext_lazy("It was withdrawn."),
}
_ADVICE = {
    Status.FAILED: gettext_lazy("Mend what M-PESA says, and send a new one. It may have the same number."),
    Status.UNKNOWN: gettext_lazy("Ask the customer whether the bill came. Withdraw this one before you send another."),
}


def meaning_of(invoice: Invoice) -> str:
    """What has happened, in a sentence."""
    return str(_MEANINGS[Status(invoice.status)])


def do_now_about(invoice: Invoice) -> str:
    """One action, or nothing."""
    return str(_ADVICE.get(Status(invoice.status), ""))


def timeline_of_invoice(invoice: Invoice, parts: Sequence[Part]) -> list[Moment]:
    """The earliest first, what is still to come last."""
    moments = [Moment(invoice.created_at, _("%(who)s made it.") % {"who": invoice.requested_by})]
    if invoice.sending_at:
        moments.append(Moment(invoice.sending_at, _("We handed it to M-PESA.")))
    for part in parts:
        paid = _("KES %(amount)s was paid.") % {"amount": _shillings(part.amount)}
        moments.append(Moment(part.payment.paid_at, paid, detail=part.payment.receipt))
    if invoice.finished_at and invoice.status in (Status.CANCELLED, Status.FAILED):
        ended = meaning_of(invoice)
        moments.append(Moment(invoice.finished_at, ended, "failed", invoice.result_desc))
    moments.sort(key=lambda moment: moment.at or invoice.created_at)
    match invoice.status:
        case Status.PENDING:
            moments.append(Moment(None, _("M-PESA sends it to the customer."), "running"))
        case Status.UNKNOWN:
            moments.append(Moment(None, meaning_of(invoice), "waiting", invoice.result_desc))
        case Status.SENT | Status.PARTLY_PAID:
            moments.append(Moment(None, _("The customer pays the rest."), "waiting"))
    return moments


def _shillings(amount: Decimal) -> str:
    return f"{amount:,.2f}"
