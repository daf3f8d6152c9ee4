"""The business with as many payments as one likes: its books agree as if the services had written them."""

import pytest
from django.core.management import CommandError, call_command
from django.db.models import Count, F, OuterRef, Q, Subquery, Sum
from django.utils import timezone
from django_tenants.utils import tenant_context

from audit.services import verify_chain
from channels.models import SmsMessage
from config.demo_payments import make_payments
from loyalty.models import Member, PaymentOutcome, PointsEntry, PointsTotal
from loyalty.reports import find_unequal_balances, find_unequal_totals
from payments.models import (
    DayTotal,
    HourTotal,
    Payment,
    PaymentRequest,
    Payout,
    PayoutBatch,
    PayoutEntry,
    ReconciliationItem,
    Reversal,
)
from payments.services import NAIROBI
from tenants import provisioning
from tenants.models import Tenant

COUNT = 1000


@pytest.fixture
def soko(committed, monkeypatch):
    monkeypatch.setattr(provisioning, "_steps", {"schema": provisioning._steps["schema"]})
    lines = list(make_payments(count=COUNT, now=timezone.now()))
    tenant = Tenant.objects.get(slug=f"soko-{COUNT}")
    assert lines[-1].startswith("Soko 1,000 is ready: owner@soko-1000.example at ")
    return tenant


def test_payments_totals_outcomes_and_points_agree(soko):
    now = timezone.now()
    with tenant_context(soko):
        assert Payment.objects.count() == PaymentOutcome.objects.count() == COUNT
        assert Payment.objects.values("receipt").distinct().count() == COUNT
        assert not Payment.objects.filter(Q(paid_at__gt=now) | Q(amount__lt=10)).exists()
        totals = DayTotal.objects.aggregate(count=Sum("payment_count"), amount=Sum("amount"), charges=Sum("charges"))
        paid = Payment.objects.aggregate(count=Count("pk"), amount=Sum("amount"), charges=Sum("charge"))
        assert totals == paid
        payment = Payment.objects.first()
        day = payment.paid_at.astimezone(NAIROBI).date()
        assert DayTotal.objects.filter(channel=payment.channel_id, date=day).exists()
        by_hour = HourTotal.objects.aggregate(
            count=Sum("payment_count"), amount=Sum("amount"), back=Sum("reversed_amount")
        )
        given_back = Reversal.objects.aggregate(back=Sum("payment__amount"))
        assert by_hour == {"count": paid["count"], "amount": paid["amount"], **given_back}
        assert Reversal.objects.exclude(payment__reversed_at=None).exclude(payment__outcome__points__gt=0).exists()
        assert DayTotal.objects.aggregate(back=Sum("reversed_amount")) == given_back
        earned = PaymentOutcome.objects.filter(points__gt=0)
        assert earned.count() == PointsEntry.objects.count() > 0
        newest = PointsEntry.objects.filter(member=OuterRef("pk")).order_by("-created_at", "-payment")
        members = Member.objects.annotate(
            sum=Sum("entries__points"), last=Subquery(newest.values("balance_after")[:1])
        ).filter(sum__gt=0)
        assert members.count() > 0
        assert not members.exclude(points_balance=F("sum")).exists()
        assert not members.exclude(points_balance=F("last")).exists()


def test_reports_tell_what_members_hold_and_the_trail_holds(soko):
    with tenant_context(soko):
        assert find_unequal_balances() == find_unequal_totals() == []
        assert PointsTotal.objects.exists()
        trail = verify_chain()
        assert (trail.rows >= COUNT // 10, trail.problem) == (True, "")


def test_there_is_something_in_every_long_list(soko):
    with tenant_context(soko):
        assert SmsMessage.objects.count() == COUNT
        assert Payout.objects.count() == PayoutBatch.objects.aggregate(sum=Sum("payout_count"))["sum"] == COUNT // 10
        assert PayoutEntry.objects.count() == 2 * Payout.objects.count()
        assert PaymentRequest.objects.exists()
        assert ReconciliationItem.objects.filter(day__status="DIFFERS").exists()


def test_the_same_number_is_the_same_business_made_once(soko):
    assert list(make_payments(count=COUNT, now=timezone.now())) == ["Soko 1,000 is there already."]
    with tenant_context(soko):
        assert Payment.objects.count() == COUNT


@pytest.mark.parametrize("count", [0, 10_000_001])
def test_the_command_refuses_numbers_that_make_no_sense(count):
    with pytest.raises(CommandError, match="Make between 1 and 10,000,000 payments"):
        call_command("demo", payments=count)
