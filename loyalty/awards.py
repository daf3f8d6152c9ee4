"""Turns recorded payments into points, stamps, rewards and messages: each payment once.

A payment's `PaymentOutcome` is the gate: whoever inserts it, or changes it from WAITING, gives what the payment earned
in the same commit. Everybody locks in one order (new members by code, outcomes by payment, members by id), so that
workers with the same payments wait for each other instead of deadlocking.
"""

import logging
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import InterfaceError, OperationalError, connection, transaction

from audit.ids import new_id
from channels.msisdn import is_plain
from channels.sms.outbox import NewSms, queue_messages
from loyalty import notifications
from loyalty.accrual import AccrualTerms, Earned, StampTerms, add_stamp, earned_by
from loyalty.members import member_code
from loyalty.models import Member, PaymentOutcome, PointsEntry, Program
from loyalty.tasks import award_points
from loyalty.totals import Change, add_to_totals
from payments.models import Payment
from tenants.queue import enqueue

logger = logging.getLogger(__name__)

Status = PaymentOutcome.Status

_HASH = re.compile(r"[0-9a-f]{64}")  # of the 12 digits; one with stars in it says nothing

_INSERT_OUTCOMES = """
    INSERT INTO loyalty_paymentoutcome (payment_id, status, program_id, member_id, points, gave_stamp, decided_at)
    SELECT given.*, %s
      FROM unnest(%s::uuid[], %s::text[], %s::uuid[], %s::uuid[], %s::bigint[], %s::boolean[]) AS given
        ON CONFLICT (payment_id) DO NOTHING
 RETURNING payment_id
"""
_INSERT_ENTRIES = """
    INSERT INTO loyalty_pointsentry (id, member_id, payment_id, points, balance_after, kind, note, created_at)
    SELECT given.*, 'EARN', '', %s
      FROM unnest(%s::uuid[], %s::uuid[], %s::uuid[], %s::bigint[], %s::bigint[]) AS given
"""
_INSERT_REWARDS = """
    INSERT INTO loyalty_reward (id, member_id, payment_id, description, status, created_at)
    SELECT given.*, 'READY', %s
      FROM unnest(%s::uuid[], %s::uuid[], %s::uuid[], %s::text[]) AS given
"""
_UPDATE_MEMBERS = """
    UPDATE loyalty_member AS member
       SET points_balance = given.points_balance, stamps = given.stamps
      FROM unnest(%s::uuid[], %s::bigint[], %s::int[]) AS given (id, points_balance, stamps)
     WHERE member.id = given.id
"""

# A row of PaymentOutcome without its time: payment, status, program, member, points, stamp
_Outcome = tuple[UUID, str, UUID | None, UUID | None, int, bool]


@dataclass(frozen=True, slots=True)
class Rules:
    """A program and what it gives."""

    program: Program
    accrual: AccrualTerms | None
    stamp: StampTerms | None

    def earned_by(self, payment: Payment) -> Earned:
        return earned_by(payment.amount, accrual=self.accrual, stamp=self.stamp)


@dataclass(slots=True)
class Award:
    """What one payment gives, and to whom, once that is known."""

    payment: Payment
    rules: Rules
    earned: Earned
    member_id: UUID | None = None


def promise_awards(sender: Any, *, payment_ids: Sequence[UUID], **kwargs: Any) -> None:
    """Hear that payments were recorded, in the commit that records them."""
    enqueue(award_points, payment_ids=[str(payment_id) for payment_id in payment_ids])


def award_payments(*, payment_ids: Sequence[UUID], now: datetime) -> None:
    """Give what these payments of the present tenant earned and say so to their payers, in one commit.

    Payments that have their outcome already are left alone. If the batch can't be applied, each half is promised
    again by itself, so that in the end only the payment at fault fails, alone and loudly.
    """
    try:
        _award(payment_ids, now=now)
    except (OperationalError, InterfaceError):
        raise  # the database went away, or asked us to try again: nothing is wrong with the payments
    except Exception:
        if len(payment_ids) == 1:
            raise
        logger.exception("%s payments can't be awarded together.", len(payment_ids))
        middle = len(payment_ids) // 2
        promise_awards(None, payment_ids=payment_ids[:middle])
        promise_awards(None, payment_ids=payment_ids[middle:])


