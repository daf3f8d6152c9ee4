"""Standing orders of customers (M-PESA Ratiba, docs/daraja.md section 20).

A customer is asked once to agree: `sending_at` is committed before the call. If we can't know whether the question went
out, or no answer comes, the order is `unknown`: Daraja has no call that tells, and it is never asked again by itself.
What an order pays comes as ordinary C2B payments. Daraja has no call that ends an order either: the customer does that
on the phone, and cancelling only says that the business expects nothing more.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import date, datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

import audit.services
from audit.services import Actor
from channels.connection import daraja_client
from channels.daraja.client import Frequency, IdentifierType, StandingOrderAccepted
from channels.daraja.explanations import Api
from channels.daraja.notices import StandingOrderResult, parse_standing_order_callback
from channels.daraja.outcomes import NotSent, Refused, outcome_of
from channels.daraja.payloads import UnreadablePayload
from channels.daraja.verdicts import Verdict, verdict
from channels.explaining import wrong_number
from channels.models import Environment, MpesaChannel
from channels.msisdn import InvalidPhoneNumber, normalise, sha256_hex
from channels.services import ChannelNotFound, callback_url
from payments.deliveries import Claimed, Reason
from payments.models import Payment, StandingOrder
from payments.requests import NoUsableChannel
from payments.services import NAIROBI
from payments.tasks import give_up_on_standing_order, send_standing_order
from tenants.errors import Conflict, Invalid, NotFound
from tenants.permissions import Permission, require
from tenants.queue import enqueue
from tenants.sentences import fitting, say

GIVE_UP_SENDING_AFTER = timedelta(minutes=10)
ANSWER_PATIENCE = timedelta(minutes=15)  # the prompt on the phone lives for a minute or two
_SEND_AGAIN_AFTER = timedelta(seconds=30)

Status = StandingOrder.Status

_STATES = {
    Status.PENDING: say("pending"),
    Status.ACTIVE: say("active"),
    Status.FAILED: say("failed"),
    Status.UNKNOWN: say("unknown"),
    Status.CANCELLED: say("cancelled"),
}
_NUMBERED_ALIKE = (StandingOrder.Frequency.ONCE, StandingOrder.Frequency.DAILY, StandingOrder.Frequency.WEEKLY)
_HOLD_THEIR_NAME = (Status.PENDING, Status.ACTIVE, Status.UNKNOWN)


class StandingOrderNotFound(NotFound):
    def __init__(self) -> None:
        super().__init__(_("There is no such standing order."))


class StandingOrderNameTaken(Conflict):
    code = "standing_order_name_taken"


class FrequencyUnconfirmed(Conflict):
    """Under the wrong one of two published numberings the customer pays twice as often as agreed."""

    code = "frequency_unconfirmed"


class StandingOrderOver(Conflict):
    code = "standing_order_over"


@transaction.atomic
def create_standing_order(
    *,
    actor: Actor,
    name: str,
    phone_number: str,
    amount: int,
    account_reference: str,
    frequency: str,
    start_date: date,
    end_date: date,
    now: datetime,
    transaction_desc: str = "Payment",
    channel_id: UUID | None = None,
) -> StandingOrder:
    """Promise to ask a customer's phone to agree to pay `amount` whole shillings again and again.

    Without a channel the primary one asks. The first payment is on `start_date`, the last one at the latest on
    `end_date`; both by Kenya's calendar.

    :raises Invalid: for a number that is not Kenyan, or dates that can't be.
    :raises ChannelNotFound: if there is no such channel.
    :raises NoUsableChannel: if the channel is not active.
    :raises FrequencyUnconfirmed: if nobody confirmed with Safaricom what its number for this frequency means.
    :raises StandingOrderNameTaken: if the customer has an order of this name, by M-PESA's rule.
    """
    require(actor, Permission.PAYMENTS_REQUEST)
    msisdn = _read(phone_number, start_date, end_date, today=now.astimezone(NAIROBI).date())
    chosen = Q(is_primary=True) if channel_id is None else Q(pk=channel_id)
    channel = MpesaChannel.objects.without_secrets().filter(chosen).first()
    if channel is None:
        raise ChannelNotFound
    if channel.status != MpesaChannel.Status.ACTIVE:
        raise NoUsableChannel(f"{channel} is {channel.status.lower()}. Activate it before you ask for payments.")
    _require_confirmed(frequency, channel)
    order = StandingOrder(
        channel=channel,
        environment=channel.environment,
        name=name,
        phone_number=msisdn,
        amount=amount,
        account_reference=account_reference,
        transaction_desc=transaction_desc,
        frequency=frequency,
        start_date=start_date,
        end_date=end_date,
        requested_by=actor.label,
        created_at=now,
    )
    StandingOrder.objects.bulk_create([order], ignore_conflicts=True)
    if not StandingOrder.objects.filter(pk=order.pk).exists():
        sentence = _("This customer has a standing order “%(name)s” already. Give this one another name.") % {
            "name": name
        }
        raise StandingOrderNameTaken(sentence, errors={"name": [sentence]})
    audit.services.record(
        actor=actor,
        action="standing_order.requested",
        subject=order,
        after={"amount": amount, "frequency": frequency, "start_date": start_date, "end_date": end_date},
    )
    enqueue(send_standing_order, order_id=str(order.pk))
    return order


def frequencies_in(environment: str) -> list[StandingOrder.Frequency]:
    """How often an order may be paid there: of live ones only what Safaricom means alike in all that it publishes."""
    if environment == Environment.PRODUCTION and not settings.RATIBA_FREQUENCIES_CONFIRMED:
        return list(_NUMBERED_ALIKE)
    return list(StandingOrder.Frequency)


def _require_confirmed(frequency: str, channel: MpesaChannel) -> None:
    if frequency not in frequencies_in(channel.environment):
        sentence = _(
            "Safaricom publishes two meanings of its number for this, and under the wrong one the customer would pay "
            "at the wrong times. Until the operators of this platform have it confirmed, live standing orders are "
            "once, daily or weekly."
        )
        raise FrequencyUnconfirmed(sentence, errors={"frequency": [sentence]})


def standing_orders(*, actor: Actor) -> QuerySet[StandingOrder]:
    """Every standing order of the business."""
    require(actor, Permission.PAYMENTS_READ)
    return StandingOrder.objects.all()


def standing_orders_like(
    *, actor: Actor, environment: str, words: str = "", status: str = ""
) -> QuerySet[StandingOrder]:
    """Those in a status, and of a phone number, account or name, that somebody typed. An unknown status is none."""
    rows = standing_orders(actor=actor).filter(environment=environment)
    if status in Status.values:
        rows = rows.filter(status=status)
    if words := words.strip():
        meant = Q(account_reference__iexact=words) | Q(name__icontains=words)
        with suppress(InvalidPhoneNumber):
            meant |= Q(phone_number=normalise(words))
        rows = rows.filter(meant)
    return rows


def read_standing_order(*, actor: Actor, order_id: UUID) -> StandingOrder:
    """:raises StandingOrderNotFound: if the business has none such."""
    order = standing_orders(actor=actor).filter(pk=order_id).first()
    if order is None:
        raise StandingOrderNotFound
    return order


def payments_of_order(order: StandingOrder) -> QuerySet[Payment]:
    """What the order seems to have paid, newest first.

    M-PESA does not say which payments are an order's. These have its channel, amount, reference and days, and a payer
    who may be its customer: the number as it is, hashed, or masked with the same beginning and end.
    """
    number = order.phone_number
    masked = rf"^\+?{number[:4]}[ *]*\*[ *]*{number[-3:]}$"
    return Payment.objects.filter(
        Q(payer__in=[number, f"+{number}", sha256_hex(number)]) | Q(payer__regex=masked),
        channel_id=order.channel_id,
        environment=order.environment,
        account_reference__iexact=order.account_reference,
        amount=order.amount,
        paid_at__gte=_midnight(order.start_date),
        paid_at__lt=_midnight(order.end_date + timedelta(days=1)),
    ).order_by("-paid_at", "-id")


@transaction.atomic
def cancel_standing_order(*, actor: Actor, order_id: UUID, now: datetime) -> StandingOrder:
    """Note that the business expects nothing more of an order. If it was not sent yet, it is not sent at all.

    An order that the customer agreed to goes on paying until the customer ends it on the phone.

    :raises StandingOrderNotFound: if the business has none such.
    :raises StandingOrderOver: if it failed, or was cancelled before.
    """
    require(actor, Permission.PAYMENTS_REQUEST)
    order = StandingOrder.objects.select_for_update().filter(pk=order_id).first()
    if order is None:
        raise StandingOrderNotFound
    if order.status not in _HOLD_THEIR_NAME:
        raise StandingOrderOver(_("This standing order is over already. There is nothing to cancel."))
    before, order.status, order.finished_at = order.status, Status.CANCELLED, now
    order.save(update_fields=["status", "finished_at"])
    audit.services.record(
        actor=actor,
        action="standing_order.cancelled",
        subject=order,
        before={"status": before},
        after={"status": order.status},
    )
    return order


# -- Asking the customer ----------------------------------------------------------------------------------------------


def send_order(*, order_id: UUID, now: datetime) -> None:
    """Have Daraja ask the customer: once."""
    order = StandingOrder.objects.select_related("channel").get(pk=order_id)
    if order.status != Status.PENDING or order.accepted_at:
        return
    if not StandingOrder.objects.filter(pk=order_id, status=Status.PENDING, sending_at=None).update(sending_at=now):
        _settle(
            order_id, Status.UNKNOWN, desc=say("We stopped while asking Safaricom; the customer may be asked."), now=now
        )
        return
    channel = order.channel
    is_paybill = channel.kind == MpesaChannel.Kind.PAYBILL
    outcome = outcome_of(
        lambda: daraja_client(channel).create_standing_order(
            name=order.name,
            shortcode=channel.shortcode,
            msisdn=order.phone_number,
            amount_kes=order.amount,
            frequency=Frequency(order.frequency),
            start=order.start_date,
            end=order.end_date,
            account_reference=order.account_reference,
            callback_url=callback_url(channel, "standing-order", order.pk),
            description=order.transaction_desc,
            payee_type=IdentifierType.SHORTCODE if is_paybill else IdentifierType.TILL,
        )
    )
    if isinstance(outcome, StandingOrderAccepted):
        _note_accepted(order_id, outcome, now=now)
    elif isinstance(outcome, NotSent) and now - order.created_at < GIVE_UP_SENDING_AFTER:
        _send_again(order_id, now=now)
    elif isinstance(outcome, NotSent | Refused):
        _settle(order_id, Status.FAILED, code=outcome.code, desc=outcome.said, now=now)
    else:
        _settle(order_id, Status.UNKNOWN, code=outcome.code, desc=outcome.said, now=now)


def give_up_waiting(*, order_id: UUID, now: datetime) -> None:
    """No answer of the customer came: we don't know. One that still comes counts."""
    _settle(order_id, Status.UNKNOWN, desc=say("Safaricom has not told us what the customer answered."), now=now)


