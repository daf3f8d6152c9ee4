"""Handing payouts and reversals to M-PESA: each once.

A row is SENDING in a commit of its own before M-PESA hears of it. If the worker dies then, the row's time runs out and
it becomes UNKNOWN (`following`): M-PESA may have it, so nobody sends it again.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Min, Q

from channels.daraja.client import Accepted
from channels.daraja.outcomes import NotSent, Refused, Unknown, outcome_of
from channels.models import MpesaChannel
from channels.status import state_in_words
from payments.initiator import CannotCall, Initiator, initiator_of
from payments.models import MoneyOut
from payments.money_out import machine, tasks
from payments.money_out.kind import Kind, Locked, Row
from payments.money_out.payouts import PAYOUTS
from payments.money_out.reversals import REVERSALS
from tenants.crash_points import reach
from tenants.queue import enqueue
from tenants.sentences import say

KINDS: tuple[Kind[Any], ...] = (REVERSALS, PAYOUTS)
SIDE_BY_SIDE = 8  # a batch is called at once, so that the last of it is not SENDING before its turn
RUN_FOR = timedelta(seconds=10)  # then other work has its turn
_LOOK_AGAIN_AFTER = timedelta(minutes=1)  # at a channel that can't send now
_PAUSE = timedelta(seconds=2)  # after something did not get through
_EXPIRE_AT_ONCE = 500

Status = MoneyOut.Status
Outcome = Accepted | Refused | NotSent | Unknown


def send_due(*, channel_id: UUID, clock: Callable[[], datetime]) -> None:
    """Send what is due of one channel, for some seconds, and promise to go on with the rest."""
    for kind in KINDS:
        while _expire(kind, channel_id, now=clock()):
            pass
    try:
        initiator = _open(channel_id)
    except CannotCall as problem:
        _wait(channel_id, problem.sentence, now=clock())
        return
    until, goes_through = clock() + RUN_FOR, True
    for kind in KINDS:
        while goes_through and clock() < until and (sent := _send_batch(kind, initiator, clock=clock)):
            goes_through = not any(isinstance(outcome, NotSent) for outcome in sent.values())
    _promise_the_rest(channel_id, not_before=None if goes_through else clock() + _PAUSE)


def _open(channel_id: UUID) -> Initiator:
    """:raises CannotCall: also if the business has switched the channel off, or has not proved what it changed."""
    initiator = initiator_of(channel_id)
    if initiator.channel.status != MpesaChannel.Status.ACTIVE:
        state = state_in_words(initiator.channel)
        raise CannotCall(say("The channel is %(state)s. Nothing is sent until it is active.", state=state))
    return initiator


@transaction.atomic
def _expire(kind: Kind[Row], channel_id: UUID, *, now: datetime) -> bool:
    """End promises whose time is over; returns whether there may be more of them."""
    locked = kind.claim(_due(channel_id, now) & kind.is_expired(now), limit=_EXPIRE_AT_ONCE)
    for row in locked:
        machine.expire(row, now=now)
    locked.save(now=now)
    return len(locked.rows) == _EXPIRE_AT_ONCE


def _send_batch(kind: Kind[Row], initiator: Initiator, *, clock: Callable[[], datetime]) -> Mapping[UUID, Outcome]:
    """Send a few rows side by side, and return what became of each."""
    rows = _claim(kind, initiator.channel.pk, now=clock())
    if not rows:
        return {}
    reach("after-sending-committed")
    with ThreadPoolExecutor(max_workers=SIDE_BY_SIDE) as threads:
        calls = {row.pk: threads.submit(_hand_over, kind, row, initiator) for row in rows}
    reach("before-settle")
    outcomes = {pk: call.result() for pk, call in calls.items() if call.exception() is None}
    _settle(kind, outcomes, clock=clock)
    for call in calls.values():
        call.result()  # a defect of ours is raised after the others are settled; its row stays SENDING until it is lost
    return outcomes


@transaction.atomic
def _claim(kind: Kind[Row], channel_id: UUID, *, now: datetime) -> list[Row]:
    locked = kind.claim(_due(channel_id, now), limit=SIDE_BY_SIDE)
    for row in locked:
        machine.begin_sending(row, now=now)
    locked.save(now=now)
    return list(locked)


def _hand_over(kind: Kind[Row], row: Row, initiator: Initiator) -> Outcome:
    """Call M-PESA for one row. Runs in a thread: no database here."""
    outcome = outcome_of(lambda: kind.call(row, initiator))
    reach("after-call")
    return outcome


@transaction.atomic
def _settle(kind: Kind[Row], outcomes: Mapping[UUID, Outcome], *, clock: Callable[[], datetime]) -> None:
    locked: Locked[Row] = kind.lock(outcomes)
    now = clock()
    for row in locked:
        outcome = outcomes[row.pk]
        if isinstance(outcome, Accepted):
            machine.note_accepted(row, conversation_id=kind.conversation_id_in(row, outcome), now=now)
        else:
            released_at, expires_at = kind.released_at(row), kind.expires_at(row)
            machine.note_not_accepted(row, outcome, released_at=released_at, expires_at=expires_at, now=now)
    locked.save(now=now)


def _wait(channel_id: UUID, why: str, *, now: datetime) -> None:
    """The channel can't send: say so on what is due, and look again."""
    is_waiting = False
    for kind in KINDS:
        kind.model.objects.filter(_due(channel_id, now)).exclude(result_desc=why).update(result_desc=why)
        is_waiting |= kind.model.objects.filter(channel_id=channel_id, status=Status.RESERVED).exists()
    if is_waiting:
        enqueue(tasks.send_money_out, due_at=now + _LOOK_AGAIN_AFTER, channel_id=str(channel_id))


def _promise_the_rest(channel_id: UUID, *, not_before: datetime | None) -> None:
    waiting = Q(channel_id=channel_id, status=Status.RESERVED)
    firsts = [kind.model.objects.filter(waiting).aggregate(at=Min("due_at"))["at"] for kind in KINDS]
    if times := [at for at in firsts if at]:
        due_at = max(min(times), not_before) if not_before else min(times)
        enqueue(tasks.send_money_out, due_at=due_at, channel_id=str(channel_id))


def _due(channel_id: UUID, now: datetime) -> Q:
    return Q(channel_id=channel_id, status=Status.RESERVED, due_at__lte=now)
