"""Proving a channel's credentials with Safaricom, and telling Safaricom where to report its payments: step by step.

A run is a row that people watch. A worker takes its steps, each of them in the open: what was tried, what Safaricom
said, what that means, what to do now and who has to. Calls to Safaricom happen outside transactions, each step's state
is committed as it happens, and every step may be taken again, so a worker that dies costs nothing.

Verification's last step, the balance query, is answered later, by a delivery to our hooks: `apply_result`.
"""

import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

import audit.services
from audit.ids import public_id
from audit.services import Actor
from channels import tasks
from channels.connection import daraja_client, initiator_security_credential
from channels.daraja.callback_urls import url_problems
from channels.daraja.client import Accepted, IdentifierType, ResponseType
from channels.daraja.credentials import UnusablePassword
from channels.daraja.errors import DarajaError, DarajaRejected, DarajaTimeout, Reason
from channels.daraja.explanations import REASONS, Api, Explanation, Who, explain, explain_error
from channels.daraja.payloads import AsyncResult, QueueTimeout
from channels.fields import UndecipherableSecret
from channels.models import ChannelRun, Environment, MpesaChannel
from channels.practice import PRACTICE_ACTOR, PracticeUnavailable
from channels.services import (
    ShortcodeBelongsToAnother,
    callback_url,
    claim_shortcode,
    lock_channel,
    read_channel,
    refuse_anothers_shortcode,
    require_steps_before,
    settle,
)
from tenants.errors import Conflict, NotFound
from tenants.permissions import Permission, require
from tenants.queue import enqueue

# How long we wait for the answer to the balance query; in Safaricom's sandbox some never come.
RESULT_PATIENCE = {
    Environment.PRACTICE: timedelta(seconds=10),
    Environment.SANDBOX: timedelta(seconds=60),
    Environment.PRODUCTION: timedelta(seconds=60),
}
LONGEST_RUN = timedelta(minutes=10)  # a run that is older ended somewhere without a verdict
LONGEST_WAIT_S = 30
_POLL_S = 0.2
_waiting_requests = threading.BoundedSemaphore(3)  # each of them holds a thread of the web process

Kind = ChannelRun.Kind
Status = ChannelRun.Status


class RunNotFound(NotFound):
    def __init__(self) -> None:
        super().__init__("There is no such run.")


class RunInProgress(Conflict):
    code = "run_in_progress"


# -- Asking for a run, and watching it --------------------------------------------------------------------------------


@transaction.atomic
def request_run(*, channel_id: UUID, kind: Kind, actor: Actor, now: datetime) -> ChannelRun:
    """Have a channel verified, or its URLs registered, in the background. Asking again while it runs is the same run.

    :raises NotConfigured, NotVerified: if a step before is missing.
    :raises ShortcodeBelongsToAnother: if another business proved that the live number is its own.
    :raises RunInProgress: if a run of the other kind is under way.
    """
    require(actor, Permission.CHANNELS_CHANGE)
    channel = lock_channel(channel_id)
    require_steps_before(channel, kind.lower())
    refuse_anothers_shortcode(channel)
    under_way = channel.runs.filter(status=Status.PENDING).first()
    if under_way and under_way.kind != kind:
        raise RunInProgress(f"Wait until the run {public_id('run', under_way.pk)} of this channel has ended.")
    if under_way:
        return under_way
    run = ChannelRun.objects.create(
        channel=channel,
        kind=kind,
        steps=[_new_entry(key, step) for key, step in _STEPS[kind].items()],
        details={"proved": [], "organisation_name": ""},
        requested_by=asdict(actor) | {"id": str(actor.id) if actor.id else None},
        created_at=now,
    )
    enqueue(tasks.carry_out_run, run_id=str(run.pk))
    return run


def read_run(*, channel_id: UUID, run_id: UUID, actor: Actor) -> ChannelRun:
    """:raises ChannelNotFound, RunNotFound: if the business has none such."""
    channel = read_channel(channel_id=channel_id, actor=actor)
    run = channel.runs.select_related("channel").filter(pk=run_id).first()
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
    finally:
        _waiting_requests.release()


