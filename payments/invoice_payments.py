"""What is paid on invoices: found among the payments, not counted apart from them.

Bill Manager reports a payment to us besides M-PESA's own confirmation (docs/daraja.md section 21). The receipt decides:
it is one payment, whoever reports it first. How much of each invoice is paid is worked out from the payments of its
account, as often as one comes or is reversed, so nothing can be counted twice.
"""

import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import transaction

from channels.connection import daraja_client
from channels.daraja.notices import InvoicePayment, parse_invoice_payment
from channels.daraja.outcomes import NotSent, outcome_of
from channels.daraja.payloads import UnreadablePayload
from channels.mapping import AccountMapping
from channels.models import MpesaChannel
from payments.accounts import account_key, key_of_account, of_account
from payments.deliveries import Claimed, Reason, State
from payments.models import Invoice, Payment
from payments.services import NAIROBI, PaymentReport
from payments.tasks import acknowledge_invoice_payment, count_invoice_payments
from tenants.models import InboundCallback
from tenants.queue import enqueue, require_current_tenant
from tenants.sentences import say

logger = logging.getLogger(__name__)

# M-PESA's confirmation says more (who paid, and when): it is given the first word for this long.
CONFIRMATION_FIRST_FOR = timedelta(minutes=2)
_CLOCKS_DIFFER_BY = timedelta(minutes=1)  # M-PESA's and ours
_ACKNOWLEDGE_FOR = timedelta(days=1)
_ACKNOWLEDGE_AGAIN_AFTER = timedelta(minutes=2)

Status = Invoice.Status
NOT_COUNTED = (Status.FAILED, Status.CANCELLED)  # nothing is owed, and nothing is paid of them


# -- What Bill Manager reports ----------------------------------------------------------------------------------------


def read(
    rows: Sequence[Claimed], channels: dict[UUID, MpesaChannel], told: Collection[tuple[UUID, str]], *, now: datetime
) -> list[tuple[Claimed, InvoicePayment]]:
    """Bill Manager's reports that can be booked now. `told`: channels and receipts that others report at once.

    It repeats itself up to five times.
    """
    parsed: list[tuple[Claimed, InvoicePayment]] = []
    for row in rows:
        try:
            paid = parse_invoice_payment(row.body)
        except UnreadablePayload as problem:
            row.quarantine(Reason.UNREADABLE, problem.reason)
            continue
        row.dedup_key = paid.receipt
        channel = channels[row.channel_id]
        if paid.shortcode not in channel.shortcodes:
            row.quarantine(Reason.FOREIGN_SHORTCODE, say("It names shortcode %(shortcode)s.", shortcode=paid.shortcode))
        elif not MpesaChannel.objects.filter(pk=channel.pk, bill_manager_opted_in_at__isnull=False).exists():
            row.quarantine(Reason.UNMATCHED_REQUEST, say("Bill Manager is not on for this channel."))
        else:
            parsed.append((row, paid))
    known = {*_recorded(parsed), *told}
    ready = []
    for row, paid in parsed:
        if (row.channel_id, paid.receipt) in known or now - row.received_at >= CONFIRMATION_FIRST_FOR:
            ready.append((row, paid))
        else:
            row.wait(now, say("M-PESA's own confirmation has not come yet."))
    return ready


def report(row: Claimed, paid: InvoicePayment, channel: MpesaChannel, mapping: AccountMapping) -> PaymentReport:
    paid_at = row.received_at
    if paid.paid_on and paid.paid_on != paid_at.astimezone(NAIROBI).date():
        paid_at = datetime.combine(paid.paid_on, time(12), NAIROBI)
    return PaymentReport(
        receipt=paid.receipt,
        channel=channel,
        payer=paid.msisdn,
        payer_name="",
        amount=paid.amount,
        account_reference=paid.account_reference,
        routed_to=mapping.program_of(paid.account_reference),
        source=Payment.Source.INVOICE,
        paid_at=paid_at,
        callback_id=row.id,
    )


