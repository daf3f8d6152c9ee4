import pytest
from django_tenants.utils import tenant_context

from audit.ids import new_id
from audit.models import AuditEntry
from audit.services import system_actor
from channels.models import SmsMessage
from channels.msisdn import sha256_hex
from loyalty.claims import (
    OtherProgram,
    PaidByAnotherPhone,
    PaymentNotWaiting,
    UnknownReceipt,
    claim_by_oneself,
    claim_payment,
    waiting_payments,
)
from loyalty.members import change_member, enrol_member
from loyalty.models import Member, PaymentOutcome, PointsEntry, Reward
from loyalty.points import MemberInactive
from loyalty.services import change_program
from payments.models import PaymentRequest, StatusQuery
from tenants.errors import NotFound, NotPermitted
from tenants.models import Role
from tests.loyalty.conftest import JOHNS_NUMBER, NOW

STAFF = system_actor("test")
MASKED = "2547 ***** 126"


def enrol(program, **given):
    given = {"environment": "PRACTICE", "phone_number": JOHNS_NUMBER, "consented": True, "name": "John"} | given
    return enrol_member(actor=STAFF, program_id=program.pk, now=NOW, **given)


def test_a_waiting_payment_is_claimed_by_its_receipt(in_acme, loyalty, pay, actor):
    member = enrol(loyalty)
    payment = pay(payer=MASKED)
    assert [each.pk for each in waiting_payments(actor=actor())] == [payment.pk]

    outcome = claim_payment(
        actor=actor(Role.USER), member_id=member.pk, receipt=f" {payment.receipt.lower()} ", now=NOW
    )

    outcome.refresh_from_db()
    assert (outcome.status, outcome.member_id, outcome.points) == ("EARNED", member.pk, 50)
    entry = PointsEntry.objects.get()
    assert (entry.kind, entry.points, entry.payment_id) == ("EARN", 50, payment.pk)
    member.refresh_from_db()
    assert member.points_balance == 50
    assert SmsMessage.objects.get().body == "Hi John! You earned 50 Loyalty points. Total: 50 points."
    assert not waiting_payments(actor=actor()).exists()
    audited = AuditEntry.objects.get(action="payment.claimed")
    assert audited.subject_id == str(payment.pk)
    assert audited.after["points"] == 50


def test_a_claimed_payment_can_fill_a_card(in_acme, delivery, pay, actor):
    member = enrol(delivery)
    Member.objects.update(stamps=4)
    payment = pay("DELIVERY", 1200, payer=MASKED)
    claim_payment(actor=actor(), member_id=member.pk, receipt=payment.receipt, now=NOW)

    assert Reward.objects.get().payment_id == payment.pk
    assert Member.objects.get().stamps == 0


def refused(actor, member, receipt, refusal, role=Role.ORG_ADMIN):
    entries = PointsEntry.objects.count()
    with pytest.raises(refusal):
        claim_payment(actor=actor(role), member_id=member.pk, receipt=receipt, now=NOW)
    assert PointsEntry.objects.count() == entries
    assert not AuditEntry.objects.filter(action="payment.claimed").exists()


def test_a_payment_that_earned_is_not_claimed_again(in_acme, loyalty, pay, actor):
    enrol(loyalty)
    payment = pay()
    other = enrol(loyalty, phone_number="0712345127")

    refused(actor, other, payment.receipt, PaymentNotWaiting)
    assert PaymentOutcome.objects.get().member_id != other.pk


def test_a_payment_that_earns_nothing_is_not_claimed(in_acme, loyalty, pay, actor):
    payment = pay(amount=49, payer=MASKED)

    refused(actor, enrol(loyalty), payment.receipt, PaymentNotWaiting)


def test_a_payment_is_judged_by_the_terms_of_the_claim(in_acme, loyalty, pay, actor):
    payment = pay(payer=MASKED)
    change_program(actor=STAFF, program_id=loyalty.pk, accrual=None)

    refused(actor, enrol(loyalty), payment.receipt, PaymentNotWaiting)
    assert PaymentOutcome.objects.get().status == "WAITING"


def test_a_payment_to_another_program_is_not_claimed(in_acme, loyalty, delivery, pay, actor):
    payment = pay("DELIVERY", payer=MASKED)

    refused(actor, enrol(loyalty), payment.receipt, OtherProgram)
    assert PaymentOutcome.objects.get().status == "WAITING"


