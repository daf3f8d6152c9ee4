"""What people do with a member's points and rewards: correct, redeem, collect. Earning is in `awards`."""

from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

import audit.services
from audit.services import Actor
from loyalty.members import lock_member
from loyalty.models import Member, PointsEntry, Reward
from loyalty.totals import Change, add_to_totals
from tenants.errors import Conflict, Invalid, NotFound
from tenants.permissions import Permission, require

POINTS_MAX = 1_000_000_000


class InsufficientPoints(Conflict):
    code = "insufficient_points"


class MemberInactive(Conflict):
    code = "member_inactive"


class RewardCollected(Conflict):
    code = "reward_collected"


class RewardWithdrawn(Conflict):
    code = "reward_withdrawn"


def entries_of(*, actor: Actor, member_id: UUID) -> QuerySet[PointsEntry]:
    """A member's ledger.

    :raises NotFound: if there is no such member.
    """
    require(actor, Permission.LOYALTY_READ)
    if not Member.objects.filter(pk=member_id).exists():
        raise NotFound(_("There is no such member."))
    return PointsEntry.objects.filter(member=member_id).select_related("payment")


def rewards_of(*, actor: Actor) -> QuerySet[Reward]:
    """The rewards of the business's members, of all environments: a door shows one environment at a time."""
    require(actor, Permission.LOYALTY_READ)
    return Reward.objects.select_related("member", "member__program", "payment")


@transaction.atomic
def adjust_points(*, actor: Actor, member_id: UUID, points: int, reason: str, now: datetime) -> PointsEntry:
    """Correct a member's points, up or down, for a reason that people can read later.

    :raises NotFound: if there is no such member.
    :raises Invalid: for 0 points, too many, or without a reason.
    :raises InsufficientPoints: if more is taken than the member holds.
    """
    require(actor, Permission.LOYALTY_CHANGE)
    if not reason.strip():
        raise Invalid(_("Say why."), errors={"reason": [_("Say why: the member may ask.")]})
    if points == 0 or abs(points) > POINTS_MAX:
        raise Invalid(
            _("Give or take between 1 and a billion points."), errors={"points": [_("Give or take at least 1.")]}
        )
    member = lock_member(member_id)
    entry = _post_entry(member, kind=PointsEntry.Kind.ADJUST, points=points, note=reason.strip(), now=now)
    audit.services.record(
        actor=actor, action="points.adjusted", subject=member, after={"points": points}, reason=reason.strip()
    )
    return entry


@transaction.atomic
def redeem_points(*, actor: Actor, member_id: UUID, points: int, now: datetime, note: str = "") -> PointsEntry:
    """Take points that a member spends; `note` says on what.

    :raises NotFound: if there is no such member.
    :raises Invalid: unless at least one point is taken.
    :raises MemberInactive: if the member was deactivated.
    :raises InsufficientPoints: if the member holds fewer.
    """
    require(actor, Permission.MEMBERS_CHANGE)
    if not 1 <= points <= POINTS_MAX:
        raise Invalid(_("Redeem between 1 and a billion points."), errors={"points": [_("Redeem at least 1 point.")]})
    member = lock_member(member_id)
    require_active(member)
    entry = _post_entry(member, kind=PointsEntry.Kind.REDEEM, points=-points, note=note.strip(), now=now)
    audit.services.record(
        actor=actor, action="points.redeemed", subject=member, after={"points": points, "note": note.strip()}
    )
    return entry


@transaction.atomic
def collect_reward(*, actor: Actor, reward_id: UUID, now: datetime) -> Reward:
    """Note that a member was given what the full card promised.

    :raises NotFound: if there is no such reward.
    :raises MemberInactive: if the member was deactivated.
    :raises RewardCollected: if it was collected before.
    :raises RewardWithdrawn: if a payment that had filled the card was reversed.
    """
    require(actor, Permission.MEMBERS_CHANGE)
    rewards = Reward.objects.select_for_update(no_key=True, of=("self",)).select_related("member__program", "payment")
    reward = rewards.filter(pk=reward_id).first()
    if reward is None:
        raise NotFound(_("There is no such reward."))
    require_active(reward.member)
    if reward.status == Reward.Status.COLLECTED:
        raise RewardCollected(_("This reward was collected already."))
    if reward.status == Reward.Status.WITHDRAWN:
        raise RewardWithdrawn(_("This reward was taken back: a payment that filled the card was reversed."))
    reward.status, reward.collected_at = Reward.Status.COLLECTED, now
    reward.save(update_fields=["status", "collected_at"])
    audit.services.record(
        actor=actor,
        action="reward.collected",
        subject=reward,
        after={"member": str(reward.member), "description": reward.description},
    )
    return reward


def require_active(member: Member) -> None:
    """:raises MemberInactive: if the member was deactivated."""
    if not member.is_active:
        sentence = _("%(member)s does not take part any more. Activate the member first.")
        raise MemberInactive(sentence % {"member": member})


def _post_entry(member: Member, *, kind: PointsEntry.Kind, points: int, note: str, now: datetime) -> PointsEntry:
    """Change the balance of a member whom the caller has locked, and write down why."""
    if member.points_balance + points < 0:
        sentence = ngettext(
            "%(member)s holds %(held)s point.", "%(member)s holds %(held)s points.", member.points_balance
        )
        raise InsufficientPoints(sentence % {"member": member, "held": f"{member.points_balance:,}"})
    member.points_balance += points
    member.save(update_fields=["points_balance"])
    add_to_totals([Change(member.program_id, member.environment, kind, points)], now=now)
    return PointsEntry.objects.create(
        member=member, kind=kind, points=points, balance_after=member.points_balance, note=note, created_at=now
    )