def follow_up(read: Sequence[tuple[Claimed, InvoicePayment]]) -> None:
    """Their payments are recorded: check that they agree, and promise to acknowledge each once."""
    payments = _recorded(read)
    for row, paid in read:
        payment = payments[row.channel_id, paid.receipt]
        if payment.amount != paid.amount:
            row.quarantine(
                Reason.AMOUNT_MISMATCH,
                say(
                    "It reports KES %(theirs)s; the payment is KES %(ours)s.",
                    theirs=str(paid.amount),
                    ours=str(payment.amount),
                ),
            )
            logger.error("Delivery %s reports %s with another amount than before.", row.id, paid.receipt)
        elif not _was_reported_before(row):
            enqueue(acknowledge_invoice_payment, payment_id=str(payment.pk))


def _recorded(read: Sequence[tuple[Claimed, InvoicePayment]]) -> dict[tuple[UUID, str], Payment]:
    if not read:
        return {}
    payments = Payment.objects.filter(receipt__in={paid.receipt for _, paid in read})
    return {(payment.channel_id, payment.receipt): payment for payment in payments}


def _was_reported_before(row: Claimed) -> bool:
    return InboundCallback.objects.filter(
        tenant=require_current_tenant(),
        kind=InboundCallback.Kind.INVOICE_PAYMENT,
        dedup_key=row.dedup_key,
        channel_id=row.channel_id,
        state=State.APPLIED,
    ).exists()


# -- How much of each invoice is paid ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Part:
    """What one payment pays of one invoice."""

    invoice: Invoice
    payment: Payment
    amount: Decimal


def allocate(invoices: Iterable[Invoice], payments: Iterable[Payment]) -> list[Part]:
    """Share out an account's payments, the oldest first, among the invoices that existed by then.

    The invoice that is due first is paid first. What is left over belongs to none.
    """
    in_turn = sorted(invoices, key=lambda invoice: (invoice.due_date, invoice.pk))
    owed = {invoice.pk: Decimal(invoice.amount) for invoice in in_turn}
    parts = []
    for payment in sorted(payments, key=lambda payment: (payment.paid_at, payment.pk)):
        left = payment.amount
        for invoice in in_turn:
            amount = min(left, owed[invoice.pk])
            if amount and invoice.created_at - _CLOCKS_DIFFER_BY <= payment.paid_at:
                parts.append(Part(invoice, payment, amount))
                owed[invoice.pk] -= amount
                left -= amount
    return parts


def promise_counting(payment_ids: Sequence[UUID]) -> None:
    """Promise to work out anew the invoices that these payments may pay, in the caller's commit."""
    invoices = Invoice.objects.exclude(status__in=NOT_COUNTED)
    if not invoices.exists():
        return
    accounts: dict[UUID, set[str]] = defaultdict(set)
    for channel_id, reference in Payment.objects.filter(pk__in=payment_ids).values_list(
        "channel_id", "account_reference"
    ):
        accounts[channel_id].add(account_key(reference))
    for channel_id, keys in accounts.items():
        billed = _of_accounts(channel_id, keys).values_list("account", flat=True).distinct()
        if billed := sorted(billed):
            enqueue(count_invoice_payments, channel_id=str(channel_id), accounts=billed)


def hear_recorded(sender: Any, payment_ids: list[UUID], **_: Any) -> None:
    promise_counting(payment_ids)


def hear_reversed(sender: Any, payment_id: UUID, **_: Any) -> None:
    promise_counting([payment_id])


