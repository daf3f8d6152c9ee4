"""How far a business is on the way to real payments, and what is in the way. All of it follows from facts."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from django.db.models import Case, IntegerField, Value, When

from audit.services import Actor
from channels.connection import is_connected_to
from channels.credentials import PROOFS, is_refused, is_saved
from channels.models import ChannelRun, Credential, Environment, MpesaChannel, Problem
from channels.previews import recent_references
from channels.problems import problems
from channels.queries import channels_of
from channels.status import Status, only_prompts
from tenants.models import Tenant
from tenants.permissions import Permission, require
from tenants.queue import require_current_tenant


class StepState(StrEnum):
    DONE = "done"
    NOW = "now"  # the next one
    LATER = "later"  # others come first
    OPTIONAL = "optional"  # not done, and nothing waits for it


@dataclass(frozen=True, slots=True)
class ConnectionStep:
    """`key` is number, keys, passkey, initiator, verify, register_urls or activate.

    `is_refused`: something is saved, and M-PESA said no to it.
    """

    key: str
    state: StepState
    is_refused: bool = False


_CREDENTIALS = {credential.lower(): credential for credential in Credential}
_OPTIONAL = frozenset({"passkey", "initiator"})


def connection_steps(channel: MpesaChannel) -> list[ConnectionStep]:
    """What it takes until a channel receives payments, in order; at most one of them is now.

    What M-PESA refused is to be entered again before anything else. On a channel that was proved as it is, that is the
    connection doctor's to say.
    """
    refused = {
        key
        for key, credential in _CREDENTIALS.items()
        if channel.verified_at is None and is_refused(channel, credential)
    }
    done = {
        "number": bool(channel.shortcode),
        **{key: is_saved(channel, credential) and key not in refused for key, credential in _CREDENTIALS.items()},
        "verify": channel.verified_at is not None,
        "register_urls": channel.urls_registered_at is not None or only_prompts(channel),
        "activate": channel.activated_at is not None and channel.suspended_at is None,
    }
    steps = []
    is_next = True
    for key, is_done in done.items():
        state = StepState.DONE if is_done else StepState.NOW if is_next else StepState.LATER
        if not is_done and key in _OPTIONAL and key not in refused:
            state = StepState.OPTIONAL
        elif not is_done:
            is_next = False
        steps.append(ConnectionStep(key, state, key in refused))
    return steps


def next_step(channel: MpesaChannel) -> str:
    """The key of the step that a person takes now, or "" when the channel works."""
    return next((step.key for step in connection_steps(channel) if step.state == StepState.NOW), "")


def next_question(channel: MpesaChannel, *, after: Credential) -> Credential | None:
    """Which credential to ask for next, while a channel is connected for the first time; None when all are there."""
    if channel.first_verified_at:
        return None
    following = list(Credential)[list(Credential).index(after) + 1 :]
    return next((each for each in following if not is_saved(channel, each) or is_refused(channel, each)), None)


class TaskState(StrEnum):
    DONE = "done"
    IN_PROGRESS = "in_progress"
    PROBLEM = "problem"
    NOT_STARTED = "not_started"
    BLOCKED = "blocked"  # `blocked_by` comes first


@dataclass(frozen=True, slots=True)
class Task:
    """`key` is business, channel, connect, news or live; `steps` are those of connecting, with what is saved."""

    key: str
    state: TaskState
    blocked_by: str = ""
    channel: MpesaChannel | None = None
    steps: tuple[ConnectionStep, ...] = ()


def setup_tasks(*, actor: Actor) -> list[Task]:
    """The five tasks of a new business, about the channel that is furthest on the way to real payments."""
    channel = _leading(actor)
    tasks = [Task("business", TaskState.DONE)]
    if channel is None:
        return [
            *tasks,
            Task("channel", TaskState.NOT_STARTED),
            *(Task(key, TaskState.BLOCKED, "channel") for key in ("connect", "news", "live")),
        ]
    tasks.append(Task("channel", TaskState.DONE, channel=channel))
    credentials = tuple(step for step in connection_steps(channel) if step.key in _CREDENTIALS)
    tasks.append(Task("connect", _connecting(channel), channel=channel, steps=credentials))
    if channel.verified_at is None:
        return [*tasks, *(Task(key, TaskState.BLOCKED, "connect", channel) for key in ("news", "live"))]
    is_registered = channel.urls_registered_at is not None or only_prompts(channel)
    news = TaskState.NOT_STARTED
    if is_registered:
        is_heard = bool(recent_references(channel, limit=1))
        news = TaskState.DONE if is_heard or channel.activated_at else TaskState.IN_PROGRESS
    elif _last_run_failed(channel, {ChannelRun.Kind.REGISTER_URLS}):
        news = TaskState.PROBLEM
    tasks.append(Task("news", news, channel=channel))
    if not is_registered:
        return [*tasks, Task("live", TaskState.BLOCKED, "news", channel)]
    is_live = channel.status == Status.ACTIVE and channel.environment == Environment.PRODUCTION
    started = TaskState.IN_PROGRESS if channel.status == Status.ACTIVE else TaskState.NOT_STARTED
    return [*tasks, Task("live", TaskState.DONE if is_live else started, channel=channel)]


def _connecting(channel: MpesaChannel) -> TaskState:
    if channel.verified_at is not None:
        return TaskState.DONE
    is_any_refused = any(is_refused(channel, credential) for credential in Credential)
    if is_any_refused or _last_run_failed(channel, {ChannelRun.Kind.VERIFY, *PROOFS.values()}):
        return TaskState.PROBLEM
    return TaskState.IN_PROGRESS if channel.secret_notes else TaskState.NOT_STARTED


def _last_run_failed(channel: MpesaChannel, kinds: Collection[str]) -> bool:
    last = channel.runs.filter(kind__in=kinds).order_by("-pk").values_list("status", flat=True).first()
    return last == ChannelRun.Status.FAILED


def _leading(actor: Actor) -> MpesaChannel | None:
    """Live before sandbox, then the one that is furthest, then the newest."""
    environment = Case(When(environment=Environment.PRODUCTION, then=Value(1)), default=Value(0))
    ranks = [Status.DRAFT, Status.SUSPENDED, Status.CONFIGURED, Status.VERIFIED, Status.ACTIVE]
    status = Case(
        *(When(status=each, then=Value(rank)) for rank, each in enumerate(ranks)), output_field=IntegerField()
    )
    real = channels_of(actor=actor).exclude(environment=Environment.PRACTICE)
    return real.order_by(environment.desc(), status.desc(), "-pk").first()


@dataclass(frozen=True, slots=True)
class Blocker:
    """What is in the way of a live channel.

    `key` is business_closed, not_connected, no_channel, keys, refused, verify, register_urls, or problem, which alone
    does not stop it.
    """

    key: str
    channel: MpesaChannel | None = None
    problem: Problem | None = None

    @property
    def stops(self) -> bool:
        return self.key != "problem"


@dataclass(frozen=True, slots=True)
class GoingLive:
    """`ready` can be switched on at once; `active` are live already."""

    blockers: list[Blocker]
    ready: list[MpesaChannel]
    active: list[MpesaChannel]


def going_live(*, actor: Actor) -> GoingLive:
    """Everything that has to be right before real payments are taken."""
    require(actor, Permission.CHANNELS_READ)
    blockers = []
    if require_current_tenant().status not in {Tenant.Status.TRIAL, Tenant.Status.ACTIVE}:
        blockers.append(Blocker("business_closed"))
    if not is_connected_to(Environment.PRODUCTION):
        blockers.append(Blocker("not_connected"))
    live = list(channels_of(actor=actor).filter(environment=Environment.PRODUCTION).order_by("pk"))
    if not live:
        blockers.append(Blocker("no_channel"))
    ready, active = [], []
    for channel in live:
        now = next((step for step in connection_steps(channel) if step.state == StepState.NOW), None)
        missing = "" if now is None else "refused" if now.is_refused else now.key
        if missing in {"keys", "refused", "verify", "register_urls"}:
            blockers.append(Blocker(missing, channel))
        elif missing:
            ready.append(channel)
        else:
            active.append(channel)
    if live:
        open_ones = problems(actor=actor).filter(closed_at=None, dismissed_at=None)
        of_live = open_ones.filter(environment=Environment.PRODUCTION).order_by("-pk")[:10]
        blockers += [Blocker("problem", problem.channel, problem) for problem in of_live]
    return GoingLive(blockers, ready, active)
