"""Asking M-PESA for the payments of which it never told us (Pull; docs/daraja.md section 22).

A Pull reads a window of at most the last 48 hours, page by page, and each page is a commit: its rows as evidence, and
as payments those that we had missed. When it breaks off it has FAILED, and what it read stays. Every quarter of an hour
one begins where no Pull has read yet, so what an outage left open is read by the next.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import F, QuerySet
from django.utils.translation import gettext as _

from audit.services import Actor
from channels.connection import daraja_client
from channels.daraja.client import PullRow
from channels.daraja.errors import DarajaError
from channels.daraja.explanations import Who
from channels.daraja.pulling import WINDOW
from channels.explaining import explain_error, sentence_of
from channels.fields import UndecipherableSecret
from channels.mapping import AccountMapping
from channels.models import MpesaChannel, Problem
from channels.msisdn import InvalidPhoneNumber, normalise
from channels.problems import close_problem, note_problem
from channels.services import ChannelNotFound
from payments.coverage import Stretch, first_gap
from payments.models import Payment, Pull, StatementLine
from payments.services import PaymentReport, record_payments
from payments.statement_lines import Line, keep_lines
from payments.tasks import fetch_pull
from tenants.errors import Conflict, Invalid
from tenants.permissions import Permission, require
from tenants.queue import enqueue
from tenants.sentences import fitting, say, say_many

OVERLAP = timedelta(minutes=30)  # M-PESA may list a payment some time after it was made
BY_ITSELF = "every quarter of an hour"
# So short that a time by Kenya's clock, which is three hours ahead, is recognised wherever it lies in the window.
_SLICE = timedelta(minutes=90)
_SECOND = timedelta(seconds=1)

Status = Pull.Status


class NotRegisteredForPull(Conflict):
    code = "not_registered_for_pull"


class PullInProgress(Conflict):
    code = "pull_in_progress"


def request_pull(
    *, actor: Actor, channel_id: UUID, window_from: datetime, window_until: datetime, now: datetime
) -> Pull:
    """Have the payments of a window read, in the background; the answer is PENDING and is followed by its id.

    :raises Invalid: if the window is not one of the last 48 hours.
    :raises ChannelNotFound: if the business has none such.
    :raises NotRegisteredForPull: if M-PESA does not list this channel's payments.
    :raises PullInProgress: if another Pull of the channel has not ended.
    """
    require(actor, Permission.MPESA_ASK)
    channel = MpesaChannel.objects.without_secrets().filter(pk=channel_id).first()
    if channel is None:
        raise ChannelNotFound
    if errors := _wrong_with(window_from, window_until, now=now):
        raise Invalid(_("This window can't be read."), errors=errors)
    if channel.pull_registered_at is None:
        raise NotRegisteredForPull(
            _(
                "M-PESA does not list this channel's payments. Save the phone number that Safaricom has on file for it,"
                " and verify the channel."
            )
        )
    pull = _begin(channel, window_from, min(window_until, now), requested_by=actor.label, now=now)
    if pull is None:
        raise PullInProgress(_("Another Pull of this channel is under way. Wait until it has ended."))
    return pull


def pulls_of(*, actor: Actor) -> QuerySet[Pull]:
    """Every Pull of the business, for its people to look at."""
    require(actor, Permission.PAYMENTS_READ)
    return Pull.objects.all()


def pull_what_is_unread(*, channel: MpesaChannel, now: datetime) -> None:
    """Begin a Pull of what no Pull has read since the channel became active, with an overlap.

    Does nothing where M-PESA lists nothing, or while another Pull is under way.
    """
    if channel.pull_registered_at is None or channel.activated_at is None:
        return
    since = max(channel.activated_at, now - WINDOW + timedelta(minutes=1))
    done = Pull.objects.filter(channel=channel, status=Status.DONE, window_until__gt=since)
    unread = first_gap([Stretch(*window) for window in done.values_list("window_from", "window_until")], since=since)
    start = max(unread - OVERLAP, since)
    if now - start > _SECOND:
        _begin(channel, start, now, requested_by=BY_ITSELF, now=now)


def has_looked(*, channel: MpesaChannel, since: datetime) -> bool:
    """Has a Pull that was begun since then ended, however?"""
    return Pull.objects.filter(channel=channel, created_at__gte=since).exclude(status=Status.PENDING).exists()


def fetch(*, pull_id: UUID, now: datetime) -> None:
    """Read the window of a Pull that is PENDING. Doing it twice changes nothing."""
    pull = Pull.objects.filter(pk=pull_id, status=Status.PENDING).first()
    if pull is None:
        return
    channel = MpesaChannel.objects.without_secrets().get(pk=pull.channel_id)
    try:
        unreadable = _read(pull, channel, now=now)
    except DarajaError as error:
        why = explain_error(error)
        _end(pull, channel, code=error.reason.value, error=why.meaning, do_now=why.do_now, who=why.who, now=now)
    except UndecipherableSecret:
        sentence = say("A saved credential can't be read by this installation any more.")
        do_now = say("Tell us, or enter the credentials again.")
        _end(pull, channel, code="secrets_unreadable", error=sentence, do_now=do_now, who=Who.US, now=now)
    else:
        if unreadable:
            sentence = say_many(
                "%(count)s of the rows can't be read, the rest is recorded. The first: %(why)s",
                "%(count)s of the rows can't be read, the rest is recorded. The first: %(why)s",
                count=len(unreadable),
                why=sentence_of(unreadable[0]),
            )
            do_now = say("Tell us: Safaricom sends something new. Until then, load the statement of the M-PESA portal.")
            _end(pull, channel, code="unreadable_rows", error=sentence, do_now=do_now, who=Who.US, now=now)
        else:
            _end(pull, channel, now=now)


def _wrong_with(window_from: datetime, window_until: datetime, *, now: datetime) -> dict[str, list[str]]:
    if window_from >= window_until:
        return {"until": [_("The end comes after the start.")]}
    if window_from >= now:
        return {"from": [_("The window lies in the future.")]}
    if window_from < now - WINDOW:
        return {"from": [_("M-PESA lists only the last 48 hours. For what is older, load a statement of its portal.")]}
    return {}


@transaction.atomic
def _begin(channel: MpesaChannel, start: datetime, end: datetime, *, requested_by: str, now: datetime) -> Pull | None:
    """None if another one is under way."""
    pull = Pull(
        channel=channel,
        environment=channel.environment,
        window_from=start,
        window_until=end,
        requested_by=requested_by,
        created_at=now,
    )
    Pull.objects.bulk_create([pull], ignore_conflicts=True)
    if not Pull.objects.filter(pk=pull.pk).exists():
        return None
    enqueue(fetch_pull, pull_id=str(pull.pk))
    return pull


def _read(pull: Pull, channel: MpesaChannel, *, now: datetime) -> list[str]:
    """Read and commit page after page; returns a sentence for each row that makes no sense.

    :raises DarajaError: where M-PESA breaks off.
    """
    client = daraja_client(channel)
    mapping = AccountMapping(channel.account_mapping)
    receipts: set[str] = set()
    unreadable: list[str] = []
    for start, end in _slices(pull.window_from, pull.window_until):
        for page in client.pull(shortcode=channel.business_shortcode, start=start, end=end):
            receipts.update(row.receipt for row in page.rows)
            unreadable += page.unreadable
            with transaction.atomic():
                new_count = _keep(channel, mapping, page.rows, now=now)
                Pull.objects.filter(pk=pull.pk).update(
                    row_count=len(receipts) + len(unreadable), new_count=F("new_count") + new_count
                )
    return unreadable


def _slices(start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Daraja's times are whole seconds, of which it includes the last."""
    start = start.replace(microsecond=0)
    while start < end:
        yield start, max(min(start + _SLICE - _SECOND, end), start + _SECOND)
        start += _SLICE


