"""What of the connections waits for a person: channels whose last attempt failed, and open problems."""

from dataclasses import dataclass

from django.db.models import OuterRef, Subquery

from audit.services import Actor
from channels.models import ChannelRun, MpesaChannel, Problem
from channels.problems import problems
from channels.queries import channels_of


@dataclass(frozen=True, slots=True)
class Connections:
    """The channels of one environment: which of them need a person, and whether any receives payments."""

    failed: list[MpesaChannel]  # their last verification, registration or visit of the doctor did not work
    is_any_active: bool
    is_any_there: bool


def connections(*, actor: Actor, environment: str) -> Connections:
    """One query."""
    last = ChannelRun.objects.filter(channel=OuterRef("pk")).order_by("-pk").values("status")[:1]
    rows = channels_of(actor=actor).filter(environment=environment).annotate(last_run=Subquery(last))
    channels = list(rows.order_by("name"))
    return Connections(
        failed=[channel for channel in channels if channel.last_run == ChannelRun.Status.FAILED],
        is_any_active=any(channel.status == MpesaChannel.Status.ACTIVE for channel in channels),
        is_any_there=bool(channels),
    )


def open_problems(*, actor: Actor, environment: str, number: int) -> list[Problem]:
    """The newest that the actor may know of and nobody has dismissed."""
    rows = problems(actor=actor).filter(environment=environment, closed_at=None, dismissed_at=None)
    return list(rows.order_by("-pk")[:number])
