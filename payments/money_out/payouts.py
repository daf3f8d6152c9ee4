"""Payouts, as the machine for money out works on them: promise, call, question, result and books."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Q, QuerySet

from audit.ids import new_id
from channels.daraja.client import Accepted, B2CCommand
from channels.daraja.explanations import Api
from channels.daraja.payloads import AsyncResult
from channels.daraja.results import read_b2b, read_b2c
from channels.daraja.verdicts import verdict_of
from payments.initiator import Initiator
from payments.models import Payout, PayoutBatch, PayoutEntry
from payments.money_out import tasks
from payments.money_out.kind import Kind, Settled, Sought
from payments.money_out.machine import FINAL, Report
from tenants.queue import enqueue
from tenants.sentences import Sentence, say, say_many

Status = Payout.Status
Entry = PayoutEntry.Kind

_TO_PEOPLE = frozenset({Payout.Kind.PHONE, Payout.Kind.POCHI})  # these take an id of ours
_COMMANDS = {
    Payout.Purpose.BUSINESS: B2CCommand.BUSINESS_PAYMENT,
    Payout.Purpose.SALARY: B2CCommand.SALARY_PAYMENT,
    Payout.Purpose.PROMOTION: B2CCommand.PROMOTION_PAYMENT,
}

_RESERVE = """
    UPDATE payments_payout SET status = 'RESERVED', due_at = %s
     WHERE batch_id = %s AND status = 'AWAITING_APPROVAL'
 RETURNING id, amount
"""
_ENTER = """
    INSERT INTO payments_payoutentry (id, payout_id, kind, amount, created_at)
    SELECT given.*, %s FROM unnest(%s::uuid[], %s::uuid[], %s::text[], %s::int[]) AS given
