"""What M-PESA says of payouts and reversals: results, time-outs, answers to status queries. Many in one commit."""

import logging
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from channels.daraja.payloads import AsyncResult, QueueTimeout
from channels.daraja.results import StatusResult
from channels.daraja.verdicts import Verdict, verdict_of_status
from payments.deliveries import Claimed, Reason
from payments.models import StatusQuery
from payments.money_out import machine
from payments.money_out.kind import Kind
from payments.money_out.machine import Heard, Report
from payments.question_words import found_in
from payments.status_queries import NOT_FOUND
from tenants.sentences import say

logger = logging.getLogger(__name__)


class Hearing:
    """Rows of one kind that deliveries speak of, locked from here to `save`."""

    def __init__(self, kind: Kind[Any], ids: Iterable[UUID], *, now: datetime) -> None:
        self._kind = kind
        self._now = now
        self._locked = kind.lock(ids)
        self._closed = kind.closed_to_reopening(list(self._locked))
        self._taken: set[tuple[UUID, str]] = set()

    def save(self) -> None:
        self._locked.save(now=self._now)

    def expect(self, receipts: Sequence[str]) -> None:
        """Find out which of the receipts that will be named are another row's already."""
        if receipts:
            self._taken = self._kind.taken_receipts(list(self._locked), receipts)
            self._taken |= {(row.channel_id, row.receipt) for row in self._locked if row.receipt}

    def result(self, pk: UUID, delivery: Claimed, result: AsyncResult) -> None:
        row = self._row(pk, delivery)
        if row:
            self._report(row, delivery, self._kind.read(row, result))

    def timeout(self, pk: UUID, delivery: Claimed, timeout: QueueTimeout) -> None:
        row = self._row(pk, delivery)
        if row:
            code, desc = timeout.result_code, timeout.result_desc
            self._judge(row, delivery, machine.take_timeout(row, code=code, desc=desc, now=self._now), code)

    def status(self, pk: UUID, delivery: Claimed, question: StatusQuery) -> None:
        """M-PESA answered a question about the row."""
        row = self._row(pk, delivery)
        if not row:
            return
        found = found_in(question)
        report = _report_of(found)
        if question.result_code == NOT_FOUND:
            machine.take_not_found(row, desc=question.result_desc, now=self._now)
        elif report is None:
            machine.note_found(row)
        else:
            self._report(row, delivery, report)

    def _row(self, pk: UUID, delivery: Claimed) -> Any:
        row = self._locked.rows[pk]
        if row.channel_id == delivery.channel_id:
            return row
        delivery.quarantine(
            Reason.UNMATCHED_REQUEST, say("It answers a %(what)s of another channel.", what=self._kind.word)
        )
        return None

    def _report(self, row: Any, delivery: Claimed, report: Report) -> None:
        movement = (row.channel_id, report.receipt)
        if report.receipt and report.receipt != row.receipt and movement in self._taken:
            sentence = say(
                "The receipt %(receipt)s is another %(what)s's.", receipt=report.receipt, what=self._kind.word
            )
            self._alarm(row, delivery, Reason.CONFLICTING_BODY, sentence)
            return
        heard = machine.take_report(row, report, now=self._now, may_reopen=row.pk not in self._closed)
        self._judge(row, delivery, heard, report.receipt or report.code, report)
        if row.receipt:
            self._taken.add((row.channel_id, row.receipt))

    def _judge(self, row: Any, delivery: Claimed, heard: Heard, said: str, report: Report | None = None) -> None:
        if heard is Heard.NEVER_SENT:
            sentence = say("It answers a %(what)s that was never sent.", what=self._kind.word)
            delivery.quarantine(Reason.UNMATCHED_REQUEST, sentence)
        elif heard is Heard.OTHER_AMOUNT and report:
            sentence = say(
                "It reports KES %(theirs)s; the %(what)s is of KES %(ours)s.",
                theirs=str(report.amount),
                what=self._kind.word,
                ours=str(row.amount),
            )
            self._alarm(row, delivery, Reason.AMOUNT_MISMATCH, sentence)
        elif heard is Heard.CONTRADICTS:
            sentence = say(
                "It says %(said)s; the %(what)s had its outcome before, which stays in the books.",
                said=said,
                what=self._kind.word,
            )
            self._alarm(row, delivery, Reason.CONTRADICTION, sentence)

    def _alarm(self, row: Any, delivery: Claimed, reason: Reason, sentence: str) -> None:
        delivery.quarantine(reason, sentence)
        logger.error("Delivery %s about %s %s: %s", delivery.id, self._kind.name, row.pk, sentence)


def _report_of(found: StatusResult) -> Report | None:
    """What an answer says of the money; None if M-PESA has not finished, or says so without a receipt."""
    verdict = verdict_of_status(found.status)
    if verdict is Verdict.UNKNOWN or (verdict is Verdict.SUCCEEDED and not found.receipt):
        return None
    return Report(
        verdict=verdict,
        desc=found.status,
        receipt=found.receipt or "",
        amount=found.amount,
        charge=found.payer_charge,
        completed_at=found.finalised_at,
        receiver_name=found.receiver.name if found.receiver else "",
    )
