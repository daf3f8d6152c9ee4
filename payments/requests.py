"""Asking a customer's phone to pay (STK Push), and finding out what became of it.

Daraja is called at most once for a request: `sending_at` is committed before the call. If we can't know whether the
prompt went out, the request is `unknown` and a person decides; it is never sent again by itself. Daraja's own answer
comes as a callback; where none comes we ask. A payment that was reported is never undone by a query (daraja.md 6).
"""

import logging
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

import audit.services
from audit.services import Actor
from channels.connection import daraja_client, in_plain_words
from channels.daraja.client import StkState
from channels.daraja.errors import DarajaError, DarajaRejected, DarajaUnavailable
from channels.explaining import wrong_number
from channels.fields import UndecipherableSecret
from channels.models import MpesaChannel
from channels.msisdn import InvalidPhoneNumber, normalise
from channels.services import callback_url
from channels.status import state_in_words
from payments.models import Payment, PaymentRequest
from payments.tasks import check_payment_request, send_payment_request
from tenants.errors import Conflict, Invalid, NotFound
from tenants.permissions import Permission, require
from tenants.queue import enqueue
from tenants.sentences import fitting, say

logger = logging.getLogger(__name__)

# The prompt lives for about a minute, and its callback usually comes within it; then we ask, ever more rarely.
FIRST_CHECK_AFTER = timedelta(seconds=25)
_CHECK_AGAIN_AFTER = [timedelta(seconds=seconds) for seconds in (10, 15, 30, 60, 120, 300)]
# By then the customer has left, or has paid another way: a request for the PIN would come as a surprise.
SEND_WITHIN = timedelta(seconds=60)
NOT_TAKEN = "not_taken"  # our own code: Daraja certainly has not taken the request, and is not asked any more

Status = PaymentRequest.Status


class NoUsableChannel(Conflict):
    code = "no_usable_channel"


class NothingToAsk(Conflict):
    code = "nothing_to_ask"


class SecretUnreadable(Conflict):
    """What is saved can't be read with the platform's present keys."""

    code = "secret_unreadable"


def request_payment(
    *,
    actor: Actor,
    phone_number: str,
    amount: int,
    account_reference: str,
    transaction_desc: str = "Payment",
    channel_id: UUID | None = None,
) -> PaymentRequest:
    """Promise to prompt a phone for `amount` whole shillings; the answer is `pending` and is followed by its id.

    Without a channel the primary one asks.

    :raises Invalid: for a number that is not Kenyan.
    :raises NotFound: if there is no such channel.
    :raises NoUsableChannel: if the channel can't prompt: not active, or without a passkey.
    :raises SecretUnreadable: if its passkey can't be deciphered.
    """
    require(actor, Permission.PAYMENTS_REQUEST)
    try:
        msisdn = normalise(phone_number)
    except InvalidPhoneNumber:
        raise Invalid(wrong_number(), errors={"phone_number": [wrong_number()]}) from None
    with transaction.atomic():
        channel = _channel(channel_id)
        if channel.status != MpesaChannel.Status.ACTIVE:
            raise NoUsableChannel(
                say(
                    "%(channel)s is %(status)s. Activate it before you ask for payments.",
                    channel=str(channel),
                    status=state_in_words(channel),
                )
            )
        if not _passkey(channel):
            raise NoUsableChannel(
                say(
                    "%(channel)s has no passkey. Safaricom issues one for prompting phones: add it first.",
                    channel=str(channel),
                )
            )
        request = PaymentRequest.objects.create(
            channel=channel,
            environment=channel.environment,
            phone_number=msisdn,
            amount=amount,
            account_reference=account_reference,
            transaction_desc=transaction_desc,
            requested_by=actor.label,
        )
        enqueue(send_payment_request, request_id=str(request.pk))
    return request


def payment_requests(*, actor: Actor) -> QuerySet[PaymentRequest]:
    """Every request of the business, for its people to look at."""
    require(actor, Permission.PAYMENTS_READ)
    return PaymentRequest.objects.select_related("payment")


