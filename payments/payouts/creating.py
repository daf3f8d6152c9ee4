"""Making payout batches: checked whole, then kept whole, or not at all. One payout is a batch of one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import islice
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

import audit.services
from audit.ids import new_id, public_id
from audit.services import Actor
from channels.models import MpesaChannel
from channels.status import state_in_words
from payments.initiator import has_initiator
from payments.models import Payout, PayoutBatch, PayoutPolicy
from payments.payouts.checking import GivenRow, Row, check_row, check_rows, columns
from payments.payouts.history import add_warnings
from payments.payouts.policy import locked_policy, policy_in_force, rules_for
from payments.payouts.tasks import expire_batch
from payments.requests import NoUsableChannel
from tenants.clock import NAIROBI
from tenants.errors import Conflict, Invalid, NotFound
from tenants.permissions import Permission, require
from tenants.progress import Progress, untold
from tenants.queue import enqueue
from tenants.sentences import say

VALID_FOR = timedelta(hours=24)
_REFERENCE_MAX = 40
_ROWS_AT_ONCE = 500

Status = PayoutBatch.Status


class ReferenceTaken(Conflict):
    code = "reference_taken"


class OverDailyMaximum(Conflict):
    code = "over_daily_maximum"


class NothingToRetry(Conflict):
    code = "nothing_to_retry"


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A batch that could be made, as it was found when it was checked."""

    channel: MpesaChannel
    kind: str  # Payout.Kind
    purpose: str  # Payout.Purpose
    rows: list[Row]
    total_amount: int  # KES
    fee_estimate: Decimal  # KES
    flagged_count: int  # rows with warnings
    needs_approval: bool

    @property
    def payout_count(self) -> int:
        return len(self.rows)

    @property
    def flagged(self) -> list[Row]:
        return [row for row in self.rows if row.warnings]


def check_batch(
    *,
    actor: Actor,
    rows: Sequence[GivenRow],
    now: datetime,
    channel_id: UUID | None = None,
    kind: str = Payout.Kind.PHONE,
    purpose: str = Payout.Purpose.BUSINESS,
) -> Checked:
    """What the batch would come to, with every row checked. Nothing is kept; without a channel the primary one pays.

    :raises UnpayableRows: if a row can't be paid; `errors` has the sentences.
    :raises NotFound: if there is no such channel.
    :raises NoUsableChannel: if it can't send money: not active, or without its API operator.
    :raises OverDailyMaximum: if the batch alone is more than the policy allows in a day.
    """
    require(actor, Permission.PAYOUTS_CREATE)
    channel = _channel(channel_id)
    policy = policy_in_force(channel.environment)
    found = check_rows(rows, rules=rules_for(kind, policy=policy))
    return _sum_up(channel, policy, found, kind=kind, purpose=purpose, now=now)


def create_batch(
    *,
    actor: Actor,
    rows: Sequence[GivenRow],
    now: datetime,
    reference: str = "",
    channel_id: UUID | None = None,
    kind: str = Payout.Kind.PHONE,
    purpose: str = Payout.Purpose.BUSINESS,
    progress: Progress | None = None,
) -> PayoutBatch:
    """Check the rows as `check_batch` does, and keep them as a batch that waits for approval or release.

    `reference` is the business's own name for it, used once; without one it is the batch's identifier.

    :raises ReferenceTaken: if there is a batch of that name.
    """
    found = check_batch(actor=actor, rows=rows, now=now, channel_id=channel_id, kind=kind, purpose=purpose)
    with transaction.atomic():
        return _keep(found, actor=actor, reference=reference, now=now, progress=progress)


def create_payout(
    *,
    actor: Actor,
    values: Mapping[str, object],
    now: datetime,
    channel_id: UUID | None = None,
    kind: str = Payout.Kind.PHONE,
    purpose: str = Payout.Purpose.BUSINESS,
) -> Payout:
    """One payout, which is a batch of one. `values` are by the names of `checking.columns(kind)`.

    :raises UnpayableRow: if it can't be paid; `errors` has the sentences by column. Else as `create_batch`.
    """
    require(actor, Permission.PAYOUTS_CREATE)
    channel = _channel(channel_id)
    policy = policy_in_force(channel.environment)
    row = check_row(GivenRow(1, values), rules=rules_for(kind, policy=policy))
    found = _sum_up(channel, policy, [row], kind=kind, purpose=purpose, now=now)
    with transaction.atomic():
        batch = _keep(found, actor=actor, reference="", now=now)
    return batch.payouts.get()


@transaction.atomic
def retry_failed(*, actor: Actor, batch_id: UUID, now: datetime, reference: str = "") -> PayoutBatch:
    """A new batch of the payouts that definitely failed, under the same row numbers. Each is tried again once: if it
    fails again, it is the new batch's to retry.

    :raises NotFound: if there is no such batch.
    :raises NothingToRetry: if none failed that was not tried again.
    :raises UnpayableRows: if the policy does not allow one of them any more.
    """
    require(actor, Permission.PAYOUTS_CREATE)
    known = PayoutBatch.objects.filter(pk=batch_id).first()
    if known is None:
        raise NotFound(_("There is no such batch."))
    policy = locked_policy(known.environment)
    batch = PayoutBatch.objects.select_for_update().get(pk=batch_id)
    tried = Payout.objects.filter(batch__retry_of=batch).exclude(status=Payout.Status.CANCELLED)
    failed = list(
        batch.payouts.filter(status=Payout.Status.FAILED).exclude(row__in=tried.values("row")).order_by("row")
    )
    if not failed:
        raise NothingToRetry(_("No payout of this batch has failed and is left to be tried again."))
    channel = _channel(batch.channel_id)
    rules = rules_for(failed[0].kind, policy=policy)
    rows = check_rows([GivenRow(each.row, _values_of(each)) for each in failed], rules=rules)
    found = _sum_up(channel, policy, rows, kind=failed[0].kind, purpose=failed[0].purpose, now=now)
    return _keep(found, actor=actor, reference=reference, retry_of=batch, now=now)