def outcome_of(run: ChannelRun) -> bool | None:
    """Did it work? None while it is undecided."""
    return None if run.status == Status.PENDING else run.status == Status.DONE


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
    step = next(step for step in run.steps if step["state"] == "failed")
    return Failure(run.error_code, step["meaning"], step["do_now"], step["who"])


# -- Carrying out -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Finding:
    """How one step went: `state` is ok, warning, failed or skipped, `said` has Safaricom's own words."""

    state: str
    said: str = ""
    meaning: str = ""
    do_now: str = ""
    who: str = Who.NOBODY.value
    code: str = ""  # of a failure
    proves: tuple[str, ...] = ()  # secrets by column, and "shortcode": that the number is the business's
    organisation_name: str = ""


class _RunEnded(Exception):
    """Somebody else brought the run to its end meanwhile."""


def carry_out(*, run_id: UUID, now: datetime) -> None:
    """Take the steps that are left, up to the verdict or to a step whose answer comes later."""
    run = ChannelRun.objects.filter(pk=run_id, status=Status.PENDING).first()
    if run is None:
        return
    try:
        if now - run.created_at > LONGEST_RUN:
            _end(run_id, _next_key(run), _TOOK_TOO_LONG)
            return
        channel = MpesaChannel.objects.get(pk=run.channel_id)
        for key, step in _STEPS[Kind(run.kind)].items():
            if _entry_of(run, key)["state"] not in _OPEN:
                continue
            run = _write(run_id, key, "running")
            finding = step.take(channel, run)
            if finding is None:
                return
            if finding.state == "failed":
                _end(run_id, key, finding)
                return
            run = _write(run_id, key, finding)
        _end(run_id)
    except UndecipherableSecret:
        _end(run_id, _next_key(run), _UNREADABLE_SECRET)
    except _RunEnded:
        pass


def apply_result(result: AsyncResult) -> bool:
    """Take in what Safaricom delivered about a query of ours. False if it answers none that is written down (yet).

    Called with the deliveries, in their transaction. After we gave up waiting, a good answer still proves the
    initiator; the verdict stays.
    """
    if result.result_code == "0":
        finding = Finding(
            "ok",
            result.result_desc,
            "Safaricom sent the balance, so the initiator works.",
            proves=("initiator_credential", "shortcode"),
        )
    else:
        explanation = explain(Api.BALANCE, result.result_code, result.result_desc)
        code = _INITIATOR_CODES.get(result.result_code, "balance_refused")
        finding = _explained("failed", explanation, said=result.result_desc, code=code)
    return _take_in(result.originator_conversation_id, result.conversation_id, finding)


def apply_timeout(timeout: QueueTimeout) -> bool:
    """Take in that M-PESA's queue gave up on a query of ours. False if it was none that is written down (yet)."""
    finding = Finding(
        "warning",
        timeout.result_desc,
        "M-PESA's queue gave up on the balance query, so the initiator is not proved.",
        "Verify again later, if you need balances.",
        Who.SAFARICOM.value,
    )
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
    elif finding.state == "failed":
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
        _date_proofs(channel, run, now=timezone.now())
        settle(channel)


# -- The verdict ------------------------------------------------------------------------------------------------------


@transaction.atomic
def _end(run_id: UUID, key: str = "", failure: Finding | None = None) -> None:
    """End a run: with the step that failed, or with what all of them together prove."""
    run, now = _lock(run_id), timezone.now()
    channel = lock_channel(run.channel_id)
    if failure is None:
        key, failure = _next_key(run), _conclude(run, channel, now=now)
    if failure is None:
        run.status = Status.DONE
    else:
        run.status, run.error_code = Status.FAILED, failure.code
        _note(run, key, failure)
        for step in run.steps:
            if step["state"] in _OPEN:
                step |= {"state": "skipped", "meaning": "A step before it failed."}
    run.finished_at = now
    run.save()
    if run.requested_by["label"] == PRACTICE_ACTOR.label and channel.activated_at is None:
        _go_on_with_practice(channel, run, now=now)


