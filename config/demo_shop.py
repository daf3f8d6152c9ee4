"""The demo shop that visitors look around in: a business of invented data, made in the background step by step.

Its channels, payouts and reversal are real ones of the practice world, through the services and the simulator. Four
weeks of payments before today are made by the database (`config.demo_payments`): the simulator knows no yesterday.

While somebody looks, customers go on paying, some four a minute and `CUSTOMERS_PER_DAY` at most; where nobody looks,
nothing happens. `manage.py demo_shop` makes it, removes it, or makes it anew.
"""

import random
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Count, Sum
from django.utils import timezone
from django_tenants.utils import tenant_context

from audit.models import AuditRow
from audit.services import Actor, system_actor
from channels.models import Environment, MpesaChannel
from channels.practice_phone import PracticeRefused, pay_as_customer, practice_channels
from channels.services import change_channel, create_channel
from config import demo_rows
from config.demo_payments import FIRST_NAMES, Crowd, invent
from config.tasks import let_a_customer_pay as let_a_customer_pay_task
from config.tasks import make_demo_shop
from loyalty.accrual import AccrualTerms
from loyalty.models import Member, Program
from loyalty.services import DEFAULT_PROGRAM, create_program
from payments.balances import ask_balance
from payments.models import BalanceQuery, Payment, PayoutBatch, ReconciliationDay, ReconciliationItem, Reversal
from payments.payouts.batches import approve_batch, release_batch
from payments.payouts.checking import GivenRow
from payments.payouts.creating import create_batch
from payments.reversals import approve_reversal, request_reversal
from payments.services import NAIROBI
from tenants import demo
from tenants.models import Membership, Role, Tenant, User
from tenants.queue import enqueue
from tenants.reauthentication import Proof, prove_again
from tenants.services import DEMO_SLUG, open_demo

ACTOR = system_actor("demo shop")
CUSTOMERS_PER_DAY = 300
_NEXT_CUSTOMER_AFTER = timedelta(seconds=15)
_DAYS, _PAYMENTS = 28, 600  # before today
_CROWD = Crowd(people=80, members=66, vips=12)
_FIRST_TODAY = 6  # payments of the day on which it is made
_RECONCILED_DAYS = 7
_AMOUNTS = (50, 80, 100, 120, 150, 200, 250, 300, 350, 450, 500, 650, 800, 1200, 1500, 2400)
_VIP = "vip"
_PAYBILL, _TILL = "Duka PayBill", "Duka shop till"
_WAGES = (("0712 345 101", 6500, "Akinyi Odhiambo"), ("0712 345 102", 7200, "Mutua Kilonzo"))
_SUPPLIERS = (("0712 345 201", 18400, "Njeri Kariuki"), ("0712 345 202", 9250, "Kiptoo Ruto"))


def promise(*, due_at: datetime | None = None) -> None:
    """Have the demo shop made in the background, unless it is there."""
    connection.set_schema_to_public()  # type: ignore[attr-defined]
    if not Tenant.objects.filter(is_demo=True).exists():
        enqueue(make_demo_shop, due_at=due_at)


def remove() -> bool:
    """Delete the demo shop, also a half-made one; was there one?"""
    connection.set_schema_to_public()  # type: ignore[attr-defined]
    shop = Tenant.objects.filter(slug=DEMO_SLUG).first()
    if shop:
        demo.remove_demo(actor=ACTOR, tenant=shop)
    return shop is not None


def carry_on(*, now: datetime) -> None:
    """Do what can be done now, and promise the rest: channels connect themselves, and payments take seconds.

    :raises PracticeUnavailable: if the simulator does not answer.
    """
    if make(now=now):
        return
    connection.set_schema_to_public()  # type: ignore[attr-defined]
    age = now - Tenant.objects.values_list("created_at", flat=True).get(slug=DEMO_SLUG)
    enqueue(make_demo_shop, due_at=now + timedelta(seconds=2 if age < timedelta(minutes=10) else 300))


def make(*, now: datetime) -> bool:
    """Make what is missing and can be made; True once visitors may come."""
    connection.set_schema_to_public()  # type: ignore[attr-defined]
    shop = Tenant.objects.filter(slug=DEMO_SLUG).first() or _open()
    if shop.is_demo:
        return True
    if shop.status == Tenant.Status.PROVISIONING:
        return False
    with tenant_context(shop):
        if not all(is_there(now) for is_there in _STEPS):
            return False
    connection.set_schema_to_public()  # type: ignore[attr-defined]
    demo.open_to_visitors(actor=ACTOR, tenant=shop)
    return True


@transaction.atomic
def _open() -> Tenant:
    shop = open_demo(
        actor=ACTOR,
        business_name="Duka la Mfano",
        owner_name="Zawadi Mfano",
        email=f"owner@{DEMO_SLUG}.example",
        phone="0712000009",
        business_type=Tenant.BusinessType.SHOP,
    )
    second = User.objects.create_user(email=f"manager@{DEMO_SLUG}.example", password=None, name="Baraka Mfano")
    Membership.objects.create(user=second, tenant=shop, role=Role.MANAGER)
    return shop