@transaction.atomic
def _award(payment_ids: Sequence[UUID], *, now: datetime) -> None:
    payments = list(
        Payment.objects.filter(pk__in=payment_ids, outcome=None).only(
            "environment", "payer", "payer_name", "amount", "account_reference", "routed_to"
        )
    )
    rules_by_code = _rules_by_code({payment.routed_to for payment in payments})
    outcomes: list[_Outcome] = []
    awards: list[Award] = []
    for payment in payments:
        rules = rules_by_code.get(payment.routed_to)
        if rules is None:
            outcomes.append((payment.pk, Status.NO_PROGRAM.value, None, None, 0, False))
        elif earned := rules.earned_by(payment):
            awards.append(Award(payment, rules, earned))
        else:
            outcomes.append((payment.pk, Status.NOTHING.value, rules.program.pk, None, 0, False))
    _find_members(awards, now=now)
    outcomes += map(_outcome, awards)
    ours = _insert_outcomes(outcomes, now=now)
    give([award for award in awards if award.member_id and award.payment.pk in ours], now=now)


def give(awards: Sequence[Award], *, now: datetime) -> None:
    """Give what was earned to the members that are named. The caller holds the payments' outcomes, in its commit."""
    if not awards:
        return
    members = _lock_members(awards)
    entries, changes, rewards, messages = [], [], [], []
    for award in sorted(awards, key=lambda award: award.payment.pk):
        payment, program, stamp = award.payment, award.rules.program, award.rules.stamp
        member = members[award.member_id]
        sentences = []
        if points := award.earned.points:
            member.points_balance += points
            entries.append((new_id(), member.pk, payment.pk, points, member.points_balance))
            changes.append(Change(program.pk, payment.environment, PointsEntry.Kind.EARN, points))
            sentences.append(
                notifications.points_earned(
                    language=program.language,
                    program_name=program.name,
                    name=member.name,
                    points=points,
                    balance=member.points_balance,
                )
            )
        if award.earned.stamp and stamp:
            member.stamps, filled = add_stamp(stamp, member.stamps)
            if filled:
                rewards.append((new_id(), member.pk, payment.pk, stamp.reward))
                sentences.append(notifications.card_filled(language=program.language, terms=stamp))
            else:
                sentences.append(
                    notifications.stamp_given(language=program.language, terms=stamp, stamps=member.stamps)
                )
        if phone_number := member.phone_number:
            messages.append(
                NewSms(
                    dedup_key=f"points:{payment.pk}",
                    phone_number=phone_number,
                    body=" ".join(sentences),
                    environment=payment.environment,
                )
            )
    _insert(_INSERT_ENTRIES, entries, now=now)
    _insert(_INSERT_REWARDS, rewards, now=now)
    _update_members(members.values())
    add_to_totals(changes, now=now)
    queue_messages(messages=messages, now=now)


def rules_of(program: Program) -> Rules:
    """Expects the rules to be loaded with the program: `select_related("accrual_rule", "stamp_rule")`."""
    accrual, stamp = getattr(program, "accrual_rule", None), getattr(program, "stamp_rule", None)
    return Rules(program, accrual.terms if accrual else None, stamp.terms if stamp else None)


# -- Whose payment is it? ---------------------------------------------------------------------------------------------


def _find_members(awards: Sequence[Award], *, now: datetime) -> None:
    """Name the member of each award whose payer is known: by what was typed, else by the whole number or its hash.

    Where what is typed is the member, whoever is not known yet joins with this payment.
    """
    by_reference = [award for award in awards if award.rules.program.member_key == Program.MemberKey.BY_REFERENCE]
    by_payer = [award for award in awards if award.rules.program.member_key == Program.MemberKey.BY_PAYER]
    _match(awards, "code", _typed_code)
    strangers = [award for award in by_reference if award.member_id is None]
    _let_join(strangers, now=now)
    _match(strangers, "code", _typed_code)
    _match(by_payer, "phone_number", _whole_number)
    _match(by_payer, "phone_hash", _whole_hash)


