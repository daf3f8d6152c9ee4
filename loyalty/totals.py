"""The totals of points by program and day: they change in the commit that changes a member's points."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection

from audit.ids import new_id
from loyalty.models import PointsEntry
from payments.services import NAIROBI

_ADD = """
    INSERT INTO loyalty_pointstotal AS known (id, program_id, environment, date, earned, spent, corrected)
    SELECT given.id, given.program_id, given.environment, %s, given.earned, given.spent, given.corrected
      FROM unnest(%s::uuid[], %s::uuid[], %s::text[], %s::bigint[], %s::bigint[], %s::bigint[])
           AS given (id, program_id, environment, earned, spent, corrected)
        ON CONFLICT (program_id, environment, date) DO UPDATE
       SET earned = known.earned + excluded.earned, spent = known.spent + excluded.spent,
           corrected = known.corrected + excluded.corrected
"""


@dataclass(frozen=True, slots=True)
class Change:
    """An entry, as far as the totals care."""

    program_id: UUID
    environment: str
    kind: str
    points: int


def add_to_totals(changes: Iterable[Change], *, now: datetime) -> None:
    """Count entries that the caller writes in its commit. Call it after the members are locked, as everybody does."""
    sums: dict[tuple[UUID, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    for change in changes:
        sign, place = _PLACES.get(change.kind, (1, 2))
        sums[change.program_id, change.environment][place] += sign * change.points
    if not sums:
        return
    rows = [(new_id(), *key, *sums[key]) for key in sorted(sums)]
    with connection.cursor() as cursor:
        day = now.astimezone(NAIROBI).date()
        cursor.execute(_ADD, [day, *(list(column) for column in zip(*rows, strict=True))])


_PLACES = {PointsEntry.Kind.EARN.value: (1, 0), PointsEntry.Kind.REDEEM.value: (-1, 1)}
