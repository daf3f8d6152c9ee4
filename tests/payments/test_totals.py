"""The totals that reports sum never drift from the payments: each hour, day, channel and program, whatever happens."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django_tenants.utils import tenant_context

from audit.models import AuditRow
from audit.services import Actor
from channels.models import Environment
from payments.models import DayTotal, HourTotal, Payment, Reversal
from payments.money_out.reversals import _give_back
from payments.reports.period import Period
from payments.reports.takings import takings_by_hour, takings_by_program
from payments.services import NAIROBI, PaymentReport, note_charge, record_payments
from payments.takings import takings_today
from tenants.models import Role
from tests.factories import make_channel

NOON = datetime(2026, 11, 20, 12, 30, tzinfo=NAIROBI)


@pytest.fixture
def pay(acme):
    """`pay(till, (receipt, amount, hours after noon, program), …)`: one call of the service."""

    def report(channel, *rows):
        with tenant_context(acme):
            return record_payments(
                reports=[
                    PaymentReport(
                        receipt=receipt,
                        channel=channel,
                        payer="254712345126",
                        payer_name="JOHN",
                        amount=Decimal(amount),
                        account_reference="VIP001",
                        routed_to=program,
                        source=Payment.Source.CONFIRMATION,
                        paid_at=(NOON + timedelta(hours=hours)).astimezone(UTC),
                        callback_id=None,
                    )
                    for receipt, amount, hours, program in rows
                ]
            )

    return report


def give_back(acme, receipt):
    with tenant_context(acme):
        payment = Payment.objects.get(receipt=receipt)
        _give_back(Reversal(payment=payment, completed_at=NOON + timedelta(days=3)))


def counted(payments):
    """`{hour: (number, KES, given back, KES given back)}` of payments, by the key of an hour's total."""
    sums = defaultdict(lambda: (0, Decimal(0), 0, Decimal(0)))
    for payment in payments:
        at = payment.paid_at.astimezone(NAIROBI)
        back = payment.reversed_at is not None
        more = (1, payment.amount, int(back), payment.amount if back else Decimal(0))
        key = (payment.channel_id, at.date(), at.hour, payment.routed_to)
        sums[key] = tuple(map(sum, zip(sums[key], more, strict=True)))
    return dict(sums)


def assert_totals_are_the_sums(acme):
    with tenant_context(acme):
        hours = counted(Payment.objects.all())
        figures = ("payment_count", "amount", "reversed_count", "reversed_amount")
        kept = HourTotal.objects.values_list("channel_id", "date", "hour", "routed_to", *figures)
        assert {tuple(row[:4]): tuple(row[4:]) for row in kept} == hours
        days = defaultdict(lambda: (0, Decimal(0), 0, Decimal(0)))
        for (channel, day, _hour, _program), sums in hours.items():
            days[channel, day] = tuple(map(sum, zip(days[channel, day], sums, strict=True)))
        kept = DayTotal.objects.values_list("channel_id", "date", *figures)
        assert {tuple(row[:2]): tuple(row[2:]) for row in kept} == dict(days)


def test_totals_are_the_sums_after_repeats_late_payments_another_mapping_and_reversals(acme, pay):
    paybill, till = make_channel(acme, "600100"), make_channel(acme, "600101")

    pay(paybill, ("UKL0000001", "100.00", 0, "vip"), ("UKL0000002", "250.50", 0, "vip"), ("UKL0000003", "70", 0.6, ""))
    pay(till, ("UKL0000001", "900.00", 11.4, "vip"), ("UKL0000004", "30.00", 11.6, "vip"))  # around midnight
    assert_totals_are_the_sums(acme)

    pay(paybill, ("UKL0000002", "250.50", 0, "other"), ("UKL0000005", "10.00", -24 * 40, "vip"))  # again, and late
    pay(paybill, ("UKL0000006", "60.00", 0, "other"))  # the mapping was changed within the hour
    assert_totals_are_the_sums(acme)

    give_back(acme, "UKL0000002")
    give_back(acme, "UKL0000002")
    give_back(acme, "UKL0000005")
    assert_totals_are_the_sums(acme)
    with tenant_context(acme):
        assert HourTotal.objects.get(date=NOON.date(), hour=12, routed_to="vip").reversed_amount == Decimal("250.50")
        assert HourTotal.objects.get(date=NOON.date(), hour=12, routed_to="other").reversed_count == 0


def test_a_charge_is_counted_once_whoever_tells_it(acme, pay):
    pay(make_channel(acme, "600100"), ("UKL0000001", "100.00", 0, "vip"))
    with tenant_context(acme):
        payment = Payment.objects.get()
        note_charge(payment, Decimal("0.55"))
        note_charge(payment, Decimal("0.55"))  # by a question that was asked before the first was answered

        assert DayTotal.objects.get().charges == Decimal("0.55")
        assert Payment.objects.get().charge == Decimal("0.55")


def test_reports_by_hour_and_program_are_those_sums(acme, pay):
    paybill, sandbox = make_channel(acme, "600100"), make_channel(acme, "600200", environment=Environment.SANDBOX)
    pay(paybill, ("UKL0000001", "100.00", 0, "vip"), ("UKL0000002", "40.00", 24, ""), ("UKL0000003", "7.00", 48, ""))
    pay(sandbox, ("UKL0000004", "999.00", 0, "vip"))
    give_back(acme, "UKL0000001")
    period = Period(NOON.date(), NOON.date() + timedelta(days=1))

    with tenant_context(acme):
        by_hour = [row for row in takings_by_hour(Environment.PRACTICE, period) if row[1]]
        by_program = takings_by_program(Environment.PRACTICE, period)

    assert by_hour == [("12:00", 2, Decimal("140.00"), Decimal("100.00"))]
    assert [row[1:] for row in by_program] == [(1, Decimal(100), Decimal(100)), (1, Decimal(40), Decimal(0))]


def test_today_is_compared_with_the_same_weekday_up_to_the_same_minute(acme, pay):
    paybill, sandbox = make_channel(acme, "600100"), make_channel(acme, "600200", environment=Environment.SANDBOX)
    week = 24 * 7
    pay(paybill, ("UKL0000001", "100.00", -week - 12, "vip"), ("UKL0000002", "20.00", -week - 0.6, ""))  # hours before
    pay(paybill, ("UKL0000003", "3.00", -week - 0.4, "vip"), ("UKL0000004", "4000.00", -week + 0.1, "vip"))
    pay(paybill, ("UKL0000005", "5000.00", -week - 13, "vip"), ("UKL0000006", "246.00", -1, "vip"))  # the day before it
    pay(sandbox, ("UKL0000007", "999.00", -week - 1, "vip"))
    clerk = Actor(kind=AuditRow.ActorKind.PERSON, label="clerk", role=Role.USER)

    with tenant_context(acme):
        today = takings_today(actor=clerk, environment=Environment.PRACTICE, now=NOON)
        nothing = takings_today(actor=clerk, environment=Environment.PRODUCTION, now=NOON)

    assert (today.taken.count, today.taken.amount) == (1, Decimal("246.00"))
    assert (today.count_before, today.amount_before, today.change_percent) == (3, Decimal("123.00"), 100)
    assert (nothing.taken.count, nothing.count_before, nothing.amount_before) == (0, 0, 0)