def _conclude(run: ChannelRun, channel: MpesaChannel, *, now: datetime) -> Finding | None:
    """Write on the channel what the run proved, or say why it can't be."""
    if _is_outdated(run, channel):
        return Finding(
            "failed",
            meaning="The channel was changed meanwhile, so this says nothing about what is saved now.",
            do_now="Start it again.",
            who=Who.YOU.value,
            code="changed_meanwhile",
        )
    if "shortcode" in run.details["proved"]:
        try:
            claim_shortcode(channel, now=now)
        except ShortcodeBelongsToAnother as refusal:
            return Finding("failed", meaning=refusal.detail, do_now="Write to us.", who=Who.US.value, code=refusal.code)
    before = channel.status
    if run.kind == Kind.VERIFY:
        channel.verified_at = now
        channel.first_verified_at = channel.first_verified_at or now
        channel.organisation_name = run.details["organisation_name"] or channel.organisation_name
        run.details["verified_at"] = now.isoformat()
        _date_proofs(channel, run, now=now)
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
        return channel.urls_asked_at is None or channel.urls_asked_at.isoformat() != run.details.get("urls_asked_at")
    return channel.configured_at is not None and channel.configured_at > run.created_at


def _date_proofs(channel: MpesaChannel, run: ChannelRun, *, now: datetime) -> None:
    for name in run.details["proved"]:
        if name in channel.secret_dates:
            channel.secret_dates[name]["proved_at"] = now.isoformat()


def _go_on_with_practice(channel: MpesaChannel, run: ChannelRun, *, now: datetime) -> None:
    due_at = None
    if run.status == Status.FAILED:
        failures = channel.runs.filter(status=Status.FAILED).count()
        due_at = now + min(timedelta(seconds=10 * 2**failures), timedelta(hours=1))
    enqueue(tasks.connect_practice_channel, due_at=due_at, channel_id=str(channel.pk))


# -- The steps --------------------------------------------------------------------------------------------------------


def _check_credentials(channel: MpesaChannel, run: ChannelRun) -> Finding:
    if not (channel.consumer_key and channel.consumer_secret):
        return _missing("The consumer key or the consumer secret is not saved.")
    if channel.initiator_name and not channel.initiator_credential:
        return _missing("The initiator's name is saved, its password is not.")
    if channel.initiator_credential and not channel.initiator_name:
        return _missing("The initiator's password is saved, its name is not.")
    without = []
    if not channel.passkey:
        without.append("Without a passkey, this channel can't prompt phones.")
    if not channel.initiator_name:
        without.append("Without an initiator, it can't ask for balances.")
    return Finding("ok", meaning=" ".join(without))


def _fetch_token(channel: MpesaChannel, run: ChannelRun) -> Finding:
    try:
        daraja_client(channel).check_keys()
    except DarajaError as error:
        return _refused(error)
    return Finding("ok", meaning="Safaricom accepts the keys.", proves=("consumer_key", "consumer_secret"))


def _probe_passkey(channel: MpesaChannel, run: ChannelRun) -> Finding:
    """Safaricom checks number and passkey before it looks for the prompt, so "does not exist" proves both."""
    if not channel.passkey:
        return Finding("skipped", meaning="No passkey is saved.")
    try:
        state = daraja_client(channel).stk_query(
            shortcode=channel.business_shortcode,
            passkey=channel.passkey,
            checkout_request_id=f"ws_CO_{timezone.now():%d%m%Y%H%M%S}{secrets.randbelow(10**12):012}",
        )
    except DarajaError as error:
        return _refused(error)
    return Finding("ok", state.result_desc, "The passkey belongs to this number.", proves=("passkey", "shortcode"))


def _look_up_name(channel: MpesaChannel, run: ChannelRun) -> Finding:
    is_paybill = channel.kind == MpesaChannel.Kind.PAYBILL
    try:
        found = daraja_client(channel).organisation_name(
            shortcode=channel.shortcode,
            identifier_type=IdentifierType.SHORTCODE if is_paybill else IdentifierType.TILL,
        )
    except DarajaError as error:
        return replace(_refused(error), state="warning", do_now="Nothing: this is only to show you the name.")
    name = found.name[:120]
    return Finding("ok", name, f"Safaricom says that {channel.shortcode} is {name}.", organisation_name=name)


