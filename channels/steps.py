"""The steps of the runs: what each tries with Safaricom, and what it finds.

A step is called outside transactions and may be called again; what a later call has to know is committed before
Safaricom is asked. "Section n" is a section of the Daraja reference.
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from channels import tasks
from channels.connection import daraja_client, initiator_security_credential
from channels.daraja.callback_urls import url_problems
from channels.daraja.client import Accepted, IdentifierType, ResponseType
from channels.daraja.credentials import UnusableCertificate, UnusablePassword
from channels.daraja.errors import DarajaError, DarajaRejected, DarajaTimeout, Reason
from channels.daraja.explanations import Api, Explanation, Who
from channels.daraja.payloads import AsyncResult, QueueTimeout
from channels.explaining import explain, explain_error, explain_reason, sentence_of, words_of
from channels.models import ChannelRun, Environment, MpesaChannel
from channels.practice import PracticeUnavailable
from channels.services import callback_url, lock_channel
from tenants.queue import enqueue
from tenants.sentences import joined, say, say_many

# How long we wait for the answer to the balance query; in Safaricom's sandbox some never come.
RESULT_PATIENCE = {
    Environment.PRACTICE: timedelta(seconds=10),
    Environment.SANDBOX: timedelta(seconds=60),
    Environment.PRODUCTION: timedelta(seconds=60),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """How one step went: `state` is ok, warning, failed or skipped, `said` has Safaricom's own words, or a Sentence
    of ours where Safaricom said nothing that can be used."""

    state: str
    said: str = ""
    meaning: str = ""
    do_now: str = ""
    who: str = Who.NOBODY.value
    code: str = ""  # of a failure
    proves: tuple[str, ...] = ()  # secrets by column, "shortcode": the number is the business's, "pull": it is listed
    organisation_name: str = ""


class RunEnded(Exception):
    """Somebody else brought the run to its end meanwhile."""


def lock_run(run_id: UUID) -> ChannelRun:
    """:raises RunEnded: if it is not under way any more."""
    run = ChannelRun.objects.select_for_update().filter(pk=run_id, status=ChannelRun.Status.PENDING).first()
    if run is None:
        raise RunEnded
    return run


def check_credentials(channel: MpesaChannel, run: ChannelRun) -> Finding:
    saved = channel.secret_notes.keys()
    if not channel.has_keys:
        return _missing(say("The consumer key or the consumer secret is not saved."))
    if channel.initiator_name and "initiator_credential" not in saved:
        return _missing(say("The initiator's name is saved, its password is not."))
    if not channel.initiator_name and "initiator_credential" in saved:
        return _missing(say("The initiator's password is saved, its name is not."))
    without = []
    if "passkey" not in saved:
        without.append(say("Without a passkey, this channel can't prompt phones."))
    if not channel.initiator_name:
        without.append(say("Without an initiator, it can't ask for balances."))
    return Finding("ok", meaning=joined("", *without))


def fetch_token(channel: MpesaChannel, run: ChannelRun) -> Finding:
    try:
        daraja_client(channel).check_keys()
    except DarajaError as error:
        return refused(error)
    return Finding("ok", meaning=say("Safaricom accepts the keys."), proves=("consumer_key", "consumer_secret"))


def probe_passkey(channel: MpesaChannel, run: ChannelRun) -> Finding:
    """Safaricom checks number and passkey before it looks for the prompt, so "does not exist" proves both (section 6).

    Nobody's phone rings.
    """
    if "passkey" not in channel.secret_notes:
        return Finding("skipped", meaning=say("No passkey is saved."))
    try:
        state = daraja_client(channel).stk_query(
            shortcode=channel.business_shortcode,
            passkey=channel.passkey,
            checkout_request_id=f"ws_CO_{timezone.now():%d%m%Y%H%M%S}{secrets.randbelow(10**12):012}",
        )
    except DarajaError as error:
        return refused(error)
    return Finding("ok", state.result_desc, say("The passkey belongs to this number."), proves=("passkey", "shortcode"))


def look_up_name(channel: MpesaChannel, run: ChannelRun) -> Finding:
    is_paybill = channel.kind == MpesaChannel.Kind.PAYBILL
    try:
        found = daraja_client(channel).organisation_name(
            shortcode=channel.shortcode,
            identifier_type=IdentifierType.SHORTCODE if is_paybill else IdentifierType.TILL,
        )
    except DarajaError as error:
        return replace(refused(error), state="warning", do_now=say("Nothing: this is only to show you the name."))
    name = found.name[:120]
    return Finding(
        "ok",
        name,
        say("Safaricom says that %(number)s is %(name)s.", number=channel.shortcode, name=name),
        organisation_name=name,
    )


def _register_pull(channel: MpesaChannel, run: ChannelRun) -> Finding:
    """Without Pull, payments whose confirmation is lost stay unknown; nothing else depends on it (section 22)."""
    if not channel.nominated_number:
        return Finding(
            "skipped", meaning=say("The phone number that Safaricom has on file for this number is not saved.")
        )
    try:
        said = daraja_client(channel).pull_register(
            shortcode=channel.business_shortcode,
            nominated_msisdn=channel.nominated_number,
            callback_url=callback_url(channel, "c2b-confirmation"),
        )
    except DarajaError as error:
        return replace(refused(error), state="warning")
    return Finding("ok", said, say("M-PESA lists this channel's payments when we ask."), proves=("pull",))


def ask_balance(channel: MpesaChannel, run: ChannelRun) -> Finding | None:
    """None while the answer, which is delivered to our hooks (sections 10 and 16), is not here."""
    if not channel.initiator_name:
        return Finding("skipped", meaning=say("No initiator is saved."))
    if run.conversation_id or run.originator_conversation_id:
        return _await_balance(channel, run)
    try:
        security_credential = initiator_security_credential(channel)
    except UnusablePassword as problem:
        return _missing(sentence_of(problem.sentence))
    except PracticeUnavailable as problem:
        return Finding(
            "warning",
            meaning=problem.detail,
            do_now=say("Verify again later."),
            who=Who.US.value,
            code=f"daraja_{problem.code}",
        )
    except (UnusableCertificate, OSError):
        return NO_CERTIFICATE
    try:
        accepted = daraja_client(channel).account_balance(
            initiator=channel.initiator_name,
            security_credential=security_credential,
            shortcode=channel.business_shortcode,
            result_url=callback_url(channel, "result"),
            timeout_url=callback_url(channel, "timeout"),
        )
    except DarajaError as error:
        is_definite = isinstance(error, DarajaRejected) and error.reason is not Reason.PRODUCT_MISSING
        return replace(refused(error), state="failed" if is_definite else "warning")
    _note_query(run.pk, accepted, give_up_at=timezone.now() + _patience(channel))
    return None


def _patience(channel: MpesaChannel) -> timedelta:
    return RESULT_PATIENCE[Environment(channel.environment)]


def _await_balance(channel: MpesaChannel, run: ChannelRun) -> Finding | None:
    give_up_at = datetime.fromisoformat(run.details["give_up_at"])
    if timezone.now() < give_up_at:
        enqueue(tasks.carry_out_run, due_at=give_up_at, run_id=str(run.pk))
        return None
    return Finding(
        "warning",
        meaning=say_many(
            "Safaricom took the question, and sent no answer within %(count)s second. The initiator is not proved.",
            "Safaricom took the question, and sent no answer within %(count)s seconds. The initiator is not proved.",
            count=_patience(channel).seconds,
        ),
        do_now=say("If you need balances, check that our address can be reached from the internet, and verify again."),
        who=Who.SAFARICOM.value,
    )


@transaction.atomic
def _note_query(run_id: UUID, accepted: Accepted, *, give_up_at: datetime) -> None:
    run = lock_run(run_id)
    run.originator_conversation_id = accepted.originator_conversation_id
    run.conversation_id = accepted.conversation_id
    run.details["give_up_at"] = give_up_at.isoformat()
    run.save(update_fields=["originator_conversation_id", "conversation_id", "details"])
    enqueue(tasks.carry_out_run, due_at=give_up_at, run_id=str(run_id))


def balance_finding(result: AsyncResult) -> Finding:
    """What the answer to our balance query says about the initiator."""
    if result.result_code == "0":
        return Finding(
            "ok",
            result.result_desc,
            say("Safaricom sent the balance, so the initiator works."),
            proves=("initiator_credential", "shortcode"),
        )
    explanation = explain(Api.BALANCE, result.result_code, result.result_desc)
    code = _INITIATOR_CODES.get(result.result_code, "balance_refused")
    return _explained("failed", explanation, said=result.result_desc, code=code)


def balance_timeout(timeout: QueueTimeout) -> Finding:
    return Finding(
        "warning",
        timeout.result_desc,
        say("M-PESA's queue gave up on the balance query, so the initiator is not proved."),
        say("Verify again later, if you need balances."),
        Who.SAFARICOM.value,
    )


def _check_urls(channel: MpesaChannel, run: ChannelRun) -> Finding:
    is_live = channel.environment == Environment.PRODUCTION
    found = url_problems(callback_url(channel, "c2b-confirmation"), production=is_live)
    problems = [sentence_of(problem) for problem in found]
    if problems:
        return _explained(
            "failed", explain_reason(Reason.FORBIDDEN_URL), said=joined("", *problems), code="forbidden_url"
        )
    return Finding("ok", meaning=say("Safaricom has nothing against our addresses."))


def _register(channel: MpesaChannel, run: ChannelRun) -> Finding:
    """Registering works once in production (section 7), and its answer may get lost. So the asking is committed
    before, and "already registered" is a failure only when it can't have been us."""
    channel, asked_before = _note_asking(run.pk)
    try:
        try:
            said = _call_register(channel)
        except DarajaTimeout:
            asked_before = channel.urls_asked_at
            said = _call_register(channel)
    except DarajaTimeout as error:
        return replace(refused(error), do_now=say("Register again: doing it twice does no harm."))
    except DarajaError as error:
        if error.reason is Reason.URLS_ALREADY_REGISTERED and asked_before:
            return _registered_earlier(channel, error)
        _take_back_asking(run.pk, asked_before)
        finding = refused(error)
        if error.reason is Reason.PRODUCT_MISSING:
            other = 3 - channel.register_version
            finding = replace(
                finding,
                do_now=say(
                    "Your app may have C2B in the other version: change register_version to %(version)s and register "
                    "again. Otherwise add the product to the app on the Daraja portal.",
                    version=str(other),
                ),
            )
        return finding
    return Finding("ok", said, say("Safaricom reports this channel's payments here."), proves=("shortcode",))


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
        return Finding("ok", error.message, say("They were registered by us before."))
    return Finding(
        "warning",
        error.message,
        say("They are registered, most likely by our own last attempt, whose answer was lost."),
        say(
            "Make one small payment and see that it arrives here. If it does not, remove the URLs on the Daraja portal "
            "(Self Services, URL Management) and register again."
        ),
        Who.YOU.value,
    )


