"""What came in: today against the same weekday a week ago, and day by day. KES of one environment, Kenya's days."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Aggregate, Count, QuerySet, Sum, Value
from django.db.models.functions import Coalesce

from audit.services import Actor
from payments.models import HourTotal, Payment
from payments.queries import day_totals_of
from payments.services import NAIROBI
from tenants.queue import require_current_tenant

_WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Taken:
    """`amount` is before what was given back and what M-PESA kept, as far as it has said; `net` is after both."""

    date: date | None  # None: of several days
    count: int
    amount: Decimal
    reversed_count: int
    reversed_amount: Decimal
    charges: Decimal

    @property
    def net(self) -> Decimal:
        return self.amount - self.reversed_amount - self.charges


@dataclass(frozen=True, slots=True)
class Today:
    """Today so far, and the same weekday a week ago up to the same time."""

    taken: Taken
    count_before: int
    amount_before: Decimal
    was_open_before: bool  # the business was here a week ago

    @property
    def change_percent(self) -> int | None:
        """How much more, or less, than a week ago; None if there was nothing then."""
        if not self.amount_before:
            return None
        return round((self.taken.amount - self.amount_before) / self.amount_before * 100)

    @property
    def size_percent(self) -> int | None:
        """The change without its sign."""
        return None if self.change_percent is None else abs(self.change_percent)


def takings_today(*, actor: Actor, environment: str, now: datetime) -> Today:
    today = now.astimezone(NAIROBI).date()
    taken = _days(actor=actor, environment=environment, first=today, last=today)
    count, amount = _until(now - _WEEK, environment=environment)
    was_open = require_current_tenant().created_at <= now - _WEEK
    return Today(sum_of(taken, day=today), count, amount, was_open)


def _until(moment: datetime, *, environment: str) -> tuple[int, Decimal]:
    """How many payments were made on that day up to that moment, and their KES: whole hours from their totals, and the
    payments of the last one. One query."""
    at = moment.astimezone(NAIROBI)
    hours = HourTotal.objects.filter(channel__environment=environment, date=at.date(), hour__lt=at.hour)
    begun = at.replace(minute=0, second=0, microsecond=0)
    rest = Payment.objects.filter(environment=environment, paid_at__gte=begun, paid_at__lte=moment)
    parts = _summed(hours, Sum("payment_count")).union(_summed(rest, Count("pk")), all=True)
    return sum(count for count, _amount in parts), sum((amount for _count, amount in parts), Decimal(0))


def _summed(rows: QuerySet[Any], count: Aggregate) -> QuerySet[Any, tuple[int, Decimal]]:
    """One row: their number, and their KES."""
    grouped = rows.order_by().values(together=Value(1))
    summed: QuerySet[Any, tuple[int, Decimal]] = grouped.annotate(
        number=Coalesce(count, 0), kes=Coalesce(Sum("amount"), Decimal(0))
    ).values_list("number", "kes")
    return summed


def days_of_month(*, actor: Actor, environment: str, month: date) -> list[Taken]:
    """The days on which something came in, of the month that begins with `month`, the newest first."""
    last = months_on(month, 1) - timedelta(days=1)
    return _days(actor=actor, environment=environment, first=month, last=last)


def sum_of(rows: Sequence[Taken], *, day: date | None = None) -> Taken:
    return Taken(
        date=day,
        count=sum(row.count for row in rows),
        amount=sum((row.amount for row in rows), Decimal(0)),
        reversed_count=sum(row.reversed_count for row in rows),
        reversed_amount=sum((row.reversed_amount for row in rows), Decimal(0)),
        charges=sum((row.charges for row in rows), Decimal(0)),
    )


def months_on(month: date, number: int) -> date:
    """The first day of the month that many months later."""
    years, index = divmod(month.month - 1 + number, 12)
    return date(month.year + years, index + 1, 1)


def _days(*, actor: Actor, environment: str, first: date, last: date) -> list[Taken]:
    """Over all channels."""
    rows = day_totals_of(actor=actor).filter(channel__environment=environment, date__gte=first, date__lte=last)
    sums = (
        rows.order_by()
        .values("date")
        .annotate(
            sum_count=Sum("payment_count"),
            sum_amount=Sum("amount"),
            sum_reversed_count=Sum("reversed_count"),
            sum_reversed_amount=Sum("reversed_amount"),
            sum_charges=Sum("charges"),
        )
    )
    return [
        Taken(
            date=row["date"],
            count=row["sum_count"],
            amount=row["sum_amount"],
            reversed_count=row["sum_reversed_count"],
            reversed_amount=row["sum_reversed_amount"],
            charges=row["sum_charges"],
        )
        for row in sums.order_by("-date")
    ]
