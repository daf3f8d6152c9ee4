"""Why a request on a customer's phone was not paid, and what to do now: for the API and the pages alike."""

from django.utils.translation import gettext as _

from channels.daraja.explanations import Api
from channels.explaining import explain
from payments.models import PaymentRequest
from payments.requests import NOT_TAKEN


def why_not_paid(request: PaymentRequest) -> tuple[str, str]:
    """What happened to a request that failed, and what to do. Daraja's codes are explained in its language."""
    if request.result_code == NOT_TAKEN:
        return _("Safaricom did not take it, so nothing was shown on the phone."), _("Ask again.")
    explained = explain(Api.STK, request.result_code, request.result_desc)
    return explained.meaning, explained.do_now
