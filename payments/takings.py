"""What came in: today against the same weekday a week ago, and day by day. KES of one environment, Kenya's days."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from django.db.models import Count, Sum

from audit.services import Actor
from payments.queries import day_totals_of, payments_of
from payments.searching import start_of
from payments.services import NAIROBI

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
    before = payments_of(actor=actor).filter(
        environment=environment, paid_at__gte=start_of(today - _WEEK), paid_at__lte=now - _WEEK
    )
    counted = before.order_by().aggregate(count=Count("pk"), amount=Sum("amount"))
    return Today(sum_of(taken, day=today), counted["count"], counted["amount"] or Decimal(0))


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