def test_a_practice_payment_is_not_claimed_for_live_points(in_acme, loyalty, pay, actor):
    payment = pay(payer=MASKED)

    refused(actor, enrol(loyalty, environment="PRODUCTION"), payment.receipt, UnknownReceipt)
    assert PaymentOutcome.objects.get().status == "WAITING"


def test_a_receipt_that_is_not_known_is_refused(in_acme, loyalty, actor):
    refused(actor, enrol(loyalty), "NOSUCHCODE", UnknownReceipt)


def test_a_deactivated_member_claims_nothing(in_acme, loyalty, pay, actor):
    payment = pay(payer=MASKED)
    member = enrol(loyalty)
    change_member(actor=STAFF, member_id=member.pk, is_active=False, now=NOW)

    refused(actor, member, payment.receipt, MemberInactive)


def test_nobody_without_a_role_claims(in_acme, loyalty, pay, actor):
    payment = pay(payer=MASKED)

    refused(actor, enrol(loyalty), payment.receipt, NotPermitted, role="stranger")


def test_a_member_that_is_not_there_claims_nothing(in_acme, loyalty, pay, actor):
    payment = pay(payer=MASKED)

    with pytest.raises(NotFound):
        claim_payment(actor=actor(), member_id=new_id(), receipt=payment.receipt, now=NOW)
    assert PaymentOutcome.objects.get().status == "WAITING"


def test_rival_claims_none_of_acmes_payments(in_acme, rival, loyalty, pay, actor):
    payment, member = pay(payer=MASKED), enrol(loyalty)

    with tenant_context(rival):
        assert not waiting_payments(actor=actor()).exists()
        with pytest.raises(NotFound):
            claim_payment(actor=actor(), member_id=member.pk, receipt=payment.receipt, now=NOW)
    assert PaymentOutcome.objects.get().status == "WAITING"


# -- By the member alone ----------------------------------------------------------------------------------------------

OTHERS = "254712345101"


def try_alone(member, payment):
    return claim_by_oneself(actor=STAFF, member_id=member.pk, receipt=payment.receipt, now=NOW)


def refused_alone(member, payment):
    with pytest.raises(PaidByAnotherPhone, match="came from another phone"):
        try_alone(member, payment)
    assert PaymentOutcome.objects.get().status == "WAITING"
    assert not PointsEntry.objects.exists()
    assert not AuditEntry.objects.filter(action="payment.claimed").exists()


def test_a_member_claims_alone_what_their_own_phone_may_have_paid(in_acme, loyalty, pay):
    assert try_alone(enrol(loyalty), pay(payer=MASKED)).points == 50


@pytest.mark.parametrize("payer", ["2547 ***** 101", OTHERS, sha256_hex(OTHERS)])
def test_nobody_claims_alone_what_another_phone_paid_but_the_counter_may(in_acme, loyalty, pay, actor, payer):
    member, payment = enrol(loyalty), pay(payer=payer)

    refused_alone(member, payment)

    claim_payment(actor=actor(Role.USER), member_id=member.pk, receipt=payment.receipt, now=NOW)
    assert PointsEntry.objects.get().points == 50


def test_what_m_pesa_said_later_of_the_payer_counts_too(in_acme, loyalty, pay, shop):
    member, payment = enrol(loyalty), pay(payer=MASKED)
    question = StatusQuery.objects.create(
        channel=shop, environment="PRACTICE", payment=payment, receipt=payment.receipt, status="ANSWERED", asked_at=NOW,
        result_code="0", found={"ReceiptNo": payment.receipt, "DebitPartyName": f"{OTHERS[:6]}999126 - Jane"},
    )  # fmt: skip
    refused_alone(member, payment)

    question.delete()
    request = PaymentRequest.objects.create(
        channel=shop, environment="PRACTICE", payment=payment, phone_number=OTHERS, amount=5000, status="SUCCEEDED"
    )
    refused_alone(member, payment)

    PaymentRequest.objects.filter(pk=request.pk).update(phone_number=JOHNS_NUMBER)
    assert try_alone(member, payment).points == 50


def test_a_member_whose_number_is_not_known_claims_alone(in_acme, loyalty, pay):
    member = enrol(loyalty, phone_number="", consented=False)

    assert try_alone(member, pay(payer="2547 ***** 101")).points == 50
