"""How a payout stands, in plain words: for the API, the result file and the pages alike."""

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from channels.daraja.errors import Reason
from channels.daraja.explanations import Api
from channels.explaining import explain, explain_reason
from payments.models import Payout
from payments.payouts.checking import TO_PHONES

Status = Payout.Status

_MEANINGS = {
    Status.AWAITING_APPROVAL: _("It waits to be approved or released. Nothing was sent."),
    Status.RESERVED: _("It is about to be sent."),
    Status.SENDING: _("It is being handed to M-PESA."),
    Status.ACCEPTED: _("M-PESA has it, and has not said yet whether the money moved."),
    Status.UNKNOWN: _("M-PESA may have sent the money. We are asking."),
    Status.SUCCEEDED: _("The receiver has the money."),
    Status.CANCELLED: _("It was withdrawn before it was sent. No money moved."),
}
_ADVICE = {
    Status.AWAITING_APPROVAL: _("Approve or release its batch."),
    Status.UNKNOWN: _("Do not pay again until it is known."),
    Status.NEEDS_REVIEW: _("Look it up on the M-PESA portal, and decide it here. Do not pay again before that."),
}


def meaning_of(payout: Payout) -> str:
    """What has happened, in a sentence or two."""
    match Status(payout.status):
        case Status.NEEDS_REVIEW:
            return payout.review
        case Status.FAILED if payout.decided_by:
            return gettext("%(who)s found that no money moved: %(note)s") % {
                "who": payout.decided_by,
                "note": payout.note,
            }
        case Status.FAILED if not payout.result_code:
            return payout.result_desc
        case Status.FAILED if payout.result_code == "not_found":
            return gettext("M-PESA, asked again and again, knows of no such payout. No money moved.")
        case Status.FAILED:
            return _explained(payout)[0]
        case status:
            return str(_MEANINGS[status])


def do_now_about(payout: Payout) -> str:
    """One action, or nothing."""
    if payout.status == Status.FAILED:
        return (
            _explained(payout)[1]
            if payout.result_code and not payout.decided_by
            else gettext("Retry it if it is still due.")
        )
    return str(_ADVICE.get(Status(payout.status), ""))


def _explained(payout: Payout) -> tuple[str, str]:
    if payout.result_code in set(Reason):  # a call that did not work, and had no code of Daraja's
        explanation = explain_reason(Reason(payout.result_code))
    else:
        api = Api.B2C if payout.kind in TO_PHONES else Api.B2B
        explanation = explain(api, payout.result_code, payout.result_desc)
    return explanation.meaning, explanation.do_now
