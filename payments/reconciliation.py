"""Do a day's records and M-PESA's agree? Counted at night, and again as news comes; people settle what does not match.

What a person settled stays settled. What is found anew is an open item, and an open item that is right again goes away
by itself.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Count, Q, QuerySet
from django.utils.translation import gettext as _

import audit.services
from audit.ids import new_id
from audit.services import Actor
from channels.daraja.explanations import Who
from channels.mapping import AccountMapping
from channels.models import MpesaChannel, Problem
from channels.problems import close_problem, note_problem
from channels.services import ChannelNotFound
from payments import questions
from payments.balances import BY_ITSELF
from payments.comparison import Found, Kind, compare
from payments.initiator import has_initiator
from payments.models import Payment, ReconciliationDay, ReconciliationItem, StatementLine, StatusQuery
from payments.services import NAIROBI, NewPayment, PaymentReport, record_payments
from payments.status_queries import STATUS
from payments.tasks import recount_day
from tenants.errors import Conflict, Invalid, NotFound
from tenants.permissions import Permission, require
from tenants.queue import enqueue
from tenants.sentences import Day, fitting, kept, say, say_many

# Counted again every night: these days, because outcomes come late, and others while they are open, up to these.
_RECENT = timedelta(days=3)
_OPEN_FOR = timedelta(days=60)

Status = ReconciliationDay.Status

_KEEP_ITEMS = """
    INSERT INTO payments_reconciliationitem AS known
        (id, day_id, kind, subject, ours, theirs, sentence, found_at, settled_by, note)
    SELECT given.id, %s, given.kind, given.subject, given.ours, given.theirs, given.sentence, %s, '', ''
      FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::numeric[], %s::numeric[], %s::text[])
           AS given (id, kind, subject, ours, theirs, sentence)
        ON CONFLICT (day_id, kind, subject) DO UPDATE
       SET ours = excluded.ours, theirs = excluded.theirs, sentence = excluded.sentence
     WHERE known.settled_at IS NULL
"""
_DROP_OTHERS = """
    DELETE FROM payments_reconciliationitem AS item
     WHERE day_id = %s AND settled_at IS NULL
       AND NOT EXISTS (SELECT 1 FROM unnest(%s::text[], %s::text[]) AS found (kind, subject)
                        WHERE found.kind = item.kind AND found.subject = item.subject)
"""


class DayNotFound(NotFound):
    def __init__(self) -> None:
        super().__init__(_("There is no such day."))


class ItemNotFound(NotFound):
    def __init__(self) -> None:
        super().__init__(_("There is no such item."))


class AlreadySettled(Conflict):
    code = "already_settled"


class NotAPayment(Conflict):
    code = "not_a_payment"


# -- Counting ---------------------------------------------------------------------------------------------------------


@transaction.atomic
def recount(*, channel_id: UUID, day: date, now: datetime) -> None:
    """Compare a channel's day, and write down what does not match. Doing it twice changes nothing."""
    channel = MpesaChannel.objects.without_secrets().get(pk=channel_id)
    ReconciliationDay.objects.bulk_create(
        [
            ReconciliationDay(
                channel=channel, environment=channel.environment, date=day, status=Status.UNPROVED, counted_at=now
            )
        ],
        ignore_conflicts=True,
    )
    row = ReconciliationDay.objects.select_for_update().get(channel=channel, date=day)
    comparison = compare(channel=channel, day=day, now=now)
    _keep_items(row, comparison.found, now=now)
    row.sources = {
        name: {"count": tally.count, "amount": f"{tally.amount:.2f}"} for name, tally in comparison.tallies.items()
    }
    row.balance_proof = comparison.proof.as_json() if comparison.proof else {}
    row.counted_at = now
    _conclude(row, channel, is_proved=comparison.is_proved, now=now)


def promise_recounts(*, channel: MpesaChannel, now: datetime) -> None:
    """Have the last days of a channel counted, and earlier ones that are open."""
    today = now.astimezone(NAIROBI).date()
    recent = {today - timedelta(days=number) for number in range(1, _RECENT.days + 1)}
    first = channel.activated_at.astimezone(NAIROBI).date() if channel.activated_at else today
    still_open = ReconciliationDay.objects.filter(
        channel=channel, status__in=[Status.UNPROVED, Status.DIFFERS], date__gte=today - _OPEN_FOR, date__lt=today
    )
    days = {day for day in recent if day >= first} | set(still_open.values_list("date", flat=True))
    for day in sorted(days):
        enqueue(recount_day, channel_id=str(channel.pk), date=day.isoformat())