def apply_callbacks(rows: Sequence[Claimed], *, now: datetime) -> None:
    """Take in what customers answered, in the drain's transaction. Applying it twice is harmless."""
    for row in rows:
        try:
            result = parse_standing_order_callback(row.body)
        except UnreadablePayload as problem:
            row.quarantine(Reason.UNREADABLE, problem.reason)
            continue
        row.dedup_key = result.response_ref_id[:80]
        # By the end of the path that it came to, else by Daraja's own id
        wanted = Q(pk=row.about) if row.about else Q(response_ref_id=result.response_ref_id)
        order = StandingOrder.objects.select_for_update().filter(wanted, channel_id=row.channel_id).first()
        if order is None:
            row.wait_for_request(now)
        elif not _take_in(order, result, now=now):
            row.quarantine(
                Reason.CONTRADICTION,
                say("The order is %(state)s, for what came before.", state=_STATES[Status(order.status)]),
            )


def _take_in(order: StandingOrder, result: StandingOrderResult, *, now: datetime) -> bool:
    """False if it contradicts what a callback, or Daraja's refusal, has settled."""
    said = verdict(Api.RATIBA, result.result_code, result.result_desc)
    told = {Verdict.SUCCEEDED: Status.ACTIVE, Verdict.FAILED: Status.FAILED}.get(said, Status.UNKNOWN)
    if order.status in (Status.ACTIVE, Status.FAILED):
        return told in (order.status, Status.UNKNOWN)
    if order.status != Status.CANCELLED:
        order.status = told
        order.finished_at = now if told == Status.FAILED else None
    order.result_code, order.result_desc = result.result_code[:20], result.result_desc
    order.response_ref_id = order.response_ref_id or result.response_ref_id[:80]
    order.save(update_fields=["status", "finished_at", "result_code", "result_desc", "response_ref_id"])
    return True


