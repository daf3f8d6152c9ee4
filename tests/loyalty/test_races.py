"""The same payments, members and receipts wanted by many at once: real threads, real commits."""

import random
import re

import pytest
from django.db import connection
from django_tenants.utils import tenant_context

from audit.services import system_actor
from channels.models import SmsMessage
from loyalty import joining
from loyalty.accrual import AccrualTerms
from loyalty.awards import award_payments
from loyalty.claims import PaymentNotWaiting, claim_payment
from loyalty.members import enrol_member
from loyalty.models import Member, PaymentOutcome, PointsEntry, Program, Reward
from loyalty.points import InsufficientPoints, adjust_points, redeem_points
from loyalty.reports import find_unequal_balances, find_unequal_totals
from loyalty.services import create_program
from payments.services import record_payments
from tests.factories import make_channel
from tests.loyalty.conftest import DELIVERY, NOW, payment_report

STAFF = system_actor("test")


@pytest.fixture
def kilimo(committed):
    return committed("kilimo")


@pytest.fixture
def stall(kilimo):
    return make_channel(kilimo, "300400", account_mapping={"default": "vip"})


def program(kilimo, member_key=Program.MemberKey.BY_REFERENCE):
    with tenant_context(kilimo):
        return create_program(
            actor=STAFF, code="vip", name="VIP", member_key=member_key, accrual=AccrualTerms(), stamp=DELIVERY
        )


def inside(tenant, function):
    def call():
        with tenant_context(tenant):
            return function()

    return call


def test_sixteen_workers_with_the_same_payments_award_each_once(kilimo, stall, in_threads):
    program(kilimo)
    with tenant_context(kilimo):
        new = record_payments(reports=[payment_report(stall, f"VIP{number % 7}", 1000) for number in range(60)])
    ids = [payment.id for payment in new]

    def worker(seed):
        mine = random.Random(seed).sample(ids, k=50) if seed else ids
        return inside(kilimo, lambda: award_payments(payment_ids=mine, now=NOW))

    results = in_threads(*(worker(seed) for seed in range(16)))

    assert results == [None] * 16
    with tenant_context(kilimo):
        assert PaymentOutcome.objects.filter(status="EARNED").count() == 60
        assert PointsEntry.objects.filter(kind="EARN").count() == 60
        assert PointsEntry.objects.values("payment").distinct().count() == 60
        assert sorted(Member.objects.values_list("points_balance", flat=True)) == [80, 80, 80, 90, 90, 90, 90]
        # 9 or 8 stamps each at 5 to a card: one reward each
        assert Reward.objects.count() == 7
        assert find_unequal_balances() == find_unequal_totals() == []


def test_many_first_payments_of_one_member_make_one_member(kilimo, stall, in_threads):
    program(kilimo)
    with tenant_context(kilimo):
        new = record_payments(reports=[payment_report(stall, "VIP001", 1000) for _ in range(12)])

    results = in_threads(
        *(inside(kilimo, lambda payment=payment: award_payments(payment_ids=[payment.id], now=NOW)) for payment in new)
    )

    assert results == [None] * 12
    with tenant_context(kilimo):
        member = Member.objects.get()
        assert (member.code, member.points_balance) == ("VIP001", 120)
        balances = PointsEntry.objects.order_by("balance_after").values_list("balance_after", flat=True)
        assert list(balances) == list(range(10, 130, 10))


def test_points_are_spent_once_by_whoever_comes_first(kilimo, stall, in_threads):
    vip = program(kilimo)
    with tenant_context(kilimo):
        member = enrol_member(actor=STAFF, program_id=vip.pk, environment="PRACTICE", code="VIP001", now=NOW)
        adjust_points(actor=STAFF, member_id=member.pk, points=100, reason="Paper card", now=NOW)

    redeem = inside(kilimo, lambda: redeem_points(actor=STAFF, member_id=member.pk, points=30, now=NOW))
    results = in_threads(*[redeem] * 8)

    assert sum(isinstance(result, PointsEntry) for result in results) == 3
    assert sum(isinstance(result, InsufficientPoints) for result in results) == 5
    with tenant_context(kilimo):
        assert Member.objects.get().points_balance == 10
        assert find_unequal_balances() == find_unequal_totals() == []


