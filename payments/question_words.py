"""What M-PESA answered when it was asked, or why it did not, in plain words: for the API and the pages alike."""

from django.utils.translation import gettext as _

from channels.daraja.explanations import Api
from channels.daraja.payloads import AsyncResult, Pairs
from channels.daraja.results import StatusResult, read_status
from channels.explaining import explain
from payments.models import BalanceQuery, StatusQuery

_BY_ITSELF = frozenset({"tuzo", "by itself"})  # as `money_out.following` and `balances` sign their questions


def why_not_answered(api: Api, question: BalanceQuery | StatusQuery) -> str:
    """Empty if it was, or may still be."""
    match question.status:
        case question.Status.UNANSWERED:
            return _("M-PESA took the question and never answered.")
        case question.Status.FAILED if question.result_code:
            return explain(api, question.result_code, question.result_desc).meaning
        case question.Status.FAILED:
            return question.result_desc
    return ""


def found_in(question: StatusQuery) -> StatusResult:
    """What an answered question found, in our names; all is empty if M-PESA knows of none."""
    parameters = Pairs(question.found.items())
    return read_status(AsyncResult("", question.result_code, question.result_desc, "", "", None, parameters, Pairs()))


def who_asked(question: StatusQuery) -> str:
    return _("Tuzo by itself") if question.requested_by in _BY_ITSELF else question.requested_by


def answer_to(question: StatusQuery) -> str:
    """What became of the question, in a sentence."""
    match question.status:
        case StatusQuery.Status.PENDING:
            return _("M-PESA has not answered yet.")
        case StatusQuery.Status.ANSWERED if not question.found:
            return _("M-PESA knows of nothing under this number.")
        case StatusQuery.Status.ANSWERED:
            return _("M-PESA answered: “%(state)s”.") % {"state": question.found.get("TransactionStatus", "")}
    return why_not_answered(Api.STATUS, question)
