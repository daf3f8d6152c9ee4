"""What pages show of channels beside their columns."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Count

from audit.services import Actor
from channels.links import links_of
from channels.models import ChannelRun, MpesaChannel, Problem, StepLink
from channels.problems import problems
from channels.queries import SavedSecret, draft_of, read_channel, saved_secrets, shown_callback_urls
from channels.setup import ConnectionStep, StepState, connection_steps
from tenants.permissions import ROLES, Permission, require

_RUNS = 5


def open_problem_counts(*, actor: Actor) -> dict[UUID, int]:
    """How many open problems each channel has, of those that the actor may know of; channels without are left out."""
    is_open = problems(actor=actor).filter(closed_at=None, dismissed_at=None)
    counted = is_open.order_by().values("channel_id").annotate(count=Count("pk"))
    return dict(counted.values_list("channel_id", "count"))


@dataclass(frozen=True, slots=True)
class Overview:
    channel: MpesaChannel
    secrets: dict[str, SavedSecret]
    callback_urls: dict[str, str] | None  # for administrators; see `shown_callback_urls`
    steps: list[ConnectionStep]
    problems: list[Problem]
    runs: list[ChannelRun]  # the newest first
    links: list[tuple[StepLink, str]]  # for administrators: questions that were sent to others, with their state
    has_rule_draft: bool  # for administrators: rules of the channel wait to be put in force

    @property
    def next_step(self) -> str:
        """The step that a person takes now, or '' when the channel works."""
        return next((step.key for step in self.steps if step.state == StepState.NOW), "")

    @property
    def under_way(self) -> ChannelRun | None:
        return next((run for run in self.runs if run.status == ChannelRun.Status.PENDING), None)


def overview_of(*, channel_id: UUID, actor: Actor, now: datetime) -> Overview:
    """Everything about one channel, and never a secret.

    :raises ChannelNotFound: if the business has none such.
    """
    channel = read_channel(channel_id=channel_id, actor=actor)
    is_open = problems(actor=actor).filter(channel=channel, closed_at=None, dismissed_at=None)
    return Overview(
        channel,
        saved_secrets(channel),
        shown_callback_urls(channel, actor=actor),
        connection_steps(channel),
        list(is_open.order_by("-pk")[:10]),
        list(channel.runs.order_by("-pk")[:_RUNS]),
        links_of(channel, now=now) if actor.role in ROLES[Permission.CHANNELS_CHANGE] else [],
        draft_of(channel, actor=actor) is not None,
    )


def channel_to_change(*, channel_id: UUID, actor: Actor) -> MpesaChannel:
    """A channel, for who may change it.

    :raises ChannelNotFound: if the business has none such.
    """
    require(actor, Permission.CHANNELS_CHANGE)
    return read_channel(channel_id=channel_id, actor=actor)


def last_examination(*, channel_id: UUID, actor: Actor) -> tuple[MpesaChannel, ChannelRun | None]:
    """A channel, and what the connection doctor saw last.

    :raises ChannelNotFound: if the business has none such.
    """
    channel = read_channel(channel_id=channel_id, actor=actor)
    return channel, channel.runs.filter(kind=ChannelRun.Kind.DOCTOR).order_by("-pk").first()
