"""Proving a channel's credentials with Safaricom, all of them or one alone, telling Safaricom where to report its
payments, and examining everything that has to work (`channels.doctor`): step by step.

A run is a row that people watch. A worker takes its steps, each of them in the open: what was tried, what Safaricom
said, what that means, what to do now and who has to. Calls to Safaricom happen outside transactions, each step's state
is committed as it happens, and every step may be taken again, so a worker that dies costs nothing.

The balance query, the last step of those runs that have it, is answered later, by a delivery to our hooks:
`apply_result`.
"""

import contextlib
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

import audit.services
from audit.ids import public_id
from audit.services import Actor, system_actor
from channels import doctor, tasks
from channels.credentials import (
    COLUMNS,
    PROOF_STEPS,
    as_saved,
    credential_of,
    end_links,
    is_proved,
    is_saved,
    note_verdict,
    scope_of,
)
from channels.daraja.explanations import Who
from channels.daraja.payloads import AsyncResult, QueueTimeout
from channels.fields import UndecipherableSecret
from channels.models import ChannelRun, MpesaChannel
from channels.practice import PRACTICE_ACTOR
from channels.queries import read_channel
from channels.services import (
    ShortcodeBelongsToAnother,
    claim_shortcode,
    lock_channel,
    refuse_anothers_shortcode,
    settle,
)
from channels.status import NotConfigured, require_steps_before
from channels.steps import (
    STEPS,
    TOOK_TOO_LONG,
    UNREADABLE_SECRET,
    Finding,
    RunEnded,
    Step,
    balance_finding,
    balance_timeout,
    lock_run,
    registration_is_outdated,
)
from tenants.errors import Conflict, NotFound
from tenants.permissions import Permission, require
from tenants.queue import enqueue
from tenants.sentences import say

LONGEST_RUN = timedelta(minutes=10)  # a run that is older ended somewhere without a verdict
LONGEST_WAIT_S = 30
DOCTOR_ACTOR = system_actor("connection doctor")
_POLL_S = 0.2
_OPEN = frozenset({"waiting", "running"})  # states of a step that has to be taken
_waiting_requests = threading.BoundedSemaphore(3)  # each of them holds a thread of the web process

Kind = ChannelRun.Kind
Status = ChannelRun.Status


class RunNotFound(NotFound):
    def __init__(self) -> None:
        super().__init__(_("There is no such run."))


class RunInProgress(Conflict):
    code = "run_in_progress"


# -- Asking for a run, and watching it --------------------------------------------------------------------------------


@transaction.atomic
def request_run(*, channel_id: UUID, kind: Kind, actor: Actor, now: datetime) -> ChannelRun:
    """Have a channel verified, its URLs registered, everything examined or one credential proved, in the background.

    Asking again while it runs is the same run; for a proof, as long as what is saved is the same. The doctor looks at
    every channel, however far it is.

    :raises NotConfigured, NotVerified: if a step before is missing.
    :raises ShortcodeBelongsToAnother: if another business proved that the live number is its own.
    :raises RunInProgress: if a run of another kind is under way; proofs wait for nothing.
    """
    credential = credential_of(kind)
    scope = scope_of(channel_id, COLUMNS[credential]) if credential else ""
    require(actor, Permission.MPESA_ASK if kind == Kind.DOCTOR else Permission.CHANNELS_CHANGE, scope=scope)
    channel = lock_channel(channel_id)
    if kind != Kind.DOCTOR:
        require_steps_before(channel, "verify" if credential else kind.lower())
    if credential and not is_saved(channel, credential):
        raise NotConfigured(_("Nothing is saved yet that could be proved. Enter it first."))
    refuse_anothers_shortcode(channel)
    about = as_saved(channel, credential) if credential else {}
    pending = channel.runs.filter(status=Status.PENDING)
    if credential:
        under_way = pending.filter(kind=kind, details__about=about).first()
    else:
        under_way = pending.exclude(kind__in=PROOF_STEPS).first()
    if under_way and under_way.kind != kind:
        raise RunInProgress(
            _("Wait until the run %(run)s of this channel has ended.") % {"run": public_id("run", under_way.pk)}
        )
    if under_way:
        return under_way
    run = ChannelRun.objects.create(
        channel=channel,
        kind=kind,
        steps=[_new_entry(key, step) for key, step in _steps(kind).items()],
        details={"proved": [], "organisation_name": "", "codes": {}, "about": about},
        requested_by=asdict(actor) | {"id": str(actor.id) if actor.id else None},
        created_at=now,
    )
    enqueue(tasks.carry_out_run, run_id=str(run.pk))
    return run