@transaction.atomic
def _note_asking(run_id: UUID) -> tuple[MpesaChannel, datetime | None]:
    """Commit that Daraja is about to be asked; returns the channel as it is now, and when it was asked before."""
    run, now = lock_run(run_id), timezone.now()
    channel = lock_channel(run.channel_id)
    asked_before, channel.urls_asked_at = channel.urls_asked_at, now
    channel.save(update_fields=["urls_asked_at"])
    run.details["urls_asked_at"] = now.isoformat()
    run.save(update_fields=["details"])
    return channel, asked_before


@transaction.atomic
def _take_back_asking(run_id: UUID, asked_before: datetime | None) -> None:
    run = lock_run(run_id)
    channel = lock_channel(run.channel_id)
    if not registration_is_outdated(run, channel):
        channel.urls_asked_at = asked_before
        channel.save(update_fields=["urls_asked_at"])


def registration_is_outdated(run: ChannelRun, channel: MpesaChannel) -> bool:
    """Did the numbers or the path of the channel change since the run asked Daraja?"""
    return channel.urls_asked_at is None or channel.urls_asked_at.isoformat() != run.details.get("urls_asked_at")


class Step(NamedTuple):
    """What a run does, and how. `take` returns None when what it asked is answered later."""

    tried: str
    take: Callable[[MpesaChannel, ChannelRun], Finding | None]
    needs_token: bool = False  # the doctor passes it over when Safaricom gave no token
    is_problem: bool = True  # what the doctor finds here is a problem of its own, that nobody else looks after


