from decimal import Decimal
from uuid import uuid4

import pytest
from django.db import OperationalError, connection, transaction
from django_tenants.utils import tenant_context

from audit.services import system_actor
from channels.models import Environment, SmsMessage
from channels.msisdn import sha256_hex
from loyalty import awards
from loyalty.members import change_member, enrol_member
from loyalty.models import Member, PaymentOutcome, PointsEntry
from loyalty.services import change_program
from payments.services import record_payments
from tenants.models import DueTask
from tenants.queue import WrongTenant
from tests.loyalty.conftest import JOHNS_NUMBER, NOW, payment_report

STAFF = system_actor("test")
OTHER_NUMBER = "254110000222"


def enrol(program, environment=Environment.PRACTICE, **given):
    return enrol_member(actor=STAFF, program_id=program.pk, environment=environment, now=NOW, **given)


def outcome_of(payment):
    return PaymentOutcome.objects.get(payment=payment)


# -- Whose payment is it? ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("typed", ["VIP001", "vip-001", " Vip 001 ", "vip\u2011001"])
def test_what_is_typed_is_the_member_whatever_its_case_spaces_and_hyphens(in_acme, vip, pay, typed):
    pay("VIP001")
    payment = pay(typed)

    member = Member.objects.get()
    assert (member.code, member.points_balance) == ("VIP001", 200)
    assert outcome_of(payment).member_id == member.pk


@pytest.mark.parametrize(
    ("payer_name", "name"),
    [("JOHN", "John"), ("JOHN KAMAU", "John"), ("", ""), ("  ", ""), ("MARY-ANNE W", "Mary-Anne"), ("ß" * 120, "Ss")],
)
def test_who_pays_for_the_first_time_joins_by_first_name(in_acme, vip, pay, payer_name, name):
    pay("VIP001", payer_name=payer_name)

    member = Member.objects.get()
    assert member.name.startswith(name)
    assert (member.environment, member.phone_number, member.consented_at) == ("PRACTICE", "", None)


def test_a_payment_does_not_rename_a_member(in_acme, vip, pay):
    enrol(vip, code="VIP001", name="Jane")
    pay("VIP001", payer_name="JOHN")

    assert Member.objects.get().name == "Jane"


@pytest.mark.parametrize("reference", ["", "  ", "--", "ΐ" * 64])
def test_a_reference_that_can_be_nobodys_code_waits(in_acme, vip, shop, pay, reference):
    shop.account_mapping = {"default": "vip"}
    payment = pay(reference)

    assert outcome_of(payment).status == "WAITING"
    assert not Member.objects.exists()


def test_a_member_code_is_found_before_the_number(in_acme, loyalty, pay):
    typed, paid = enrol(loyalty, name="Typed"), enrol(loyalty, phone_number=JOHNS_NUMBER, consented=True)
    payment = pay(f" {typed.code.lower()[:3]}-{typed.code.lower()[3:]} ")

    assert outcome_of(payment).member_id == typed.pk
    paid.refresh_from_db()
    assert paid.points_balance == 0


def test_an_enrolled_number_earns_when_it_comes_whole(in_acme, loyalty, pay):
    member = enrol(loyalty, phone_number="0712 345 126", consented=True)
    payment = pay("anything")

    assert outcome_of(payment).member_id == member.pk
    member.refresh_from_db()
    assert member.points_balance == 50


def test_an_enrolled_number_earns_when_it_comes_hashed(in_acme, loyalty, pay):
    member = enrol(loyalty, phone_number="0712 345 126", consented=True)
    payment = pay(payer="c5a6ea2d" * 8)
    assert outcome_of(payment).status == "WAITING"

    payment = pay(payer=sha256_hex(JOHNS_NUMBER))
    assert outcome_of(payment).member_id == member.pk
    message = SmsMessage.objects.get()
    assert message.phone_number == JOHNS_NUMBER


@pytest.mark.parametrize(
    "payer",
    [
        "",
        "2547 ***** 126",
        "25471****126",
        "254712345127",
        "0712345126",
        sha256_hex(JOHNS_NUMBER).upper(),
        sha256_hex(JOHNS_NUMBER)[:12] + "*****" + sha256_hex(JOHNS_NUMBER)[17:],
    ],
)
def test_a_number_that_is_not_certain_matches_nobody(in_acme, loyalty, pay, payer):
    enrol(loyalty, phone_number=JOHNS_NUMBER, consented=True)
    payment = pay(payer=payer)

    outcome = outcome_of(payment)
    assert (outcome.status, outcome.program_id, outcome.member_id, outcome.points) == (
        "WAITING", loyalty.pk, None, 0,
    )  # fmt: skip
    assert Member.objects.get().points_balance == 0
    assert not SmsMessage.objects.exists()