def send_request(*, request_id: UUID, now: datetime) -> None:
    """Send a promised prompt to Daraja: once, and within `SEND_WITHIN` of having been asked for, or not at all.

    :raises DarajaUnavailable: if it did not get through, so that it is tried again while there is time.
    """
    request = PaymentRequest.objects.select_related("channel").get(pk=request_id)
    if request.status != Status.PENDING or request.accepted_at:
        return
    if not PaymentRequest.objects.filter(pk=request_id, sending_at=None).update(sending_at=now):
        # A worker died between the call and noting its answer: the phone may have been prompted.
        _settle(
            request_id,
            Status.UNKNOWN,
            desc=say("We stopped while asking Safaricom; the prompt may have gone out."),
            now=now,
        )
        return
    if now - request.created_at >= SEND_WITHIN:
        _settle(request_id, Status.FAILED, code=NOT_TAKEN, desc=request.result_desc, now=now)
        return
    channel = request.channel
    try:
        accepted = daraja_client(channel).stk_push(
            shortcode=channel.business_shortcode,
            passkey=channel.passkey,
            msisdn=request.phone_number,
            amount_kes=request.amount,
            account_reference=request.account_reference,
            callback_url=callback_url(channel, "stk-callback", request.pk),
            till=None if channel.kind == MpesaChannel.Kind.PAYBILL else channel.shortcode,
            description=request.transaction_desc,
        )
    except DarajaUnavailable as problem:
        with transaction.atomic():
            PaymentRequest.objects.filter(pk=request_id).update(
                sending_at=None, result_desc=fitting(problem.message, 1024)
            )
            enqueue(send_payment_request, due_at=request.created_at + SEND_WITHIN, request_id=str(request_id))
        raise
    except DarajaRejected as problem:
        _settle(request_id, Status.FAILED, code=problem.code, desc=problem.message, now=now)
        return
    except DarajaError as problem:
        _settle(request_id, Status.UNKNOWN, code=problem.code, desc=problem.message, now=now)
        return
    with transaction.atomic():
        PaymentRequest.objects.filter(pk=request_id).update(
            accepted_at=now,
            result_desc="",
            merchant_request_id=accepted.merchant_request_id,
            checkout_request_id=accepted.checkout_request_id,
        )
        enqueue(check_payment_request, due_at=now + FIRST_CHECK_AFTER, request_id=str(request_id))


def check_request(*, request_id: UUID, now: datetime) -> None:
    """Ask Daraja how a prompt stands that no callback has settled; promise to ask again while it is open."""
    request = PaymentRequest.objects.select_related("channel").get(pk=request_id)
    if request.status != Status.PENDING or not request.checkout_request_id:
        return
    try:
        state = _state_of(request)
    except DarajaError as problem:
        logger.info("Payment request %s could not be checked: %s", request_id, problem)
        state = StkState(StkState.Kind.NOT_FOUND, result_desc=problem.message)
    if state.kind == StkState.Kind.FINAL:
        status = Status.SUCCEEDED if state.result_code == "0" else Status.FAILED
        _settle(request_id, status, code=state.result_code, desc=state.result_desc, now=now)
        return
    if request.checks >= len(_CHECK_AGAIN_AFTER):
        _settle(request_id, Status.UNKNOWN, desc=state.result_desc, now=now)
        return
    with transaction.atomic():
        PaymentRequest.objects.filter(pk=request_id).update(checks=request.checks + 1)
        enqueue(check_payment_request, due_at=now + _CHECK_AGAIN_AFTER[request.checks], request_id=str(request_id))