"""


@transaction.atomic
def reserve_batch(*, batch: PayoutBatch, now: datetime) -> None:
    """Promise every payout of a batch that was released: reserve its money in the books and have it sent.

    Part of the commit that releases it; whoever releases has locked the batch. Doing it twice reserves once.
    """
    with connection.cursor() as cursor:
        cursor.execute(_RESERVE, [now, batch.pk])
        reserved = cursor.fetchall()
    _enter([(payout_id, Entry.RESERVE, amount) for payout_id, amount in reserved], now=now)
    enqueue(tasks.send_money_out, channel_id=str(batch.channel_id))


@transaction.atomic
def cancel_batch(*, batch: PayoutBatch, now: datetime) -> None:
    """Withdraw every payout of a batch that was cancelled or has expired before it was released. Nothing was sent."""
    batch.payouts.filter(status=Status.AWAITING_APPROVAL).update(status=Status.CANCELLED, finished_at=now)


class Payouts(Kind[Payout]):
    model = Payout
    name, plural, word = "payout", "payouts", say("payout")
    no_such = say("There is no such payout.")
    made_by_you = say("Somebody else has to decide this payout: you made it.")
    not_waiting = say("This payout does not wait for a person. There is nothing to decide.")
    receipt_taken = say("This is another payout's receipt.")
    own_columns = {"receiver_name": "text"}

    def need_a_person(self, count: int) -> Sentence:
        return say_many(
            "One payout needs a person: nobody could find out whether the money moved.",
            "%(count)s payouts need a person: nobody could find out whether the money moved.",
            count=count,
        )

    def with_what_sending_needs(self) -> QuerySet[Payout]:
        return Payout.objects.select_related("batch")

    def released_at(self, row: Payout) -> datetime:
        return row.batch.released_at or row.created_at

    def expires_at(self, row: Payout) -> datetime:
        return row.batch.expires_at

    def is_expired(self, now: datetime) -> Q:
        return Q(batch__expires_at__lte=now)

    def maker_id(self, row: Payout) -> UUID | None:
        return row.batch.created_by_id

    def call(self, row: Payout, initiator: Initiator) -> Accepted:
        """Sections 11 to 14 of docs/daraja.md."""
        client, envelope = initiator.client, initiator.envelope(row.pk)
        remarks = row.transaction_desc if len(row.transaction_desc.strip()) > 1 else "Payout"
        amount, reference = row.amount, row.account_reference
        match Payout.Kind(row.kind):
            case Payout.Kind.PHONE:
                return client.b2c(
                    originator_conversation_id=row.pk.hex,
                    command=_COMMANDS[Payout.Purpose(row.purpose)],
                    msisdn=row.receiver,
                    amount_kes=amount,
                    remarks=remarks,
                    occasion=reference,
                    **envelope,
                )
            case Payout.Kind.POCHI:
                return client.b2pochi(
                    originator_conversation_id=row.pk.hex,
                    msisdn=row.receiver,
                    amount_kes=amount,
                    remarks=remarks,
                    occasion=reference,
                    **envelope,
                )
            case Payout.Kind.PAYBILL:
                return client.pay_bill(
                    payee=row.receiver, amount_kes=amount, account_reference=reference, remarks=remarks, **envelope
                )
            case Payout.Kind.BUY_GOODS:
                return client.buy_goods(
                    payee=row.receiver, amount_kes=amount, account_reference=reference, remarks=remarks, **envelope
                )
            case Payout.Kind.TOP_UP:
                return client.top_up_b2c(
                    payee=row.receiver, amount_kes=amount, account_reference=reference, remarks=remarks, **envelope
                )
            case Payout.Kind.TAX:
                return client.remit_tax(registration_number=reference, amount_kes=amount, remarks=remarks, **envelope)

    def conversation_id_in(self, row: Payout, accepted: Accepted) -> str:
        """Where there is no id of ours, Daraja's own is the only one to ask by (docs/daraja.md section 17)."""
        if row.kind in _TO_PEOPLE:
            return accepted.conversation_id
        return accepted.originator_conversation_id or accepted.conversation_id

    def sought(self, row: Payout) -> Sought | None:
        if row.receipt:
            return {"receipt": row.receipt}
        if row.kind in _TO_PEOPLE:
            return {"original_conversation_id": row.pk.hex}
        return {"original_conversation_id": row.conversation_id} if row.conversation_id else None

    def read(self, row: Payout, result: AsyncResult) -> Report:
        if row.kind in _TO_PEOPLE:
            b2c = read_b2c(result)
            return Report(
                verdict=verdict_of(Api.B2C, result),
                code=result.result_code,
                desc=result.result_desc,
                receipt=b2c.receipt or "",
                amount=b2c.amount,
                completed_at=b2c.completed_at,
                receiver_name=b2c.receiver.name if b2c.receiver else "",
            )
        b2b = read_b2b(result)
        return Report(
            verdict=verdict_of(Api.B2B, result),
            code=result.result_code,
            desc=result.result_desc,
            receipt=b2b.receipt or "",
            amount=b2b.amount,
            charge=b2b.charge,
            completed_at=b2b.completed_at,
            receiver_name=b2b.receiver.name if b2b.receiver else "",
        )

    def closed_to_reopening(self, rows: Sequence[Payout]) -> set[UUID]:
        return set()

    def taken_receipts(self, rows: Sequence[Payout], receipts: Collection[str]) -> set[tuple[UUID, str]]:
        others = Payout.objects.exclude(receipt="").filter(receipt__in=receipts)
        return set(others.exclude(pk__in=[row.pk for row in rows]).values_list("channel_id", "receipt"))

    def write_outcomes(self, settled: Sequence[Settled[Payout]], *, now: datetime) -> None:
        entries = []
        for outcome in settled:
            moved = outcome.row.status == Status.SUCCEEDED
            if not outcome.was_final:
                entries.append((outcome.row.pk, Entry.POST if moved else Entry.VOID, outcome.row.amount))
            elif moved:
                entries.append((outcome.row.pk, Entry.CORRECT, outcome.row.amount))
        _enter(entries, now=now)
        _finish_batches({outcome.row.batch_id for outcome in settled}, now=now)


def _enter(entries: Sequence[tuple[UUID, Entry, int]], *, now: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            _ENTER,
            [
                now,
                [new_id() for _ in entries],
                [payout_id for payout_id, _, _ in entries],
                [kind.value for _, kind, _ in entries],
                [amount for _, _, amount in entries],
            ],
        )


def _finish_batches(batch_ids: Collection[UUID], *, now: datetime) -> None:
    """Batches whose last payout has its outcome. Locked first, so that of two last ones the second sees the first."""
    batches = PayoutBatch.objects.filter(pk__in=batch_ids, status=PayoutBatch.Status.RELEASED).order_by("pk")
    locked = [batch.pk for batch in batches.select_for_update(no_key=True).only("pk")]
    is_open = Q(payouts__status__in=[status for status in Status if status not in FINAL])
    done = PayoutBatch.objects.filter(pk__in=locked).exclude(is_open)
    done.update(status=PayoutBatch.Status.FINISHED, finished_at=now)


PAYOUTS = Payouts()
