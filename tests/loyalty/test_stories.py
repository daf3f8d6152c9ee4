"""The two stories of the product, to the last character."""

from decimal import Decimal

import pytest
from django_tenants.utils import tenant_context

from audit.services import system_actor
from channels.models import Environment, SmsMessage
from loyalty.accrual import AccrualTerms
from loyalty.members import enrol_member
from loyalty.models import Member, PaymentOutcome, PointsEntry, Program, Reward
from loyalty.points import adjust_points
from loyalty.services import create_program
from tests.factories import make_channel
from tests.loyalty.conftest import DELIVERY, JOHNS_NUMBER, NOW

DEMO = system_actor("demo")


@pytest.mark.parametrize("payer", [JOHNS_NUMBER, "2547 ***** 126", "ec59ead3" * 8])
def test_john_pays_5000_to_vip001_and_hears_of_his_100_points(acme, pay, payer):
    paybill = make_channel(
        acme,
        "888880",
        account_mapping={
            "default": "standard_customer",
            "VIP*": "vip_customer",
            "STAFF*": "employee_discount",
            "WHOLESALE": "b2b_customer",
        },
    )
    with tenant_context(acme):
        program = create_program(
            actor=DEMO,
            code="vip_customer",
            name="VIP",
            member_key=Program.MemberKey.BY_REFERENCE,
            accrual=AccrualTerms(points=1, per_kes=100, multiplier=Decimal(2)),
        )
        john = enrol_member(
            actor=DEMO,
            program_id=program.pk,
            environment=Environment.PRACTICE,
            code="VIP001",
            name="John",
            phone_number="0712 345 126",
            consented=True,
            now=NOW,
        )
        adjust_points(actor=DEMO, member_id=john.pk, points=2747, reason="Brought from the paper cards", now=NOW)

    pay("VIP001", 5000, channel=paybill, payer=payer)

    with tenant_context(acme):
        message = SmsMessage.objects.get()
        assert message.body == "Hi John! You earned 100 VIP points. Total: 2,847 points."
        assert (message.phone_number, message.status) == (JOHNS_NUMBER, SmsMessage.Status.SENT)
        assert Member.objects.get().points_balance == 2847
        assert [(entry.kind, entry.points) for entry in PointsEntry.objects.order_by("id")] == [
            ("ADJUST", 2747),
            ("EARN", 100),
        ]


def test_the_first_of_five_orders_leaves_four_for_free_delivery(acme, pay):
    paybill = make_channel(
        acme,
        "200300",
        account_mapping={"default": "dine_in", "DELIVERY": "delivery_customer", "CATERING": "catering_service"},
    )
    with tenant_context(acme):
        program = create_program(actor=DEMO, code="delivery_customer", name="Delivery", stamp=DELIVERY)
        enrol_member(
            actor=DEMO,
            program_id=program.pk,
            environment=Environment.PRACTICE,
            name="Achieng",
            phone_number="0712345126",
            consented=True,
            now=NOW,
        )

    bodies = []
    for _ in range(6):
        payment = pay("DELIVERY", 1200, channel=paybill)
        with tenant_context(acme):
            bodies.append(SmsMessage.objects.get(dedup_key=f"points:{payment.pk}").body)

    assert bodies == [
        "Thanks for ordering! 4 more orders for free delivery.",
        "Thanks for ordering! 3 more orders for free delivery.",
        "Thanks for ordering! 2 more orders for free delivery.",
        "Thanks for ordering! 1 more order for free delivery.",
        "Thanks for ordering! You have earned free delivery.",
        "Thanks for ordering! 4 more orders for free delivery.",
    ]
    with tenant_context(acme):
        reward = Reward.objects.get()
        assert (reward.description, reward.status) == ("free delivery", Reward.Status.READY)
        assert Member.objects.get().stamps == 1
        assert not PointsEntry.objects.exists()
        assert PaymentOutcome.objects.filter(status="EARNED", gave_stamp=True, points=0).count() == 6