# -- Steps, in order; each is True once it is done, and is asked again until then -------------------------------------


def _programs(now: datetime) -> bool:
    if not Program.objects.filter(code=_VIP).exists():
        create_program(
            actor=ACTOR, code=_VIP, name="VIP", member_key=Program.MemberKey.BY_REFERENCE, accrual=AccrualTerms()
        )
    return True


def _channels(now: datetime) -> bool:
    """The PayBill that every business begins with, under another name, and a till. Both connect themselves."""
    paybill = MpesaChannel.objects.without_secrets().get(is_primary=True)
    if paybill.name != _PAYBILL:
        rules = {"default": DEFAULT_PROGRAM, "VIP*": _VIP}
        change_channel(channel_id=paybill.pk, actor=ACTOR, now=now, name=_PAYBILL, account_mapping=rules)
    if not MpesaChannel.objects.filter(name=_TILL).exists():
        create_channel(
            environment=Environment.PRACTICE,
            actor=ACTOR,
            now=now,
            name=_TILL,
            kind=MpesaChannel.Kind.TILL,
            account_mapping={"default": DEFAULT_PROGRAM},
            register_version=1,  # reports hashed numbers, by which a member who pays is known
        )
    return not MpesaChannel.objects.exclude(status=MpesaChannel.Status.ACTIVE).exists()


def _past(now: datetime) -> bool:
    if Payment.objects.exists():
        return True
    last_midnight = _midnight(now)
    channels = list(MpesaChannel.objects.order_by("-is_primary", "created_at").values_list("pk", flat=True))
    soko, vip = Program.objects.get(code=DEFAULT_PROGRAM), Program.objects.get(code=_VIP)
    with transaction.atomic(), connection.cursor() as cursor:
        until = last_midnight - timedelta(seconds=1)
        steps = invent(
            cursor,
            demo_rows.BOOKS_OF_PAYMENTS,
            count=_PAYMENTS,
            days=_DAYS,
            now=until,
            crowd=_CROWD,
            channels=channels,
            soko=soko,
            vip=vip,
        )
        list(steps)
    return True


def _reconciled_days(now: datetime) -> bool:
    """The days before today agree with M-PESA's list; on one of them somebody had to look, and did."""
    if ReconciliationDay.objects.exists():
        return True
    channel = MpesaChannel.objects.without_secrets().get(is_primary=True)
    totals = (
        Payment.objects.filter(channel=channel, paid_at__gte=_midnight(now) - timedelta(days=_RECONCILED_DAYS))
        .values("paid_at__date")
        .annotate(count=Count("pk"), amount=Sum("amount"))
        .order_by("paid_at__date")
    )
    for number, day in enumerate(totals):
        tally = {"count": day["count"], "amount": f"{day['amount']:.2f}"}
        is_odd = number == 2
        row = ReconciliationDay.objects.create(
            channel=channel,
            environment=channel.environment,
            date=day["paid_at__date"],
            status=ReconciliationDay.Status.SETTLED if is_odd else ReconciliationDay.Status.AGREES,
            sources={"payments": tally, "callbacks": tally, "pull": tally},
            counted_at=now,
        )
        if is_odd:
            _settled_item(row, now)
    return True


def _settled_item(day: ReconciliationDay, now: datetime) -> None:
    payment = Payment.objects.filter(channel=day.channel, paid_at__date=day.date).order_by("paid_at").first()
    assert payment is not None  # noqa: S101  the day was counted from its payments
    ReconciliationItem.objects.create(
        day=day,
        kind=ReconciliationItem.Kind.MISSING_THERE,
        subject=payment.receipt,
        ours=payment.amount,
        sentence=f"{payment.receipt} is here, and M-PESA's list did not have it.",
        found_at=payment.paid_at + timedelta(hours=8),
        settled_at=payment.paid_at + timedelta(hours=12),
        settled_by=_person(Role.MANAGER).label,
        note="On the portal it is there: the list was made a minute too early.",
    )


def _today(now: datetime) -> bool:
    """Some customers have paid today, on the simulator."""
    missing = _FIRST_TODAY - _payments_of_today(now)
    for number in range(missing):
        _customer_pays(on_paybill=number % 2 == 0)
    return missing <= 0


def _money_out(now: datetime) -> bool:
    """One batch was paid, another waits for the second person."""
    if not PayoutBatch.objects.exists():
        maker, second = _person(Role.ORG_ADMIN), _person(Role.MANAGER)
        wages = create_batch(actor=maker, rows=_rows(_WAGES), reference="Wages, casuals", now=now)
        approve_batch(actor=second, batch_id=wages.pk, now=now)
        release_batch(actor=second, batch_id=wages.pk, proof=_proof(second, now), now=now)
    _keep_a_batch_waiting(now)
    return True


