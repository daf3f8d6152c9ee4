"""Questions to M-PESA: asked over the API, answered later to our hooks, or never. They move no money.

A question is a row, committed before it is put. What there is to ask is a `QuestionKind`: status here, balances
in `payments.balances`. A kind is registered when Django starts, so that every worker can put and read it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from typing import Any, ClassVar, Generic, TypeVar
from uuid import UUID

from django.db import transaction
from django.db.models import Min, Q, QuerySet

from channels.daraja.client import Accepted
from channels.daraja.errors import DarajaError
from channels.daraja.payloads import AsyncResult, QueueTimeout
from channels.models import Environment
from payments.initiator import CannotCall, Initiator, initiator_of
from payments.models import BalanceQuery, StatusQuery
from payments.models.questions import Question
from payments.tasks import give_up_questions, put_question
from tenants.queue import enqueue
from tenants.sentences import fitting

Asked = TypeVar("Asked", StatusQuery, BalanceQuery)

# How long M-PESA may take to answer; in Safaricom's sandbox it was seen to take a minute and a half.
PATIENCE = {
    Environment.PRACTICE: timedelta(seconds=20),
    Environment.SANDBOX: timedelta(minutes=5),
    Environment.PRODUCTION: timedelta(minutes=5),
}
SIDE_BY_SIDE = 8
_GIVE_UP_AT_ONCE = 500

Status = Question.Status


class QuestionKind(ABC, Generic[Asked]):
    """One thing that M-PESA can be asked."""

    model: ClassVar[Any]
    name: ClassVar[str]
    answer_columns: ClassVar[tuple[str, ...]]  # that `read` fills

    @abstractmethod
    def call(self, question: Asked, initiator: Initiator) -> Accepted:
        """Ask. Runs in a thread, without the database.

        :raises DarajaError: if it can't be asked.
        """

    @abstractmethod
    def read(self, question: Asked, result: AsyncResult) -> bool:
        """Note M-PESA's words on the question; returns whether they answer it. A refusal does not.

        :raises UnreadablePayload: if they make no sense.
        """

    def ended(self, questions: Sequence[Asked], *, now: datetime) -> None:
        """What follows, in the commit in which questions were answered, failed or were given up."""

    def to_put(self) -> "QuerySet[Asked]":
        """Questions with what `call` reads of them."""
        rows: QuerySet[Asked] = self.model.objects.all()
        return rows


_kinds: dict[str, QuestionKind[Any]] = {}


def register(kind: QuestionKind[Any]) -> None:
    _kinds[kind.name] = kind


def kinds() -> Iterable[QuestionKind[Any]]:
    return _kinds.values()


# -- Asking -----------------------------------------------------------------------------------------------------------


@transaction.atomic
def ask(kind: QuestionKind[Asked], question: Asked) -> None:
    """Write a new question down and promise to put it, in the caller's commit."""
    write([question])
    enqueue(put_question, kind=kind.name, question_id=str(question.pk))


@transaction.atomic
def write(questions: Sequence[Asked]) -> None:
    """Write new questions down, in the caller's commit, for a caller who then puts them."""
    if not questions:
        return
    type(questions[0]).objects.bulk_create(questions)
    enqueue(
        give_up_questions, due_at=min(_give_up_at(question.environment, question.asked_at) for question in questions)
    )


def put_one(*, kind: str, question_id: UUID, clock: Callable[[], datetime]) -> None:
    """Put a question that waits. Twice does no harm."""
    asking = _kinds[kind]
    waiting = asking.to_put().filter(pk=question_id, status=Status.PENDING, conversation_id="")
    put(asking, list(waiting), clock=clock)


def put(kind: QuestionKind[Asked], questions: Sequence[Asked], *, clock: Callable[[], datetime]) -> None:
    """Put questions of one channel, side by side, and note what M-PESA's gateway said. Not within a transaction."""
    if not questions:
        return
    said: list[Accepted | str]
    try:
        initiator = initiator_of(questions[0].channel_id)
    except CannotCall as problem:
        said = [problem.sentence] * len(questions)
    else:
        with ThreadPoolExecutor(max_workers=SIDE_BY_SIDE) as threads:
            said = list(threads.map(partial(_call, kind, initiator), questions))
    _note_put(kind, {question.pk: words for question, words in zip(questions, said, strict=True)}, now=clock())


