"""Applies what Daraja delivered: from the inbox to payments, requests and runs, or to quarantine with a reason.

A batch of one business's deliveries is claimed, applied and marked in one commit, so a crash anywhere leaves either
nothing or all of it. What a delivery does not fit is written on it, for a person to see.
"""

import hashlib
import logging
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction

from channels.daraja.payloads import C2BPayment, StkResult, UnreadablePayload, parse_c2b, parse_stk_callback
from channels.mapping import AccountMapping
from channels.models import Environment, MpesaChannel
from payments import invoice_payments, requests, standing_orders
from payments.deliveries import Claimed, Reason, State
from payments.models import Payment, PaymentRequest
from payments.results import apply_results
from payments.services import PaymentReport, record_payments
from tenants.models import InboundCallback
from tenants.queue import require_current_tenant
from tenants.sentences import kept, say

logger = logging.getLogger(__name__)

BATCH = 500
_MAXIMUM_ATTEMPTS = 10

Kind = InboundCallback.Kind

# What one commit applies. Each family takes its locks in an order of its own, which holds only while they keep apart.
_FAMILIES = (
    (Kind.C2B_CONFIRMATION, Kind.STK_CALLBACK, Kind.INVOICE_PAYMENT),
    (Kind.RESULT, Kind.TIMEOUT),
    (Kind.STANDING_ORDER,),
)
_CLAIMED = """
    SELECT id, channel_id, kind, about, body, received_at, attempts, address_is_listed
      FROM public.tenants_inboundcallback
"""
_DUE = """
     WHERE tenant_id = %s AND state = 'PENDING' AND due_at <= %s AND kind = ANY(%s)
     ORDER BY due_at
     LIMIT %s
       FOR UPDATE SKIP LOCKED
"""
_STILL_PENDING = """
     WHERE id = ANY(%s) AND state = 'PENDING'
       FOR UPDATE SKIP LOCKED
"""
_MARK = """
    UPDATE public.tenants_inboundcallback AS inbox
       SET state = given.state, reason = given.reason, error = given.error, dedup_key = given.dedup_key,
           body_hash = given.body_hash, attempts = given.attempts, due_at = given.due_at, applied_at = %s
      FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::text[], %s::text[], %s::bytea[], %s::int[], %s::timestamptz[])
           AS given (id, state, reason, error, dedup_key, body_hash, attempts, due_at)
     WHERE inbox.id = given.id
"""
_EARLIER_BODIES = """
    SELECT DISTINCT dedup_key, body_hash
      FROM public.tenants_inboundcallback
     WHERE tenant_id = %s AND kind = %s AND dedup_key = ANY(%s) AND state = 'APPLIED'
"""


def apply_pending(*, now: datetime, limit: int = BATCH) -> int:
    """Apply what Daraja delivered to the present tenant and is due; returns how many were taken up.

    Running it twice, or in several workers at once, is harmless.
    """
    return sum(_apply_family(kinds, now=now, limit=limit) for kinds in _FAMILIES)


def _apply_family(kinds: Sequence[Kind], *, now: datetime, limit: int) -> int:
    taken = 0
    while count := _apply_batch(kinds, now=now, limit=limit):
        taken += count
        if count < limit:
            break
    return taken


def _apply_batch(kinds: Sequence[Kind], *, now: datetime, limit: int) -> int:
    batch: list[Claimed] = []
    try:
        with transaction.atomic():
            batch = _claim(kinds, now=now, limit=limit)
            if batch:
                _apply(batch, now=now)
                _mark(batch, now=now)
            return len(batch)
    except (OperationalError, InterfaceError):
        raise  # the database went away, or asked us to try again: nothing is wrong with the deliveries
    except Exception:  # one bad delivery must not hold up the others: it is reported, and put aside below
        if not batch:
            raise
        logger.exception("Deliveries could not be applied (%s at once).", limit)
    if limit == 1:
        _note_failure(batch, now=now)
        return 1
    taken = 0
    while taken < limit and _apply_batch(kinds, now=now, limit=1):
        taken += 1
    return taken


def _claim(kinds: Sequence[Kind], *, now: datetime, limit: int) -> list[Claimed]:
    return _claimed(_DUE, [require_current_tenant().pk, now, [kind.value for kind in kinds], limit])


def _claimed(which: str, arguments: Sequence[Any]) -> list[Claimed]:
    with connection.cursor() as cursor:
        cursor.execute(_CLAIMED + which, arguments)
        return [Claimed(*row) for row in cursor.fetchall()]


def _mark(batch: Sequence[Claimed], *, now: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            _MARK,
            [
                now,
                [row.id for row in batch],
                [row.state.value for row in batch],
                [row.reason for row in batch],
                [kept(row.error) for row in batch],
                [row.dedup_key for row in batch],
                [row.body_hash for row in batch],
                [row.attempts for row in batch],
                [row.due_at for row in batch],
            ],
        )


