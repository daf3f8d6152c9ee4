from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django_tenants.utils import tenant_context

from audit.services import system_actor
from loyalty.awards import award_payments
from loyalty.claims import PaymentNotWaiting, claim_payment
from loyalty.members import enrol_member
from loyalty.models import Member, PaymentOutcome, PointsEntry, Reward
from loyalty.points import RewardWithdrawn, collect_reward, redeem_points
from loyalty.reports import find_unequal_balances, find_unequal_totals
from loyalty.reversals import take_back_points
from loyalty.timeline import LoyaltyTeller
from payments.models import Payment
from payments.services import record_payments
from payments.signals import payment_reversed
from tests.loyalty.conftest import JOHNS_NUMBER, NOW, payment_report

SYSTEM = system_actor("test")
LATER = NOW + timedelta(hours=1)


@pytest.fixture
def reverse(in_acme, run_due):
    """`reverse(payment)` → M-PESA gave it back, and what follows from it has followed."""

    def give_back(payment):
        with tenant_context(in_acme), transaction.atomic():
            Payment.objects.filter(pk=payment.pk).update(reversed_at=LATER)
            payment_reversed.send(sender=Payment, payment_id=payment.pk)
        run_due()
        connection.set_tenant(in_acme)

    return give_back


def entries():
    return [(each.kind, each.points, each.balance_after) for each in PointsEntry.objects.order_by("id")]


def outcome_of(payment):
    return PaymentOutcome.objects.get(payment=payment)


def test_a_reversed_payment_takes_back_exactly_its_points(vip, pay, reverse):
    first, second = pay("VIP001", 5000), pay("VIP001", 700)

    reverse(first)

    assert Member.objects.get().points_balance == 14
    assert entries() == [("EARN", 100, 100), ("EARN", 14, 114), ("REVERSE", -100, 14)]
    assert PointsEntry.objects.get(kind="REVERSE").payment_id == first.pk
    assert (outcome_of(first).status, outcome_of(first).points, outcome_of(first).points_kept) == ("REVERSED", 100, 0)
    assert outcome_of(second).status == "EARNED"
    assert find_unequal_balances() == find_unequal_totals() == []


def test_it_is_taken_back_once(vip, pay, reverse):
    payment = pay("VIP001", 5000)
    pay("VIP001", 5000)

    reverse(payment)
    reverse(payment)
    take_back_points(payment_id=payment.pk, now=LATER)

    assert Member.objects.get().points_balance == 100
    assert entries()[2:] == [("REVERSE", -100, 100)]


def test_the_database_takes_back_once_too(vip, pay, reverse):
    payment = pay("VIP001", 5000)
    reverse(payment)

    with pytest.raises(IntegrityError, match="points_reversed_once"), transaction.atomic():
        PointsEntry.objects.create(
            member=Member.objects.get(), kind="REVERSE", points=-1, balance_after=0, payment=payment, created_at=NOW
        )


@pytest.mark.parametrize(("spent", "taken", "kept"), [(30, 70, 30), (100, 0, 100)])
def test_what_was_spent_stays_spent_and_is_noted(vip, pay, reverse, spent, taken, kept):
    payment = pay("VIP001", 5000)
    redeem_points(actor=SYSTEM, member_id=Member.objects.get().pk, points=spent, now=NOW)

    reverse(payment)

    assert Member.objects.get().points_balance == 0
    assert (outcome_of(payment).status, outcome_of(payment).points_kept) == ("REVERSED", kept)
    notes = list(PointsEntry.objects.filter(kind="REVERSE").values_list("points", "note"))
    assert notes == ([(-taken, f"Of 100 points, {kept} were spent already.")] if taken else [])
    pay("VIP001", 5000)
    assert Member.objects.get().points_balance == 100  # no debt is kept


def test_only_of_what_earned_something_the_story_says_that_it_was_taken_back(vip, pay, reverse):
    earning, small = pay("VIP001", 5000), pay("VIP001", 1)
    assert (outcome_of(earning).status, outcome_of(small).status) == ("EARNED", "NOTHING")

    for payment in (earning, small):
        reverse(payment)
        payment.refresh_from_db()

    told = [[moment.sentence for moment in LoyaltyTeller().moments(payment)] for payment in (earning, small)]
    assert [len(sentences) for sentences in told] == [2, 0]
    assert "earned 100 points" in told[0][0]
    assert told[0][1] == "What it had earned was taken back."
    assert [moment.at for moment in LoyaltyTeller().moments(earning)][1] == earning.reversed_at