def request_recount(*, actor: Actor, channel_id: UUID, day: date, now: datetime) -> None:
    """Have a day counted soon, in the background.

    :raises ChannelNotFound: if the business has none such.
    :raises Invalid: if the day has not begun.
    """
    require(actor, Permission.PAYMENTS_SETTLE)
    if not MpesaChannel.objects.filter(pk=channel_id).exists():
        raise ChannelNotFound
    if day > now.astimezone(NAIROBI).date():
        raise Invalid(_("This day has not begun."), errors={"date": [_("This day has not begun.")]})
    enqueue(recount_day, channel_id=str(channel_id), date=day.isoformat())


def _keep_items(day: ReconciliationDay, found: Sequence[Found], *, now: datetime) -> None:
    kinds, subjects = [item.kind.value for item in found], [item.subject for item in found]
    with connection.cursor() as cursor:
        cursor.execute(_DROP_OTHERS, [day.pk, kinds, subjects])
        cursor.execute(
            _KEEP_ITEMS,
            [
                *(day.pk, now),
                [new_id() for _ in found],
                kinds,
                subjects,
                [item.ours for item in found],
                [item.theirs for item in found],
                [kept(fitting(item.sentence, 254)) for item in found],
            ],
        )


def _conclude(day: ReconciliationDay, channel: MpesaChannel, *, is_proved: bool, now: datetime) -> None:
    """Save the day with the state that its items leave it in, and tell people or stop telling them."""
    items = day.items.aggregate(
        not_settled=Count("pk", filter=Q(settled_at=None)), settled=Count("pk", filter=~Q(settled_at=None))
    )
    if items["not_settled"]:
        day.status = Status.DIFFERS
    elif items["settled"]:
        day.status = Status.SETTLED
    else:
        day.status = Status.AGREES if is_proved else Status.UNPROVED
    day.save()
    about: dict[str, Any] = {
        "channel": channel,
        "kind": Problem.Kind.DIFFERS,
        "subject": day.date.isoformat(),
        "now": now,
    }
    if day.status != Status.DIFFERS:
        close_problem(**about)
        return
    count = items["not_settled"]
    note_problem(
        sentence=say_many(
            "%(count)s thing does not match M-PESA's records of %(day)s.",
            "%(count)s things do not match M-PESA's records of %(day)s.",
            count=count,
            day=Day(day.date),
        ),
        do_now=say("Open the day, look at each, and settle it with a note."),
        who=Who.YOU.value,
        **about,
    )


# -- Looking, and settling --------------------------------------------------------------------------------------------


def reconciliation_days(*, actor: Actor) -> QuerySet[ReconciliationDay]:
    """Every day that was counted; `not_settled` says how many of its items are open."""
    require(actor, Permission.BALANCES_READ)
    return ReconciliationDay.objects.annotate(not_settled=Count("items", filter=Q(items__settled_at=None)))


def reconciliation_items(*, actor: Actor) -> QuerySet[ReconciliationItem]:
    """What did not match on any day, settled or not."""
    require(actor, Permission.BALANCES_READ)
    return ReconciliationItem.objects.select_related("day")


def count_by_kind(items: QuerySet[ReconciliationItem]) -> dict[str, int]:
    """How many there are of each kind that there is, in the order of `ReconciliationItem.Kind`. One query."""
    counts = dict(items.order_by().values_list("kind").annotate(Count("pk")))
    return {kind.value: counts[kind] for kind in Kind if kind in counts}


def read_item(*, actor: Actor, item_id: UUID) -> ReconciliationItem:
    """:raises ItemNotFound: if the business has none such."""
    item = reconciliation_items(actor=actor).filter(pk=item_id).first()
    if item is None:
        raise ItemNotFound
    return item


