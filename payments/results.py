"""Results and time-outs: which row of ours each speaks of, and what that row makes of it.

A request of ours has its identifier at the end of the paths that Daraja answers to, which the hooks keep as `about`.
Where a path has none, Daraja's conversation ids tell (docs/daraja.md section 10).
"""

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from channels import runs
from channels.daraja.payloads import AsyncResult, QueueTimeout, UnreadablePayload, parse_result, parse_timeout
from payments import questions
from payments.deliveries import Claimed, Reason
from payments.models import StatusQuery
from payments.money_out.hearing import Hearing
from payments.money_out.kind import Kind
from payments.money_out.sending import KINDS
from payments.questions import QuestionKind
from tenants.models import InboundCallback
from tenants.sentences import say

Target = Kind[Any] | QuestionKind[Any]


@dataclass(frozen=True, slots=True)
class Said:
    """A delivery, and what it says."""

    delivery: Claimed
    words: AsyncResult | QueueTimeout

    @property
    def ids(self) -> list[UUID]:
        """What it names of ours: by its path, and by the OriginatorConversationID, which may be one of ours."""
        named = [self.delivery.about] if self.delivery.about else []
        with suppress(ValueError):
            named.append(UUID(hex=self.words.originator_conversation_id))
        return named

    @property
    def conversation_ids(self) -> list[str]:
        ids = (self.words.originator_conversation_id, self.words.conversation_id)
        return [conversation_id for conversation_id in ids if conversation_id]

    @property
    def receipts(self) -> list[str]:
        """Every number of M-PESA's that it may report as the one of the movement."""
        if isinstance(self.words, QueueTimeout):
            return []
        get = self.words.parameters.get
        given = (self.words.transaction_id, get("TransactionReceipt"), get("ReceiptNo"))
        return [receipt.strip().upper() for receipt in given if receipt]


def apply_results(rows: Sequence[Claimed], *, now: datetime) -> None:
    """Apply results and time-outs in the caller's transaction; what can't be applied is left on the delivery."""
    everything = [said for row in rows if (said := _read(row))]
    found = _find(everything)
    asked = {
        kind: questions.lock(kind, [pk for target, pk in found.values() if target is kind])
        for kind in questions.kinds()
    }
    hearings = {kind: Hearing(kind, _meant(kind, found.values(), asked), now=now) for kind in KINDS}
    receipts = [receipt for said in everything for receipt in said.receipts]
    for hearing in hearings.values():
        hearing.expect(receipts)
    ended: dict[QuestionKind[Any], list[Any]] = {kind: [] for kind in asked}
    for said in everything:
        match found.get(said.delivery.id):
            case Kind() as kind, pk:
                _tell(hearings[kind], pk, said)
            case QuestionKind() as kind, pk:
                question = asked[kind][pk]
                if _answer(kind, question, said, now=now):
                    ended[kind].append(question)
                    _pass_on(question, said, hearings)
            case _ if not _apply_to_runs(said):
                said.delivery.wait_for_request(now)
    for kind, rows_ended in ended.items():
        questions.save(kind, rows_ended, ended=rows_ended, now=now)
    for hearing in hearings.values():
        hearing.save()


def _read(row: Claimed) -> Said | None:
    try:
        words = parse_result(row.body) if row.kind == InboundCallback.Kind.RESULT else parse_timeout(row.body)
    except UnreadablePayload as problem:
        row.quarantine(Reason.UNREADABLE, problem.reason)
        return None
    row.dedup_key = (words.originator_conversation_id or words.conversation_id)[:80]
    return Said(row, words)


def _find(everything: Sequence[Said]) -> dict[UUID, tuple[Target, UUID]]:
    """By the delivery's identifier: which row it is about, and of which kind that is."""
    found: dict[UUID, tuple[Target, UUID]] = {}
    ids = {pk for said in everything for pk in said.ids}
    targets: list[Target] = [*KINDS, *questions.kinds()]
    for kind in targets:
        known = set(kind.model.objects.filter(pk__in=ids).values_list("pk", flat=True)) if ids else set()
        for said in everything:
            if pk := next((pk for pk in said.ids if pk in known), None):
                found.setdefault(said.delivery.id, (kind, pk))
    left = [said for said in everything if said.delivery.id not in found]
    conversation_ids = {conversation_id for said in left for conversation_id in said.conversation_ids}
    for kind in KINDS if conversation_ids else ():
        rows = kind.model.objects.exclude(conversation_id="").filter(conversation_id__in=conversation_ids)
        by_conversation = dict(rows.values_list("conversation_id", "pk"))
        for said in left:
            if pk := next((by_conversation[name] for name in said.conversation_ids if name in by_conversation), None):
                found.setdefault(said.delivery.id, (kind, pk))
    return found


def _meant(
    kind: Kind[Any], found: Collection[tuple[Target, UUID]], asked: dict[QuestionKind[Any], dict[UUID, Any]]
) -> set[UUID]:
    """The payouts, or the reversals, that deliveries are about themselves or by way of a question."""
    by_questions = {
        getattr(question, f"{kind.name}_id")
        for rows in asked.values()
        for question in rows.values()
        if isinstance(question, StatusQuery)
    }
    return ({pk for target, pk in found if target is kind} | by_questions) - {None}


def _tell(hearing: Hearing, pk: UUID, said: Said) -> None:
    if isinstance(said.words, AsyncResult):
        hearing.result(pk, said.delivery, said.words)
    else:
        hearing.timeout(pk, said.delivery, said.words)


def _answer(kind: QuestionKind[Any], question: Any, said: Said, *, now: datetime) -> bool:
    """Note an answer on its question; returns whether it ended it now."""
    if question.channel_id != said.delivery.channel_id:
        said.delivery.quarantine(Reason.UNMATCHED_REQUEST, say("It answers a question about another channel."))
        return False
    if isinstance(said.words, QueueTimeout):
        return questions.take_timeout(question, said.words, now=now)
    try:
        return questions.take_answer(kind, question, said.words, now=now)
    except UnreadablePayload as problem:
        said.delivery.quarantine(Reason.UNREADABLE, problem.reason)
        return False


def _pass_on(question: Any, said: Said, hearings: dict[Kind[Any], Hearing]) -> None:
    """What M-PESA answered about money that goes out changes that, too."""
    if isinstance(question, StatusQuery) and question.status == StatusQuery.Status.ANSWERED:
        for kind, hearing in hearings.items():
            if pk := getattr(question, f"{kind.name}_id"):
                hearing.status(pk, said.delivery, question)


def _apply_to_runs(said: Said) -> bool:
    if isinstance(said.words, AsyncResult):
        return runs.apply_result(said.words)
    return runs.apply_timeout(said.words)
