"""“What became of it?”, asked of M-PESA: by people about a receipt, by the machine for money out about its own rows."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import TypeVar
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils.translation import gettext as _

import audit.services
from audit.services import Actor
from channels.daraja.client import Accepted
from channels.daraja.payloads import AsyncResult
from channels.daraja.results import StatusResult
from channels.models import MpesaChannel
from payments import questions
from payments.from_statements import note_answer
from payments.initiator import Initiator, has_initiator
from payments.models import Payment, Payout, Reversal, StatusQuery
from payments.money_out.kind import Sought
from payments.money_out.payouts import PAYOUTS
from payments.money_out.reversals import REVERSALS
from payments.question_words import found_in
from payments.questions import QuestionKind
from payments.services import note_charge
from tenants.errors import Conflict, Invalid, NotFound
from tenants.permissions import Permission, permissions_of, require

NOT_FOUND = "2032"  # docs/daraja.md section 17: the receipt does not exist
_RECEIPT_MAX = 20

Found = TypeVar("Found", Payment, Payout, Reversal)


class NothingToAskBy(Conflict):
    code = "nothing_to_ask_by"


class NoInitiator(Conflict):
    code = "no_initiator"


@transaction.atomic
def ask_status(
    *,
    actor: Actor,
    now: datetime,
    receipt: str = "",
    channel_id: UUID | None = None,
    payment_id: UUID | None = None,
    payout_id: UUID | None = None,
    reversal_id: UUID | None = None,
) -> StatusQuery:
    """Ask M-PESA what became of a receipt, or of a payment, payout or reversal of ours; exactly one of these.

    The answer is `pending` and is followed by its id. A bare receipt is asked of `channel_id`, else of the primary
    channel. What M-PESA says of a payout or reversal that is open settles it.

    :raises Invalid: unless exactly one thing is named, or for a receipt that can't be one.
    :raises NotFound: if the business has no such thing.
    :raises NoInitiator: if the channel has no API operator to ask as.
    :raises NothingToAskBy: if the row was never sent, or M-PESA knows it by no number of ours.
    """
    require(actor, Permission.MPESA_ASK)
    receipt = receipt.strip().upper()
    named = [bool(receipt), bool(payment_id), bool(payout_id), bool(reversal_id)]
    if named.count(True) != 1:
        raise Invalid("Name one thing to ask about: a receipt, a payment, a payout or a reversal.")
    question = StatusQuery(requested_by=actor.label, asked_at=now)
    if receipt:
        if not (receipt.isascii() and receipt.isalnum() and len(receipt) <= _RECEIPT_MAX):
            sentence = _("An M-PESA receipt has letters and digits only, like SGE1AB23CD.")
            raise Invalid(sentence, errors={"receipt": [sentence]})
        question.receipt, question.channel = receipt, _channel(channel_id)
    elif payment_id:
        question.payment = _one(Payment, payment_id, "payment")
        question.receipt, question.channel = question.payment.receipt, _channel(question.payment.channel_id)
    elif payout_id:
        question.payout = _one(Payout, payout_id, "payout")
        question.receipt, question.channel = question.payout.receipt, _channel(question.payout.channel_id)
    else:
        question.reversal = _one(Reversal, reversal_id, "reversal")
        question.receipt, question.channel = question.reversal.receipt, _channel(question.reversal.channel_id)
    row = question.payout or question.reversal
    if row and not can_be_asked_about(row):
        raise NothingToAskBy(_("M-PESA knows nothing of this by a number of ours. Look for it on the M-PESA portal."))
    if not has_initiator(question.channel):
        raise NoInitiator(_("Only an API operator may ask for a status. Save the channel's initiator first."))
    question.environment = question.channel.environment
    questions.ask(STATUS, question)
    audit.services.record(
        actor=actor, action="status.asked", subject=question, after={"channel": str(question.channel)}
    )
    return question


def can_be_asked_about(row: Payout | Reversal) -> bool:
    """Was it sent, and is there a number of ours that M-PESA may know it by?"""
    sought = PAYOUTS.sought(row) if isinstance(row, Payout) else REVERSALS.sought(row)
    return row.sending_at is not None and sought is not None


def status_queries(*, actor: Actor) -> QuerySet[StatusQuery]:
    """Every status query of the business that the actor may look at: those about payouts are for who sees payouts."""
    require(actor, Permission.PAYMENTS_READ)
    rows = StatusQuery.objects.select_related("payment", "payout", "reversal")
    if Permission.PAYOUTS_READ in permissions_of(actor):
        return rows
    of_payouts = Payout.objects.filter(receipt=OuterRef("receipt")).exclude(receipt="")
    return rows.filter(~Exists(of_payouts), payout=None)


def read_status_query(*, actor: Actor, query_id: UUID) -> StatusQuery:
    """:raises NotFound: if the business has none such."""
    query = status_queries(actor=actor).filter(pk=query_id).first()
    if query is None:
        raise NotFound(_("There is no such status query."))
    return query


class _Status(QuestionKind[StatusQuery]):
    model = StatusQuery
    name = "status"
    answer_columns = ("found",)

    def to_put(self) -> QuerySet[StatusQuery]:
        return StatusQuery.objects.select_related("payment", "payout", "reversal")

    def call(self, question: StatusQuery, initiator: Initiator) -> Accepted:
        """Section 17 of docs/daraja.md."""
        return initiator.client.transaction_status(**_sought(question) or {}, **initiator.envelope(question.pk))

    def read(self, question: StatusQuery, result: AsyncResult) -> bool:
        """That M-PESA knows of none is an answer, too."""
        if result.result_code == "0":
            question.found = {key: value for key, value in reversed(result.parameters) if value is not None}
        return result.result_code in {"0", NOT_FOUND}

    def ended(self, questions: Sequence[StatusQuery], *, now: datetime) -> None:
        answered = [question for question in questions if question.status == question.Status.ANSWERED]
        about = {question.payment_id: found_in(question) for question in answered if question.payment_id}
        for payment in Payment.objects.select_for_update(no_key=True).filter(pk__in=about).order_by("pk"):
            found = about[payment.pk]
            if found.receipt == payment.receipt and found.amount == payment.amount:
                _complete(payment, found)
            note_answer(payment, found, now=now)


STATUS = _Status()


def _complete(payment: Payment, found: StatusResult) -> None:
    """Add to a payment what its report did not say: the payer's name, and the charge, which its day's totals count."""
    name = "" if payment.payer_name or not found.payer else found.payer.name[:120]
    charge: Decimal | None = found.receiver_charge if payment.charge is None else None
    if name:
        Payment.objects.filter(pk=payment.pk).update(payer_name=name)
    if charge is not None:
        note_charge(payment, charge)


def _sought(question: StatusQuery) -> Sought | None:
    if question.payout:
        return PAYOUTS.sought(question.payout)
    if question.reversal:
        return REVERSALS.sought(question.reversal)
    return {"receipt": question.receipt}


def _channel(channel_id: UUID | None) -> MpesaChannel:
    wanted = {"pk": channel_id} if channel_id else {"is_primary": True}
    channel = MpesaChannel.objects.without_secrets().filter(**wanted).first()
    if channel is None:
        raise NotFound(_("There is no such channel."))
    return channel


def _one(model: type[Found], pk: UUID | None, what: str) -> Found:
    row = model._default_manager.filter(pk=pk).first() if pk else None
    if row is None:
        raise NotFound(f"There is no such {what}.")
    return row
