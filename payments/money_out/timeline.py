"""What happened to a payout or a reversal, one thing after the other, for people to read."""

from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _

from payments.models import MoneyOut, Payout, PayoutBatch, Reversal
from payments.question_words import answer_to, who_asked

Status = MoneyOut.Status

_QUESTIONS = 10  # shown of one payout


@dataclass(frozen=True, slots=True)
class Event:
    at: datetime
    sentence: str
    detail: str = ""


def timeline_of_payout(payout: Payout, batch: PayoutBatch) -> list[Event]:
    """The earliest first."""
    events = [
        Event(batch.created_at, _("%(who)s made it.") % {"who": batch.created_by}),
        *_decided(batch.approved_at, batch.approved_by, _("%(who)s approved it.")),
        *_decided(batch.released_at, batch.released_by, _("%(who)s released it.")),
    ]
    if batch.cancelled_at:
        events.append(Event(batch.cancelled_at, _("It was withdrawn. Nothing was sent."), batch.reason))
    return [*events, *_sent(payout)]


def timeline_of_reversal(reversal: Reversal) -> list[Event]:
    """The earliest first."""
    events = [
        Event(reversal.created_at, _("%(who)s asked for it.") % {"who": reversal.requested_by}, reversal.reason),
        *_decided(reversal.approved_at, reversal.approved_by, _("%(who)s approved it.")),
    ]
    if reversal.status == Status.CANCELLED and reversal.finished_at:
        events.append(Event(reversal.finished_at, _("It was withdrawn. Nothing was sent."), reversal.note))
    return [*events, *_sent(reversal)]


def _decided(at: datetime | None, who: str, sentence: str) -> list[Event]:
    return [Event(at, sentence % {"who": who})] if at else []


def _sent(row: Payout | Reversal) -> list[Event]:
    events = []
    if row.sending_at:
        events.append(Event(row.sending_at, _("We handed it to M-PESA.")))
    if row.accepted_at:
        events.append(Event(row.accepted_at, _("M-PESA took it. That is not a payment yet.")))
    events += _asked(row)
    if row.status == Status.FAILED and row.finished_at:
        events.append(Event(row.finished_at, _("It ended, and no money was sent."), row.result_desc))
    events.sort(key=lambda event: event.at)
    if row.status == Status.SUCCEEDED and row.completed_at:
        _insert(events, Event(row.completed_at, _("M-PESA moved the money."), row.receipt), row)
    if row.decided_by and row.finished_at:
        events.append(Event(row.finished_at, _("%(who)s decided it.") % {"who": row.decided_by}, row.note))
    return events


def _insert(events: list[Event], moved: Event, row: Payout | Reversal) -> None:
    """Where it belongs by its time, but never before we handed it over: M-PESA's clock has whole seconds, and its own
    mind."""
    at = max(moment for moment in (moved.at, row.sending_at, row.accepted_at) if moment)
    place = sum(event.at <= at for event in events)
    events.insert(place, moved)


def _asked(row: Payout | Reversal) -> list[Event]:
    """Each time that M-PESA was asked what became of it, and what it said; of many the last ones."""
    events = []
    for question in row.status_queries.order_by("-pk")[:_QUESTIONS]:
        asked = _("%(who)s asked M-PESA what became of it.") % {"who": who_asked(question)}
        if question.answered_at:
            events.append(Event(question.asked_at, asked))
            events.append(Event(question.answered_at, answer_to(question)))
        else:
            events.append(Event(question.asked_at, asked, answer_to(question)))
    return events
