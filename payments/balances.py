"""What is in a channel's M-PESA accounts (docs/daraja.md section 16): asked by people, and by itself every hour.

Every answer is kept whole. It closes the problem that M-PESA did not tell, and opens one for each account that holds
less than the channel's `low_float` says it should.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import OuterRef, QuerySet, Subquery
from django.utils.translation import gettext as _

from audit.services import Actor
from channels.daraja.client import Accepted
from channels.daraja.explanations import Api, Who
from channels.daraja.payloads import AccountBalance, AsyncResult
from channels.daraja.results import read_balance
from channels.explaining import explain
from channels.models import Environment, MpesaChannel, Problem
from channels.problems import close_problem, note_problem
from payments import questions
from payments.initiator import Initiator, has_initiator
from payments.models import BalanceQuery
from payments.status_queries import NoInitiator
from payments.tasks import ask_balance_again
from tenants.errors import NotFound
from tenants.permissions import Permission, require
from tenants.queue import enqueue
from tenants.sentences import say

BY_ITSELF = "by itself"
# Safaricom's sandbox answers when it likes, and nothing depends on its balances.
ASKED_BY_ITSELF = frozenset({Environment.PRACTICE, Environment.PRODUCTION})

Status = BalanceQuery.Status


class Balances(questions.QuestionKind[BalanceQuery]):
    model = BalanceQuery
    name = "balance"
    answer_columns = ("accounts", "as_at")

    def call(self, question: BalanceQuery, initiator: Initiator) -> Accepted:
        return initiator.client.account_balance(**initiator.envelope(question.pk))

    def read(self, question: BalanceQuery, result: AsyncResult) -> bool:
        if result.result_code != "0":
            return False
        said = read_balance(result)
        question.accounts = {account.name: _amounts(account) for account in said.accounts}
        question.as_at = said.as_at
        return bool(said.accounts)

    def ended(self, questions: Sequence[BalanceQuery], *, now: datetime) -> None:
        channels = MpesaChannel.objects.without_secrets().in_bulk({question.channel_id for question in questions})
        for question in sorted(questions, key=lambda question: question.pk):
            if not _is_overtaken(question):
                _note_problems(channels[question.channel_id], question, now=now)


BALANCES = Balances()


def ask_balance(*, actor: Actor, channel_id: UUID | None = None, now: datetime) -> BalanceQuery:
    """Ask what is in a channel's accounts; the answer is PENDING and is followed by its id.

    Without a channel the primary one is meant. While a question waits for its answer, that one is returned.

    :raises NotFound: if there is no such channel.
    :raises NoInitiator: if it has no API operator who may ask.
    """
    require(actor, Permission.MPESA_ASK)
    channel = _channel(channel_id)
    with transaction.atomic():
        MpesaChannel.objects.select_for_update(no_key=True).only("pk").get(pk=channel.pk)
        waiting = BalanceQuery.objects.filter(channel=channel, status=Status.PENDING).order_by("-pk").first()
        return waiting or _ask(channel, requested_by=actor.label, now=now)


def ask_by_itself(*, channel: MpesaChannel, now: datetime) -> None:
    """Promise to ask for an active channel's balances again, where that is done by itself, and ask."""
    if promise_balances(channel=channel, now=now) and has_initiator(channel):
        _ask(channel, requested_by=BY_ITSELF, now=now)


def promise_balances(*, channel: MpesaChannel, now: datetime) -> bool:
    """Promise to ask at the next time, unless that is promised already; returns whether it is."""
    is_asked = settings.BALANCE_EVERY.total_seconds() > 0 and channel.environment in ASKED_BY_ITSELF
    if is_asked:
        enqueue(ask_balance_again, due_at=now + settings.BALANCE_EVERY, channel_id=str(channel.pk))
    return is_asked


def balances_of(*, actor: Actor) -> QuerySet[BalanceQuery]:
    """Every time that M-PESA was asked, of all environments: a door shows one environment at a time."""
    require(actor, Permission.BALANCES_READ)
    return BalanceQuery.objects.all()


def read_balance_query(*, actor: Actor, balance_id: UUID) -> BalanceQuery:
    """:raises NotFound: if there is none such."""
    balance = balances_of(actor=actor).filter(pk=balance_id).first()
    if balance is None:
        raise NotFound(_("There is no such balance."))
    return balance