@pytest.mark.parametrize(("program", "reference"), [("vip", "VIP001"), ("loyalty", "")])
def test_a_deactivated_member_earns_nothing_and_the_payment_waits(in_acme, request, pay, program, reference):
    member = enrol(request.getfixturevalue(program), code=reference, phone_number=JOHNS_NUMBER, consented=True)
    change_member(actor=STAFF, member_id=member.pk, is_active=False, now=NOW)
    payment = pay(reference)

    assert outcome_of(payment).status == "WAITING"
    assert Member.objects.get().points_balance == 0
    assert not PointsEntry.objects.exists()


def test_members_of_another_program_are_not_asked(in_acme, loyalty, delivery, pay):
    enrol(delivery, phone_number=JOHNS_NUMBER, consented=True)
    payment = pay("")

    assert outcome_of(payment).status == "WAITING"


def test_practice_points_never_meet_live_points(in_acme, vip, shop, live_shop, pay):
    pay("VIP001", 5000)
    pay("VIP001", 100, channel=live_shop)

    assert sorted(Member.objects.values_list("environment", "code", "points_balance")) == [
        ("PRACTICE", "VIP001", 100),
        ("PRODUCTION", "VIP001", 2),
    ]


def test_a_number_enrolled_in_practice_is_a_stranger_in_production(in_acme, loyalty, live_shop, pay):
    enrol(loyalty, phone_number=JOHNS_NUMBER, consented=True)
    payment = pay("", channel=live_shop)

    assert outcome_of(payment).status == "WAITING"
    assert Member.objects.get().points_balance == 0


# -- What does it give? -----------------------------------------------------------------------------------------------


def test_points_are_on_the_ledger_with_their_payment(in_acme, vip, pay):
    first, second = pay("VIP001", 5000), pay("VIP001", 250)

    entries = PointsEntry.objects.order_by("id").values_list("kind", "points", "balance_after", "payment_id")
    assert list(entries) == [("EARN", 100, 100, first.pk), ("EARN", 5, 105, second.pk)]
    outcome = outcome_of(second)
    assert (outcome.status, outcome.points, outcome.gave_stamp) == ("EARNED", 5, False)


def test_several_payments_of_one_member_in_one_batch_add_up(acme, in_acme, vip, shop, run_due):
    enrol(vip, code="VIP001", name="John", phone_number=JOHNS_NUMBER, consented=True)
    record_payments(reports=[payment_report(shop, "VIP001", amount) for amount in (1000, 2000, 3000)])
    run_due()
    connection.set_tenant(acme)

    assert list(PointsEntry.objects.order_by("id").values_list("balance_after", flat=True)) == [20, 60, 120]
    assert Member.objects.get().points_balance == 120
    assert sorted(message.body for message in SmsMessage.objects.all()) == [
        "Hi John! You earned 20 VIP points. Total: 20 points.",
        "Hi John! You earned 40 VIP points. Total: 60 points.",
        "Hi John! You earned 60 VIP points. Total: 120 points.",
    ]


def test_a_payment_below_the_minimum_gives_nothing_and_makes_no_member(in_acme, vip, loyalty, pay):
    small, tiny = pay("", "49.99"), pay("VIP001", "49.99")

    assert (outcome_of(small).status, outcome_of(tiny).status) == ("NOTHING", "NOTHING")
    assert not Member.objects.exists()
    assert not SmsMessage.objects.exists()


@pytest.mark.parametrize("reference", ["X1", "unmapped"])
def test_a_payment_without_an_active_program_is_decided_too(in_acme, vip, shop, pay, reference):
    shop.account_mapping = {"X*": "gone"}
    payment = pay(reference)

    outcome = outcome_of(payment)
    assert (outcome.status, outcome.program_id) == ("NO_PROGRAM", None)


def test_a_program_that_was_switched_off_gives_nothing(in_acme, vip, pay):
    change_program(actor=STAFF, program_id=vip.pk, is_active=False)
    payment = pay("VIP001")

    assert outcome_of(payment).status == "NO_PROGRAM"
    assert not Member.objects.exists()


def test_changed_terms_judge_the_next_payment(in_acme, vip, pay):
    pay("VIP001", 5000)
    change_program(actor=STAFF, program_id=vip.pk, accrual=None)
    payment = pay("VIP001", 5000)

    assert outcome_of(payment).status == "NOTHING"
    assert Member.objects.get().points_balance == 100


# -- Once, and whatever happens ---------------------------------------------------------------------------------------