def _keep_a_batch_waiting(now: datetime) -> None:
    """A batch waits a day for approval and is then withdrawn; so there is a new one on each day that somebody looks."""
    reference = f"Suppliers {now.astimezone(NAIROBI):%d %b %Y}"
    waiting = PayoutBatch.objects.filter(status=PayoutBatch.Status.AWAITING_APPROVAL)
    if not waiting.exists() and not PayoutBatch.objects.filter(reference=reference).exists():
        create_batch(actor=_person(Role.ORG_ADMIN), rows=_rows(_SUPPLIERS), reference=reference, now=now)


def _reversal(now: datetime) -> bool:
    if Reversal.objects.exists():
        return True
    payment = Payment.objects.filter(channel__is_primary=True, paid_at__gte=_midnight(now)).earliest("paid_at")
    maker, second = _person(Role.ORG_ADMIN), _person(Role.MANAGER)
    asked = request_reversal(actor=maker, payment_id=payment.pk, reason="Paid twice by mistake", now=now)
    approve_reversal(actor=second, reversal_id=asked.pk, proof=_proof(second, now), now=now)
    return True


def _balances(now: datetime) -> bool:
    if not BalanceQuery.objects.exists():
        for channel_id in MpesaChannel.objects.values_list("pk", flat=True):
            ask_balance(actor=ACTOR, channel_id=channel_id, now=now)
    return True


_STEPS: tuple[Callable[[datetime], bool], ...] = (
    _programs,
    _channels,
    _past,
    _reconciled_days,
    _today,
    _money_out,
    _reversal,
    _balances,
)


# -- While somebody looks ---------------------------------------------------------------------------------------------


def promise_a_customer(sender: Any, *, tenant: Tenant, **kwargs: Any) -> None:
    """Hear that somebody looks at the demo: the next customer pays soon. However many look, one promise is kept."""
    enqueue(let_a_customer_pay_task, due_at=timezone.now() + _NEXT_CUSTOMER_AFTER)


def let_a_customer_pay(*, now: datetime) -> None:
    """One more customer pays in the present business, the demo, unless enough have today.

    :raises PracticeUnavailable: if the simulator does not answer.
    """
    _keep_a_batch_waiting(now)
    if _payments_of_today(now) < CUSTOMERS_PER_DAY:
        _customer_pays(on_paybill=random.random() < 0.5)  # noqa: S311  chance, not a secret


def _customer_pays(*, on_paybill: bool) -> None:
    """A member as a rule; on the PayBill somebody new now and then, whose payment waits for them."""
    channels = {channel.name: channel for channel in practice_channels(actor=ACTOR)}
    channel = channels[_PAYBILL if on_paybill else _TILL]
    programs = [_VIP, DEFAULT_PROGRAM] if on_paybill else [DEFAULT_PROGRAM]
    member = Member.objects.filter(program__code=random.choice(programs), is_active=True).order_by("?").first()  # noqa: S311
    number = random.randrange(1000)  # noqa: S311
    is_new = member is None or (on_paybill and number < 200)
    try:
        pay_as_customer(
            actor=ACTOR,
            channel=channel,
            account_reference=f"INV-{number}" if member is None or is_new else member.code,
            amount=random.choice(_AMOUNTS),  # noqa: S311
            phone_number=member.phone_number if member and member.phone_number else f"254712346{number:03d}",
            name=member.name if member and not is_new else random.choice(FIRST_NAMES),  # noqa: S311
        )
    except PracticeRefused:
        return  # this phone has no money left; the next customer is another one


# -- What the steps share ---------------------------------------------------------------------------------------------


def _midnight(now: datetime) -> datetime:
    return now.astimezone(NAIROBI).replace(hour=0, minute=0, second=0, microsecond=0)


def _payments_of_today(now: datetime) -> int:
    return Payment.objects.filter(environment=Environment.PRACTICE, paid_at__gte=_midnight(now)).count()


def _rows(payees: tuple[tuple[str, int, str], ...]) -> list[GivenRow]:
    return [
        GivenRow(number, {"phone_number": phone, "amount": str(amount), "name": name})
        for number, (phone, amount, name) in enumerate(payees, start=1)
    ]


def _person(role: Role) -> Actor:
    place = Membership.objects.select_related("user").get(tenant__slug=DEMO_SLUG, role=role)
    return Actor(kind=AuditRow.ActorKind.PERSON, id=place.user_id, label=place.user.email, role=role)


def _proof(actor: Actor, now: datetime) -> Proof:
    """Nobody knows the password of an invented person: this one is good for this proof, and saved nowhere."""
    user = User.objects.get(email=actor.label)
    password = secrets.token_urlsafe(32)
    user.set_password(password)
    return prove_again(user, password=password, now=now)
