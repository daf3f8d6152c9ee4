"""Is a channel quieter than it usually is at this time of the week? Then payments may be lost on their way to us.

What is usual is what came at the same hours in the last four weeks: so a quiet night, or a shop that is closed on
Sundays, is no silence. Before a silence becomes a problem, a Pull looks, where M-PESA lists the channel's payments.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from statistics import median

from django.db import connection

from channels.daraja.explanations import Who
from channels.models import MpesaChannel, Problem
from channels.problems import close_problem, note_problem
from payments.models import DayTotal, Payment
from payments.pulls import has_looked, pull_what_is_unread
from payments.services import NAIROBI
from tenants.sentences import say, say_many

WEEKS = 4
LOOK_AGAIN = timedelta(minutes=5)
LOOK_AGAIN_WHEN_QUIET = timedelta(minutes=30)
_FEWEST_WEEKS = 2  # of history
_MISSED = 8.0  # payments that usually came in a silence: by chance one in three thousand
_SHORTEST = timedelta(minutes=10)
_LONGEST = timedelta(hours=24)  # an older silence is one already
_HOUR = timedelta(hours=1)
_WEEK = timedelta(weeks=1)

# By the hour of the present that they compare with: the payments of that hour in each of the weeks before
History = Mapping[datetime, Sequence[int]]

_COUNTS = """
    SELECT date_trunc('hour', payment.paid_at) + week.number * interval '1 week', count(*)
      FROM unnest(%s::int[], %s::timestamptz[], %s::timestamptz[]) AS week (number, start, "end")
      JOIN payments_payment AS payment
        ON payment.environment = %s AND payment.channel_id = %s
       AND payment.paid_at >= week.start AND payment.paid_at < week."end"
     GROUP BY week.number, 1
"""


@dataclass(frozen=True, slots=True)
class Silence:
    """How long no payment came, how many usually come in that time, and at this hour one in how many minutes."""

    length: timedelta
    missed: float
    usual_minutes: float

    @property
    def sentence(self) -> str:
        return say(
            "No payment for %(time)s, usually %(rhythm)s.",
            time=_length(self.length),
            rhythm=_rhythm(self.usual_minutes),
        )


def judge(*, last_payment_at: datetime, history: History, now: datetime) -> Silence | None:
    """None while it is as quiet as it usually is, or while too little is known of what is usual.

    `history` has every hour from the one of the last payment to the present one.
    """
    length = now - last_payment_at
    if length < _SHORTEST:
        return None
    since = max(last_payment_at, now - _LONGEST)
    missed = sum(
        median(history[hour]) * ((min(now, hour + _HOUR) - max(since, hour)) / _HOUR)
        for hour in _hours(since, now)
        if len(history.get(hour, ())) >= _FEWEST_WEEKS
    )
    present = history.get(_hour_of(now), ())
    a_usual_hour = median(present) if len(present) >= _FEWEST_WEEKS else 0
    if missed < _MISSED or not a_usual_hour:
        return None
    return Silence(length, missed, 60 / a_usual_hour)


def listen(*, channel: MpesaChannel, now: datetime) -> timedelta:
    """See whether a channel is silent; open a problem after a Pull has looked, close it when a payment came.

    Returns when to look again.
    """
    last_payment_at = _last_payment_at(channel, now=now)
    if last_payment_at is None:
        return LOOK_AGAIN_WHEN_QUIET
    silence = judge(last_payment_at=last_payment_at, history=_history(channel, last_payment_at, now), now=now)
    if silence is None:
        _close(channel, last_payment_at, now=now)
        return LOOK_AGAIN
    recently = now - min(silence.length / 2, timedelta(minutes=15))
    if channel.pull_registered_at is not None and not has_looked(channel=channel, since=recently):
        pull_what_is_unread(channel=channel, now=now)
        return timedelta(minutes=1)
    note_problem(
        channel=channel,
        kind=Problem.Kind.SILENT,
        sentence=silence.sentence,
        do_now=say(
            "Make one small payment and see whether it arrives here. If it does not, run the connection doctor."
        ),
        who=Who.YOU.value,
        now=now,
    )
    return LOOK_AGAIN


def _close(channel: MpesaChannel, last_payment_at: datetime, *, now: datetime) -> None:
    """A payment ends a silence; that the usual hours are over does not."""
    unclosed = Problem.objects.filter(channel=channel, kind=Problem.Kind.SILENT, closed_at=None)
    if unclosed.filter(opened_at__lt=last_payment_at).exists():
        close_problem(channel=channel, kind=Problem.Kind.SILENT, now=now)


def _last_payment_at(channel: MpesaChannel, *, now: datetime) -> datetime | None:
    """The time of the last payment that was made by now."""
    today = now.astimezone(NAIROBI).date()
    days = DayTotal.objects.filter(channel=channel, date__lte=today, payment_count__gt=0)
    day = days.order_by("-date").values_list("date", flat=True).first()
    if day is None:
        return None
    start = datetime.combine(day, time(), tzinfo=NAIROBI)
    payments = Payment.objects.filter(
        environment=channel.environment, channel=channel, paid_at__gte=start, paid_at__lte=now
    )
    return payments.order_by("-paid_at", "-id").values_list("paid_at", flat=True).first()


def _history(channel: MpesaChannel, last_payment_at: datetime, now: datetime) -> History:
    """The same hours of the weeks before, as far as the channel took payments then."""
    hours = list(_hours(max(last_payment_at, now - _LONGEST), now))
    first_day = DayTotal.objects.filter(channel=channel).order_by("date").values_list("date", flat=True)[:1].get()
    first = datetime.combine(first_day, time(), tzinfo=NAIROBI)
    weeks = [number for number in range(1, WEEKS + 1) if hours[0] - number * _WEEK > first]
    with connection.cursor() as cursor:
        cursor.execute(
            _COUNTS,
            [
                weeks,
                [hours[0] - number * _WEEK for number in weeks],
                [hours[-1] + _HOUR - number * _WEEK for number in weeks],
                channel.environment,
                channel.pk,
            ],
        )
        rows = cursor.fetchall()
    counts: dict[datetime, list[int]] = defaultdict(list)
    for hour, count in rows:
        counts[hour].append(count)
    return {hour: counts[hour] + [0] * (len(weeks) - len(counts[hour])) for hour in hours}


def _hours(start: datetime, end: datetime) -> Iterator[datetime]:
    """The beginning of each hour from the one of `start` to the one of `end`."""
    hour = _hour_of(start)
    while hour <= end:
        yield hour
        hour += _HOUR


def _hour_of(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _length(length: timedelta) -> str:
    minutes = round(length / timedelta(minutes=1))
    if minutes < 120:
        return say_many("%(count)s minute", "%(count)s minutes", count=minutes)
    return say_many("%(count)s hour", "%(count)s hours", count=round(minutes / 60))


def _rhythm(minutes: float) -> str:
    if minutes >= 1.5:
        return say_many("one every minute", "one every %(count)s minutes", count=round(minutes))
    if minutes > 0.67:
        return say("one a minute")
    return say_many("%(count)s a minute", "%(count)s a minute", count=round(1 / minutes))