def read_run(*, channel_id: UUID, run_id: UUID, actor: Actor) -> ChannelRun:
    """:raises ChannelNotFound, RunNotFound: if the business has none such."""
    channel = read_channel(channel_id=channel_id, actor=actor)
    run = channel.runs.filter(pk=run_id).first()
    if run is None:
        raise RunNotFound
    return run


def wait_for(run: ChannelRun, *, seconds: float) -> None:
    """Return when the run has ended, or the seconds are over; at once when too many others wait already."""
    if not _waiting_requests.acquire(blocking=False):
        return
    try:
        give_up_at = time.monotonic() + seconds
        while run.status == Status.PENDING and time.monotonic() < give_up_at:
            time.sleep(_POLL_S)
            run.refresh_from_db()
        run.channel = MpesaChannel.objects.without_secrets().get(pk=run.channel_id)
    finally:
        _waiting_requests.release()


def outcome_of(run: ChannelRun) -> bool | None:
    """Did it work? None while it is undecided. A proof has worked if something was proved."""
    if run.status == Status.PENDING:
        return None
    return run.status == Status.DONE and (credential_of(run.kind) is None or is_proved(run))


@dataclass(frozen=True, slots=True)
class Verification:
    """What a verification proved."""

    shortcode: str
    account_balance_accessible: bool
    verified_at: datetime


def verification_of(run: ChannelRun) -> Verification | None:
    if run.kind != Kind.VERIFY or run.status != Status.DONE:
        return None
    return Verification(
        run.channel.shortcode,
        "initiator_credential" in run.details["proved"],
        datetime.fromisoformat(run.details["verified_at"]),
    )


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a run failed, and what to do about it."""

    code: str
    detail: str
    do_now: str
    who: str


def failure_of(run: ChannelRun) -> Failure | None:
    if run.status != Status.FAILED:
        return None
    step = [step for step in run.steps if step["state"] == "failed"][-1]  # the one that ended it
    return Failure(run.error_code, step["meaning"], step["do_now"], step["who"])


def examine_nightly(*, channel_id: UUID, now: datetime) -> None:
    """Have the doctor look at a channel, and again tomorrow night, as long as it is in service."""
    channel = MpesaChannel.objects.without_secrets().filter(pk=channel_id).first()
    if channel is None or channel.activated_at is None or channel.suspended_at is not None:
        return
    with contextlib.suppress(RunInProgress, ShortcodeBelongsToAnother):
        request_run(channel_id=channel_id, kind=Kind.DOCTOR, actor=DOCTOR_ACTOR, now=now)
    enqueue(tasks.examine_channel, due_at=doctor.next_night(channel, now=now), channel_id=str(channel_id))


# -- Carrying out -----------------------------------------------------------------------------------------------------


def carry_out(*, run_id: UUID, now: datetime) -> None:
    """Take the steps that are left, up to the verdict or to a step whose answer comes later."""
    run = ChannelRun.objects.filter(pk=run_id, status=Status.PENDING).first()
    if run is None:
        return
    try:
        if now - run.created_at > LONGEST_RUN:
            _end(run_id, _next_key(run), TOOK_TOO_LONG)
            return
        channel = MpesaChannel.objects.without_secrets().get(pk=run.channel_id)  # each step reads those that it needs
        for key, step in _steps(Kind(run.kind)).items():
            if _entry_of(run, key)["state"] not in _OPEN:
                continue
            run = _write(run_id, key, "running")
            if run.kind == Kind.DOCTOR:
                finding = doctor.take(key, step, channel=channel, run=run)
            else:
                finding = step.take(channel, run)
            if finding is None:
                return
            if _is_the_end(run, finding):
                _end(run_id, key, finding)
                return
            run = _write(run_id, key, finding)
        _end(run_id)
    except UndecipherableSecret:
        _end(run_id, _next_key(run), UNREADABLE_SECRET)
    except RunEnded:
        pass


def _steps(kind: Kind) -> Mapping[str, Step]:
    if kind in PROOF_STEPS:
        return {key: STEPS[Kind.VERIFY][key] for key in PROOF_STEPS[kind]}
    return doctor.doctors_steps() if kind == Kind.DOCTOR else STEPS[kind]


def _is_the_end(run: ChannelRun, finding: Finding) -> bool:
    """The doctor goes on after a failure: the other steps are to be looked at, too."""
    return finding.state == "failed" and run.kind != Kind.DOCTOR


def apply_result(result: AsyncResult) -> bool:
    """Take in what Safaricom delivered about a query of ours. False if it answers none that is written down (yet).

    Called with the deliveries, in their transaction. After we gave up waiting, a good answer still proves the
    initiator; the verdict stays.
    """
    finding = balance_finding(result)
    return _take_in(result.originator_conversation_id, result.conversation_id, finding)


def apply_timeout(timeout: QueueTimeout) -> bool:
    """Take in that M-PESA's queue gave up on a query of ours. False if it was none that is written down (yet)."""
    finding = balance_timeout(timeout)
    return _take_in(timeout.originator_conversation_id, timeout.conversation_id, finding)


