"""How a reversal stands, in plain words: for the API and the pages alike."""

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from channels.daraja.explanations import Api
from channels.explaining import explain
from payments.models import Reversal

Status = Reversal.Status

_MEANINGS = {
    Status.AWAITING_APPROVAL: _("It waits for approval. Nothing was sent."),
    Status.RESERVED: _("It was approved, and is about to be sent."),
    Status.SENDING: _("It is being handed to M-PESA."),
    Status.ACCEPTED: _("M-PESA has it. The money has not moved yet."),
    Status.UNKNOWN: _("M-PESA has not told us what became of it. We are asking."),
    Status.SUCCEEDED: _("The customer has the money back."),
}


def meaning_of(reversal: Reversal) -> str:
    """What has happened, in a sentence or two."""
    if sentence := _MEANINGS.get(Status(reversal.status)):
        return str(sentence)
    if reversal.status == Status.NEEDS_REVIEW:
        return reversal.review
    if reversal.status == Status.CANCELLED:
        return reversal.note or gettext("It was withdrawn. Nothing was sent.")
    explained = explain(Api.REVERSAL, reversal.result_code, reversal.result_desc)
    return explained.meaning if reversal.result_code else reversal.result_desc


def do_now_about(reversal: Reversal) -> str:
    """One action, or nothing."""
    match reversal.status:
        case Status.AWAITING_APPROVAL:
            return gettext("Have somebody approve it.")
        case Status.NEEDS_REVIEW:
            return gettext("Look the payment up on the M-PESA portal, and decide it here.")
        case Status.FAILED if reversal.result_code:
            return explain(Api.REVERSAL, reversal.result_code, reversal.result_desc).do_now
    return ""
