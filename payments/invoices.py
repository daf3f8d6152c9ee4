"""Invoices that M-PESA sends to customers and reminds them of (Bill Manager, docs/daraja.md section 21).

A channel opts in first. An invoice is handed over at most once: `sending_at` is committed before the call, and what we
can't know stays `unknown`; its external reference is never used again. What is paid is in `payments.invoice_payments`.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import islice
from uuid import UUID

from django.db import transaction
from django.db.models import F, Min, Q, QuerySet
from django.utils.translation import gettext as _

import audit.services
from audit.services import Actor
from channels.connection import daraja_client, in_plain_words
from channels.daraja import client as daraja
from channels.daraja.client import DarajaClient
from channels.daraja.errors import DarajaRejected, Reason
from channels.daraja.outcomes import NotSent, Refused, Unknown, outcome_of
from channels.explaining import wrong_number
from channels.fields import UndecipherableSecret
from channels.models import MpesaChannel
from channels.msisdn import InvalidPhoneNumber, normalise
from channels.services import ChannelNotFound, callback_url, lock_channel
from channels.status import require_steps_before
from payments.accounts import account_key, of_account
from payments.models import Invoice
from payments.tasks import count_invoice_payments, send_invoices
from tenants.errors import Conflict, Invalid, NotFound
from tenants.permissions import Permission, require
from tenants.progress import Progress, untold
from tenants.queue import enqueue
from tenants.sentences import fitting, say

MOST_AT_ONCE = 1000
_KEPT_AT_ONCE = 200
_HANDED_OVER_AT_ONCE = 100  # what one refusal may make us send one by one
_LOST_AFTER = timedelta(minutes=20)  # longer than the task that hands them over may run
_SEND_AGAIN_AFTER = timedelta(seconds=30)
GIVE_UP_SENDING_AFTER = timedelta(days=1)

Status = Invoice.Status
OVERDUE = "OVERDUE"  # beside the statuses: sent, not wholly paid, and the due date is over
_OPEN = (Status.SENT, Status.PARTLY_PAID)
_OF_ONE_OF_THEM = frozenset({Reason.INVALID_FIELD, Reason.INVALID_REQUEST})


class InvoiceNotFound(NotFound):
    def __init__(self) -> None:
        super().__init__(_("There is no such invoice."))


class BillManagerNotOn(Conflict):
    code = "bill_manager_not_on"


class NoPayBill(Conflict):
    code = "no_paybill"


class InvoiceOver(Conflict):
    code = "invoice_over"


class InvoiceBeingSent(Conflict):
    code = "invoice_being_sent"


# -- Opting in --------------------------------------------------------------------------------------------------------


def opt_in(
    *, actor: Actor, channel_id: UUID, email: str, contact_phone: str, send_reminders: bool, now: datetime
) -> MpesaChannel:
    """Turn Bill Manager on for a PayBill, or change what it knows of the business. Over the network.

    Again after the channel's callback token was rotated: it reports payments to the path of now.

    :raises ChannelNotFound: if the business has none such.
    :raises NoPayBill: if it is a till.
    :raises NotConfigured: if its keys are not saved.
    :raises Invalid: if the phone number is not Kenyan.
    :raises MpesaRefused, MpesaUnavailable: if Safaricom does not turn it on.
    """
    require(actor, Permission.CHANNELS_CHANGE)
    channel = MpesaChannel.objects.without_secrets().filter(pk=channel_id).first()
    if channel is None:
        raise ChannelNotFound
    if channel.kind != MpesaChannel.Kind.PAYBILL:
        raise NoPayBill(_("Bill Manager is for PayBills; this is a till."))
    require_steps_before(channel, "verify")
    try:
        contact = normalise(contact_phone)
    except InvalidPhoneNumber:
        raise Invalid(wrong_number(), errors={"contact_phone": [wrong_number()]}) from None
    app_key = _opt_in_at_safaricom(channel, email=email, contact=contact, send_reminders=send_reminders)
    with transaction.atomic():
        channel = lock_channel(channel_id)
        channel.bill_manager_app_key = app_key
        channel.bill_manager_opted_in_at = channel.bill_manager_opted_in_at or now
        channel.save(update_fields=["bill_manager_app_key", "bill_manager_opted_in_at"])
        audit.services.record(
            actor=actor,
            action="channel.bill_manager_turned_on",
            subject=channel,
            after={"email": email, "send_reminders": send_reminders},
        )
    return channel


def _opt_in_at_safaricom(channel: MpesaChannel, *, email: str, contact: str, send_reminders: bool) -> str:
    with in_plain_words():
        client = daraja_client(channel)
        url = callback_url(channel, "invoice-payment")
        if app_key := str(channel.bill_manager_app_key):
            client.change_invoicing_details(
                app_key=app_key,
                shortcode=channel.shortcode,
                email=email,
                contact_msisdn=contact,
                send_reminders=send_reminders,
                callback_url=url,
            )
            return app_key
        return client.opt_in_to_invoicing(
            shortcode=channel.shortcode,
            email=email,
            contact_msisdn=contact,
            send_reminders=send_reminders,
            callback_url=url,
        )


# -- Creating, reading, cancelling ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class NewInvoice:
    """What a customer is asked to pay. `items`: `{"item_name": "Rent", "amount": 9000}` each, in KES."""

    external_reference: str
    name: str
    billed_name: str
    phone_number: str  # as people write it
    billed_period: str
    due_date: date
    account_reference: str
    amount: int
    items: list[dict[str, str | int]] = field(default_factory=list)


def create_invoice(*, actor: Actor, channel_id: UUID, invoice: NewInvoice, now: datetime) -> Invoice:
    """One invoice: `create_invoices`, with the names of the fields alone in `errors`."""
    try:
        return create_invoices(actor=actor, channel_id=channel_id, invoices=[invoice], now=now)[0]
    except Invalid as refusal:
        errors = {name.removeprefix("invoices[1]."): said for name, said in refusal.errors.items()}
        raise Invalid(_("This invoice can't be sent."), errors=errors) from refusal


@transaction.atomic
def create_invoices(
    *,
    actor: Actor,
    channel_id: UUID,
    invoices: Sequence[NewInvoice],
    now: datetime,
    progress: Progress | None = None,
) -> list[Invoice]:
    """Promise to have M-PESA send 1 to 1,000 invoices: all of them, or, when one can't be sent, none.

    :raises Invalid: with what is wrong with each, such as `errors["invoices[3].phone_number"]`; the first one is 1.
    :raises ChannelNotFound: if the business has none such.
    :raises BillManagerNotOn: if the channel has not opted in.
    """
    rows = check_invoices(actor=actor, channel_id=channel_id, invoices=invoices, now=now)
    counted = (progress or untold()).each(rows)
    while some := list(islice(counted, _KEPT_AT_ONCE)):
        Invoice.objects.bulk_create(some)
    audit.services.record(
        actor=actor,
        action="invoices.created",
        subject=rows[0],
        after={"count": len(rows), "amount": sum(row.amount for row in rows)},
    )
    enqueue(send_invoices, channel_id=str(channel_id))
    # Who recorded a payment of theirs just now did not see them.
    accounts = sorted({account_key(row.account_reference) for row in rows})
    enqueue(count_invoice_payments, channel_id=str(channel_id), accounts=accounts)
    return rows


def check_invoices(*, actor: Actor, channel_id: UUID, invoices: Sequence[NewInvoice], now: datetime) -> list[Invoice]:
    """What `create_invoices` would make; nothing is kept.

    :raises Invalid, ChannelNotFound, BillManagerNotOn: as there.
    """
    require(actor, Permission.PAYMENTS_REQUEST)
    channel = MpesaChannel.objects.without_secrets().filter(pk=channel_id).first()
    if channel is None:
        raise ChannelNotFound
    if channel.bill_manager_opted_in_at is None:
        raise BillManagerNotOn(_("Turn on Bill Manager for %(channel)s first.") % {"channel": channel})
    if not 0 < len(invoices) <= MOST_AT_ONCE:
        sentence = _("Send 1 to %(most)s invoices at a time.") % {"most": f"{MOST_AT_ONCE:,}"}
        raise Invalid(sentence, errors={"invoices": [sentence]})
    return _rows(channel, invoices, actor=actor, now=now)


def _rows(channel: MpesaChannel, invoices: Sequence[NewInvoice], *, actor: Actor, now: datetime) -> list[Invoice]:
    references = [new.external_reference for new in invoices]
    used = set(
        Invoice.objects.filter(environment=channel.environment, external_reference__in=references)
        .exclude(status=Status.FAILED)
        .values_list("external_reference", flat=True)
    )
    errors: dict[str, list[str]] = {}
    rows = []
    for number, new in enumerate(invoices, start=1):
        if new.external_reference in used:
            sentence = _("An invoice with the number %(number)s exists already.") % {"number": new.external_reference}
            errors[f"invoices[{number}].external_reference"] = [sentence]
        used.add(new.external_reference)
        if new.items and sum(int(item["amount"]) for item in new.items) != new.amount:
            errors[f"invoices[{number}].items"] = [_("The items don't add up to the amount.")]
        try:
            msisdn = normalise(new.phone_number)
        except InvalidPhoneNumber:
            errors[f"invoices[{number}].phone_number"] = [wrong_number()]
            continue
        rows.append(
            Invoice(
                channel=channel,
                environment=channel.environment,
                external_reference=new.external_reference,
                name=new.name,
                billed_name=new.billed_name,
                phone_number=msisdn,
                billed_period=new.billed_period,
                due_date=new.due_date,
                account_reference=new.account_reference,
                amount=new.amount,
                items=new.items,
                requested_by=actor.label,
                created_at=now,
            )
        )
    if errors:
        raise Invalid(_("Nothing was sent: some of the invoices can't be."), errors=errors)
    return rows


def invoices_of(*, actor: Actor) -> QuerySet[Invoice]:
    """Every invoice of the business."""
    require(actor, Permission.PAYMENTS_READ)
    return Invoice.objects.all()


def invoices_like(
    *, actor: Actor, environment: str, words: str = "", state: str = "", today: date
) -> QuerySet[Invoice]:
    """Those in a status, or `OVERDUE`, and of a number, account, phone or customer that somebody typed."""
    rows = invoices_of(actor=actor).filter(environment=environment)
    if state == OVERDUE:
        rows = rows.filter(status__in=_OPEN, due_date__lt=today)
    elif state in Status.values:
        rows = rows.filter(status=state)
    if words := words.strip():
        meant = Q(external_reference__iexact=words) | of_account(words)
        meant |= Q(billed_name__icontains=words)
        with suppress(InvalidPhoneNumber):
            meant |= Q(phone_number=normalise(words))
        rows = rows.filter(meant)
    return rows


def billing_channels(*, actor: Actor, environment: str) -> list[MpesaChannel]:
    """PayBills that could send invoices; those that do have `bill_manager_opted_in_at`, and come first."""
    require(actor, Permission.CHANNELS_READ)
    rows = MpesaChannel.objects.without_secrets().filter(
        environment=environment, kind=MpesaChannel.Kind.PAYBILL, status=MpesaChannel.Status.ACTIVE
    )
    return list(rows.order_by(F("bill_manager_opted_in_at").asc(nulls_last=True), "-is_primary", "name"))


def read_invoice(*, actor: Actor, invoice_id: UUID) -> Invoice:
    """:raises InvoiceNotFound: if the business has none such."""
    invoice = invoices_of(actor=actor).filter(pk=invoice_id).first()
    if invoice is None:
        raise InvoiceNotFound
    return invoice


def cancel_invoice(*, actor: Actor, invoice_id: UUID, now: datetime) -> Invoice:
    """Withdraw an invoice of which nothing is paid. Over the network, if M-PESA has it.

    :raises InvoiceNotFound: if the business has none such.
    :raises InvoiceBeingSent: while it is being handed over.
    :raises InvoiceOver: if something is paid of it, or it ended before.
    :raises MpesaRefused, MpesaUnavailable: if M-PESA does not withdraw it; asking again does no harm.
    """
    require(actor, Permission.PAYMENTS_REQUEST)
    invoice = _cancel(invoice_id, (Status.PENDING,), actor=actor, now=now)
    if invoice.status == Status.CANCELLED:
        return invoice
    channel = MpesaChannel.objects.get(pk=invoice.channel_id)
    with in_plain_words():
        try:
            daraja_client(channel).cancel_invoice(
                app_key=channel.bill_manager_app_key, external_reference=invoice.external_reference
            )
        except DarajaRejected as refusal:
            if refusal.reason is Reason.INVOICE_PAID:
                raise InvoiceOver(
                    _("Something is paid of this invoice already, so it can't be withdrawn.")
                ) from refusal
            raise
    return _cancel(invoice_id, (Status.SENT, Status.UNKNOWN), actor=actor, now=now)


@transaction.atomic
def _cancel(invoice_id: UUID, ours_alone: Sequence[Status], *, actor: Actor, now: datetime) -> Invoice:
    """Mark it cancelled if it is in one of these states; let pass what M-PESA has to withdraw first."""
    invoice = Invoice.objects.select_for_update().filter(pk=invoice_id).first()
    if invoice is None:
        raise InvoiceNotFound
    if invoice.status == Status.PENDING and invoice.sending_at:
        raise InvoiceBeingSent(_("This invoice is being handed to M-PESA. Try again in a minute."))
    if invoice.status not in (Status.PENDING, Status.SENT, Status.UNKNOWN):
        words = invoice.get_status_display()
        raise InvoiceOver(_("This invoice can't be withdrawn any more: %(state)s.") % {"state": words})
    if invoice.status in ours_alone:
        before, invoice.status, invoice.finished_at = invoice.status, Status.CANCELLED, now
        invoice.save(update_fields=["status", "finished_at"])
        audit.services.record(
            actor=actor,
            action="invoice.cancelled",
            subject=invoice,
            before={"status": before},
            after={"status": invoice.status},
        )
    return invoice


# -- Handing over -----------------------------------------------------------------------------------------------------


def send_pending(*, channel_id: UUID, now: datetime) -> None:
    """Hand some of a channel's invoices to Bill Manager, each at most once, and promise the rest."""
    claimed = _claim(channel_id, now=now)
    if not claimed:
        return
    channel = MpesaChannel.objects.get(pk=channel_id)
    try:
        client, app_key = daraja_client(channel), channel.bill_manager_app_key
    except UndecipherableSecret:
        _settle(claimed, Status.FAILED, desc=say("A saved credential can't be read. Nothing was sent."), now=now)
        return
    outcome = outcome_of(lambda: _hand_over(client, app_key, claimed))
    if isinstance(outcome, Refused) and outcome.reason in _OF_ONE_OF_THEM and len(claimed) > 1:
        for invoice in claimed:
            _note([invoice], outcome_of(lambda invoice=invoice: _hand_over(client, app_key, [invoice])), now=now)  # type: ignore[misc]
    else:
        _note(claimed, outcome, now=now)


