"""What is done for every active channel again and again: Pull, silence, balances, names, the doctor, reconciliation.

Each is a task of its own that promises its next time before it works, so a failure costs one turn. They begin when a
channel becomes active, end when it is switched off or the business closes, and once a night each business has its
promises looked after: whatever was lost goes on.
"""

from collections.abc import Callable
from datetime import datetime, time, timedelta
from typing import Any
from uuid import UUID

from django.utils import timezone

from channels import doctor, idempotency, kept_drafts
from channels.models import MpesaChannel
from channels.tasks import examine_channel
from payments import balances, completion, pulls, reconciliation, silence
from payments.money_out import following
from payments.services import NAIROBI
from payments.tasks import listen_to_channel, pull_channel, reconcile_channel, tend_channels
from tenants.models import Tenant
from tenants.queue import TenantTask, enqueue, promise_for_every_tenant, require_current_tenant

PULL_EVERY = timedelta(minutes=15)
# In Nairobi: the day before is over, and a late Pull and the night's balances have come.
_RECONCILED_FROM = time(1, 30)
_RECONCILED_WITHIN = timedelta(hours=3)
_TENDED_WITHIN = timedelta(hours=1)
_OPEN = frozenset({Tenant.Status.TRIAL, Tenant.Status.ACTIVE})


def hear_activation(sender: Any, *, channel: MpesaChannel, **kwargs: Any) -> None:
    """A channel became active, in the caller's commit."""
    _promise_all(channel, now=timezone.now())


def pull(*, channel_id: UUID, now: datetime) -> None:
    """Fetch what no Pull has read, and again in a quarter of an hour."""
    if channel := _in_service(channel_id):
        _promise(pull_channel, channel, now + PULL_EVERY)
        pulls.pull_what_is_unread(channel=channel, now=now)


def listen(*, channel_id: UUID, now: datetime) -> None:
    """See whether a channel is silent, and again when that makes sense."""
    if channel := _in_service(channel_id):
        _promise(listen_to_channel, channel, now + silence.LOOK_AGAIN_WHEN_QUIET)
        _promise(listen_to_channel, channel, now + silence.listen(channel=channel, now=now))


def reconcile(*, channel_id: UUID, now: datetime) -> None:
    """Have the last days compared, and again tomorrow night."""
    if channel := _in_service(channel_id):
        _promise(reconcile_channel, channel, _next_night(channel, now=now))
        reconciliation.promise_recounts(channel=channel, now=now)


def ask_balance(*, channel_id: UUID, now: datetime) -> None:
    """Ask what is in a channel's accounts, and again at the next time."""
    if channel := _in_service(channel_id):
        balances.ask_by_itself(channel=channel, now=now)


def complete_payments(*, channel_id: UUID, clock: Callable[[], datetime]) -> None:
    """Ask for the names that a channel's payments lack, and again in an hour."""
    if channel := _in_service(channel_id):
        completion.complete(channel=channel, clock=clock)


def tend(*, now: datetime) -> None:
    """See that all that should be promised in the present business is, and remove what is no longer needed."""
    idempotency.forget_old_keys(now=now)
    kept_drafts.forget_expired(now=now)
    following.resume()
    if require_current_tenant().status in _OPEN:
        for channel in MpesaChannel.objects.without_secrets().filter(status=MpesaChannel.Status.ACTIVE):
            _promise_all(channel, now=now)


def tend_every_business() -> None:
    """Promise to tend each business in the next hour."""
    promise_for_every_tenant(tend_channels, within=_TENDED_WITHIN)


def _promise_all(channel: MpesaChannel, *, now: datetime) -> None:
    """Every round of a channel, at its next time; what is promised for an earlier one stays as it is."""
    _promise(pull_channel, channel, now + PULL_EVERY)
    _promise(listen_to_channel, channel, now + silence.LOOK_AGAIN_WHEN_QUIET)
    _promise(reconcile_channel, channel, _next_night(channel, now=now))
    _promise(examine_channel, channel, doctor.next_night(channel, now=now))
    balances.promise_balances(channel=channel, now=now)
    completion.promise_completion(channel=channel, now=now)


def _promise(task: TenantTask, channel: MpesaChannel, due_at: datetime) -> None:
    enqueue(task, due_at=due_at, channel_id=str(channel.pk))


def _in_service(channel_id: UUID) -> MpesaChannel | None:
    if require_current_tenant().status not in _OPEN:
        return None
    active = MpesaChannel.objects.without_secrets().filter(pk=channel_id, status=MpesaChannel.Status.ACTIVE)
    return active.first()


def _next_night(channel: MpesaChannel, *, now: datetime) -> datetime:
    """Each channel has a minute of its own."""
    start = datetime.combine(now.astimezone(NAIROBI).date(), _RECONCILED_FROM, tzinfo=NAIROBI)
    at = start + timedelta(minutes=channel.pk.int % (_RECONCILED_WITHIN // timedelta(minutes=1)))
    return at if at > now else at + timedelta(days=1)
