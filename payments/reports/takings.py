"""What customers paid. Day totals answer where they can; by program and by hour the payments of the period are counted.

What was given back is shown on the day, hour and program of its payment, whenever it was given back.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from operator import add
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet, Sum
from django.db.models.functions import Coalesce
from django.utils.translation import gettext

from channels.mapping import known_programs
from channels.models import MpesaChannel
from payments.models import DayTotal
from payments.reports.period import Period
from payments.services import NAIROBI
from tenants.spreadsheets import Cell

NOTHING = Decimal("0.00")

_DAY_SUMS = {
    "count": Coalesce(Sum("payment_count"), 0),
    "taken": Coalesce(Sum("amount"), NOTHING),
    "given_back": Coalesce(Sum("reversed_amount"), NOTHING),
    "kept": Coalesce(Sum("charges"), NOTHING),
}
_SUMS = "count(*), sum(amount), coalesce(sum(amount) FILTER (WHERE reversed_at IS NOT NULL), 0.00)"
_PERIOD = "environment = %s AND paid_at >= %s AND paid_at < %s"
_BY_PROGRAM = f"SELECT routed_to, {_SUMS} FROM payments_payment WHERE {_PERIOD} GROUP BY 1 ORDER BY 3 DESC"  # noqa: S608
# Nairobi is whole hours from UTC, so that the hours of both begin together; binning is far cheaper than converting.
_BY_HOUR = f"SELECT date_bin('1 hour', paid_at, 'epoch'), {_SUMS} FROM payments_payment WHERE {_PERIOD} GROUP BY 1"  # noqa: S608


def takings_by_day(environment: str, period: Period) -> Sequence[Sequence[Cell]]:
    """Every day of the period, also those without payments."""
    sums = _day_totals(environment, period).values("date").annotate(**_DAY_SUMS)
    by_day: dict[date, Mapping[str, Any]] = {row["date"]: row for row in sums}
    return [(day, *_figures(by_day.get(day))) for day in period.days]


def takings_by_channel(environment: str, period: Period) -> Sequence[Sequence[Cell]]:
    by_channel = sums_by_channel(environment, period)
    return [(str(name), *_figures(by_channel.get(key))) for key, name in channel_names(environment)]


def takings_by_program(environment: str, period: Period) -> Sequence[Sequence[Cell]]:
    names = known_programs()
    return [
        (names.get(code, code) if code else gettext("No program"), *sums)
        for code, *sums in _fetch(_BY_PROGRAM, environment, period)
    ]


def takings_by_hour(environment: str, period: Period) -> Sequence[Sequence[Cell]]:
    """The hours of Kenya's clock, all days of the period together."""
    by_hour = dict.fromkeys(range(24), (0, NOTHING, NOTHING))
    for moment, *more in _fetch(_BY_HOUR, environment, period):
        hour = moment.astimezone(NAIROBI).hour
        by_hour[hour] = tuple(map(add, by_hour[hour], more))
    return [(f"{hour:02}:00", *sums) for hour, sums in by_hour.items()]


def sums_by_channel(environment: str, period: Period) -> dict[UUID, Mapping[str, Any]]:
    """`{channel key: {"count", "taken", "given_back", "kept"}}`; channels without payments are left out."""
    rows = _day_totals(environment, period).values("channel_id").annotate(**_DAY_SUMS)
    return {row["channel_id"]: row for row in rows}


def channel_names(environment: str) -> list[tuple[UUID, str]]:
    """`(key, "Shop 600100")` of each channel of the environment."""
    rows = MpesaChannel.objects.filter(environment=environment).order_by("name", "pk")
    return [
        (key, name if shortcode in name else f"{name} {shortcode}")
        for key, name, shortcode in rows.values_list("pk", "name", "shortcode")
    ]


def _day_totals(environment: str, period: Period) -> QuerySet[DayTotal]:
    return DayTotal.objects.filter(channel__environment=environment, date__range=(period.first, period.last))


def _figures(sums: Mapping[str, Any] | None) -> tuple[int, Decimal, Decimal, Decimal, Decimal]:
    """Payments, what they brought, what was given back, what M-PESA kept as far as it has said, and what is left."""
    if sums is None:
        return 0, NOTHING, NOTHING, NOTHING, NOTHING
    taken, given_back, kept = sums["taken"], sums["given_back"], sums["kept"]
    return int(sums["count"]), taken, given_back, kept, taken - given_back - kept


def _fetch(query: str, environment: str, period: Period) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, [environment, period.start, period.end])
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows
