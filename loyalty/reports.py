"""Checks of the books: what they look for must never be found."""

from dataclasses import dataclass
from uuid import UUID

from django.db.models import BigIntegerField, F, Sum, Value
from django.db.models.functions import Coalesce

from loyalty.models import Member


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