@transaction.atomic
def _take_in(originator_conversation_id: str, conversation_id: str, finding: Finding) -> bool:
    about = Q(pk__in=[])
    if originator_conversation_id:
        about |= Q(originator_conversation_id=originator_conversation_id)
    if conversation_id:
        about |= Q(conversation_id=conversation_id)
    run = ChannelRun.objects.select_for_update().filter(about).first()
    if run is None:
        return False
    if run.status != Status.PENDING:
        _take_in_late(run, finding)
    elif _is_the_end(run, finding):
        _end(run.pk, "account_balance", finding)
    else:
        _write(run.pk, "account_balance", finding)
        _end(run.pk)
    return True


def _take_in_late(run: ChannelRun, finding: Finding) -> None:
    """The verdict is out: what we said we don't know, we know now."""
    if run.status != Status.DONE or _entry_of(run, "account_balance")["state"] != "warning":
        return
    _note(run, "account_balance", finding)
    run.save(update_fields=["steps", "details"])
    channel = lock_channel(run.channel_id)
    if not _is_outdated(run, channel):
        now = timezone.now()
        note_verdict(channel, run, now=now)
        settle(channel)
        end_links(run, now=now)
        if run.kind == Kind.DOCTOR:
            doctor.note_findings(channel=channel, run=run, now=now)


# -- The verdict ------------------------------------------------------------------------------------------------------


@transaction.atomic
def _end(run_id: UUID, key: str = "", failure: Finding | None = None) -> None:
    """End a run: with the step that failed, or with what all of them together prove."""
    run, now = lock_run(run_id), timezone.now()
    channel = lock_channel(run.channel_id)
    if failure is None:
        key, failure = _next_key(run), _conclude(run, channel, now=now)
    if failure is None:
        run.status = Status.DONE
        end_links(run, now=now)
    else:
        run.status, run.error_code = Status.FAILED, failure.code
        _note(run, key, failure)
        if run.kind != Kind.REGISTER_URLS and not _is_outdated(run, channel):
            note_verdict(channel, run, now=now)
            settle(channel)
        for step in run.steps:
            if step["state"] in _OPEN:
                step |= {"state": "skipped", "meaning": say("A step before it failed.")}
    run.finished_at = now
    run.save()
    if run.requested_by["label"] == PRACTICE_ACTOR.label and channel.activated_at is None:
        _go_on_with_practice(channel, run, now=now)


