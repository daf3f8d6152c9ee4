"""Batches, payouts, payments and reversals, as those who made and released them leave them."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from audit.ids import new_id
from channels.models import MpesaChannel
from payments.models import DayTotal, Payment, Payout, PayoutBatch, Reversal
from payments.services import PaymentReport, record_payments


def make_batch(channel: MpesaChannel, *amounts: int, now: datetime, **columns: Any) -> PayoutBatch:
    """A batch that is released in this moment, by another than its maker; its payouts are not reserved yet."""
    batch = PayoutBatch.objects.create(
        reference=new_id().hex,
        channel=channel,
        environment=channel.environment,
        status=PayoutBatch.Status.RELEASED,
        payout_count=len(amounts),
        total_amount=sum(amounts),
        fee_estimate=Decimal(0),
        created_by="amina@acme.example",
        created_by_id=new_id(),
        released_at=now,
        expires_at=now + timedelta(hours=24),
        created_at=now,
    )
    Payout.objects.bulk_create(
        Payout(
            **{
                "batch": batch,
                "row": row,
                "channel": channel,
                "environment": channel.environment,
                "receiver": f"2547{row:08d}",
                "amount": amount,
                "fee_estimate": Decimal(0),
                "created_at": now,
            }
            | columns
        )
        for row, amount in enumerate(amounts, start=1)
    )
    return batch


def make_payment(channel: MpesaChannel, receipt: str, amount: int, *, paid_at: datetime) -> Payment:
    """A payment with its day's total."""
    report = PaymentReport(
        receipt=receipt,
        channel=channel,
        payer="254708374149",
        payer_name="",
        amount=Decimal(amount),
        account_reference="INV-204",
        routed_to="",
        source=Payment.Source.PULL,
        paid_at=paid_at,
        callback_id=None,
    )
    record_payments(reports=[report])
    assert DayTotal.objects.exists()
    return Payment.objects.get(channel=channel, receipt=receipt)


def make_reversal(payment: Payment, *, now: datetime, **columns: Any) -> Reversal:
    """A reversal that somebody asked for and somebody else approved; it is not reserved yet."""
    return Reversal.objects.create(
        **{
            "payment": payment,
            "channel": payment.channel,
            "environment": payment.environment,
            "amount": int(payment.amount),
            "reason": "Paid twice",
            "requested_by": "amina@acme.example",
            "requested_by_id": new_id(),
            "approved_at": now,
            "expires_at": now + timedelta(hours=24),
            "created_at": now,
        }
        | columns
    )
