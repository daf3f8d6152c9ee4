"""What is too quiet for the time of the week."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django_tenants.utils import tenant_context

from audit.ids import new_id
from channels.models import Problem
from payments import silence
from payments.models import DayTotal, Payment, Pull
from payments.services import NAIROBI, PaymentReport, record_payments
from payments.silence import judge, listen

# A Monday, 11:00 in Nairobi
NOW = datetime(2026, 9, 7, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


def busy(*counts, hours=30, until=NOW):
    """The same counts in every hour up to now."""
    return {until - number * HOUR: list(counts) for number in range(hours)}


def test_forty_minutes_without_a_payment_where_one_usually_comes_every_four():
    now = NOW + 50 * MINUTE

    found = judge(last_payment_at=now - 40 * MINUTE, history=busy(15, 14, 16, 15), now=now)

    assert found.sentence == "No payment for 40 minutes, usually one every 4 minutes."
    assert found.missed == pytest.approx(10)


@pytest.mark.parametrize(
    ("minutes", "counts"),
    [
        (20, (15, 15, 15, 15)),  # five payments late: chance
        (40, (0, 0, 0, 0)),  # night
        (40, (3, 2, 1, 0)),  # a slow shop
        (9, (600, 600, 600, 600)),  # not yet
        (40, (15,)),  # one week is no rhythm
        (40, ()),
    ],
)
def test_what_is_usual_or_not_known_is_no_silence(minutes, counts):
    now = NOW + 50 * MINUTE

    assert judge(last_payment_at=now - minutes * MINUTE, history=busy(*counts), now=now) is None


def test_one_odd_week_does_not_make_a_rhythm():
    now = NOW + 50 * MINUTE

    assert judge(last_payment_at=now - 40 * MINUTE, history=busy(900, 0, 0, 0), now=now) is None
    assert judge(last_payment_at=now - 40 * MINUTE, history=busy(15, 15, 0, 15), now=now) is not None


def test_a_night_between_counts_for_nothing():
    opened = NOW.replace(hour=6)
    history = busy(0, 0, 0, 0) | {opened: [30, 30, 30, 30]}
    last = opened - 12 * HOUR

    assert judge(last_payment_at=last, history=history, now=opened + 10 * MINUTE) is None
    found = judge(last_payment_at=last, history=history, now=opened + 20 * MINUTE)
    assert found.sentence == "No payment for 12 hours, usually one every 2 minutes."


def test_after_closing_time_nothing_is_missed():
    closed = NOW + HOUR
    history = busy(60, 60, 60, 60) | {closed: [0, 0, 0, 0]}

    assert judge(last_payment_at=closed - 12 * MINUTE, history=history, now=closed + 15 * MINUTE) is None


@pytest.mark.parametrize(
    ("per_hour", "words"),
    [(15, "one every 4 minutes"), (60, "one a minute"), (240, "4 a minute"), (10, "one every 6 minutes")],
)
def test_rhythms_in_words(per_hour, words):
    now = NOW + 55 * MINUTE

    found = judge(last_payment_at=now - 55 * MINUTE, history=busy(per_hour, per_hour), now=now)

    assert found.sentence == f"No payment for 55 minutes, usually {words}."


# -- With a channel ---------------------------------------------------------------------------------------------------


def pay(channel, *times):
    record_payments(
        reports=[
            PaymentReport(
                receipt=new_id().hex[-12:].upper(),
                channel=channel,
                payer="254712345678",
                payer_name="",
                amount=Decimal(100),
                account_reference="",
                routed_to="",
                source=Payment.Source.CONFIRMATION,
                paid_at=time,
                callback_id=None,
            )
            for time in times
        ]
    )


@pytest.fixture
def channel(acme_paybill, acme):
    """Acme's PayBill, which for four weeks took a payment every four minutes from 9 to 17 on weekdays."""
    with tenant_context(acme):
        times = []
        for day in range(1, 30):
            opened = (NOW - timedelta(days=day)).astimezone(NAIROBI).replace(hour=9, minute=0)
            if opened.weekday() < 5:
                times += [opened + number * 4 * MINUTE for number in range(120)]
        pay(acme_paybill, *times)
        yield acme_paybill


