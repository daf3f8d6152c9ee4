"""Payouts between the form that gave them and the page that makes them: checked, shown to a person, not kept yet.

They wait as `channels.kept_drafts` has it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils.translation import gettext_lazy

from audit.ids import public_id
from audit.services import Actor
from channels import kept_drafts
from channels.models import KeptDraft
from payments.models import PayoutBatch
from payments.payouts.checking import GivenRow
from payments.payouts.creating import Checked, check_batch, create_batch
from tenants.permissions import Permission
from tenants.progress import Progress


@dataclass(frozen=True, kw_only=True)
class Draft:
    """`reference` is a name for the batch that its maker may still change."""

    rows: Sequence[GivenRow]
    channel_id: UUID
    kind: str  # Payout.Kind
    purpose: str  # Payout.Purpose
    reference: str = ""


def keep_draft(*, actor: Actor, draft: Draft, now: datetime) -> str:
    """Check it, and keep it for an hour; returns the token that it is read by.

    :raises UnpayableRows, NotFound, NoUsableChannel, OverDailyMaximum: as `check_batch`; nothing is then kept.
    """
    found = check(draft, actor=actor, now=now)
    plain = {
        "rows": [[row.number, dict(row.values)] for row in draft.rows],
        "channel_id": draft.channel_id.hex,
        "kind": draft.kind,
        "purpose": draft.purpose,
        "reference": draft.reference,
    }
    return kept_drafts.keep(KIND, plain, rows=found.payout_count, environment=found.channel.environment, now=now)


def read_draft(*, actor: Actor, token: str, now: datetime) -> Draft:
    """:raises DraftGone: if there is none such in this business, or not any more."""
    return _from_plain(kept_drafts.read(KIND, token, actor=actor, now=now))


def create_from_draft(*, actor: Actor, token: str, reference: str, now: datetime) -> KeptDraft:
    """Have the batch made: at once, or by a worker. However often it is asked for, there is one.

    `made` then says `{"batch_id": "pbat_…", "needs_approval": true}`.

    :raises DraftGone: as `read_draft`.
    :raises UnpayableRows, NotFound, NoUsableChannel, OverDailyMaximum, ReferenceTaken: as `create_batch`, if it is made
        at once.
    :raises RequestInProgress: while that happens.
    """
    return kept_drafts.make(KIND, token, actor=actor, said={"reference": reference}, now=now)


def check(draft: Draft, *, actor: Actor, now: datetime) -> Checked:
    """What the batch would come to now.

    :raises UnpayableRows, NotFound, NoUsableChannel, OverDailyMaximum: as `check_batch`.
    """
    return check_batch(
        actor=actor,
        rows=draft.rows,
        channel_id=draft.channel_id,
        kind=draft.kind,
        purpose=draft.purpose,
        now=now,
    )


def _create(actor: Actor, plain: dict[str, Any], said: dict[str, Any], progress: Progress, now: datetime) -> Any:
    draft = _from_plain(plain)
    batch = create_batch(
        actor=actor,
        rows=draft.rows,
        reference=said["reference"],
        channel_id=draft.channel_id,
        kind=draft.kind,
        purpose=draft.purpose,
        now=now,
        progress=progress,
    )
    return {
        "batch_id": public_id("pbat", batch.pk),
        "needs_approval": batch.status == PayoutBatch.Status.AWAITING_APPROVAL,
    }


def _from_plain(plain: dict[str, Any]) -> Draft:
    rows = [GivenRow(number, values) for number, values in plain.pop("rows")]
    return Draft(rows=rows, channel_id=UUID(plain.pop("channel_id")), **plain)


KIND = kept_drafts.DraftKind(
    name="payouts",
    title=gettext_lazy("The payouts are being made"),
    permission=Permission.PAYOUTS_CREATE,
    make=_create,
)
