"""Payments, requests and deliveries for the pages to show."""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from django.db import connection
from django.utils import timezone
from django_tenants.utils import tenant_context

from channels.models import MpesaChannel
from payments.models import Payment, PaymentRequest, StandingOrder
from payments.services import PaymentReport, record_payments
from tenants.models import InboundCallback, Tenant

_PEOPLE = [("JOHN KAMAU", "254712345126"), ("GRACE", "2547 ***** 127"), ("", "a" * 64)]


@dataclass(frozen=True, kw_only=True)
class ReceivedMoney:
    payment: Payment
    asked: PaymentRequest  # still open
    refused: PaymentRequest
    order: StandingOrder  # the customer has not answered yet
    put_aside: InboundCallback


def furnish_payments(tenant: Tenant, channel: MpesaChannel) -> ReceivedMoney:
    now = timezone.now()
    with tenant_context(tenant):
        record_payments(
            reports=[
                PaymentReport(
                    receipt=f"UKL7H4X{number:03d}",
                    channel=channel,
                    payer=_PEOPLE[number % 3][1],
                    payer_name=_PEOPLE[number % 3][0],
                    amount=Decimal(100 + 25 * number),
                    account_reference=f"INV-{number}",
                    routed_to="loyalty",
                    source=Payment.Source.CONFIRMATION,
                    paid_at=now - timedelta(hours=7 * number),
                    callback_id=None,
                )
                for number in range(30)
            ]
        )
        requests = {
            "channel": channel,
            "environment": channel.environment,
            "phone_number": "254712345126",
            "amount": 250,
            "account_reference": "INV-7",
            "transaction_desc": "Payment",
            "requested_by": "wanjiku@acme.example",
        }
        order = StandingOrder.objects.create(
            channel=channel,
            environment=channel.environment,
            name="Rent",
            phone_number="254712345126",
            amount=100,
            account_reference="INV-0",
            frequency="4",
            start_date=now.date() - timedelta(days=7),
            end_date=now.date() + timedelta(days=365),
            transaction_desc="Payment",
            sending_at=now,
            accepted_at=now,
            response_ref_id="ref",
            requested_by="wanjiku@acme.example",
            created_at=now,
        )
        money = {
            "order": order,
            "payment": Payment.objects.get(receipt="UKL7H4X000"),
            "asked": PaymentRequest.objects.create(**requests, accepted_at=now),
            "refused": PaymentRequest.objects.create(
                **requests, status="FAILED", result_code="1032", accepted_at=now, finished_at=now
            ),
        }
    connection.set_schema_to_public()
    put_aside = InboundCallback.objects.create(
        tenant=tenant,
        channel_id=channel.pk,
        kind=InboundCallback.Kind.C2B_CONFIRMATION,
        body=b'{"TransID": "UKL7H4XZZZ", "BusinessShortCode": "999999"}',
        state=InboundCallback.State.QUARANTINED,
        reason=InboundCallback.Reason.FOREIGN_SHORTCODE,
        address="196.201.214.200",
        received_at=now,
        due_at=now,
    )
    return ReceivedMoney(put_aside=put_aside, **money)