def problem():
    return Problem.objects.get(kind="SILENT")


def test_a_silent_channel_is_a_problem_until_the_next_payment(channel):
    last = NOW - 10 * MINUTE
    pay(channel, last)

    assert listen(channel=channel, now=last + 20 * MINUTE) == silence.LOOK_AGAIN
    assert not Problem.objects.exists()
    listen(channel=channel, now=last + 40 * MINUTE)
    assert (problem().sentence, problem().closed_at) == (
        "No payment for 40 minutes, usually one every 4 minutes.",
        None,
    )
    listen(channel=channel, now=last + 45 * MINUTE)
    assert problem().sentence == "No payment for 45 minutes, usually one every 4 minutes."
    pay(channel, last + 47 * MINUTE)
    listen(channel=channel, now=last + 60 * MINUTE)

    assert problem().closed_at == last + 60 * MINUTE


def test_a_silence_does_not_end_because_the_shop_closes(channel):
    pay(channel, NOW - 10 * MINUTE)
    listen(channel=channel, now=NOW + 40 * MINUTE)

    listen(channel=channel, now=NOW + 30 * HOUR)

    assert problem().closed_at is None


def test_nights_and_sundays_are_quiet(channel):
    pay(channel, NOW.replace(hour=13, minute=56))

    for hours in range(1, 15):
        listen(channel=channel, now=NOW.replace(hour=14) + hours * HOUR)
    sunday = NOW + timedelta(days=6)
    pay(channel, sunday - timedelta(days=1))
    listen(channel=channel, now=sunday)

    assert not Problem.objects.exists()


def test_a_young_channel_has_no_rhythm_yet(acme_paybill, acme):
    with tenant_context(acme):
        pay(acme_paybill, *(NOW - timedelta(days=8) + number * 4 * MINUTE for number in range(120)))
        pay(acme_paybill, NOW - 2 * HOUR)

        listen(channel=acme_paybill, now=NOW)

        assert not Problem.objects.exists()


def test_a_channel_without_payments_is_not_asked_often(acme_paybill, acme):
    with tenant_context(acme):
        assert listen(channel=acme_paybill, now=NOW) == silence.LOOK_AGAIN_WHEN_QUIET


def test_a_pull_looks_first_where_m_pesa_lists_payments(channel):
    channel.pull_registered_at = channel.activated_at = NOW - timedelta(days=30)
    pay(channel, NOW - 10 * MINUTE)
    now = NOW + 30 * MINUTE

    assert listen(channel=channel, now=now) == MINUTE
    assert not Problem.objects.exists()
    pull = Pull.objects.get()
    assert pull.window_until == now
    listen(channel=channel, now=now + MINUTE)
    assert not Problem.objects.exists()

    Pull.objects.update(status=Pull.Status.DONE, finished_at=now + MINUTE)
    listen(channel=channel, now=now + 2 * MINUTE)

    assert problem().sentence == "No payment for 42 minutes, usually one every 4 minutes."


def test_payments_that_the_pull_found_end_the_silence(channel):
    channel.pull_registered_at = channel.activated_at = NOW - timedelta(days=30)
    pay(channel, NOW - 10 * MINUTE)
    listen(channel=channel, now=NOW + 30 * MINUTE)
    pay(channel, NOW + 28 * MINUTE)
    Pull.objects.update(status=Pull.Status.DONE, finished_at=NOW + 31 * MINUTE)

    listen(channel=channel, now=NOW + 31 * MINUTE)

    assert not Problem.objects.exists()


def test_rivals_payments_are_not_acmes_rhythm(channel, rival_paybill, rival):
    with tenant_context(rival):
        pay(rival_paybill, NOW - 2 * HOUR)

        listen(channel=rival_paybill, now=NOW)

        assert not Problem.objects.exists()
        assert DayTotal.objects.count() == 1
