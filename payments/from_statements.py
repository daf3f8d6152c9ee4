"""Payments that a person recorded from a statement: a file that somebody gave us, not M-PESA's own word.

What confirms one is M-PESA's answer about its receipt, M-PESA's list of payments (Pull), or a report that came late.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any

from channels.daraja.explanations import Who
from channels.daraja.results import StatusResult
from channels.daraja.verdicts import Verdict, verdict_of_status
from channels.models import MpesaChannel, Problem
from channels.problems import close_problem, note_problem
from payments.models import Payment, ReconciliationItem, StatementLine, StatusQuery
from payments.question_words import found_in
from tenants.models import InboundCallback
from tenants.queue import require_current_tenant
from tenants.sentences import say

_QUESTIONS = 20  # looked at of one payment, the newest


class Word(StrEnum):
    """M-PESA's own, about a payment that a statement lists."""

    NONE = "none"  # it has said nothing yet
    CONFIRMED = "confirmed"
    NOT_KNOWN = "not_known"  # it knows nothing of the receipt
    OTHERWISE = "otherwise"  # it knows the receipt, and not as it was recorded


def word_about(payment: Payment) -> Word:
    """What M-PESA itself has said of a payment. What did not come from a statement is M-PESA's word already."""
    if payment.source != Payment.Source.STATEMENT:
        return Word.CONFIRMED
    answered = payment.status_queries.filter(status=StatusQuery.Status.ANSWERED).order_by("-pk")[:_QUESTIONS]
    words = [word_of(payment, found_in(question)) for question in answered]
    if Word.CONFIRMED in words or _is_pulled(payment) or _is_reported(payment):
        return Word.CONFIRMED
    return words[0] if words else Word.NONE


def word_of(payment: Payment, found: StatusResult) -> Word:
    """What one answer says of a payment."""
    if not found.receipt:
        return Word.NOT_KNOWN
    is_same = found.receipt == payment.receipt and found.amount == payment.amount
    match verdict_of_status(found.status):
        case Verdict.SUCCEEDED if is_same:
            return Word.CONFIRMED
        case Verdict.UNKNOWN if is_same:
            return Word.NONE
    return Word.OTHERWISE


def _is_pulled(payment: Payment) -> bool:
    return StatementLine.objects.filter(
        channel=payment.channel_id,
        source=StatementLine.Source.PULL,
        receipt=payment.receipt,
        paid_in=payment.amount,
        status__iexact="Completed",
    ).exists()


def _is_reported(payment: Payment) -> bool:
    return InboundCallback.objects.filter(
        tenant=require_current_tenant(),
        channel_id=payment.channel_id,
        kind__in=[InboundCallback.Kind.C2B_CONFIRMATION, InboundCallback.Kind.INVOICE_PAYMENT],
        dedup_key=payment.receipt,
        state=InboundCallback.State.APPLIED,
    ).exists()


def recorded_by(payment: Payment) -> ReconciliationItem | None:
    """The item by which a person recorded it: who, and when."""
    items = ReconciliationItem.objects.filter(
        day__channel=payment.channel_id,
        kind=ReconciliationItem.Kind.MISSING_HERE,
        subject=payment.receipt,
        settled_at__isnull=False,
    )
    return items.order_by("settled_at").first()


def loaded_at(payment: Payment) -> datetime | None:
    """When the statement that lists it was loaded first."""
    lines = StatementLine.objects.filter(
        channel=payment.channel_id,
        source=StatementLine.Source.STATEMENT,
        receipt=payment.receipt,
        paid_in=payment.amount,
    )
    return lines.order_by("created_at").values_list("created_at", flat=True).first()


def note_answer(payment: Payment, found: StatusResult, *, now: datetime) -> None:
    """Tell people, in the caller's commit, if M-PESA answered that it knows a recorded payment not or otherwise."""
    if payment.source != Payment.Source.STATEMENT:
        return
    channel = MpesaChannel.objects.without_secrets().get(pk=payment.channel_id)
    about: dict[str, Any] = {"channel": channel, "kind": Problem.Kind.DIFFERS, "subject": payment.receipt, "now": now}
    sentences = {
        Word.NOT_KNOWN: say(
            "M-PESA knows nothing of %(receipt)s, which was recorded from a statement.", receipt=payment.receipt
        ),
        Word.OTHERWISE: say(
            "M-PESA knows %(receipt)s otherwise than it was recorded from a statement.", receipt=payment.receipt
        ),
    }
    word = word_of(payment, found)
    if word == Word.CONFIRMED:
        close_problem(**about)
    elif word in sentences:
        note_problem(
            **about,
            sentence=sentences[word],
            do_now=say("Look for it on the M-PESA portal before you rely on it."),
            who=Who.YOU.value,
        )
