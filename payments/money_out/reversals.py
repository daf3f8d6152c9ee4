"""Reversals, as the machine for money out works on them: promise, call, question, result and what follows."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet

from channels.daraja.client import Accepted
from channels.daraja.explanations import Api
from channels.daraja.payloads import AsyncResult
from channels.daraja.results import read_reversal
from channels.daraja.verdicts import verdict_of
from payments.initiator import Initiator
from payments.models import Payment, Reversal
from payments.money_out import tasks
from payments.money_out.kind import Kind, Settled, Sought
from payments.money_out.machine import Report
from payments.services import note_given_back
from payments.signals import payment_reversed
from tenants.queue import enqueue
from tenants.sentences import Sentence, say, say_many

Status = Reversal.Status


@transaction.atomic
def reserve_reversal(*, reversal: Reversal, now: datetime) -> None:
    """Promise a reversal that was approved; it is sent after the caller's commit. Doing it twice promises once."""
    waiting = Reversal.objects.filter(pk=reversal.pk, status=Status.AWAITING_APPROVAL)
    if waiting.update(status=Status.RESERVED, due_at=now):
        enqueue(tasks.send_money_out, channel_id=str(reversal.channel_id))
    reversal.refresh_from_db(fields=["status", "due_at"])


@transaction.atomic
def cancel_reversal(*, reversal: Reversal, now: datetime) -> None:
    """Withdraw a reversal that was refused or not approved in time. Nothing was sent."""
    waiting = Reversal.objects.filter(pk=reversal.pk, status=Status.AWAITING_APPROVAL)
    waiting.update(status=Status.CANCELLED, finished_at=now)
    reversal.refresh_from_db(fields=["status", "finished_at"])


class Reversals(Kind[Reversal]):
    model = Reversal
    name, plural, word = "reversal", "reversals", say("reversal")
    no_such = say("There is no such reversal.")
    made_by_you = say("Somebody else has to decide this reversal: you made it.")
    not_waiting = say("This reversal does not wait for a person. There is nothing to decide.")
    receipt_taken = say("This is another reversal's receipt.")

    def need_a_person(self, count: int) -> Sentence:
        return say_many(
            "One reversal needs a person: nobody could find out whether the money moved.",
            "%(count)s reversals need a person: nobody could find out whether the money moved.",
            count=count,
        )

    def with_what_sending_needs(self) -> QuerySet[Reversal]:
        return Reversal.objects.select_related("payment")

    def released_at(self, row: Reversal) -> datetime:
        return row.approved_at or row.created_at

    def expires_at(self, row: Reversal) -> datetime:
        return row.expires_at

    def is_expired(self, now: datetime) -> Q:
        return Q(expires_at__lte=now)

    def maker_id(self, row: Reversal) -> UUID | None:
        return row.requested_by_id

    def call(self, row: Reversal, initiator: Initiator) -> Accepted:
        """Section 18 of docs/daraja.md."""
        return initiator.client.reversal(
            receipt=row.payment.receipt,
            amount_kes=row.amount,
            remarks=row.reason if len(row.reason.strip()) > 1 else "Reversal",
            **initiator.envelope(row.pk),
        )

    def conversation_id_in(self, row: Reversal, accepted: Accepted) -> str:
        return accepted.originator_conversation_id or accepted.conversation_id

    def sought(self, row: Reversal) -> Sought | None:
        """Never the payment's own receipt: the payment stays Completed when it is reversed, under another receipt."""
        if row.receipt:
            return {"receipt": row.receipt}
        return {"original_conversation_id": row.conversation_id} if row.conversation_id else None

    def read(self, row: Reversal, result: AsyncResult) -> Report:
        said = read_reversal(result)
        return Report(
            verdict=verdict_of(Api.REVERSAL, result),
            code=result.result_code,
            desc=result.result_desc,
            receipt=said.receipt or "",
            amount=said.amount,
            charge=said.charge,
            completed_at=said.completed_at,
        )

    def closed_to_reopening(self, rows: Sequence[Reversal]) -> set[UUID]:
        """Where another reversal of the payment is under way or has succeeded: one at a time."""
        failed = [row.payment_id for row in rows if row.status == Status.FAILED]
        others = Reversal.objects.filter(payment_id__in=failed).exclude(status__in=[Status.FAILED, Status.CANCELLED])
        taken = set(others.values_list("payment_id", flat=True)) if failed else set()
        return {row.pk for row in rows if row.payment_id in taken}

    def taken_receipts(self, rows: Sequence[Reversal], receipts: Collection[str]) -> set[tuple[UUID, str]]:
        return set()

    def write_outcomes(self, settled: Sequence[Settled[Reversal]], *, now: datetime) -> None:
        for outcome in settled:
            if outcome.row.status == Status.SUCCEEDED:
                _give_back(outcome.row)


def _give_back(reversal: Reversal) -> None:
    """The payment is reversed, the totals of its day follow, and the rooms above are told."""
    payment = reversal.payment
    unreversed = Payment.objects.filter(pk=payment.pk, reversed_at=None)
    if not unreversed.update(reversed_at=reversal.completed_at):
        return
    note_given_back(payment)
    payment_reversed.send(sender=Payment, payment_id=payment.pk)


REVERSALS = Reversals()