@transaction.atomic
def _note_accepted(order_id: UUID, accepted: StandingOrderAccepted, *, now: datetime) -> None:
    orders = StandingOrder.objects.filter(pk=order_id)
    orders.update(accepted_at=now, response_ref_id=accepted.response_ref_id[:80])
    enqueue(give_up_on_standing_order, due_at=now + ANSWER_PATIENCE, order_id=str(order_id))


@transaction.atomic
def _send_again(order_id: UUID, *, now: datetime) -> None:
    StandingOrder.objects.filter(pk=order_id).update(sending_at=None)
    enqueue(send_standing_order, due_at=now + _SEND_AGAIN_AFTER, order_id=str(order_id))


def _settle(order_id: UUID, status: Status, *, now: datetime, code: str = "", desc: str = "") -> None:
    """The outcome as we learnt it without a callback; never over one that a callback, or a person, set."""
    StandingOrder.objects.filter(pk=order_id, status=Status.PENDING).update(
        status=status,
        result_code=code[:20],
        result_desc=fitting(desc, 1024),
        finished_at=now if status == Status.FAILED else None,
    )


def _read(phone_number: str, start_date: date, end_date: date, *, today: date) -> str:
    """The number's 12 digits, if everything is as it has to be."""
    errors = {}
    msisdn = ""
    try:
        msisdn = normalise(phone_number)
    except InvalidPhoneNumber:
        errors["phone_number"] = [wrong_number()]
    if start_date < today:
        errors["start_date"] = [_("A standing order starts today or later.")]
    if end_date < start_date:
        errors["end_date"] = [_("A standing order does not end before it starts.")]
    if errors:
        raise Invalid(_("This standing order can't be."), errors=errors)
    return msisdn


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=NAIROBI)