@transaction.atomic
def settle_item(*, actor: Actor, item_id: UUID, note: str, now: datetime) -> ReconciliationItem:
    """Note that somebody looked at something that does not match, and what they found.

    :raises Invalid: without a note.
    :raises ItemNotFound: if the business has none such.
    :raises AlreadySettled: if somebody did before.
    """
    require(actor, Permission.PAYMENTS_SETTLE)
    if not note.strip():
        raise Invalid(_("Write what you found."), errors={"note": [_("Write what you found.")]})
    item, channel = _lock_item(item_id)
    _settle(item, channel, actor=actor, note=note.strip(), now=now)
    audit.services.record(
        actor=actor,
        action="reconciliation_item.settled",
        subject=item,
        after={"date": item.day.date, "kind": item.kind, "subject": item.subject},
        reason=item.note,
    )
    return item


@transaction.atomic
def record_item(*, actor: Actor, item_id: UUID, now: datetime) -> ReconciliationItem:
    """Record as a payment what M-PESA lists and we did not have. Programs and totals follow, as with every payment.

    A statement is a file that somebody gave us, so M-PESA itself is asked about the receipt where the channel may.

    :raises ItemNotFound: if the business has none such.
    :raises AlreadySettled: if somebody dealt with it before.
    :raises NotAPayment: if it is not money that came in.
    """
    require(actor, Permission.PAYMENTS_SETTLE)
    item, channel = _lock_item(item_id)
    line = (
        StatementLine.objects.filter(channel=channel, receipt=item.subject, paid_in__gt=0, status__iexact="Completed")
        .order_by("completed_at", "id")
        .first()
    )
    if item.kind != Kind.MISSING_HERE or line is None or item.theirs != line.paid_in:
        raise NotAPayment(_("This is not a payment that came in. Settle it with a note instead."))
    new = record_payments(reports=[_report(channel, line)])
    if new and has_initiator(channel):
        _ask_about(channel, new[0], now=now)
    _settle(
        item,
        channel,
        actor=actor,
        note=say("Recorded as a payment.") if new else say("It was recorded before."),
        now=now,
    )
    enqueue(recount_day, channel_id=str(channel.pk), date=item.day.date.isoformat())
    audit.services.record(
        actor=actor,
        action="payment.recorded_from_statement",
        subject=item,
        after={"receipt": line.receipt, "amount": line.paid_in, "new": bool(new)},
    )
    return item


def _ask_about(channel: MpesaChannel, payment: NewPayment, *, now: datetime) -> None:
    question = StatusQuery(
        channel=channel,
        environment=channel.environment,
        receipt=payment.receipt,
        payment_id=payment.id,
        requested_by=BY_ITSELF,
        asked_at=now,
    )
    questions.ask(STATUS, question)


def _lock_item(item_id: UUID) -> tuple[ReconciliationItem, MpesaChannel]:
    """An item and its day, in the order in which counting locks them."""
    item = ReconciliationItem.objects.filter(pk=item_id).first()
    if item is None:
        raise ItemNotFound
    day = ReconciliationDay.objects.select_for_update().get(pk=item.day_id)
    item = ReconciliationItem.objects.select_for_update().filter(pk=item_id).first()
    if item is None:
        raise ItemNotFound
    if item.settled_at:
        raise AlreadySettled(_("Somebody has dealt with this before. There is nothing to do."))
    item.day = day
    return item, MpesaChannel.objects.without_secrets().get(pk=day.channel_id)


def _settle(item: ReconciliationItem, channel: MpesaChannel, *, actor: Actor, note: str, now: datetime) -> None:
    item.settled_at, item.settled_by, item.note = now, actor.label[:254], fitting(note, 254)
    item.save(update_fields=["settled_at", "settled_by", "note"])
    _conclude(item.day, channel, is_proved=False, now=now)


def _report(channel: MpesaChannel, line: StatementLine) -> PaymentReport:
    """The statement's other party is “254712345678 - JANE DOE”, masked or not, or only one of the two."""
    payer, _, name = line.party.partition(" - ")
    return PaymentReport(
        receipt=line.receipt,
        channel=channel,
        payer=payer.strip()[:128],
        payer_name=name.strip()[:120],
        amount=line.paid_in,
        account_reference=line.account_reference,
        routed_to=AccountMapping(channel.account_mapping).program_of(line.account_reference),
        source=Payment.Source.STATEMENT,
        paid_at=line.completed_at,
        callback_id=None,
    )