@transaction.atomic
def _claim(channel_id: UUID, *, now: datetime) -> list[Invoice]:
    pending = Invoice.objects.filter(channel_id=channel_id, status=Status.PENDING)
    lost = pending.filter(sending_at__lt=now - _LOST_AFTER)
    _settle(lost, Status.UNKNOWN, desc=say("We stopped while handing it to Safaricom; it may have been sent."), now=now)
    waiting = pending.filter(sending_at=None).order_by("pk").select_for_update(skip_locked=True)
    claimed = list(waiting[: _HANDED_OVER_AT_ONCE + 1])
    is_more, claimed = len(claimed) > _HANDED_OVER_AT_ONCE, claimed[:_HANDED_OVER_AT_ONCE]
    if claimed:
        Invoice.objects.filter(pk__in=[invoice.pk for invoice in claimed]).update(sending_at=now)
    under_way = pending.aggregate(first=Min("sending_at"))["first"]
    if under_way:  # also by a worker that died: whoever runs in its place comes back, when its invoices are lost
        enqueue(send_invoices, due_at=now if is_more else under_way + _LOST_AFTER, channel_id=str(channel_id))
    return claimed


def _hand_over(client: DarajaClient, app_key: str, invoices: Sequence[Invoice]) -> None:
    if len(invoices) == 1:
        client.send_invoice(app_key=app_key, invoice=_as_daraja_has_it(invoices[0]))
    else:
        client.send_invoices(app_key=app_key, invoices=[_as_daraja_has_it(invoice) for invoice in invoices])


