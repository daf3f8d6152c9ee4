"""What customers paid, summed from the totals of days and hours, which change in the same commit as the payments.

What was given back is shown on the day, hour and program of its payment, whenever it was given back.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import QuerySet, Sum
from django.db.models.functions import Coalesce
from django.utils.translation import gettext

from channels.mapping import known_programs
from channels.models import MpesaChannel
from payments.models import DayTotal, HourTotal
from payments.reports.period import Period
from tenants.spreadsheets import Cell

NOTHING = Decimal("0.00")

_DAY_SUMS = {
    "count": Coalesce(Sum("payment_count"), 0),
    "taken": Coalesce(Sum("amount"), NOTHING),
    "given_back": Coalesce(Sum("reversed_amount"), NOTHING),
    "kept": Coalesce(Sum("charges"), NOTHING),
}
_HOUR_SUMS = {
    "count": Sum("payment_count"),
    "taken": Sum("amount"),
    "given_back": Sum("reversed_amount"),
}


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
    sums = _hour_totals(environment, period).order_by().values_list("routed_to").annotate(**_HOUR_SUMS)
    return [
        (names.get(code, code) if code else gettext("No program"), count, taken, given_back)
        for code, count, taken, given_back in sorted(sums, key=lambda row: (-row[2], row[0]))
    ]


def takings_by_hour(environment: str, period: Period) -> Sequence[Sequence[Cell]]:
    """The hours of Kenya's clock, all days of the period together."""
    sums = _hour_totals(environment, period).order_by().values_list("hour").annotate(**_HOUR_SUMS)
    by_hour = {hour: tuple(rest) for hour, *rest in sums}
    return [(f"{hour:02}:00", *by_hour.get(hour, (0, NOTHING, NOTHING))) for hour in range(24)]


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


def _hour_totals(environment: str, period: Period) -> QuerySet[HourTotal]:
    """Two years of them are some 50,000: too many to join each with its channel."""
    channels = list(MpesaChannel.objects.filter(environment=environment).values_list("pk", flat=True))
    return HourTotal.objects.filter(channel__in=channels, date__range=(period.first, period.last))


def _figures(sums: Mapping[str, Any] | None) -> tuple[int, Decimal, Decimal, Decimal, Decimal]:
    """Payments, what they brought, what was given back, what M-PESA kept as far as it has said, and what is left."""
    if sums is None:
        return 0, NOTHING, NOTHING, NOTHING, NOTHING
    taken, given_back, kept = sums["taken"], sums["given_back"], sums["kept"]
    return int(sums["count"]), taken, given_back, kept, taken - given_back - kept
