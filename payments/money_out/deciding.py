"""A person's word on money of which nobody could tell whether it moved."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

import audit.services
from audit.services import Actor
from channels.daraja.reading import UnreadablePayload, receipt_in
from channels.daraja.verdicts import Verdict
from payments.models import MoneyOut, Payout, Reversal
from payments.money_out import machine
from payments.money_out.kind import Kind
from payments.money_out.payouts import PAYOUTS
from payments.money_out.reversals import REVERSALS
from tenants.errors import Conflict, Invalid, NotFound, NotPermitted
from tenants.permissions import Permission, require
from tenants.sentences import told

_NOTE_MAX = 254


class NotUnderReview(Conflict):
    code = "not_under_review"


class OwnMoneyOut(NotPermitted):
    """Whoever made it does not decide what became of it."""

    code = "own_money_out"


def decide_payout(
    *, actor: Actor, payout_id: UUID, verdict: Verdict, note: str, now: datetime, receipt: str = ""
) -> Payout:
    """End a payout that needs review: SUCCEEDED, with M-PESA's receipt, or FAILED. `note` says how it was found out.

    :raises NotFound: if the business has no such payout.
    :raises OwnMoneyOut: if the actor made its batch.
    :raises NotUnderReview: if it does not need a person, or not any more.
    :raises Invalid: without a note; for SUCCEEDED without a receipt, or with another row's.
    """
    require(actor, Permission.PAYOUTS_APPROVE)
    with transaction.atomic():
        payout: Payout = _decide(PAYOUTS, payout_id, verdict, receipt, actor=actor, note=note, now=now)
    return payout


def decide_reversal(
    *, actor: Actor, reversal_id: UUID, verdict: Verdict, note: str, now: datetime, receipt: str = ""
) -> Reversal:
    """The same for a reversal; refused to who asked for it."""
    require(actor, Permission.REVERSALS_APPROVE)
    with transaction.atomic():
        reversal: Reversal = _decide(REVERSALS, reversal_id, verdict, receipt, actor=actor, note=note, now=now)
    return reversal


def _decide(
    kind: Kind[Any], pk: UUID, verdict: Verdict, receipt: str, *, actor: Actor, note: str, now: datetime
) -> Any:
    locked = kind.lock([pk])
    row = locked.rows.get(pk)
    if row is None:
        raise NotFound(kind.no_such)
    if actor.id is not None and actor.id == kind.maker_id(row):
        raise OwnMoneyOut(kind.made_by_you)
    if row.status != MoneyOut.Status.NEEDS_REVIEW:
        raise NotUnderReview(kind.not_waiting)
    receipt = _require_words(kind, row, verdict, receipt, note)
    before = {"status": row.status, "review": row.review}
    machine.decide(row, verdict, receipt=receipt, decided_by=actor.label, note=note.strip(), now=now)
    locked.save(now=now)
    audit.services.record(
        actor=actor,
        action=f"{kind.name}.decided",
        subject=row,
        before=before,
        after={"status": row.status, "receipt": receipt},
        reason=note.strip(),
    )
    return row


def _require_words(kind: Kind[Any], row: Any, verdict: Verdict, receipt: str, note: str) -> str:
    """The receipt as M-PESA writes it."""
    errors = {}
    if verdict is Verdict.UNKNOWN:
        errors["verdict"] = [_("Say succeeded or failed.")]
    if not 0 < len(note.strip()) <= _NOTE_MAX:
        errors["note"] = [_("Say in up to %(most)s characters how you found out.") % {"most": _NOTE_MAX}]
    if verdict is Verdict.SUCCEEDED:
        try:
            receipt = receipt_in(receipt, "receipt")
        except UnreadablePayload:
            errors["receipt"] = [_("Give M-PESA's receipt of the movement, like SGE1AB23CD.")]
        else:
            if kind.taken_receipts([row], [receipt]) & {(row.channel_id, receipt)}:
                errors["receipt"] = [told(kind.receipt_taken)]
    elif receipt:
        errors["receipt"] = [_("What failed has no receipt.")]
    if errors:
        raise Invalid(_("This can't be decided so."), errors=errors)
    return receipt
