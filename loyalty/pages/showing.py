"""What a member holds, as the people at the counter and the member's own page show it."""

from typing import Any

from audit.services import Actor
from loyalty.models import Member, Reward
from loyalty.points import rewards_of
from loyalty.queries import payments_that_counted

_ROWS = 10
_LARGEST_DRAWN_CARD = 20


def holdings(actor: Actor, member: Member) -> dict[str, Any]:
    """`stamp_rule`; `stamps`, a truth for each place on a card that can be drawn; `ready` and other `rewards`; and the
    payments that `counted`."""
    rule = getattr(member.program, "stamp_rule", None)
    needed = rule.payments_needed if rule else 0
    drawn = needed if needed <= _LARGEST_DRAWN_CARD else 0
    rewards = rewards_of(actor=actor).filter(member=member.pk)
    return {
        "stamp_rule": rule,
        "stamps": [number < member.stamps for number in range(drawn)],
        "ready": list(rewards.filter(status=Reward.Status.READY).order_by("pk")[:_ROWS]),
        "rewards": list(rewards.exclude(status=Reward.Status.READY).order_by("-pk")[:_ROWS]),
        "counted": list(payments_that_counted(actor=actor, member_id=member.pk).order_by("-pk")[:_ROWS]),
    }