def test_a_payment_that_is_reversed_before_it_is_awarded_gives_nothing(in_acme, vip, shop, reverse):
    (new,) = record_payments(reports=[payment_report(shop, "VIP001", 5000)])
    payment = Payment.objects.get(pk=new.id)

    with transaction.atomic():
        Payment.objects.filter(pk=payment.pk).update(reversed_at=LATER)
    take_back_points(payment_id=payment.pk, now=LATER)
    award_payments(payment_ids=[payment.pk], now=LATER)

    assert (outcome_of(payment).status, outcome_of(payment).member_id) == ("REVERSED", None)
    assert entries() == []
    assert not Member.objects.filter(points_balance__gt=0).exists()


def test_a_payment_that_waits_can_not_be_claimed_any_more(loyalty, vip, pay, reverse):
    payment = pay("shoes", 5000, payer="2547 ***** 126")
    pay("VIP001", 5000)
    assert outcome_of(payment).status == "WAITING"

    reverse(payment)

    assert outcome_of(payment).status == "REVERSED"
    with pytest.raises(PaymentNotWaiting):
        claim_payment(actor=SYSTEM, member_id=Member.objects.get().pk, receipt=payment.receipt, now=LATER)
    assert [kind for kind, _, _ in entries()] == ["EARN"]


def test_a_payment_that_was_not_reversed_keeps_its_points(vip, pay):
    payment = pay("VIP001", 5000)

    take_back_points(payment_id=payment.pk, now=LATER)

    assert Member.objects.get().points_balance == 100
    assert outcome_of(payment).status == "EARNED"


# -- Stamps -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def john(delivery):
    return enrol_member(
        actor=SYSTEM,
        program_id=delivery.pk,
        environment="PRACTICE",
        code="JOHN",
        phone_number=JOHNS_NUMBER,
        consented=True,
        now=NOW,
    )


def card(member):
    member.refresh_from_db()
    return member.stamps, list(Reward.objects.order_by("id").values_list("status", flat=True))


def test_a_reversed_payment_takes_back_its_stamp(john, pay, reverse):
    first = pay("DELIVERY")
    pay("DELIVERY")
    assert card(john) == (2, [])

    reverse(first)

    assert card(john) == (1, [])


def test_the_reward_that_it_gave_is_taken_back_and_the_other_stamps_are_not(john, pay, reverse):
    payments = [pay("DELIVERY") for _ in range(5)]
    assert card(john) == (0, ["READY"])

    reverse(payments[4])

    assert card(john) == (4, ["WITHDRAWN"])
    with pytest.raises(RewardWithdrawn):
        collect_reward(actor=SYSTEM, reward_id=Reward.objects.get().pk, now=LATER)
    pay("DELIVERY")
    assert card(john) == (0, ["WITHDRAWN", "READY"])


def test_a_full_card_loses_its_reward_whichever_of_its_payments_is_reversed(john, pay, reverse):
    payments = [pay("DELIVERY") for _ in range(5)]

    reverse(payments[1])

    assert card(john) == (4, ["WITHDRAWN"])


def test_a_reward_that_five_other_payments_earn_as_well_stays(john, pay, reverse):
    payments = [pay("DELIVERY") for _ in range(6)]
    assert card(john) == (1, ["READY"])

    reverse(payments[4])

    assert card(john) == (0, ["READY"])


def test_a_reward_that_was_collected_stays_collected(john, pay, reverse):
    payments = [pay("DELIVERY") for _ in range(5)]
    collect_reward(actor=SYSTEM, reward_id=Reward.objects.get().pk, now=NOW)

    reverse(payments[4])

    assert card(john) == (0, ["COLLECTED"])
    assert outcome_of(payments[4]).status == "REVERSED"


def test_the_rival_keeps_its_points(acme, rival, vip, pay, reverse):
    payment = pay("VIP001", 5000)
    reverse(payment)

    with tenant_context(rival):
        assert not PointsEntry.objects.exists()
        assert not PaymentOutcome.objects.exists()
