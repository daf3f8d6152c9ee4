"""Two demonstration businesses, made by `./tuzo up`, and the two stories that they tell.

Everything goes through the services and the simulator, as for a real business; only sign-up's background work is done
at once.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

import requests
from django.conf import settings
from django.db import connection
from django_tenants.utils import tenant_context

from audit.services import system_actor
from channels.details import ChannelDetails
from channels.models import Environment, MpesaChannel, SmsMessage
from channels.practice import open_practice_organisation
from channels.services import create_channel
from channels.tasks import connect_practice_channel
from loyalty.accrual import AccrualTerms, StampTerms
from loyalty.members import enrol_member
from loyalty.models import PaymentOutcome, Program
from loyalty.points import adjust_points
from loyalty.services import create_program
from payments.models import Payment
from tenants.hosts import url_of_tenant
from tenants.models import CallbackRoute, DueTask, Tenant, User
from tenants.queue import enqueue, perform
from tenants.services import open_tenant
from tenants.tasks import provision_tenant

PASSWORD = "demo pass phrase"  # noqa: S105  printed for everybody who starts the demo
OPERATOR_EMAIL = "operator@tuzo.example"
ACTOR = system_actor("demo")
BY_REFERENCE = Program.MemberKey.BY_REFERENCE


class StoryUntold(Exception):
    """A demo payment did not become what it should within the time."""


@dataclass(frozen=True, kw_only=True)
class Channel:
    name: str
    shortcode: str
    kind: MpesaChannel.Kind
    account_mapping: Mapping[str, str] = field(default_factory=dict)
    register_version: int = 2
    is_primary: bool = False


@dataclass(frozen=True, kw_only=True)
class Story:
    """A customer pays, and reads a message."""

    sentence: str
    shortcode: str
    account_reference: str
    amount: int
    phone_number: str
    first_name: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Business:
    slug: str
    name: str
    owner_name: str
    email: str
    business_type: Tenant.BusinessType
    programs: Sequence[Mapping[str, Any]]
    members: Sequence[Mapping[str, Any]]
    channels: Sequence[Channel]
    story: Story


ACME = Business(
    slug="acme",
    name="Acme Electronics",
    owner_name="Amina Wanjiru",
    email="owner@acme.example",
    business_type=Tenant.BusinessType.SHOP,
    programs=[
        {"code": "standard_customer", "name": "Acme", "accrual": AccrualTerms()},
        {
            "code": "vip_customer",
            "name": "VIP",
            "member_key": BY_REFERENCE,
            "accrual": AccrualTerms(multiplier=Decimal(2)),
        },
        {"code": "employee_discount", "name": "Staff", "member_key": BY_REFERENCE},
        {"code": "b2b_customer", "name": "Wholesale", "accrual": AccrualTerms(per_kes=1000)},
    ],
    members=[
        {"program": "vip_customer", "code": "VIP001", "name": "John", "phone_number": "0712345678", "points": 2747},
    ],
    channels=[
        Channel(
            name="Acme PayBill",
            shortcode="174379",
            kind=MpesaChannel.Kind.PAYBILL,
            account_mapping={
                "default": "standard_customer",
                "VIP*": "vip_customer",
                "STAFF*": "employee_discount",
                "WHOLESALE": "b2b_customer",
            },
            is_primary=True,
        ),
        Channel(
            name="Acme shop till",
            shortcode="555123",
            kind=MpesaChannel.Kind.TILL,
            account_mapping={"default": "standard_customer"},
        ),
        Channel(
            name="Acme online",
            shortcode="555456",
            kind=MpesaChannel.Kind.BUY_GOODS,
            account_mapping={"default": "standard_customer"},
        ),
    ],
    story=Story(
        sentence="JOHN pays KES 5,000 to PayBill 174379, account VIP001",
        shortcode="174379",
        account_reference="VIP001",
        amount=5000,
        phone_number="0712345678",
        first_name="JOHN",
        message="Hi John! You earned 100 VIP points. Total: 2,847 points.",
    ),
)

TASTE = Business(
    slug="taste",
    name="Taste Restaurants",
    owner_name="Peter Otieno",
    email="owner@taste.example",
    business_type=Tenant.BusinessType.RESTAURANT,
    programs=[
        {"code": "dine_in", "name": "Taste", "accrual": AccrualTerms()},
        {
            "code": "delivery_customer",
            "name": "Delivery",
            "stamp": StampTerms(
                payments_needed=5,
                reward="free delivery",
                thanks="Thanks for ordering!",
                noun="order",
                noun_plural="orders",
            ),
        },
        {"code": "catering_service", "name": "Catering", "accrual": AccrualTerms(per_kes=500)},
    ],
    members=[
        {"program": "delivery_customer", "code": "", "name": "Grace", "phone_number": "0722000111", "points": 0},
    ],
    channels=[
        Channel(
            name="Taste Westlands till",
            shortcode="200100",
            kind=MpesaChannel.Kind.TILL,
            account_mapping={"default": "dine_in"},
        ),
        Channel(
            name="Taste Kilimani till",
            shortcode="200200",
            kind=MpesaChannel.Kind.TILL,
            account_mapping={"default": "dine_in"},
        ),
        Channel(
            name="Taste PayBill",
            shortcode="200300",
            kind=MpesaChannel.Kind.PAYBILL,
            account_mapping={
                "default": "dine_in",
                "DELIVERY": "delivery_customer",
                "CATERING": "catering_service",
            },
            register_version=1,  # reports hashed numbers, by which an enrolled customer is known
            is_primary=True,
        ),
    ],
    story=Story(
        sentence="An enrolled customer pays KES 1,200 to PayBill 200300, account DELIVERY",
        shortcode="200300",
        account_reference="DELIVERY",
        amount=1200,
        phone_number="0722000111",
        first_name="GRACE",
        message="Thanks for ordering! 4 more orders for free delivery.",
    ),
)

BUSINESSES = [ACME, TASTE]


def make_demo(*, now: datetime) -> None:
    """Make what is missing of the demonstration. The simulator has to run.

    :raises PracticeUnavailable: if it does not.
    """
    connection.set_schema_to_public()  # type: ignore[attr-defined]
    if not User.objects.filter(email=OPERATOR_EMAIL).exists():
        User.objects.create_superuser(email=OPERATOR_EMAIL, password=PASSWORD, name="Platform operator")
    for business in BUSINESSES:
        connection.set_schema_to_public()  # type: ignore[attr-defined]
        tenant = Tenant.objects.filter(slug=business.slug).first() or _open(business)
        if tenant.status == Tenant.Status.PROVISIONING:
            provision_at_once(tenant)
        with tenant_context(tenant):
            _make_programs(business, now=now)
            _make_channels(business, now=now)


def _open(business: Business) -> Tenant:
    return open_tenant(
        actor=ACTOR,
        business_name=business.name,
        owner_name=business.owner_name,
        email=business.email,
        phone="0712000001",
        business_type=business.business_type,
        password=PASSWORD,
        slug=business.slug,
    )


def provision_at_once(tenant: Tenant) -> None:
    """What a worker does; now, or by the worker that was quicker."""
    promise = DueTask.objects.filter(task=provision_tenant.name, tenant=tenant).first()
    if promise:
        perform(task=provision_tenant, due_task_id=promise.pk, tenant_id=tenant.pk)
    _wait(time.monotonic() + 60, f"{tenant} to be made", lambda: _is_made(tenant))


def _is_made(tenant: Tenant) -> bool:
    tenant.refresh_from_db()
    return tenant.status != Tenant.Status.PROVISIONING


def _make_programs(business: Business, *, now: datetime) -> None:
    for program in business.programs:
        if Program.objects.filter(code=program["code"]).exists():
            continue
        made = create_program(actor=ACTOR, **program)
        for member in business.members:
            if member["program"] == made.code:
                enrolled = enrol_member(
                    actor=ACTOR,
                    program_id=made.pk,
                    environment=Environment.PRACTICE,
                    now=now,
                    code=member["code"],
                    name=member["name"],
                    phone_number=member["phone_number"],
                    consented=True,
                )
                if member["points"]:
                    adjust_points(
                        actor=ACTOR,
                        member_id=enrolled.pk,
                        points=member["points"],
                        reason="Points from before",
                        now=now,
                    )


def _make_channels(business: Business, *, now: datetime) -> None:
    for channel in business.channels:
        if MpesaChannel.objects.filter(environment=Environment.PRACTICE, shortcode=channel.shortcode).exists():
            continue
        organisation = open_practice_organisation(
            name=business.name, kind=channel.kind.lower().replace("_", ""), shortcode=channel.shortcode
        )
        details: ChannelDetails = {
            **organisation.details,
            "name": channel.name,
            "kind": channel.kind,
            "account_mapping": channel.account_mapping,
            "register_version": channel.register_version,
        }
        made = create_channel(
            environment=Environment.PRACTICE, actor=ACTOR, now=now, is_primary=channel.is_primary, **details
        )
        enqueue(connect_practice_channel, channel_id=str(made.pk))


def sign_ins() -> list[tuple[str, str]]:
    """Where to sign in, and as whom, for a person to read."""
    people = [
        (business.name, f"{business.email}  at {url_of_tenant(Tenant.objects.get(slug=business.slug))}")
        for business in BUSINESSES
    ]
    operators = f"{OPERATOR_EMAIL}  at {settings.TUZO_PUBLIC_URL}/operators/"
    return [*people, ("Operators", operators), ("Password", PASSWORD)]


def tell(story: Story, business: Business, *, patience_s: float = 60) -> list[str]:
    """Play a story on the simulator's phone, and return what came of it, a line each.

    :raises StoryUntold: if the message does not come in time, or, the first time, says something else.
    """
    tenant = Tenant.objects.get(slug=business.slug)
    deadline = time.monotonic() + patience_s
    with tenant_context(tenant):
        _wait(deadline, "the channel to become active", lambda: _is_active(story.shortcode))
        is_first = not Payment.objects.filter(account_reference=story.account_reference).exists()
        receipt = pay(
            shortcode=story.shortcode,
            account_reference=story.account_reference,
            amount=story.amount,
            phone_number=story.phone_number,
            first_name=story.first_name,
        )
        _wait(deadline, "the payment to be applied", lambda: _message_of(receipt) is not None)
        message = _message_of(receipt)
        if is_first and (message is None or message.body != story.message):
            raise StoryUntold(f"The customer reads {message and message.body!r} instead of {story.message!r}.")
        return follow(receipt)


def pay(**payment: Any) -> str:
    """Pay on the simulator's virtual phone; the receipt.

    :raises StoryUntold: if the phone refuses.
    """
    answer = requests.post(f"{settings.SIMULATOR_URL}/phone/payments", json=payment, timeout=30)
    if answer.status_code != requests.codes.ok or answer.json()["state"] != "completed":
        raise StoryUntold(f"The simulator refused the payment: {answer.text[:200]}")
    return str(answer.json()["receipt"])


def follow(receipt: str) -> list[str]:
    """What became of a payment in the present business so far, a line for each thing."""
    payment = Payment.objects.select_related("channel").get(receipt=receipt)
    lines = [f"{payment.receipt}: KES {payment.amount:,.2f} recorded on {payment.channel}, for {payment.routed_to}"]
    outcome = PaymentOutcome.objects.select_related("member").filter(payment=payment).first()
    if outcome and outcome.points and outcome.member:
        lines.append(f"{outcome.points:,} points for {outcome.member}, {outcome.member.points_balance:,} in all")
    if outcome and outcome.gave_stamp and outcome.member:
        lines.append(f"a stamp for {outcome.member}")
    if outcome and outcome.status == PaymentOutcome.Status.WAITING:
        lines.append("the payer is not known: the payment waits to be claimed with its receipt")
    if message := _message_of(receipt):
        lines.append(f"SMS: {message.body}")
    return lines


def follow_paid(*, shortcode: str, receipt: str, patience_s: float = 15) -> list[str]:
    """What became of a payment to a number of any business here, once the loyalty rules have seen it.

    :raises StoryUntold: if the number is nobody's, or the payment does not arrive in time.
    """
    route = CallbackRoute.objects.select_related("tenant").filter(rules__shortcodes__contains=shortcode).first()
    if route is None:
        raise StoryUntold(f"No business here has the number {shortcode}.")
    with tenant_context(route.tenant):
        outcomes = PaymentOutcome.objects.filter(payment__receipt=receipt)
        _wait(time.monotonic() + patience_s, f"{receipt} to be applied", outcomes.exists)
        return follow(receipt)


def _is_active(shortcode: str) -> bool:
    return MpesaChannel.objects.filter(shortcode=shortcode, status=MpesaChannel.Status.ACTIVE).exists()


def _message_of(receipt: str) -> SmsMessage | None:
    payment = Payment.objects.filter(receipt=receipt).first()
    return SmsMessage.objects.filter(dedup_key__endswith=str(payment.pk)).first() if payment else None


def _wait(deadline: float, what: str, condition: Any) -> None:
    while not condition():
        if time.monotonic() > deadline:
            raise StoryUntold(f"Waited too long for {what}.")
        time.sleep(0.1)