STEPS: Mapping[ChannelRun.Kind, Mapping[str, Step]] = {
    ChannelRun.Kind.VERIFY: {
        "credentials": Step(say("See whether everything is saved that has to be"), check_credentials),
        "access_token": Step(say("Get an access token for the consumer key and secret"), fetch_token),
        "passkey": Step(say("Ask about a prompt that does not exist, with the passkey; no phone rings"), probe_passkey),
        "organisation_name": Step(say("Look up whose number it is"), look_up_name),
        "pull": Step(say("Ask M-PESA to list this channel's payments when we ask for them"), _register_pull),
        "account_balance": Step(say("Ask for the balance as the initiator"), ask_balance),
    },
    ChannelRun.Kind.REGISTER_URLS: {
        "callback_urls": Step(say("Check our addresses against Safaricom's rules"), _check_urls),
        "registration": Step(say("Register the addresses of validation and confirmation"), _register),
    },
}
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
TOOK_TOO_LONG = Finding(
    "failed",
    meaning=say("This did not come to an end, and was given up."),
    do_now=say("Start it again; if that happens twice, tell us."),
    who=Who.US.value,
    code="took_too_long",
)
NO_CERTIFICATE = Finding(
    "failed",
    meaning=say("The certificate for the initiator's password is missing on this installation, or is none."),
    do_now=say("Tell us: this is ours to mend."),
    who=Who.US.value,
    code="certificate_unusable",
)
UNREADABLE_SECRET = Finding(
    "failed",
    meaning=say("A saved credential can't be read by this installation any more."),
    do_now=say("Tell us, or enter the credentials again."),
    who=Who.US.value,
    code="secrets_unreadable",
)


def refused(error: DarajaError) -> Finding:
    """A call that did not work. A code that begins with `daraja_` speaks of a fault that passes."""
    code = error.reason.value if isinstance(error, DarajaRejected) else f"daraja_{error.reason.value}"
    return _explained("failed", explain_error(error), said=words_of(error), code=code)


def _explained(state: str, explanation: Explanation, *, said: str, code: str) -> Finding:
    return Finding(state, said, explanation.meaning, explanation.do_now, explanation.who.value, code)


def _missing(sentence: str) -> Finding:
    return Finding(
        "failed", meaning=sentence, do_now=say("Save what is missing."), who=Who.YOU.value, code="missing_credentials"
    )
