"""Payments that a person recorded from a statement: a file that somebody gave us, not M-PESA's own word.

What confirms one is M-PESA's answer about its receipt, M-PESA's list of payments (Pull), or a report that came late.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet, Subquery

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


@dataclass(frozen=True, slots=True)
class Recording:
    """`word` is M-PESA's; `questions` were asked of it about the payment, the newest first. The rest is of a payment
    from a statement: when one that lists it was loaded first, and who recorded it."""

    word: Word
    questions: tuple[StatusQuery, ...]
    loaded_at: datetime | None = None
    recorded_by: str = ""


def recording_of(payment: Payment) -> Recording:
    """What is known of how a payment was recorded. What did not come from a statement is M-PESA's word already. Two
    queries."""
    questions = tuple(payment.status_queries.order_by("-pk")[:_QUESTIONS])
    if payment.source != Payment.Source.STATEMENT:
        return Recording(Word.CONFIRMED, questions)
    known = Payment.objects.filter(pk=payment.pk).values(
        is_pulled=Exists(_lines(StatementLine.Source.PULL).filter(status__iexact="Completed")),
        is_reported=Exists(_REPORTS.filter(tenant=require_current_tenant())),
        loaded_at=Subquery(_lines(StatementLine.Source.STATEMENT).order_by("created_at").values("created_at")[:1]),
        recorded_by=Subquery(_ITEMS.order_by("settled_at").values("settled_by")[:1]),
    )[0]
    answered = (question for question in questions if question.status == StatusQuery.Status.ANSWERED)
    words = [word_of(payment, found_in(question)) for question in answered]
    word = words[0] if words else Word.NONE
    if Word.CONFIRMED in words or known["is_pulled"] or known["is_reported"]:
        word = Word.CONFIRMED
    return Recording(word, questions, known["loaded_at"], known["recorded_by"] or "")


def _lines(source: str) -> QuerySet[StatementLine]:
    """Those of the payment around it."""
    return StatementLine.objects.filter(
        channel=OuterRef("channel"), source=source, receipt=OuterRef("receipt"), paid_in=OuterRef("amount")
    )


_REPORTS = InboundCallback.objects.filter(
    channel_id=OuterRef("channel_id"),
    kind__in=[InboundCallback.Kind.C2B_CONFIRMATION, InboundCallback.Kind.INVOICE_PAYMENT],
    dedup_key=OuterRef("receipt"),
    state=InboundCallback.State.APPLIED,
)
_ITEMS = ReconciliationItem.objects.filter(
    day__channel=OuterRef("channel"),
    kind=ReconciliationItem.Kind.MISSING_HERE,
    subject=OuterRef("receipt"),
    settled_at__isnull=False,
)


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
