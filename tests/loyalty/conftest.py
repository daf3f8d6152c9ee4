"""Acme's programs and channel, and customers who pay."""

import itertools
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django_tenants.utils import tenant_context

from audit.services import system_actor
from channels.mapping import AccountMapping
from channels.models import MpesaChannel
from loyalty.accrual import AccrualTerms, StampTerms
from loyalty.models import Program
from loyalty.services import create_program
from payments.models import Payment
from payments.services import PaymentReport, record_payments
from tenants.models import Tenant
from tests.factories import make_channel

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
JOHNS_NUMBER = "254712345126"
DELIVERY = StampTerms(
    payments_needed=5, reward="free delivery", thanks="Thanks for ordering!", noun="order", noun_plural="orders"
)
_numbers = itertools.count(1)


MAPPING = {"default": "loyalty", "VIP*": "vip", "DELIVERY": "delivery", "X*": "gone"}


@pytest.fixture
def shop(in_acme: Tenant) -> MpesaChannel:
    """Acme's PayBill: VIP… goes to “vip”, DELIVERY to “delivery”, X… nowhere, the rest to “loyalty”."""
    channel = make_channel(in_acme, "174379", account_mapping=MAPPING)
    connection.set_tenant(in_acme)
    return channel


@pytest.fixture
def live_shop(in_acme: Tenant, shop: MpesaChannel) -> MpesaChannel:
    channel = make_channel(in_acme, "174380", environment="PRODUCTION", account_mapping=MAPPING)
    connection.set_tenant(in_acme)
    return channel


@pytest.fixture
def vip(in_acme: Tenant) -> Program:
    return create_program(
        actor=system_actor("test"),
        code="vip",
        name="VIP",
        member_key=Program.MemberKey.BY_REFERENCE,
        accrual=AccrualTerms(points=1, per_kes=100, multiplier=Decimal(2)),
    )


@pytest.fixture
def loyalty(in_acme: Tenant) -> Program:
    return create_program(
        actor=system_actor("test"), code="loyalty", name="Loyalty", accrual=AccrualTerms(minimum_kes=50, cap_points=500)
    )


@pytest.fixture
def delivery(in_acme: Tenant) -> Program:
    return create_program(actor=system_actor("test"), code="delivery", name="Delivery", stamp=DELIVERY)


@pytest.fixture
def pay(in_acme: Tenant, shop: MpesaChannel, run_due: Callable[[], int]) -> Callable[..., Payment]:
    """`pay("VIP001", 5000)` → a payment that M-PESA reported to acme, after what followed from it."""

    def report(reference: str = "", amount: str | int = 5000, *, channel: MpesaChannel = shop, **given: Any) -> Payment:
        with tenant_context(in_acme):
            (new,) = record_payments(reports=[payment_report(channel, reference, amount, **given)])
        run_due()
        connection.set_tenant(in_acme)
        return Payment.objects.get(pk=new.id)

    return report


def payment_report(channel: MpesaChannel, reference: str = "", amount: str | int = 5000, **given: Any) -> PaymentReport:
    match = AccountMapping(channel.account_mapping).route(reference)
    return PaymentReport(
        **{
            "receipt": f"TCL{next(_numbers):07d}",
            "channel": channel,
            "payer": JOHNS_NUMBER,
            "payer_name": "JOHN",
            "amount": Decimal(amount),
            "account_reference": reference,
            "routed_to": match.program if match else "",
            "source": Payment.Source.CONFIRMATION,
            "paid_at": NOW,
            "callback_id": None,
        }
        | given
    )