@transaction.atomic
def count_payments(*, channel_id: UUID, accounts: Sequence[str], now: datetime) -> None:
    """Write on the invoices of these accounts (`payments.accounts.account_key`) what is paid of each."""
    for account in accounts:
        invoices = list(_of_accounts(channel_id, [account]).order_by("pk").select_for_update())
        paid: dict[UUID, Decimal] = defaultdict(Decimal)
        for part in allocate(invoices, _payments_of(invoices)):
            paid[part.invoice.pk] += part.amount
        for invoice in invoices:
            if paid[invoice.pk] != invoice.paid_amount:
                _write(invoice, paid[invoice.pk], now=now)


def parts_of(invoice: Invoice) -> list[Part]:
    """The payments that pay an invoice, each with how much of it."""
    if invoice.status in NOT_COUNTED:
        return []
    invoices = list(_of_accounts(invoice.channel_id, [account_key(invoice.account_reference)]))
    return [part for part in allocate(invoices, _payments_of(invoices)) if part.invoice == invoice]


def parts_paid_by(payment: Payment) -> list[Part]:
    """The invoices that a payment pays, each with how much of it is for that."""
    if not payment.account_reference:
        return []
    invoices = list(_of_accounts(payment.channel_id, [account_key(payment.account_reference)]))
    return [part for part in allocate(invoices, _payments_of(invoices)) if part.payment == payment]


def _of_accounts(channel_id: UUID, keys: Iterable[str]) -> Any:
    """Invoices that count, each with the key of its account as `account`."""
    invoices = Invoice.objects.annotate(account=key_of_account())
    return invoices.filter(channel_id=channel_id, account__in=keys).exclude(status__in=NOT_COUNTED)


def _payments_of(invoices: Sequence[Invoice]) -> list[Payment]:
    """Payments to the one account of these invoices, since the first of them."""
    if not invoices:
        return []
    found = Payment.objects.filter(
        of_account(invoices[0].account_reference),
        environment=invoices[0].environment,
        channel_id=invoices[0].channel_id,
        paid_at__gte=min(invoice.created_at for invoice in invoices) - _CLOCKS_DIFFER_BY,
        reversed_at=None,
    )
    return list(found)


def _write(invoice: Invoice, paid: Decimal, *, now: datetime) -> None:
    before, invoice.paid_amount = invoice.status, paid
    if paid >= invoice.amount:
        invoice.status = Status.PAID
    elif paid:
        invoice.status = Status.PARTLY_PAID
    elif before in (Status.PAID, Status.PARTLY_PAID):
        invoice.status = Status.SENT  # what was paid was given back
    if invoice.status != before:
        invoice.finished_at = now if invoice.status == Status.PAID else None
    invoice.save(update_fields=["paid_amount", "status", "finished_at"])


# -- E-receipts -------------------------------------------------------------------------------------------------------


def acknowledge(*, payment_id: UUID, now: datetime) -> None:
    """Tell Bill Manager that a payment is booked, so that the customer is sent an e-receipt: once, if at all.

    A payment that pays no invoice of ours needs none.
    """
    payment = Payment.objects.select_related("channel").get(pk=payment_id)
    channel = payment.channel
    parts = parts_paid_by(payment)
    if not parts or not channel.bill_manager_app_key:
        return
    invoice = parts[0].invoice
    outcome = outcome_of(
        lambda: daraja_client(channel).acknowledge_invoice_payment(
            app_key=channel.bill_manager_app_key,
            receipt=payment.receipt,
            paid_on=payment.paid_at.astimezone(NAIROBI).date(),
            amount_kes=int(payment.amount),
            account_reference=payment.account_reference,
            msisdn=invoice.phone_number,
            full_name=invoice.billed_name,
            invoice_name=invoice.name,
            external_reference=invoice.external_reference,
        )
    )
    if isinstance(outcome, NotSent) and now - payment.created_at < _ACKNOWLEDGE_FOR:
        enqueue(acknowledge_invoice_payment, due_at=now + _ACKNOWLEDGE_AGAIN_AFTER, payment_id=str(payment_id))
    elif outcome is not None:
        logger.warning("No e-receipt for payment %s: %s", payment_id, outcome.said)
