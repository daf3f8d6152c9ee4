"""Payments, requests and deliveries for the pages to show."""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from django.db import connection
from django.utils import timezone
from django_tenants.utils import tenant_context

from audit.ids import new_id
from audit.models import AuditRow
from audit.services import Actor
from channels.models import MpesaChannel
from payments.invoice_files import keep_draft
from payments.invoices import NewInvoice
from payments.models import Invoice, Payment, PaymentRequest, StandingOrder
from payments.services import PaymentReport, record_payments
from tenants.models import InboundCallback, Role, Tenant

_PEOPLE = [("JOHN KAMAU", "254712345126"), ("GRACE", "2547 ***** 127"), ("", "a" * 64)]


@dataclass(frozen=True, kw_only=True)
class ReceivedMoney:
    payment: Payment
    asked: PaymentRequest  # still open
    refused: PaymentRequest
    paying: Invoice  # partly paid, and overdue
    sending: Invoice
    invoices: str  # a draft
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
        MpesaChannel.objects.filter(pk=channel.pk).update(bill_manager_opted_in_at=now)
        bill = {
            "channel": channel,
            "environment": channel.environment,
            "name": "Rent",
            "billed_name": "John Kamau",
            "phone_number": "254712345126",
            "billed_period": "November 2026",
            "account_reference": "INV-0",
            "amount": 9000,
            "items": [{"item_name": "Rent", "amount": 8500}, {"item_name": "Water", "amount": 500}],
            "requested_by": "wanjiku@acme.example",
            "sending_at": now,
        }
        paying = Invoice.objects.create(
            **bill,
            external_reference="RENT-1",
            status="PARTLY_PAID",
            paid_amount=100,
            due_date=now.date() - timedelta(days=1),
            created_at=now - timedelta(hours=1),
        )
        sending = Invoice.objects.create(
            **bill, external_reference="RENT-2", due_date=now.date() + timedelta(days=9), created_at=now
        )
        new = NewInvoice(
            external_reference="RENT-3",
            name="Rent",
            billed_name="Grace",
            phone_number="0712 345 127",
            billed_period="November 2026",
            due_date=now.date(),
            account_reference="HOUSE 8",
            amount=9000,
        )
        actor = Actor(kind=AuditRow.ActorKind.PERSON, id=new_id(), label="somebody@acme.example", role=Role.USER)
        money = {
            "paying": paying,
            "sending": sending,
            "invoices": keep_draft(actor=actor, channel_id=channel.pk, invoices=[new], now=now),
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