def _conclude(run: ChannelRun, channel: MpesaChannel, *, now: datetime) -> Finding | None:
    """Write on the channel what the run proved, or say why it can't be."""
    if _is_outdated(run, channel):
        return Finding(
            "failed",
            meaning=say("The channel was changed meanwhile, so this says nothing about what is saved now."),
            do_now=say("Start it again."),
            who=Who.YOU.value,
            code="changed_meanwhile",
        )
    if run.kind == Kind.DOCTOR:
        channel.organisation_name = run.details["organisation_name"] or channel.organisation_name
        note_verdict(channel, run, now=now)
        settle(channel)
        doctor.note_findings(channel=channel, run=run, now=now)
        return None
    if run.kind in PROOF_STEPS:
        note_verdict(channel, run, now=now)
        settle(channel)
        return None
    if "shortcode" in run.details["proved"]:
        try:
            claim_shortcode(channel, now=now)
        except ShortcodeBelongsToAnother as refusal:
            return Finding(
                "failed", meaning=refusal.detail, do_now=say("Write to us."), who=Who.US.value, code=refusal.code
            )
    before = channel.status
    if run.kind == Kind.VERIFY:
        channel.verified_at = now
        channel.first_verified_at = channel.first_verified_at or now
        channel.organisation_name = run.details["organisation_name"] or channel.organisation_name
        if "pull" in run.details["proved"]:
            channel.pull_registered_at = channel.pull_registered_at or now
        run.details["verified_at"] = now.isoformat()
        note_verdict(channel, run, now=now)
    else:
        channel.urls_registered_at = now
    settle(channel)
    audit.services.record(
        actor=_actor_of(run),
        action="channel.verified" if run.kind == Kind.VERIFY else "channel.urls_registered",
        subject=channel,
        before={"status": before},
        after={"status": channel.status, "shortcode": channel.business_shortcode},
    )
    return None


def _is_outdated(run: ChannelRun, channel: MpesaChannel) -> bool:
    """Did what the run is about change after it began?"""
    if run.kind == Kind.REGISTER_URLS:
        return registration_is_outdated(run, channel)
    if credential := credential_of(run.kind):
        return bool(as_saved(channel, credential) != run.details["about"])
    return channel.configured_at is not None and channel.configured_at > run.created_at


def _go_on_with_practice(channel: MpesaChannel, run: ChannelRun, *, now: datetime) -> None:
    due_at = None
    if run.status == Status.FAILED:
        failures = channel.runs.filter(status=Status.FAILED).count()
        due_at = now + timedelta(seconds=min(10 * 2 ** min(failures, 9), 3600))
    enqueue(tasks.connect_practice_channel, due_at=due_at, channel_id=str(channel.pk))


# -- The row ----------------------------------------------------------------------------------------------------------


@transaction.atomic
def _write(run_id: UUID, key: str, what: str | Finding) -> ChannelRun:
    run = lock_run(run_id)
    if isinstance(what, Finding):
        _note(run, key, what)
    else:
        _entry_of(run, key).update(state=what, at=timezone.now().isoformat())
    run.save(update_fields=["steps", "details"])
    return run


def _note(run: ChannelRun, key: str, finding: Finding) -> None:
    _entry_of(run, key).update(
        state=finding.state,
        said=finding.said,
        meaning=finding.meaning,
        do_now=finding.do_now,
        who=finding.who,
        at=timezone.now().isoformat(),
    )
    run.details["proved"] = [*run.details["proved"], *finding.proves]
    run.details["codes"][key] = finding.code
    run.details["organisation_name"] = finding.organisation_name or run.details["organisation_name"]


def _new_entry(key: str, step: Step) -> dict[str, Any]:
    nothing = dict.fromkeys(("said", "meaning", "do_now"), "")
    return {"key": key, "state": "waiting", "tried": step.tried, **nothing, "who": Who.NOBODY.value, "at": None}


def _entry_of(run: ChannelRun, key: str) -> dict[str, Any]:
    entry: dict[str, Any] = next(step for step in run.steps if step["key"] == key)
    return entry


def _next_key(run: ChannelRun) -> str:
    """The step that the run is at; the last one when all are taken."""
    key: str = next((step for step in run.steps if step["state"] in _OPEN), run.steps[-1])["key"]
    return key


def _actor_of(run: ChannelRun) -> Actor:
    actor_id = run.requested_by["id"]
    return Actor(**{**run.requested_by, "id": UUID(actor_id) if actor_id else None})