def _ask_balance(channel: MpesaChannel, run: ChannelRun) -> Finding | None:
    """None while the answer, which is delivered to our hooks, is not here."""
    if not channel.initiator_name:
        return Finding("skipped", meaning="No initiator is saved.")
    if run.conversation_id or run.originator_conversation_id:
        return _await_balance(channel, run)
    try:
        accepted = daraja_client(channel).account_balance(
            initiator=channel.initiator_name,
            security_credential=initiator_security_credential(channel),
            shortcode=channel.business_shortcode,
            result_url=callback_url(channel, "result"),
            timeout_url=callback_url(channel, "timeout"),
        )
    except UnusablePassword as problem:
        return _missing(str(problem))
    except PracticeUnavailable as problem:
        return Finding("warning", meaning=problem.detail, do_now="Verify again later.", who=Who.US.value)
    except DarajaError as error:
        is_definite = isinstance(error, DarajaRejected) and error.reason is not Reason.PRODUCT_MISSING
        return replace(_refused(error), state="failed" if is_definite else "warning")
    _note_query(run.pk, accepted, give_up_at=timezone.now() + _patience(channel))
    return None


def _patience(channel: MpesaChannel) -> timedelta:
    return RESULT_PATIENCE[Environment(channel.environment)]


def _await_balance(channel: MpesaChannel, run: ChannelRun) -> Finding | None:
    if timezone.now() < datetime.fromisoformat(run.details["give_up_at"]):
        return None
    return Finding(
        "warning",
        meaning=f"Safaricom took the question, and sent no answer within {_patience(channel).seconds} seconds. "
        "The initiator is not proved.",
        do_now="If you need balances, check that our address can be reached from the internet, and verify again.",
        who=Who.SAFARICOM.value,
    )


@transaction.atomic
def _note_query(run_id: UUID, accepted: Accepted, *, give_up_at: datetime) -> None:
    run = _lock(run_id)
    run.originator_conversation_id = accepted.originator_conversation_id
    run.conversation_id = accepted.conversation_id
    run.details["give_up_at"] = give_up_at.isoformat()
    run.save(update_fields=["originator_conversation_id", "conversation_id", "details"])
    enqueue(tasks.carry_out_run, due_at=give_up_at, run_id=str(run_id))


def _check_urls(channel: MpesaChannel, run: ChannelRun) -> Finding:
    is_live = channel.environment == Environment.PRODUCTION
    problems = url_problems(callback_url(channel, "c2b-confirmation"), production=is_live)
    if problems:
        return _explained("failed", REASONS[Reason.FORBIDDEN_URL], said=" ".join(problems), code="forbidden_url")
    return Finding("ok", meaning="Safaricom has nothing against our addresses.")


def _register(channel: MpesaChannel, run: ChannelRun) -> Finding:
    """Registering works once in production, and its answer may get lost. So the asking is committed before, and
    "already registered" is a failure only when it can't have been us."""
    channel, asked_before = _note_asking(run.pk)
    try:
        try:
            said = _call_register(channel)
        except DarajaTimeout:
            asked_before = channel.urls_asked_at
            said = _call_register(channel)
    except DarajaTimeout as error:
        return replace(_refused(error), do_now="Register again: doing it twice does no harm.")
    except DarajaError as error:
        if error.reason is Reason.URLS_ALREADY_REGISTERED and asked_before:
            return _registered_earlier(channel, error)
        _take_back_asking(run.pk, asked_before)
        finding = _refused(error)
        if error.reason is Reason.PRODUCT_MISSING:
            other = 3 - channel.register_version
            finding = replace(
                finding,
                do_now=f"Your app may have C2B in the other version: change register_version to {other} and register "
                "again. Otherwise add the product to the app on the Daraja portal.",
            )
        return finding
    return Finding("ok", said, "Safaricom reports this channel's payments here.", proves=("shortcode",))


def _call_register(channel: MpesaChannel) -> str:
    accepted = daraja_client(channel).register_urls(
        version=2 if channel.register_version == 2 else 1,
        shortcode=channel.business_shortcode,
        response_type=ResponseType(channel.response_type),
        confirmation_url=callback_url(channel, "c2b-confirmation"),
        validation_url=callback_url(channel, "c2b-validation"),
    )
    return accepted.description