def _match(awards: Iterable[Award], column: str, read: Callable[[Payment], str]) -> None:
    """Name the active members whose `column` holds what `read` finds in the payment. Named ones stay."""
    keys = [
        (award, (award.rules.program.pk, award.payment.environment, value))
        for award in awards
        if award.member_id is None and (value := read(award.payment))
    ]
    if not keys:
        return
    programs, environments, values = (set(part) for part in zip(*(key for _, key in keys), strict=True))
    rows = (
        Member.objects.filter(
            program__in=programs, environment__in=environments, is_active=True, **{f"{column}__in": values}
        )
        .exclude(**{column: ""})  # lets PostgreSQL use the partial indexes, however many values there are
        .values_list("program_id", "environment", column, "pk")
    )
    known = {(program_id, environment, value): member_id for program_id, environment, value, member_id in rows}
    for award, key in keys:
        award.member_id = known.get(key)


def _let_join(awards: Iterable[Award], *, now: datetime) -> None:
    """Make members of those who pay for the first time. A member who is not active keeps the code."""
    new = {
        (award.rules.program.pk, award.payment.environment, code): award.payment.payer_name
        for award in awards
        if (code := _typed_code(award.payment))
    }
    Member.objects.bulk_create(
        [
            Member(
                program_id=program_id,
                environment=environment,
                code=code,
                name=_first_name(payer_name),
                is_known_by_phone=False,
                joined_at=now,
            )
            for (program_id, environment, code), payer_name in sorted(new.items())
        ],
        ignore_conflicts=True,
    )


def _typed_code(payment: Payment) -> str:
    return member_code(payment.account_reference)


def _whole_number(payment: Payment) -> str:
    return payment.payer if is_plain(payment.payer) else ""


def _whole_hash(payment: Payment) -> str:
    return payment.payer if _HASH.fullmatch(payment.payer) else ""


def _first_name(payer_name: str) -> str:
    """M-PESA shouts: `"JOHN KAMAU"` → `"John"`."""
    return payer_name.split()[0].title()[:80] if payer_name.strip() else ""


# -- The database -----------------------------------------------------------------------------------------------------


def _rules_by_code(codes: Collection[str]) -> dict[str, Rules]:
    programs = Program.objects.filter(code__in=codes, is_active=True)
    return {program.code: rules_of(program) for program in programs.select_related("accrual_rule", "stamp_rule")}


def _outcome(award: Award) -> _Outcome:
    status, earned = (Status.EARNED, award.earned) if award.member_id else (Status.WAITING, Earned(0, stamp=False))
    return (award.payment.pk, status.value, award.rules.program.pk, award.member_id, earned.points, earned.stamp)


def _insert_outcomes(outcomes: Iterable[_Outcome], *, now: datetime) -> set[UUID]:
    """Returns the payments whose outcome is ours; others have theirs already."""
    return set(_insert(_INSERT_OUTCOMES, sorted(outcomes), now=now))


def _lock_members(awards: Iterable[Award]) -> dict[UUID | None, Member]:
    members = Member.objects.select_for_update(no_key=True).filter(pk__in={award.member_id for award in awards})
    needed = members.only("name", "phone_number", "points_balance", "stamps")
    return {member.pk: member for member in needed.order_by("pk")}


def _update_members(members: Collection[Member]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            _UPDATE_MEMBERS,
            [
                [member.pk for member in members],
                [member.points_balance for member in members],
                [member.stamps for member in members],
            ],
        )


def _insert(statement: str, rows: Sequence[tuple[Any, ...]], *, now: datetime) -> list[UUID]:
    """Insert rows column by column; returns the identifiers that the statement returns, if it does."""
    if not rows:
        return []
    with connection.cursor() as cursor:
        cursor.execute(statement, [now, *(list(column) for column in zip(*rows, strict=True))])
        return [identifier for (identifier,) in cursor.fetchall()] if cursor.description else []