def require_usable(channel: MpesaChannel) -> None:
    """Let a channel pass that can send money.

    :raises NoUsableChannel: if it can't.
    """
    if channel.status != MpesaChannel.Status.ACTIVE:
        raise NoUsableChannel(
            say(
                "%(channel)s is %(status)s. Activate it before you send money.",
                channel=str(channel),
                status=state_in_words(channel),
            )
        )
    if not has_initiator(channel):
        raise NoUsableChannel(
            _("%(channel)s has no API operator. Money is sent in its name: save it with its password.")
            % {"channel": channel}
        )


def _channel(channel_id: UUID | None) -> MpesaChannel:
    channels = MpesaChannel.objects.without_secrets()
    channel = channels.filter(pk=channel_id).first() if channel_id else channels.filter(is_primary=True).first()
    if channel is None and channel_id:
        raise NotFound(_("There is no such channel."))
    if channel is None:
        raise NoUsableChannel(_("Add a channel first."))
    require_usable(channel)
    return channel


def _sum_up(
    channel: MpesaChannel, policy: PayoutPolicy, rows: list[Row], *, kind: str, purpose: str, now: datetime
) -> Checked:
    total = sum(row.amount for row in rows)
    if total > policy.maximum_per_day:
        raise OverDailyMaximum(
            _("This is KES %(total)s, and your policy allows KES %(most)s a day. Split it over days.")
            % {"total": f"{total:,}", "most": f"{policy.maximum_per_day:,}"}
        )
    return Checked(
        channel=channel,
        kind=kind,
        purpose=purpose,
        rows=rows,
        total_amount=total,
        fee_estimate=sum((row.fee_estimate for row in rows), Decimal()),
        flagged_count=add_warnings(rows, kind=kind, environment=channel.environment, now=now),
        needs_approval=total > policy.approval_threshold,
    )


def _keep(
    found: Checked,
    *,
    actor: Actor,
    reference: str,
    now: datetime,
    retry_of: PayoutBatch | None = None,
    progress: Progress | None = None,
) -> PayoutBatch:
    environment = found.channel.environment
    policy = locked_policy(environment)  # a threshold that is being lowered counts
    needs_approval = found.total_amount > policy.approval_threshold
    batch_id = new_id()
    batch = PayoutBatch(
        id=batch_id,
        reference=_reference(reference) or _made_up_reference(batch_id, now=now),
        channel=found.channel,
        environment=environment,
        status=Status.AWAITING_APPROVAL if needs_approval else Status.APPROVED,
        payout_count=len(found.rows),
        total_amount=found.total_amount,
        fee_estimate=found.fee_estimate,
        flagged_count=found.flagged_count,
        retry_of=retry_of,
        created_by=actor.label,
        created_by_id=actor.id,
        expires_at=now + VALID_FOR,
        created_at=now,
    )
    try:
        with transaction.atomic():
            batch.save(force_insert=True)
    except IntegrityError:
        raise ReferenceTaken(
            _("There is a batch “%(reference)s” already. Give this one another reference.")
            % {"reference": batch.reference}
        ) from None
    payouts = (
        Payout(
            batch=batch,
            row=row.number,
            channel=found.channel,
            environment=environment,
            kind=found.kind,
            purpose=found.purpose,
            receiver=row.receiver,
            name=row.name,
            amount=row.amount,
            account_reference=row.account_reference,
            transaction_desc=row.transaction_desc,
            warnings=row.warnings,
            fee_estimate=row.fee_estimate,
            created_at=now,
        )
        for row in (progress or untold()).each(found.rows)
    )
    while some := list(islice(payouts, _ROWS_AT_ONCE)):
        Payout.objects.bulk_create(some)
    enqueue(expire_batch, due_at=batch.expires_at, batch_id=str(batch.pk))
    audit.services.record(
        actor=actor,
        action="payout_batch.created",
        subject=batch,
        after={"status": batch.status, "payout_count": batch.payout_count, "total_amount": batch.total_amount}
        | ({"retry_of": retry_of.pk} if retry_of else {}),
    )
    return batch


def _reference(text: str) -> str:
    text = text.strip()
    if len(text) > _REFERENCE_MAX or not text.isprintable():
        sentence = _("Use at most %(most)s characters.") % {"most": _REFERENCE_MAX}
        raise Invalid(sentence, errors={"reference": [sentence]})
    return text


def _made_up_reference(batch_id: UUID, *, now: datetime) -> str:
    """`2026-11-21 14:05 k3q9zd`: when it was made, on Kenya's clock, and the end of its identifier."""
    return f"{now.astimezone(NAIROBI):%Y-%m-%d %H:%M} {public_id('pbat', batch_id)[-6:]}"


def _values_of(payout: Payout) -> dict[str, object]:
    """The payout as a row that could have been given."""
    return {
        name: payout.receiver if name in {"phone_number", "shortcode"} else getattr(payout, name)
        for name in columns(payout.kind)
    }
