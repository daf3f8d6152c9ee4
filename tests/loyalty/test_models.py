"""What the database refuses, whatever the code forgot."""

from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.utils import Error

from audit.services import system_actor
from channels.models import SmsMessage
from loyalty.members import enrol_member
from loyalty.models import AccrualRule, Member, PaymentOutcome, PointsEntry, Program, Reward, StampRule
from tests.loyalty.conftest import JOHNS_NUMBER, NOW

MASKED = "2547 ***** 126"


@pytest.fixture
def member(in_acme, loyalty):
    return enrol_member(
        actor=system_actor("test"),
        program_id=loyalty.pk,
        environment="PRACTICE",
        code="GOLD1",
        phone_number=JOHNS_NUMBER,
        consented=True,
        now=NOW,
    )


@pytest.fixture
def payment(in_acme, loyalty, pay):
    return pay(payer=MASKED)


def refuses(constraint, write):
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        write()


def entry(member, kind, points, payment=None, *, balance_after=0, note=""):
    return lambda: PointsEntry.objects.create(
        member=member,
        kind=kind,
        points=points,
        balance_after=balance_after,
        payment=payment,
        note=note,
        created_at=NOW,
    )


def test_a_payment_earns_once(member, payment):
    entry(member, "EARN", 50, payment)()

    refuses("points_earned_once", entry(member, "EARN", 50, payment))
    assert PointsEntry.objects.count() == 1


def test_a_payment_has_one_outcome(member, payment):
    refuses(
        "loyalty_paymentoutcome_pkey",
        lambda: PaymentOutcome.objects.create(payment=payment, status="NO_PROGRAM", decided_at=NOW),
    )


def test_a_payment_fills_one_card(member, payment):
    given = {"member": member, "description": "free delivery", "payment": payment, "created_at": NOW}
    Reward.objects.create(**given)

    refuses("loyalty_reward_payment_id_key", lambda: Reward.objects.create(**given))


@pytest.mark.parametrize(
    ("kind", "points"),
    [
        ("EARN", 0),
        ("EARN", -1),
        ("REDEEM", 4),
        ("REDEEM", 0),
        ("EXPIRE", 1),
        ("REVERSE", 1),
        ("ADJUST", 0),
        ("GIFT", 1),
    ],
)
def test_the_sign_of_an_entry_agrees_with_its_kind(member, payment, kind, points):
    refuses("points_sign_agrees", entry(member, kind, points, payment, note="why"))


@pytest.mark.parametrize(("kind", "points"), [("EARN", 1), ("REVERSE", -1)])
def test_what_a_payment_gave_or_took_names_the_payment(member, kind, points):
    refuses("points_have_a_payment", entry(member, kind, points))


def test_points_are_adjusted_for_a_reason(member):
    refuses("points_adjusted_for_a_reason", entry(member, "ADJUST", 5))


def test_no_balance_is_below_nothing(member):
    refuses("points_balance_after_not_negative", entry(member, "REDEEM", -5, balance_after=-5))
    refuses("member_points_not_negative", lambda: Member.objects.update(points_balance=-1))


@pytest.mark.parametrize("statement", ["UPDATE loyalty_pointsentry SET points = 1", "DELETE FROM loyalty_pointsentry"])
def test_the_ledger_is_never_rewritten(member, payment, statement):
    entry(member, "EARN", 50, payment)()

    with pytest.raises(Error, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert PointsEntry.objects.get().points == 50


@pytest.mark.parametrize(
    "columns",
    [
        {"status": "EARNED"},
        {"status": "EARNED", "points": 5},
        {"status": "NO_PROGRAM"},
        {"status": "WAITING", "points": 5},
        {"status": "NOTHING", "gave_stamp": True},
        {"status": "WAITING", "program": None},
    ],
)
def test_an_outcome_agrees_with_itself(payment, columns):
    refuses("outcome_agrees", lambda: PaymentOutcome.objects.update(**columns))


def test_an_outcome_that_earned_gave_something(member, payment):
    refuses("outcome_agrees", lambda: PaymentOutcome.objects.update(status="EARNED", member=member))


@pytest.mark.parametrize(
    ("columns", "constraint"),
    [
        ({"code": "GOLD1"}, "member_code_once"),
        ({"phone_number": JOHNS_NUMBER, "phone_hash": "a" * 64, "consented_at": NOW}, "member_phone_once"),
        ({"code": ""}, "member_has_code"),
        ({"phone_number": "254712345127", "phone_hash": "a" * 64}, "member_phone_by_consent"),
        ({"phone_number": "254712345127", "consented_at": NOW}, "member_phone_by_consent"),
        ({"phone_hash": "a" * 64}, "member_phone_by_consent"),
        ({"consented_at": NOW}, "member_phone_by_consent"),
    ],
)
def test_a_member_is_one_person_known_by_consent(member, columns, constraint):
    given = {"program": member.program, "environment": "PRACTICE", "code": "GOLD2", "joined_at": NOW} | columns

    refuses(constraint, lambda: Member.objects.create(**given))


def test_rules_stay_within_what_can_be_counted(in_acme):
    program = Program.objects.create(code="p", name="P")

    refuses("accrual_points_limit", lambda: AccrualRule.objects.create(program=program, points=1001))
    refuses("accrual_per_kes_positive", lambda: AccrualRule.objects.create(program=program, per_kes=0))
    refuses("accrual_multiplier_not_negative", lambda: AccrualRule.objects.create(program=program, multiplier="-0.01"))
    refuses("stamp_rule_needs_payments", lambda: StampRule.objects.create(program=program, payments_needed=0))


def test_a_reward_is_collected_at_some_time(member, payment):
    Reward.objects.create(member=member, description="free delivery", payment=payment, created_at=NOW)

    refuses("reward_collected_agrees", lambda: Reward.objects.update(status="COLLECTED"))
    refuses("reward_collected_agrees", lambda: Reward.objects.update(collected_at=NOW))


def test_one_message_about_one_thing(in_acme):
    given = {
        "dedup_key": f"points:{uuid4()}",
        "phone_number": JOHNS_NUMBER,
        "body": "Hi!",
        "environment": "PRACTICE",
        "due_at": NOW,
        "created_at": NOW,
    }
    SmsMessage.objects.create(**given)

    refuses("sms_once", lambda: SmsMessage.objects.create(**given))