def _call(kind: QuestionKind[Asked], initiator: Initiator, question: Asked) -> Accepted | str:
    """Runs in a thread: no database here."""
    try:
        return kind.call(question, initiator)
    except DarajaError as error:
        return error.message or str(error.reason)


@transaction.atomic
def _note_put(kind: QuestionKind[Asked], said: dict[UUID, Accepted | str], *, now: datetime) -> None:
    failed = []
    questions = lock(kind, said)
    for question in questions.values():
        words = said[question.pk]
        if isinstance(words, Accepted):
            question.conversation_id = words.conversation_id or words.originator_conversation_id
        elif question.status == Status.PENDING:
            _end(question, Status.FAILED, desc=words, now=now)
            failed.append(question)
    save(kind, list(questions.values()), ended=failed, now=now)


# -- Being answered ---------------------------------------------------------------------------------------------------


def lock(kind: QuestionKind[Asked], ids: Iterable[UUID]) -> dict[UUID, Asked]:
    """The questions, locked until the commit."""
    rows: QuerySet[Asked] = kind.model.objects.select_for_update().filter(pk__in=list(ids)).order_by("pk")
    return {row.pk: row for row in rows}


def take_answer(kind: QuestionKind[Asked], question: Asked, result: AsyncResult, *, now: datetime) -> bool:
    """Note what M-PESA answered, however late; returns whether that is news.

    :raises UnreadablePayload: if it makes no sense.
    """
    if question.status == Status.ANSWERED:
        return False
    is_answer = kind.read(question, result)
    _end(
        question,
        Status.ANSWERED if is_answer else Status.FAILED,
        code=result.result_code,
        desc=result.result_desc,
        now=now,
    )
    return True


def take_timeout(question: Asked, timeout: QueueTimeout, *, now: datetime) -> bool:
    """M-PESA's queue gave up on a question; an answer may come all the same."""
    if question.status != Status.PENDING:
        return False
    _end(question, Status.UNANSWERED, code=timeout.result_code, desc=timeout.result_desc, now=now)
    return True


def save(kind: QuestionKind[Asked], questions: Sequence[Asked], *, ended: Sequence[Asked], now: datetime) -> None:
    """Write questions that were locked, and what follows for those that `ended` now."""
    columns = ["status", "conversation_id", "result_code", "result_desc", "answered_at", *kind.answer_columns]
    kind.model.objects.bulk_update(questions, columns, batch_size=100)
    if ended:
        kind.ended(ended, now=now)


def give_up(*, now: datetime) -> None:
    """Stop waiting for answers that are long overdue, and promise to look at the others when they will be."""
    for kind in kinds():
        _give_up(kind, now=now)
    pending = [
        (environment, kind.model.objects.filter(status=Status.PENDING, environment=environment))
        for kind in kinds()
        for environment in Environment
    ]
    firsts = [(environment, rows.aggregate(at=Min("asked_at"))["at"]) for environment, rows in pending]
    if times := [_give_up_at(environment, asked_at) for environment, asked_at in firsts if asked_at]:
        enqueue(give_up_questions, due_at=min(times))


@transaction.atomic
def _give_up(kind: QuestionKind[Asked], *, now: datetime) -> None:
    overdue = Q(pk__in=[])
    for environment in Environment:
        overdue |= Q(environment=environment, asked_at__lte=now - PATIENCE[environment])
    waiting = kind.model.objects.select_for_update(skip_locked=True).filter(overdue, status=Status.PENDING)
    questions = list(waiting.order_by("asked_at")[:_GIVE_UP_AT_ONCE])
    for question in questions:
        _end(question, Status.UNANSWERED, now=now)
    save(kind, questions, ended=questions, now=now)


def _give_up_at(environment: str, asked_at: datetime) -> datetime:
    return asked_at + PATIENCE[Environment(environment)]


def _end(question: Asked, status: Question.Status, *, now: datetime, code: str = "", desc: str = "") -> None:
    question.status, question.result_code, question.result_desc = status, code[:20], fitting(desc, 1024)
    question.answered_at = now if status != Status.UNANSWERED else None