def _note_failure(broken: Sequence[Claimed], *, now: datetime) -> None:
    """A delivery breaks us: step over it, and after many attempts put it aside."""
    with transaction.atomic():
        for row in _claimed(_STILL_PENDING, [[row.id for row in broken]]):
            row.wait(now, say("Applying it failed; see the log."))
            if row.attempts >= _MAXIMUM_ATTEMPTS:
                row.quarantine(Reason.FAILED)
            _mark([row], now=now)


def _apply(batch: Sequence[Claimed], *, now: datetime) -> None:
    channels = _channels(batch)
    for row in batch:
        channel = channels[row.channel_id]
        if (
            settings.CALLBACK_ADDRESS_POLICY == "enforce"
            and channel.environment == Environment.PRODUCTION
            and not row.address_is_listed
        ):
            row.quarantine(Reason.UNLISTED_ADDRESS)
    left = [row for row in batch if row.state != State.QUARANTINED]
    _apply_news_of_payments(left, channels, now=now)
    apply_results([row for row in left if row.kind in {Kind.RESULT, Kind.TIMEOUT}], now=now)
    standing_orders.apply_callbacks([row for row in left if row.kind == Kind.STANDING_ORDER], now=now)


def _channels(batch: Iterable[Claimed]) -> dict[UUID, MpesaChannel]:
    """The channels of the batch, without their secrets."""
    return MpesaChannel.objects.only("id", "shortcode", "store_number", "environment", "account_mapping").in_bulk(
        {row.channel_id for row in batch}
    )


# -- News of payments ------------------------------------------------------------------------------------------------


def _apply_news_of_payments(rows: Sequence[Claimed], channels: dict[UUID, MpesaChannel], *, now: datetime) -> None:
    """Record what confirmations, answered prompts and Bill Manager report, in one call.

    Two workers may hold deliveries about the same payments. They never deadlock, since all take locks in one order:
    requests, then payments by receipt, then day totals.
    """
    confirmed = _read_confirmations([row for row in rows if row.kind == Kind.C2B_CONFIRMATION], channels)
    paid = _read_stk_callbacks([row for row in rows if row.kind == Kind.STK_CALLBACK], now=now)
    mappings = {channel.pk: AccountMapping(channel.account_mapping) for channel in channels.values()}
    reports = [  # who says most comes first
        *(_c2b_report(row, news, channels[row.channel_id], mappings[row.channel_id]) for row, news in confirmed),
        *(_stk_report(*news, channels[news.row.channel_id], mappings[news.row.channel_id]) for news in paid),
    ]
    told = {(report.channel.pk, report.receipt) for report in reports}
    invoiced = invoice_payments.read([row for row in rows if row.kind == Kind.INVOICE_PAYMENT], channels, told, now=now)
    reports += [
        invoice_payments.report(row, news, channels[row.channel_id], mappings[row.channel_id]) for row, news in invoiced
    ]
    new = record_payments(reports=_first_of_each(reports))
    _check_repeats(confirmed, recorded_now={(payment.channel_id, payment.receipt) for payment in new})
    requests.note_paid(paid=[(news.request, news.result.receipt or "") for news in paid], now=now)
    invoice_payments.follow_up(invoiced)


def _first_of_each(reports: Sequence[PaymentReport]) -> list[PaymentReport]:
    """One statement can't insert the same receipt twice."""
    return list({(report.channel.pk, report.receipt): report for report in reversed(reports)}.values())


def _hash(body: bytes) -> bytes:
    """Of the values, so that spacing and the order of keys don't count."""
    return hashlib.sha256(orjson.dumps(orjson.loads(body), option=orjson.OPT_SORT_KEYS)).digest()


# -- C2B confirmations ------------------------------------------------------------------------------------------------


def _read_confirmations(
    rows: Sequence[Claimed], channels: dict[UUID, MpesaChannel]
) -> list[tuple[Claimed, C2BPayment]]:
    read = []
    for row in rows:
        try:
            paid = parse_c2b(row.body)
        except UnreadablePayload as problem:
            row.quarantine(Reason.UNREADABLE, problem.reason)
            continue
        row.dedup_key, row.body_hash = paid.receipt, _hash(row.body)
        if paid.shortcode in channels[row.channel_id].shortcodes:
            read.append((row, paid))
        else:
            row.quarantine(Reason.FOREIGN_SHORTCODE, say("It names shortcode %(shortcode)s.", shortcode=paid.shortcode))
    return read