def ask_what_became(*, actor: Actor, request_id: UUID, now: datetime) -> PaymentRequest:
    """Ask Daraja now about a prompt of which nobody knows how it ended. Over the network; asking again does no harm.

    :raises NotFound: if the business has no such request.
    :raises NothingToAsk: if its outcome is known, is still waited for, or the prompt may never have gone out.
    :raises MpesaRefused, MpesaUnavailable: if Daraja does not answer the question.
    """
    require(actor, Permission.PAYMENTS_REQUEST)
    request = PaymentRequest.objects.select_related("channel").filter(pk=request_id).first()
    if request is None:
        raise NotFound(_("There is no such payment request."))
    if request.status != Status.UNKNOWN or not request.checkout_request_id:
        raise NothingToAsk(_("There is nothing to ask M-PESA about this request."))
    with in_plain_words():
        state = _state_of(request)
    with transaction.atomic():
        audit.services.record(
            actor=actor, action="status.asked", subject=request, after={"channel": str(request.channel)}
        )
        if state.kind == StkState.Kind.FINAL:
            status = Status.SUCCEEDED if state.result_code == "0" else Status.FAILED
            _settle(request_id, status, code=state.result_code, desc=state.result_desc, now=now, was=Status.UNKNOWN)
    request.refresh_from_db()
    return request


def _state_of(request: PaymentRequest) -> StkState:
    channel = request.channel
    return daraja_client(channel).stk_query(
        shortcode=channel.business_shortcode,
        passkey=channel.passkey,
        checkout_request_id=request.checkout_request_id,
    )


def lock_answered(*, ids: Iterable[UUID], checkout_ids: Iterable[str]) -> dict[UUID | str, PaymentRequest]:
    """Our requests that callbacks speak of, by their own identifiers and by Daraja's, locked until the commit."""
    meant = Q(pk__in=list(ids)) | Q(checkout_request_id__in=list(checkout_ids))
    rows = list(PaymentRequest.objects.select_for_update().filter(meant).order_by("pk"))
    return {row.checkout_request_id: row for row in rows if row.checkout_request_id} | {row.pk: row for row in rows}


def note_not_paid(*, request: PaymentRequest, code: str, desc: str, now: datetime) -> bool:
    """A callback says that the customer did not pay. False if a payment is known: then it contradicts."""
    if request.status == Status.SUCCEEDED:
        return False
    request.status, request.result_code, request.result_desc = Status.FAILED, code[:20], fitting(desc, 1024)
    request.finished_at = now
    request.save(update_fields=["status", "result_code", "result_desc", "finished_at"])
    return True


def note_paid(*, paid: Sequence[tuple[PaymentRequest, str]], now: datetime) -> None:
    """Callbacks say that these requests were paid, under these receipts, which are recorded: settle them."""
    payments = {
        (payment.channel_id, payment.receipt): payment
        for payment in Payment.objects.filter(receipt__in=[receipt for _, receipt in paid])
    }
    for request, receipt in paid:
        request.status, request.result_code, request.result_desc = Status.SUCCEEDED, "0", ""
        request.payment = payments[request.channel_id, receipt]
        request.finished_at = now
        request.save(update_fields=["status", "result_code", "result_desc", "payment", "finished_at"])


def _channel(channel_id: UUID | None) -> MpesaChannel:
    if channel_id is not None:
        channel = MpesaChannel.objects.without_secrets().filter(pk=channel_id).first()
        if channel is None:
            raise NotFound(say("There is no such channel."))
        return channel
    channel = MpesaChannel.objects.without_secrets().filter(is_primary=True).first()
    if channel is None:
        raise NoUsableChannel(say("Add a channel first."))
    return channel


def _passkey(channel: MpesaChannel) -> str:
    try:
        return str(channel.passkey)
    except UndecipherableSecret:
        raise SecretUnreadable(
            say(
                "The passkey of %(channel)s can't be read any more: the platform's encryption keys changed. Save it "
                "again.",
                channel=str(channel),
            )
        ) from None


def _settle(
    request_id: UUID,
    status: Status,
    *,
    now: datetime,
    code: str = "",
    desc: str = "",
    was: Status = Status.PENDING,
) -> None:
    """The outcome as we learnt it without a callback; never over what a callback has told meanwhile."""
    PaymentRequest.objects.filter(pk=request_id, status=was).update(
        status=status, result_code=code[:20], result_desc=fitting(desc, 1024), finished_at=now
    )
