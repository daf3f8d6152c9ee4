"""A member with something on every page about loyalty, SMS and reports."""

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from django.db import connection
from django.utils import timezone
from django_tenants.utils import tenant_context

from audit.services import system_actor
from channels.models import Environment, MpesaChannel, SmsMessage
from channels.sms.outbox import NewSms, queue_messages
from loyalty import joining, member_lists, own_page
from loyalty.accrual import AccrualTerms, StampTerms
from loyalty.members import enrol_member
from loyalty.models import JoinLink, Member, PaymentOutcome, Program, Reward
from loyalty.points import adjust_points, redeem_points
from loyalty.services import create_program
from payments.models import DayTotal, Payment
from tenants.models import Tenant

JOIN_TOKEN = "abcdefghijklmnopqrstuv"
STAMPS = StampTerms(
    payments_needed=5, reward="free delivery", thanks="Thanks for ordering!", noun="order", noun_plural="orders"
)


@dataclass(frozen=True)
class LoyalCustomer:
    """In practice, with 180 points, a reward to collect, one payment that counted, and an SMS that failed."""

    program: Program
    member: Member
    reward: Reward
    token: str  # of the member's own page
    draft: str  # of a list of members
    join_token: str  # in the SMS to somebody who wants to join


def furnish_loyalty(tenant: Tenant, channel: MpesaChannel) -> LoyalCustomer:
    """Ends in the public schema, where it began."""
    actor, now = system_actor("test"), timezone.now()
    with tenant_context(tenant):
        program = create_program(
            actor=actor, code="vip", name="VIP", accrual=AccrualTerms(multiplier=Decimal(2)), stamp=STAMPS
        )
        create_program(actor=actor, code="empty", name="Nothing yet")
        member = enrol_member(
            actor=actor,
            program_id=program.pk,
            environment=Environment.PRACTICE,
            now=now,
            code="VIP001",
            name="Achieng Otieno",
            phone_number="0712 345 126",
            consented=True,
        )
        adjust_points(actor=actor, member_id=member.pk, points=200, reason="Moved from the old card", now=now)
        redeem_points(actor=actor, member_id=member.pk, points=20, note="A mug", now=now)
        payment = Payment.objects.create(
            receipt="TLM00CARD1",
            channel=channel,
            environment=channel.environment,
            payer=member.phone_number,
            amount=Decimal(5000),
            routed_to="vip",
            source=Payment.Source.CONFIRMATION,
            paid_at=now,
            created_at=now,
        )
        DayTotal.objects.create(
            channel=channel, date=timezone.localdate(now), payment_count=1, amount=5000, charges=Decimal("27.50")
        )
        PaymentOutcome.objects.create(
            payment=payment,
            status=PaymentOutcome.Status.EARNED,
            program=program,
            member=member,
            points=100,
            gave_stamp=True,
            decided_at=now,
        )
        reward = Reward.objects.create(
            member=member, description="free delivery", payment=payment, created_at=now - timedelta(days=1)
        )
        message = NewSms(
            dedup_key=f"points:{payment.pk}",
            phone_number=member.phone_number,
            body="Hi Achieng! You earned 100 VIP points. Total: 180 points.",
            environment=channel.environment,
        )
        queue_messages(messages=[message], now=now)
        SmsMessage.objects.update(status=SmsMessage.Status.FAILED, error="The number is not in service.")
        token = own_page.own_page_token(actor=actor, member=member)
        JoinLink.objects.create(
            program=program,
            environment=Environment.PRACTICE,
            phone_number="254733000999",
            name="Baraka",
            token_hash=hashlib.sha256(JOIN_TOKEN.encode()).digest(),
            asked_at=now,
            expires_at=now + joining.LINK_LASTS,
        )
        rows = [
            member_lists.GivenMember(2, phone_number="0733 000 201", name="Baraka"),
            member_lists.GivenMember(3, phone_number="0712 345 126", name="Achieng"),
            member_lists.GivenMember(4, phone_number="0733 000 203", name="Naliaka", consent="no"),
        ]
        given = member_lists.MemberList(program.pk, Environment.PRACTICE, rows, "Signed the form in 2025")
        draft = member_lists.keep_list(actor=actor, given=given, now=timezone.now())
    connection.set_schema_to_public()
    return LoyalCustomer(program=program, member=member, reward=reward, token=token, draft=draft, join_token=JOIN_TOKEN)