def _c2b_report(row: Claimed, paid: C2BPayment, channel: MpesaChannel, mapping: AccountMapping) -> PaymentReport:
    return PaymentReport(
        receipt=paid.receipt,
        channel=channel,
        payer=paid.msisdn,
        payer_name=" ".join(filter(None, (paid.first_name, paid.middle_name, paid.last_name))),
        amount=paid.amount,
        account_reference=paid.account_reference,
        routed_to=mapping.program_of(paid.account_reference),
        source=Payment.Source.CONFIRMATION,
        paid_at=paid.paid_at,
        callback_id=row.id,
    )


def _check_repeats(confirmed: Sequence[tuple[Claimed, C2BPayment]], *, recorded_now: set[tuple[UUID, str]]) -> None:
    """M-PESA may repeat itself, but not with other news under the same receipt."""
    first: dict[tuple[UUID, str], Claimed] = {}
    known = []
    for row, paid in confirmed:
        same = first.setdefault((row.channel_id, paid.receipt), row)
        if same is not row:
            if row.body_hash != same.body_hash:
                _raise_alarm(row)
        elif (row.channel_id, paid.receipt) not in recorded_now:
            known.append((row, paid))
    _check_against_earlier(known)


def _check_against_earlier(known: Sequence[tuple[Claimed, C2BPayment]]) -> None:
    """A receipt that we had already: the same news again is fine, other news under the same number is not."""
    if not known:
        return
    receipts = [paid.receipt for _, paid in known]
    with connection.cursor() as cursor:
        cursor.execute(_EARLIER_BODIES, [require_current_tenant().pk, Kind.C2B_CONFIRMATION.value, receipts])
        earlier: dict[str, set[bytes]] = {}
        for receipt, body_hash in cursor.fetchall():
            earlier.setdefault(receipt, set()).add(bytes(body_hash))
    recorded = {
        (payment.channel_id, payment.receipt): payment.amount
        for payment in Payment.objects.filter(receipt__in=receipts).only("channel_id", "receipt", "amount")
    }
    for row, paid in known:
        bodies = earlier.get(paid.receipt)
        if (bodies and row.body_hash not in bodies) or recorded[row.channel_id, paid.receipt] != paid.amount:
            _raise_alarm(row)


def _raise_alarm(row: Claimed) -> None:
    row.quarantine(Reason.CONFLICTING_BODY)
    logger.error("Delivery %s reports %s with another content than before.", row.id, row.dedup_key)


# -- STK callbacks ----------------------------------------------------------------------------------------------------


class PaidPrompt(NamedTuple):
    """An answer to a prompt of ours, that the customer paid."""

    row: Claimed
    result: StkResult
    request: PaymentRequest


def _read_stk_callbacks(rows: Sequence[Claimed], *, now: datetime) -> list[PaidPrompt]:
    """Lock the requests that these answer, note the refusals, and return what was paid."""
    results: list[tuple[Claimed, StkResult]] = []
    for row in rows:
        try:
            result = parse_stk_callback(row.body)
        except UnreadablePayload as problem:
            row.quarantine(Reason.UNREADABLE, problem.reason)
            continue
        row.dedup_key, row.body_hash = result.checkout_request_id[:80], _hash(row.body)
        results.append((row, result))
    asked = requests.lock_answered(
        ids=[row.about for row, _ in results if row.about],
        checkout_ids=[result.checkout_request_id for _, result in results],
    )
    paid = []
    for row, result in results:
        request = asked.get(row.about or result.checkout_request_id)
        if (
            request is None
            or request.channel_id != row.channel_id
            or request.checkout_request_id not in {"", result.checkout_request_id}  # "": its acknowledgement was lost
        ):
            row.wait_for_request(now)
        elif result.result_code != "0":
            if not requests.note_not_paid(request=request, code=result.result_code, desc=result.result_desc, now=now):
                sentence = say("It says that the customer did not pay, but the payment is here.")
                row.quarantine(Reason.CONTRADICTION, sentence)
        elif result.amount != Decimal(request.amount):
            row.quarantine(
                Reason.AMOUNT_MISMATCH,
                say(
                    "It reports KES %(theirs)s; we asked for KES %(ours)s.",
                    theirs=str(result.amount),
                    ours=str(request.amount),
                ),
            )
        else:
            paid.append(PaidPrompt(row, result, request))
    return paid


def _stk_report(
    row: Claimed, result: StkResult, request: PaymentRequest, channel: MpesaChannel, mapping: AccountMapping
) -> PaymentReport:
    return PaymentReport(
        receipt=result.receipt or "",
        channel=channel,
        payer=request.phone_number,  # what the callback says may be masked
        payer_name="",
        amount=Decimal(request.amount),
        account_reference=request.account_reference,
        routed_to=mapping.program_of(request.account_reference),
        source=Payment.Source.STK,
        paid_at=result.paid_at or row.received_at,
        callback_id=row.id,
    )