def test_awarding_twice_gives_once(in_acme, vip, pay):
    enrol(vip, code="VIP001", name="John", phone_number=JOHNS_NUMBER, consented=True)
    payment = pay("VIP001", 5000)
    awards.award_payments(payment_ids=[payment.pk], now=NOW)

    assert Member.objects.get().points_balance == 100
    assert PointsEntry.objects.count() == PaymentOutcome.objects.count() == SmsMessage.objects.count() == 1


def test_a_payment_that_we_do_not_know_changes_nothing(in_acme, vip):
    awards.award_payments(payment_ids=[uuid4()], now=NOW)

    assert not PaymentOutcome.objects.exists()


def test_points_are_promised_in_the_commit_that_records_the_payments(acme, in_acme, vip, shop):
    with transaction.atomic():
        record_payments(reports=[payment_report(shop, "VIP001")])
        transaction.set_rollback(True)
    assert not DueTask.objects.exists()

    new = record_payments(reports=[payment_report(shop, "VIP001"), payment_report(shop, "VIP002")])
    row = DueTask.objects.get()
    assert (row.task, row.tenant_id) == ("loyalty.tasks.award_points", acme.pk)
    assert row.arguments == {"payment_ids": [str(payment.id) for payment in new]}


def test_awarding_without_a_business_is_refused(acme, db):
    with pytest.raises(WrongTenant):
        awards.promise_awards(None, payment_ids=[uuid4()])


def test_a_payment_that_breaks_its_batch_fails_alone(acme, in_acme, vip, shop, monkeypatch, run_due):
    reports = [payment_report(shop, f"VIP00{number}") for number in range(1, 8)]
    poison = reports[4].receipt
    honest = awards.Rules.earned_by

    def break_on_poison(rules, payment):
        if payment.receipt == poison:
            raise ArithmeticError("poison")
        return honest(rules, payment)

    monkeypatch.setattr(awards.Rules, "earned_by", break_on_poison)
    record_payments(reports=reports)

    with pytest.raises(ArithmeticError):
        run_due()
    run_due()

    with tenant_context(acme):
        assert PaymentOutcome.objects.filter(status="EARNED").count() == 6
        assert not PaymentOutcome.objects.filter(payment__receipt=poison).exists()
        assert set(Member.objects.values_list("points_balance", flat=True)) == {100}
    row = DueTask.objects.get(task="loyalty.tasks.award_points")
    assert row.last_error == "ArithmeticError: poison"
    assert len(row.arguments["payment_ids"]) == 1


def test_a_database_that_goes_away_splits_nothing(in_acme, vip, shop, monkeypatch):
    def go_away(*args, **kwargs):
        raise OperationalError("gone")

    new = record_payments(reports=[payment_report(shop, "VIP001"), payment_report(shop, "VIP002")])
    DueTask.objects.all().delete()
    monkeypatch.setattr(awards, "_insert_outcomes", go_away)

    with pytest.raises(OperationalError):
        awards.award_payments(payment_ids=[payment.id for payment in new], now=NOW)

    assert not DueTask.objects.exists()
    assert not Member.objects.exists()


def test_rival_sees_nothing_of_acmes_points(acme, rival, vip, pay):
    pay("VIP001")

    with tenant_context(rival):
        assert not Member.objects.exists()
        assert not PaymentOutcome.objects.exists()
        assert not PointsEntry.objects.exists()
        assert not SmsMessage.objects.exists()


# -- Who is told, and where -------------------------------------------------------------------------------------------


def test_the_number_that_the_member_gave_is_told(in_acme, vip, pay):
    enrol(vip, code="VIP001", phone_number=OTHER_NUMBER, consented=True)
    pay("VIP001", payer=JOHNS_NUMBER)

    assert SmsMessage.objects.get().phone_number == OTHER_NUMBER


@pytest.mark.parametrize("payer", [JOHNS_NUMBER, "2547 ***** 126", "ec59ead3" * 8, ""])
def test_nobody_is_told_where_no_number_was_enrolled_because_anybody_may_type_a_members_code(in_acme, vip, pay, payer):
    pay("VIP001", payer=payer)

    assert Member.objects.get().points_balance == 100
    assert not SmsMessage.objects.exists()


def test_points_and_a_stamp_are_told_in_one_message(in_acme, vip, delivery, pay):
    enrol(vip, code="VIP001", name="John", phone_number=JOHNS_NUMBER, consented=True)
    change_program(actor=STAFF, program_id=vip.pk, stamp=delivery.stamp_rule.terms)
    pay("VIP001", Decimal("5000.50"))

    assert SmsMessage.objects.get().body == (
        "Hi John! You earned 100 VIP points. Total: 100 points. Thanks for ordering! 4 more orders for free delivery."
    )
    assert outcome_of(PointsEntry.objects.get().payment).gave_stamp
