"""What happened to one payment, in order: who asked for it, what M-PESA said, what it gave, whether it went back.

The rooms above tell their part (`register_teller`); this one knows none of them.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from django.utils.translation import gettext as _

from audit.services import Actor
from payments.from_statements import Recording
from payments.models import MoneyOut, Payment, PaymentRequest, Reversal, StatusQuery
from payments.question_words import answer_to, who_asked
from tenants.models import InboundCallback
from tenants.permissions import Permission, require
from tenants.queue import require_current_tenant

Kind = InboundCallback.Kind
Status = MoneyOut.Status

_QUESTIONS = 5  # shown of one payment


@dataclass(frozen=True, slots=True)
class Moment:
    """One thing that happened, or is happening. `state`: `done`, `running`, `waiting` (for a person) or `failed`."""

    at: datetime | None  # None: not yet
    sentence: str
    state: str = "done"
    detail: str = ""


class Teller(Protocol):
    def moments(self, payment: Payment) -> list[Moment]:
        """What became of a payment, in full."""

    def notes(self, payment_ids: Collection[UUID]) -> Mapping[UUID, str]:
        """What became of each, in a word or two for a list. One query."""


_tellers: list[Teller] = []


def register_teller(teller: Teller) -> None:
    """Let a room above tell its part; it does so when Django starts."""
    _tellers.append(teller)


def timeline_of(*, actor: Actor, payment: Payment, recording: Recording) -> list[Moment]:
    """Everything that is known of a payment, the oldest first, what is still to come last."""
    require(actor, Permission.PAYMENTS_READ)
    request: PaymentRequest | None = getattr(payment, "request", None)  # Django has no attribute for none
    moments = _of_request(request) if request else []
    moments += [
        Moment(payment.paid_at, _("The customer paid, by M-PESA's clock.")),
        *_of_reports(payment, request),
        *_of_statement(payment, recording),
        *(moment for teller in _tellers for moment in teller.moments(payment)),
        *(_of_question(question) for question in recording.questions[:_QUESTIONS]),
        *(moment for reversal in sorted(payment.reversals.all(), key=_key) for moment in _of_reversal(reversal)),
    ]
    past = sorted((moment for moment in moments if moment.at), key=lambda moment: moment.at or payment.paid_at)
    return past + [moment for moment in moments if moment.at is None]


def _key(reversal: Reversal) -> UUID:
    key: UUID = reversal.pk
    return key


def notes_of(*, actor: Actor, payment_ids: Collection[UUID]) -> dict[UUID, str]:
    """What became of each payment of a list, in a word or two."""
    require(actor, Permission.PAYMENTS_READ)
    if not payment_ids:
        return {}
    notes: dict[UUID, str] = {}
    for teller in _tellers:
        for payment_id, note in teller.notes(payment_ids).items():
            notes[payment_id] = f"{notes[payment_id]}, {note}" if payment_id in notes else note
    return notes


def _of_request(request: PaymentRequest) -> list[Moment]:
    asked = _("%(who)s asked for it on the customer's phone.") % {"who": request.requested_by}
    moments = [Moment(request.created_at, asked)]
    if request.accepted_at:
        moments.append(Moment(request.accepted_at, _("Safaricom took the request to the phone.")))
    return moments


def _of_reports(payment: Payment, request: PaymentRequest | None) -> list[Moment]:
    keys = [payment.receipt]
    if request and request.checkout_request_id:
        keys.append(request.checkout_request_id[:80])
    sentences = {
        Kind.C2B_CONFIRMATION: _("M-PESA's confirmation arrived."),
        Kind.STK_CALLBACK: _("M-PESA's answer to the request arrived."),
        Kind.INVOICE_PAYMENT: _("M-PESA reported it as paid on an invoice."),
    }
    rows = InboundCallback.objects.filter(
        tenant=require_current_tenant(), channel_id=payment.channel_id, kind__in=list(sentences), dedup_key__in=keys
    )
    moments = [_of_report(row, sentences[Kind(row.kind)]) for row in rows.defer("body", "headers").order_by("pk")[:20]]
    if payment.source == Payment.Source.PULL:
        moments.append(Moment(payment.created_at, _("It was in the list that we asked M-PESA for.")))
    return moments


def _of_statement(payment: Payment, recording: Recording) -> list[Moment]:
    if payment.source != Payment.Source.STATEMENT:
        return []
    moments = []
    if recording.loaded_at:
        moments.append(Moment(recording.loaded_at, _("A statement was loaded that lists it.")))
    sentence = _("It was recorded from a statement.")
    if recording.recorded_by:
        sentence = _("%(who)s recorded it from a statement.") % {"who": recording.recorded_by}
    return [*moments, Moment(payment.created_at, sentence)]


def _of_report(row: InboundCallback, sentence: str) -> Moment:
    if row.state == InboundCallback.State.QUARANTINED:
        return Moment(row.received_at, sentence, "failed", _("It did not fit, and was put aside."))
    if row.state == InboundCallback.State.PENDING:
        return Moment(row.received_at, sentence, "running")
    return Moment(row.received_at, sentence)


def _of_question(question: StatusQuery) -> Moment:
    states = {StatusQuery.Status.PENDING: "running", StatusQuery.Status.ANSWERED: "done"}
    asked = _("%(who)s asked M-PESA about it.") % {"who": who_asked(question)}
    return Moment(
        question.asked_at, asked, states.get(StatusQuery.Status(question.status), "failed"), answer_to(question)
    )


def _of_reversal(reversal: Reversal) -> list[Moment]:
    asked = _("%(who)s asked that it be given back.") % {"who": reversal.requested_by}
    moments = [Moment(reversal.created_at, asked, detail=f"“{reversal.reason}”")]
    if reversal.approved_at:
        approved = _("%(who)s approved that it is given back.") % {"who": reversal.approved_by}
        moments.append(Moment(reversal.approved_at, approved))
    return [*moments, _end_of_reversal(reversal)]


def _end_of_reversal(reversal: Reversal) -> Moment:
    match reversal.status:
        case Status.AWAITING_APPROVAL:
            return Moment(None, _("Somebody has to approve that it is given back."), "waiting")
        case Status.SUCCEEDED:
            receipt = _("M-PESA's receipt for it: %(receipt)s") % {"receipt": reversal.receipt}
            sentence = _("The customer has the money back.")
            return Moment(reversal.finished_at, sentence, detail=receipt if reversal.receipt else "")
        case Status.FAILED:
            return Moment(reversal.finished_at, _("It was not given back."), "failed", reversal.result_desc)
        case Status.CANCELLED:
            sentence = _("Giving it back was withdrawn. Nothing was sent.")
            return Moment(reversal.finished_at or reversal.expires_at, sentence, "failed", reversal.note)
        case Status.NEEDS_REVIEW:
            sentence = _("Nobody could tell whether the money went back. Look it up on the M-PESA portal.")
            return Moment(None, sentence, "waiting", reversal.review)
        case Status.UNKNOWN:
            sentence = _("M-PESA has not said yet whether the money went back. We are asking.")
            return Moment(None, sentence, "running")
    return Moment(None, _("It is on its way back. The customer does not have the money yet."), "running")
