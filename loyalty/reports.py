"""Checks of the books: what they look for must never be found."""

from dataclasses import dataclass
from uuid import UUID

from django.db.models import BigIntegerField, F, Sum, Value
from django.db.models.functions import Coalesce

from loyalty.models import Member, PointsTotal


@dataclass(frozen=True, slots=True)
class UnequalBalance:
    """A member whose balance is not the sum of the entries."""

    member_id: UUID
    code: str
    balance: int
    sum_of_entries: int


def find_unequal_balances() -> list[UnequalBalance]:
    """The present tenant's members whose points can't be explained by their ledger."""
    total = Coalesce(Sum("entries__points"), Value(0), output_field=BigIntegerField())
    rows = Member.objects.annotate(total=total).exclude(points_balance=F("total")).order_by("pk")
    return [UnequalBalance(*row) for row in rows.values_list("pk", "code", "points_balance", "total")]


@dataclass(frozen=True, slots=True)
class UnequalTotal:
    """A program whose totals by day are not the sum of its members' balances."""

    program_id: UUID
    environment: str
    total: int
    sum_of_balances: int


def find_unequal_totals() -> list[UnequalTotal]:
    """Where reports would tell other points than the present tenant's members hold."""
    keys = ("program_id", "environment")
    totals = PointsTotal.objects.order_by().values_list(*keys)
    told = {(a, b): n for a, b, n in totals.annotate(n=Sum(F("earned") - F("spent") + F("corrected")))}
    balances = Member.objects.order_by().values_list(*keys)
    held = {(a, b): n for a, b, n in balances.annotate(n=Sum("points_balance"))}
    return [
        UnequalTotal(*key, int(told.get(key, 0)), int(held.get(key, 0)))
        for key in sorted(told.keys() | held.keys())
        if told.get(key, 0) != held.get(key, 0)
    ]