def _as_daraja_has_it(invoice: Invoice) -> daraja.Invoice:
    return daraja.Invoice(
        external_reference=invoice.external_reference,
        full_name=invoice.billed_name,
        msisdn=invoice.phone_number,
        period=invoice.billed_period,
        name=invoice.name,
        due_on=invoice.due_date,
        account_reference=invoice.account_reference,
        amount_kes=invoice.amount,
        items=tuple(daraja.InvoiceItem(str(item["item_name"]), int(item["amount"])) for item in invoice.items),
    )


def _note(invoices: Sequence[Invoice], outcome: Refused | NotSent | Unknown | None, *, now: datetime) -> None:
    if outcome is None:
        _settle(invoices, Status.SENT, now=now)
    elif isinstance(outcome, Unknown):
        _settle(invoices, Status.UNKNOWN, code=outcome.code, desc=outcome.said, now=now)
    elif isinstance(outcome, Refused):
        _settle(invoices, Status.FAILED, code=outcome.code, desc=outcome.said, now=now)
    else:
        _send_again([invoice for invoice in invoices if now - invoice.created_at < GIVE_UP_SENDING_AFTER], now=now)
        given_up = [invoice for invoice in invoices if now - invoice.created_at >= GIVE_UP_SENDING_AFTER]
        _settle(
            given_up, Status.FAILED, code=outcome.code, desc=say("Nothing was sent. %(why)s", why=outcome.said), now=now
        )


@transaction.atomic
def _send_again(invoices: Sequence[Invoice], *, now: datetime) -> None:
    Invoice.objects.filter(pk__in=[invoice.pk for invoice in invoices]).update(sending_at=None)
    for channel_id in {invoice.channel_id for invoice in invoices}:
        enqueue(send_invoices, due_at=now + _SEND_AGAIN_AFTER, channel_id=str(channel_id))


def _settle(
    invoices: Sequence[Invoice] | QuerySet[Invoice], status: Status, *, now: datetime, code: str = "", desc: str = ""
) -> None:
    """What became of handing them over; never over what was paid meanwhile."""
    Invoice.objects.filter(pk__in=[invoice.pk for invoice in invoices], status=Status.PENDING).update(
        status=status,
        result_code=code[:20],
        result_desc=fitting(desc, 1024),
        finished_at=now if status == Status.FAILED else None,
    )
