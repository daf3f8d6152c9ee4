"""The days that a report is about: whole days of Kenya's clock, the last one included."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum

from django.utils.translation import gettext as _

from payments.services import NAIROBI
from tenants.errors import Invalid

MOST_DAYS = 732  # two years, one of them a leap year

_DAY = timedelta(days=1)


class Preset(StrEnum):
    """The periods that people ask for by name."""

    TODAY = "today"
    LAST_7_DAYS = "last_7_days"
    LAST_30_DAYS = "last_30_days"
    THIS_MONTH = "this_month"
    LAST_MONTH = "last_month"
    LAST_90_DAYS = "last_90_days"


@dataclass(frozen=True, slots=True)
class Period:
    first: date
    last: date

    @property
    def days(self) -> list[date]:
        return [self.first + number * _DAY for number in range((self.last - self.first).days + 1)]

    @property
    def start(self) -> datetime:
        return datetime.combine(self.first, time(), tzinfo=NAIROBI)

    @property
    def end(self) -> datetime:
        """The first moment that is no longer in it."""
        return datetime.combine(self.last + _DAY, time(), tzinfo=NAIROBI)


def read_period(first: date, last: date) -> Period:
    """:raises Invalid: if it ends before it begins, or is longer than `MOST_DAYS`."""
    if last < first:
        sentence = _("The last day is before the first one.")
        raise Invalid(sentence, errors={"until": [sentence]})
    if (last - first).days >= MOST_DAYS:
        sentence = _("A report covers two years at most.")
        raise Invalid(sentence, errors={"since": [sentence]})
    return Period(first, last)


def preset_period(preset: Preset, *, now: datetime) -> Period:
    today = now.astimezone(NAIROBI).date()
    month = today.replace(day=1)
    match preset:
        case Preset.TODAY:
            return Period(today, today)
        case Preset.LAST_7_DAYS:
            return Period(today - 6 * _DAY, today)
        case Preset.LAST_30_DAYS:
            return Period(today - 29 * _DAY, today)
        case Preset.THIS_MONTH:
            return Period(month, today)
        case Preset.LAST_MONTH:
            return Period((month - _DAY).replace(day=1), month - _DAY)
        case Preset.LAST_90_DAYS:
            return Period(today - 89 * _DAY, today)
