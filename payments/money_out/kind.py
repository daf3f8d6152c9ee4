"""What payouts and reversals have each in their own way, and how rows of either are locked and saved."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Generic, TypedDict, TypeVar
from uuid import UUID

from django.db import connection
from django.db.models import Q, QuerySet

from channels.daraja.client import Accepted
from channels.daraja.explanations import Who
from channels.daraja.payloads import AsyncResult
from channels.models import MpesaChannel, Problem
from channels.problems import close_problem, note_problem
from channels.services import lock_activity
from payments.initiator import Initiator
from payments.models import MoneyOut, Payout, Reversal
from payments.money_out import tasks
from payments.money_out.machine import FINAL, Report
from tenants.queue import TenantTask, enqueue
from tenants.sentences import Sentence, kept, say

Row = TypeVar("Row", Payout, Reversal)
Status = MoneyOut.Status

FOLLOWED = frozenset({Status.SENDING, Status.ACCEPTED, Status.UNKNOWN})
_COLUMNS = {
    "status": "text",
    "due_at": "timestamptz",
    "sending_at": "timestamptz",
    "accepted_at": "timestamptz",
    "conversation_id": "text",
    "checks": "int",
    "not_found": "int",
    "receipt": "text",
    "charge": "numeric",
    "result_code": "text",
    "result_desc": "text",
    "review": "text",
    "decided_by": "text",
    "note": "text",
    "completed_at": "timestamptz",
    "finished_at": "timestamptz",
}


class Sought(TypedDict, total=False):
    """What M-PESA knows a row by, as arguments of `DarajaClient.transaction_status`."""

    receipt: str
    original_conversation_id: str


class Kind(ABC, Generic[Row]):
    """Payouts, or reversals."""

    model: ClassVar[Any]
    name: ClassVar[str]  # "payout"; also the column of StatusQuery that points to the row
    plural: ClassVar[str]
    word: ClassVar[Sentence]  # "payout", as a part of other sentences
    no_such: ClassVar[Sentence]
    made_by_you: ClassVar[Sentence]
    not_waiting: ClassVar[Sentence]
    receipt_taken: ClassVar[Sentence]
    own_columns: ClassVar[dict[str, str]] = {}

    @abstractmethod
    def need_a_person(self, count: int) -> Sentence:
        """That so many of them wait for a person to decide."""

    @abstractmethod
    def with_what_sending_needs(self) -> "QuerySet[Row]":
        """Rows with what the methods below read of them, so that none of these goes to the database."""

    @abstractmethod
    def released_at(self, row: Row) -> datetime: ...

    @abstractmethod
    def expires_at(self, row: Row) -> datetime: ...

    @abstractmethod
    def is_expired(self, now: datetime) -> Q: ...

    @abstractmethod
    def maker_id(self, row: Row) -> UUID | None:
        """Who asked for it, and so does not decide about it."""

    @abstractmethod
    def call(self, row: Row, initiator: Initiator) -> Accepted:
        """Ask M-PESA to move the money: once. Runs in a thread, without the database.

        :raises DarajaError: judge it with `channels.daraja.outcomes`.
        """

    @abstractmethod
    def conversation_id_in(self, row: Row, accepted: Accepted) -> str:
        """Of Daraja's ids, the one to find the row by later."""

    @abstractmethod
    def sought(self, row: Row) -> Sought | None:
        """What to ask M-PESA for; None while it knows the row by nothing that we know."""

    @abstractmethod
    def read(self, row: Row, result: AsyncResult) -> Report: ...

    @abstractmethod
    def closed_to_reopening(self, rows: Sequence[Row]) -> set[UUID]:
        """Of failed rows, those that no person may look at again, whatever M-PESA says now."""

    @abstractmethod
    def taken_receipts(self, rows: Sequence[Row], receipts: Collection[str]) -> set[tuple[UUID, str]]:
        """(channel, receipt) of rows other than these: a movement is never two rows' outcome."""

    @abstractmethod
    def write_outcomes(self, settled: "Sequence[Settled[Row]]", *, now: datetime) -> None:
        """Write what follows from outcomes, in the commit that notes them."""

    def lock(self, ids: Iterable[UUID]) -> "Locked[Row]":
        """The rows, locked until the commit, in an order that all keep to."""
        rows = self.with_what_sending_needs().select_for_update(of=("self",), no_key=True)
        return Locked(self, list(rows.filter(pk__in=list(ids)).order_by("pk")))

    def claim(self, which: Q, *, limit: int) -> "Locked[Row]":
        """Rows that nobody else holds just now, those first that waited longest; locked until the commit."""
        rows = self.with_what_sending_needs().select_for_update(of=("self",), no_key=True, skip_locked=True)
        return Locked(self, list(rows.filter(which).order_by("due_at", "pk")[:limit]))