def newest_of_each_channel(rows: QuerySet[BalanceQuery]) -> QuerySet[BalanceQuery]:
    """Of each channel the newest that M-PESA answered."""
    answered = BalanceQuery.objects.filter(channel=OuterRef("pk"), status=Status.ANSWERED).order_by("-pk")
    newest = MpesaChannel.objects.annotate(newest=Subquery(answered.values("pk")[:1])).values("newest")
    return rows.filter(pk__in=newest)


def _channel(channel_id: UUID | None) -> MpesaChannel:
    wanted = {"pk": channel_id} if channel_id else {"is_primary": True}
    channel = MpesaChannel.objects.without_secrets().filter(**wanted).first()
    if channel is None:
        raise NotFound(_("There is no such channel."))
    if not has_initiator(channel):
        raise NoInitiator(_("Only an API operator may ask for balances. Save the channel's initiator first."))
    return channel


def _ask(channel: MpesaChannel, *, requested_by: str, now: datetime) -> BalanceQuery:
    question = BalanceQuery(
        channel=channel, environment=channel.environment, requested_by=requested_by[:254], asked_at=now
    )
    questions.ask(BALANCES, question)
    return question


def _amounts(account: AccountBalance) -> dict[str, str]:
    return {
        "currency": account.currency,
        "current": str(account.current),
        "available": str(account.available),
        "reserved": str(account.reserved),
        "uncleared": str(account.uncleared),
    }


# -- What a person has to know ----------------------------------------------------------------------------------------


def _is_overtaken(question: BalanceQuery) -> bool:
    """A later question has ended already: what this one says of the present is old."""
    later = BalanceQuery.objects.filter(channel=question.channel_id, pk__gt=question.pk)
    return later.exclude(status=Status.PENDING).exists()


def _note_problems(channel: MpesaChannel, question: BalanceQuery, *, now: datetime) -> None:
    failed: dict[str, Any] = {"channel": channel, "kind": Problem.Kind.BALANCE_FAILED, "now": now}
    if question.status == Status.ANSWERED:
        close_problem(**failed)
        _note_low_float(channel, question.accounts, now=now)
    elif question.result_code:
        why = explain(Api.BALANCE, question.result_code, question.result_desc)
        sentence = say("M-PESA did not tell the balances. %(why)s", why=why.meaning)
        note_problem(**failed, sentence=sentence, do_now=why.do_now, who=why.who.value)
    elif question.status == Status.UNANSWERED:
        sentence = say("M-PESA took the question for the balances, and never answered it.")
        do_now = say("Nothing, if it goes by. Otherwise verify the channel: it shows whether Safaricom reaches us.")
        note_problem(**failed, sentence=sentence, do_now=do_now, who=Who.SAFARICOM.value)
    else:
        sentence = say("M-PESA could not be asked for the balances. %(why)s", why=question.result_desc)
        do_now = say("Verify the channel: each step says what has to be mended.")
        note_problem(**failed, sentence=sentence, do_now=do_now, who=Who.YOU.value)


def _note_low_float(channel: MpesaChannel, accounts: dict[str, dict[str, str]], *, now: datetime) -> None:
    """Accounts that M-PESA does not name stay as they are; those that nobody watches any more are no problem."""
    low: dict[str, Any] = {"channel": channel, "kind": Problem.Kind.LOW_FLOAT, "now": now}
    noted = Problem.objects.filter(channel=channel, kind=Problem.Kind.LOW_FLOAT, closed_at=None)
    for name in noted.exclude(subject__in=channel.low_float).values_list("subject", flat=True):
        close_problem(**low, subject=name)
    for name, least in channel.low_float.items():
        if name not in accounts:
            continue
        available = Decimal(accounts[name]["available"])
        if available >= least:
            close_problem(**low, subject=name)
            continue
        note_problem(
            **low,
            subject=name,
            sentence=say(
                "The %(account)s holds KES %(available)s, less than the KES %(least)s that it should.",
                account=name,
                available=f"{available:,}",
                least=f"{least:,}",
            ),
            do_now=say("Move money into it on the M-PESA portal, or pay in at the bank."),
            who=Who.YOU.value,
        )