def test_earning_and_spending_at_once_lose_nothing(kilimo, stall, in_threads):
    vip = program(kilimo)
    with tenant_context(kilimo):
        member = enrol_member(actor=STAFF, program_id=vip.pk, environment="PRACTICE", code="VIP001", now=NOW)
        adjust_points(actor=STAFF, member_id=member.pk, points=500, reason="Paper card", now=NOW)
        new = record_payments(reports=[payment_report(stall, "VIP001", 1000) for _ in range(6)])

    earn = [inside(kilimo, lambda each=each: award_payments(payment_ids=[each.id], now=NOW)) for each in new]
    spend = [inside(kilimo, lambda: redeem_points(actor=STAFF, member_id=member.pk, points=20, now=NOW))] * 6
    results = in_threads(*earn, *spend)

    assert not [result for result in results if isinstance(result, Exception)]
    with tenant_context(kilimo):
        assert Member.objects.get().points_balance == 500 + 6 * 10 - 6 * 20
        assert find_unequal_balances() == find_unequal_totals() == []


def test_a_receipt_is_claimed_by_one_of_many(kilimo, stall, in_threads):
    vip = program(kilimo, Program.MemberKey.BY_PAYER)
    with tenant_context(kilimo):
        members = [enrol_member(actor=STAFF, program_id=vip.pk, environment="PRACTICE", now=NOW) for _ in range(8)]
        (new,) = record_payments(reports=[payment_report(stall, "", 1000, payer="2547 ***** 126")])
        award_payments(payment_ids=[new.id], now=NOW)

    results = in_threads(
        *(
            inside(
                kilimo,
                lambda member=member: claim_payment(actor=STAFF, member_id=member.pk, receipt=new.receipt, now=NOW),
            )
            for member in members
        )
    )

    assert sum(isinstance(result, PaymentOutcome) for result in results) == 1
    assert sum(isinstance(result, PaymentNotWaiting) for result in results) == 7
    with tenant_context(kilimo):
        assert PointsEntry.objects.get().payment_id == new.id
        assert sum(Member.objects.values_list("points_balance", flat=True)) == 10


def test_a_worker_that_dies_before_its_commit_gives_nothing(kilimo, stall):
    program(kilimo)
    with tenant_context(kilimo):
        (new,) = record_payments(reports=[payment_report(stall, "VIP001", 1000)])
        connection.set_autocommit(False)
        award_payments(payment_ids=[new.id], now=NOW)
        connection.close()
        assert not PaymentOutcome.objects.exists()
        assert not Member.objects.exists()
        assert not SmsMessage.objects.exists()

        award_payments(payment_ids=[new.id], now=NOW)
        assert Member.objects.get().points_balance == 10


def test_a_link_that_is_pressed_eight_times_at_once_makes_one_member(kilimo, stall, in_threads):
    program(kilimo, Program.MemberKey.BY_PAYER)
    with tenant_context(kilimo):
        ask_to_join(number=1)
        path = re.search(r"/join/([\w-]+)/", SmsMessage.objects.get().body)[1]

    results = in_threads(*[inside(kilimo, lambda: joining.join(token=path, name="Juma", now=NOW))] * 8)

    assert sorted(type(result).__name__ for result in results) == ["LinkGone"] * 7 + ["Member"]
    with tenant_context(kilimo):
        assert Member.objects.count() == 1


def test_a_business_sends_no_more_links_than_it_may_however_many_ask_at_once(kilimo, stall, in_threads, monkeypatch):
    monkeypatch.setattr(joining, "SMS_PER_DAY", 3)
    program(kilimo, Program.MemberKey.BY_PAYER)

    results = in_threads(*[inside(kilimo, lambda number=number: ask_to_join(number)) for number in range(8)])

    assert sorted(type(result).__name__ for result in results) == ["NoneType"] * 3 + ["TooManyAttempts"] * 5
    with tenant_context(kilimo):
        assert SmsMessage.objects.count() == 3


def ask_to_join(number):
    joining.ask_for_link(
        program_code="vip", phone_number=f"073300000{number}", name="", consented=True, address="10.0.0.1", now=NOW
    )
