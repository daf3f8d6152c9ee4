"""Payouts between the form that gave them and the page that makes them: checked, shown to a person, not kept yet.

They wait as `channels.kept_drafts` has it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from audit.ids import public_id, read_public_id
from audit.services import Actor
from channels import kept_drafts
from payments.payouts.checking import GivenRow
from payments.payouts.creating import Checked, check_batch, create_batch
from tenants.permissions import Permission, require

_KIND = "payouts"


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
    _check(draft, actor=actor, now=now)
    plain = {
        "rows": [[row.number, dict(row.values)] for row in draft.rows],
        "channel_id": draft.channel_id.hex,
        "kind": draft.kind,
        "purpose": draft.purpose,
        "reference": draft.reference,
    }
    return kept_drafts.keep(_KIND, plain, now=now)


def check_draft(*, actor: Actor, token: str, now: datetime) -> tuple[Draft, Checked]:
    """What the batch would come to now.

    :raises DraftGone: if there is none such in this business, or not any more.
    :raises UnpayableRows, NotFound, NoUsableChannel, OverDailyMaximum: as `check_batch`.
    """
    draft = _read(token, actor, now=now)
    return draft, _check(draft, actor=actor, now=now)


def create_from_draft(*, actor: Actor, token: str, reference: str, now: datetime) -> UUID:
    """Make the batch, and return its key. However often it is asked for, there is one.

    :raises DraftGone: as `check_draft`.
    :raises ReferenceTaken: if there is a batch of that name.
    :raises RequestInProgress: while it is being made.
    """
    draft, found = check_draft(actor=actor, token=token, now=now)

    def create() -> str:
        batch = create_batch(
            actor=actor,
            rows=draft.rows,
            reference=reference,
            channel_id=draft.channel_id,
            kind=draft.kind,
            purpose=draft.purpose,
            now=now,
        )
        return public_id("pbat", batch.pk)

    made = kept_drafts.make_once(token, environment=found.channel.environment, make=create, now=now)
    return read_public_id("pbat", made)


def _check(draft: Draft, *, actor: Actor, now: datetime) -> Checked:
    return check_batch(
        actor=actor,
        rows=draft.rows,
        channel_id=draft.channel_id,
        kind=draft.kind,
        purpose=draft.purpose,
        now=now,
    )


def _read(token: str, actor: Actor, *, now: datetime) -> Draft:
    require(actor, Permission.PAYOUTS_CREATE)
    plain = kept_drafts.read(_KIND, token, now=now)
    rows = [GivenRow(number, values) for number, values in plain.pop("rows")]
    return Draft(rows=rows, channel_id=UUID(plain.pop("channel_id")), **plain)
