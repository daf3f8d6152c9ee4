"""Payouts between the form that gave them and the page that makes them: checked, shown to a person, not kept yet.

They wait an hour, and are no batch: nothing of them is sent, counted or approved.
"""

import hashlib
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from audit.ids import public_id, read_public_id
from audit.services import Actor
from channels.idempotency import do_once
from payments.models import PayoutDraft
from payments.payouts.checking import GivenRow
from payments.payouts.creating import Checked, check_batch, create_batch
from tenants.errors import NotFound
from tenants.permissions import Permission, require

_LASTS = timedelta(hours=1)


class DraftGone(NotFound):
    code = "draft_gone"


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
    token = secrets.token_hex(16)
    plain = {
        "rows": [[row.number, dict(row.values)] for row in draft.rows],
        "channel_id": draft.channel_id.hex,
        "kind": draft.kind,
        "purpose": draft.purpose,
        "reference": draft.reference,
    }
    PayoutDraft.objects.create(
        token_hash=_hash(token), content=json.loads(json.dumps(plain, default=str)), expires_at=now + _LASTS
    )
    return token


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

    def create() -> tuple[int, Any]:
        batch = create_batch(
            actor=actor,
            rows=draft.rows,
            reference=reference,
            channel_id=draft.channel_id,
            kind=draft.kind,
            purpose=draft.purpose,
            now=now,
        )
        return 201, public_id("pbat", batch.pk)

    answer = do_once(
        key=f"draft:{token}",
        environment=found.channel.environment,
        request_hash=_hash(token),
        work=create,
        now=now,
    )
    return read_public_id("pbat", answer.body)


def _check(draft: Draft, *, actor: Actor, now: datetime) -> Checked:
    return check_batch(
        actor=actor,
        rows=draft.rows,
        channel_id=draft.channel_id,
        kind=draft.kind,
        purpose=draft.purpose,
        now=now,
    )


def forget_expired(*, now: datetime) -> None:
    """Remove what can't be made any more in the present business."""
    PayoutDraft.objects.filter(expires_at__lt=now).delete()


def _read(token: str, actor: Actor, *, now: datetime) -> Draft:
    require(actor, Permission.PAYOUTS_CREATE)
    kept = PayoutDraft.objects.filter(token_hash=_hash(token), expires_at__gt=now).first()
    if kept is None:
        raise DraftGone(_("This was checked more than an hour ago. Enter it again."))
    plain = kept.content
    rows = [GivenRow(number, values) for number, values in plain.pop("rows")]
    return Draft(rows=rows, channel_id=UUID(plain.pop("channel_id")), **plain)


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