def _registered_earlier(channel: MpesaChannel, error: DarajaError) -> Finding:
    if channel.urls_registered_at:
        return Finding("ok", error.message, "They were registered by us before.")
    return Finding(
        "warning",
        error.message,
        "They are registered, most likely by our own last attempt, whose answer was lost.",
        "Make one small payment and see that it arrives here. If it does not, remove the URLs on the Daraja portal "
        "(Self Services, URL Management) and register again.",
        Who.YOU.value,
    )


@transaction.atomic
def _note_asking(run_id: UUID) -> tuple[MpesaChannel, datetime | None]:
    """Commit that Daraja is about to be asked; returns the channel as it is now, and when it was asked before."""
    run, now = _lock(run_id), timezone.now()
    channel = lock_channel(run.channel_id)
    asked_before, channel.urls_asked_at = channel.urls_asked_at, now
    channel.save(update_fields=["urls_asked_at"])
    run.details["urls_asked_at"] = now.isoformat()
    run.save(update_fields=["details"])
    return channel, asked_before


@transaction.atomic
def _take_back_asking(run_id: UUID, asked_before: datetime | None) -> None:
    run = _lock(run_id)
    channel = lock_channel(run.channel_id)
    if not _is_outdated(run, channel):
        channel.urls_asked_at = asked_before
        channel.save(update_fields=["urls_asked_at"])


class _Step(NamedTuple):
    tried: str
    take: Callable[[MpesaChannel, ChannelRun], Finding | None]


_STEPS: Mapping[Kind, Mapping[str, _Step]] = {
    Kind.VERIFY: {
        "credentials": _Step("See whether everything is saved that has to be", _check_credentials),
        "access_token": _Step("Get an access token for the consumer key and secret", _fetch_token),
        "passkey": _Step("Ask about a prompt that does not exist, with the passkey; no phone rings", _probe_passkey),
        "organisation_name": _Step("Look up whose number it is", _look_up_name),
        "account_balance": _Step("Ask for the balance as the initiator", _ask_balance),
    },
    Kind.REGISTER_URLS: {
        "callback_urls": _Step("Check our addresses against Safaricom's rules", _check_urls),
        "registration": _Step("Register the addresses of validation and confirmation", _register),
    },
}
_OPEN = frozenset({"waiting", "running"})
_INITIATOR_CODES = {
    "2001": "initiator_refused",
    "18": "initiator_refused",
    "20": "initiator_refused",
    "8006": "initiator_locked",
    "21": "initiator_role_missing",
    "22": "initiator_role_missing",
    "TP40153": "initiator_role_missing",
    "100000010": "initiator_role_missing",
}
_TOOK_TOO_LONG = Finding(
    "failed",
    meaning="This did not come to an end, and was given up.",
    do_now="Start it again; if that happens twice, tell us.",
    who=Who.US.value,
    code="took_too_long",
)
_UNREADABLE_SECRET = Finding(
    "failed",
    meaning="A saved credential can't be read by this installation any more.",
    do_now="Tell us, or enter the credentials again.",
    who=Who.US.value,
    code="secrets_unreadable",
)


def _refused(error: DarajaError) -> Finding:
    """A call that did not work. A code that begins with `daraja_` speaks of a fault that passes."""
    code = error.reason.value if isinstance(error, DarajaRejected) else f"daraja_{error.reason.value}"
    return _explained("failed", explain_error(error), said=error.message, code=code)


def _explained(state: str, explanation: Explanation, *, said: str, code: str) -> Finding:
    return Finding(state, said, explanation.meaning, explanation.do_now, explanation.who.value, code)


def _missing(sentence: str) -> Finding:
    return Finding(
        "failed", meaning=sentence, do_now="Save what is missing.", who=Who.YOU.value, code="missing_credentials"
    )


# -- The row ----------------------------------------------------------------------------------------------------------


def _lock(run_id: UUID) -> ChannelRun:
    run = ChannelRun.objects.select_for_update().filter(pk=run_id, status=Status.PENDING).first()
    if run is None:
        raise _RunEnded
    return run


@transaction.atomic
def _write(run_id: UUID, key: str, what: str | Finding) -> ChannelRun:
    run = _lock(run_id)
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
    run.details["organisation_name"] = finding.organisation_name or run.details["organisation_name"]


def _new_entry(key: str, step: _Step) -> dict[str, Any]:
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