@dataclass(frozen=True, slots=True)
class Settled(Generic[Row]):
    """A row that has its outcome now. `was_final`: it had failed before, and the books say so."""

    row: Row
    was_final: bool


@dataclass(frozen=True, slots=True)
class _Before:
    status: str
    due_at: datetime | None
    finished_at: datetime | None


class Locked(Generic[Row]):
    """Rows in our hands: change them by `machine`, then `save`, in one transaction."""

    def __init__(self, kind: Kind[Row], rows: Sequence[Row]) -> None:
        self.kind: Kind[Row] = kind
        self.rows: dict[UUID, Row] = {row.pk: row for row in rows}
        self._before = {row.pk: _Before(row.status, row.due_at, row.finished_at) for row in rows}

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows.values())

    def save(self, *, now: datetime) -> None:
        """Write the rows, what follows from their outcomes, and the promise to come back to those that are open."""
        if not self.rows:
            return
        self._update()
        settled = [
            Settled(row, was_final=before.finished_at is not None)
            for row, before in self._changes()
            if row.status in FINAL and before.status not in FINAL
        ]
        if settled:
            self.kind.write_outcomes(settled, now=now)
        self._promise(frozenset({Status.RESERVED}), tasks.send_money_out)
        self._promise(FOLLOWED, tasks.follow_money_out)
        if any(Status.NEEDS_REVIEW in {row.status, before.status} for row, before in self._changes()):
            for channel_id in sorted({row.channel_id for row in self}):
                _note_reviews(self.kind, channel_id, now=now)

    def _changes(self) -> Iterable[tuple[Row, _Before]]:
        return ((row, self._before[row.pk]) for row in self)

    def _update(self) -> None:
        columns = _COLUMNS | self.kind.own_columns
        sets = ", ".join(f"{name} = given.{name}" for name in columns)
        arrays = ", ".join(f"%s::{of_type}[]" for of_type in columns.values())
        table = self.kind.model._meta.db_table
        given = f"unnest(%s::uuid[], {arrays}) AS given (id, {', '.join(columns)})"
        values: list[list[Any]] = [[_plain(getattr(row, name)) for row in self] for name in columns]
        with connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE {table} AS kept SET {sets} FROM {given} WHERE kept.id = given.id",  # noqa: S608 - our own names
                [list(self.rows), *values],
            )

    def _promise(self, waiting: Collection[str], task: TenantTask) -> None:
        """Come back to each channel when the first of the rows that newly wait, or wait less long, is due."""
        first: dict[UUID, datetime] = {}
        for row, before in self._changes():
            if row.due_at is None or row.status not in waiting:
                continue
            if before.due_at is None or before.status not in waiting or row.due_at < before.due_at:
                first[row.channel_id] = min(row.due_at, first.get(row.channel_id, row.due_at))
        for channel_id in sorted(first):
            enqueue(task, due_at=first[channel_id], channel_id=str(channel_id))


def _plain(value: Any) -> Any:
    return kept(value) if isinstance(value, str) else value


def _note_reviews(kind: Kind[Any], channel_id: UUID, *, now: datetime) -> None:
    """One problem of a channel for all its rows that wait for a person."""
    lock_activity()  # one after the other: who counts has seen what the others decided
    channel = MpesaChannel.objects.without_secrets().get(pk=channel_id)
    count = kind.model.objects.filter(channel_id=channel_id, status=Status.NEEDS_REVIEW).count()
    if not count:
        close_problem(channel=channel, kind=Problem.Kind.REVIEW, subject=kind.plural, now=now)
        return
    note_problem(
        channel=channel,
        kind=Problem.Kind.REVIEW,
        subject=kind.plural,
        sentence=kind.need_a_person(count),
        do_now=say("Look each of them up on the M-PESA portal, and decide it here."),
        who=Who.YOU.value,
        now=now,
    )