def _keep(channel: MpesaChannel, mapping: AccountMapping, rows: tuple[PullRow, ...], *, now: datetime) -> int:
    lines = [
        Line(
            receipt=row.receipt,
            completed_at=row.paid_at,
            paid_in=row.amount,
            details=row.transaction_type,
            party=row.msisdn,
            account_reference=row.account_reference,
        )
        for row in rows
    ]
    keep_lines(channel=channel, source=StatementLine.Source.PULL, lines=lines, now=now)
    reports = {row.receipt: _report(channel, mapping, row) for row in rows}
    return len(record_payments(reports=list(reports.values())))


def _report(channel: MpesaChannel, mapping: AccountMapping, row: PullRow) -> PaymentReport:
    return PaymentReport(
        receipt=row.receipt,
        channel=channel,
        payer=_payer(row.msisdn),
        payer_name="",
        amount=row.amount,
        account_reference=row.account_reference,
        routed_to=mapping.program_of(row.account_reference),
        source=Payment.Source.PULL,
        paid_at=row.paid_at,
        callback_id=None,
    )


def _payer(msisdn: str) -> str:
    """As it came; but a plain number, which Pull gives with or without its 254, as everywhere else."""
    try:
        return normalise(msisdn)
    except InvalidPhoneNumber:
        return msisdn


@transaction.atomic
def _end(
    pull: Pull,
    channel: MpesaChannel,
    *,
    code: str = "",
    error: str = "",
    do_now: str = "",
    who: Who = Who.NOBODY,
    now: datetime,
) -> None:
    status = Status.FAILED if code else Status.DONE
    ended = Pull.objects.filter(pk=pull.pk, status=Status.PENDING).update(
        status=status, error_code=code, error=fitting(error, 1024), finished_at=now
    )
    if not ended:
        return
    if code:
        sentence = say("M-PESA did not list this channel's payments. %(why)s", why=error)
        note_problem(
            channel=channel, kind=Problem.Kind.PULL_FAILED, sentence=sentence, do_now=do_now, who=who.value, now=now
        )
    else:
        close_problem(channel=channel, kind=Problem.Kind.PULL_FAILED, now=now)
