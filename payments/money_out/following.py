"""Coming back to payouts and reversals whose outcome nobody has told: ask M-PESA, ever more rarely, then a person."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Min, Q

from payments import questions
from payments.models import MoneyOut, StatusQuery
from payments.money_out import machine, tasks
from payments.money_out.kind import FOLLOWED, Kind, Row
from payments.money_out.sending import KINDS
from payments.status_queries import STATUS
from tenants.queue import enqueue

ASKED_BY = "tuzo"
ASK_AT_ONCE = 24
RUN_FOR = timedelta(seconds=10)

Status = MoneyOut.Status


def follow(*, channel_id: UUID, clock: Callable[[], datetime]) -> None:
    """Take up what is overdue of one channel, for some seconds, and promise to come back to the rest."""
    until = clock() + RUN_FOR
    for kind in KINDS:
        while clock() < until and _follow_batch(kind, channel_id, clock=clock):
            pass
    _promise_the_rest(channel_id)


def resume() -> None:
    """Promise what should be promised already: for whoever looks after the house at night."""
    for kind in KINDS:
        for states, task in (({Status.RESERVED}, tasks.send_money_out), (FOLLOWED, tasks.follow_money_out)):
            waiting = kind.model.objects.filter(status__in=states).order_by("channel_id")
            for channel_id, due_at in waiting.values_list("channel_id").annotate(at=Min("due_at")):
                enqueue(task, due_at=due_at, channel_id=str(channel_id))


def _follow_batch(kind: Kind[Row], channel_id: UUID, *, clock: Callable[[], datetime]) -> bool:
    """Ask about a few rows side by side; returns whether there may be more of them."""
    taken, asked = _take_up(kind, channel_id, now=clock())
    if asked:
        questions.put(STATUS, asked, clock=clock)
    return taken == ASK_AT_ONCE


@transaction.atomic
def _take_up(kind: Kind[Row], channel_id: UUID, *, now: datetime) -> tuple[int, list[StatusQuery]]:
    overdue = Q(channel_id=channel_id, status__in=FOLLOWED, due_at__lte=now)
    locked = kind.claim(overdue, limit=ASK_AT_ONCE)
    asked = []
    for row in locked:
        if row.status == Status.SENDING:
            machine.lose(row, now=now)
        elif machine.begin_asking(row, is_askable=kind.sought(row) is not None, now=now):
            asked.append(_question_about(kind, row, now=now))
    locked.save(now=now)
    questions.write(asked)
    return len(locked.rows), asked


def _question_about(kind: Kind[Any], row: Any, *, now: datetime) -> StatusQuery:
    return StatusQuery(
        channel_id=row.channel_id,
        environment=row.environment,
        requested_by=ASKED_BY,
        asked_at=now,
        receipt=row.receipt,
        **{kind.name: row},
    )


def _promise_the_rest(channel_id: UUID) -> None:
    waiting = Q(channel_id=channel_id, status__in=FOLLOWED)
    firsts = [kind.model.objects.filter(waiting).aggregate(at=Min("due_at"))["at"] for kind in KINDS]
    if times := [at for at in firsts if at]:
        enqueue(tasks.follow_money_out, due_at=min(times), channel_id=str(channel_id))
