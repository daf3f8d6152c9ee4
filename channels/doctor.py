"""The connection doctor: everything that has to work for a channel, looked at one by one.

Its run (`channels.runs`) goes on where verification would end, and changes nothing on the channel but what was proved.
What is wrong becomes a problem, one for each step, which closes when the step finds it well. Facts of the rooms above
come as steps that they add.
"""

import hashlib
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from channels.connection import certificate_for, daraja_products
from channels.daraja.errors import DarajaError
from channels.daraja.explanations import Who
from channels.daraja.products import PRODUCTS
from channels.models import ChannelRun, Environment, MpesaChannel, Problem
from channels.practice import PracticeUnavailable
from channels.problems import close_problem, note_problem
from channels.status import only_prompts
from channels.steps import (
    NO_CERTIFICATE,
    Finding,
    Step,
    ask_balance,
    check_credentials,
    fetch_token,
    look_up_name,
    probe_passkey,
    refused,
)
from tenants.clock import NAIROBI
from tenants.models import InboundCallback
from tenants.sentences import moment, say, say_many

NOT_ASKED = "not_asked"
_FIRST_HOUR, _HOURS = 1, 4  # of the night, in Nairobi, when channels are examined


def _look_at_products(channel: MpesaChannel, run: ChannelRun) -> Finding:
    other = {1: "Customer To Business", 2: "Customer To Business v1"}[channel.register_version]
    try:
        missing = daraja_products(channel).missing(name for name in PRODUCTS if name != other)
    except DarajaError as error:
        return refused(error)
    needed = [name for name in missing if name in _products_in_use(channel)]
    if needed:
        return Finding(
            "failed",
            meaning=say("Your Daraja app lacks what this channel uses: %(products)s.", products=", ".join(needed)),
            do_now=say("On the Daraja portal, add this to your app; it works some minutes later."),
            who=Who.YOU.value,
            code="product_missing",
        )
    if missing:
        return Finding(
            "ok", meaning=say("It has what this channel uses. It lacks: %(products)s.", products=", ".join(missing))
        )
    return Finding("ok", meaning=say("Your Daraja app has every product."))


def _products_in_use(channel: MpesaChannel) -> set[str]:
    """Those that other steps don't show to be missing, and without which something that is set up does not work."""
    uses = {
        "Transaction Status": channel.initiator_name,
        "Pull Transactions": channel.pull_registered_at,
        "Bill Manager": channel.bill_manager_opted_in_at,
    }
    return {name for name, is_set_up in uses.items() if is_set_up}


def _look_at_registration(channel: MpesaChannel, run: ChannelRun) -> Finding:
    if channel.urls_registered_at is not None:
        return Finding(
            "ok", meaning=say("Safaricom took our addresses on %(when)s.", when=moment(channel.urls_registered_at))
        )
    if only_prompts(channel):
        return Finding("skipped", meaning=say("Safaricom's public sandbox number takes no addresses."))
    return Finding(
        "failed",
        meaning=say("Our addresses are not registered, so Safaricom does not report this channel's payments here."),
        do_now=say("Register this channel's URLs."),
        who=Who.YOU.value,
        code="urls_not_registered",
    )


def _look_at_validation(channel: MpesaChannel, run: ChannelRun) -> Finding:
    asked = InboundCallback.objects.filter(channel_id=channel.pk, kind=InboundCallback.Kind.C2B_VALIDATION)
    last = asked.order_by("-received_at").values_list("received_at", flat=True).first()
    if last is not None:
        return Finding(
            "ok",
            meaning=say("M-PESA asks before it takes a payment; the last time on %(when)s.", when=moment(last)),
        )
    has_rules = channel.minimum_amount or channel.maximum_amount or not channel.accepts_unmapped
    if has_rules and channel.activated_at is not None:
        return Finding(
            "warning",
            meaning=say(
                "This channel has rules for what it takes, and M-PESA has never asked whether to take a payment."
            ),
            do_now=say("Write to apisupport@safaricom.co.ke to have external validation switched on for this number."),
            who=Who.YOU.value,
        )
    return Finding(
        "ok", meaning=say("M-PESA has never asked before it took a payment, and no rule of yours needs it to.")
    )


def _look_at_certificate(channel: MpesaChannel, run: ChannelRun) -> Finding:
    """The published certificates have expired, and only their keys are used (section 24): what counts is which key."""
    if not channel.initiator_name:
        return Finding("skipped", meaning=say("No initiator is saved."))
    try:
        certificate = x509.load_pem_x509_certificate(certificate_for(channel.environment))
    except PracticeUnavailable as problem:
        return Finding("warning", meaning=problem.detail, code=f"daraja_{problem.code}")
    except (ValueError, OSError):
        return NO_CERTIFICATE
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    days = (certificate.not_valid_after_utc - run.created_at).days
    name = hashlib.sha256(key).hexdigest()[:8]
    if days < 0:
        return Finding(
            "ok",
            meaning=say(
                "The initiator's password is sealed with key %(name)s; its certificate has run out, which does no "
                "harm.",
                name=name,
            ),
        )
    return Finding(
        "ok",
        meaning=say_many(
            "The initiator's password is sealed with key %(name)s; its certificate runs out in %(count)s day.",
            "The initiator's password is sealed with key %(name)s; its certificate runs out in %(count)s days.",
            count=days,
            name=name,
        ),
    )


def _look_at_pull(channel: MpesaChannel, run: ChannelRun) -> Finding:
    if channel.pull_registered_at is not None:
        return Finding(
            "ok",
            meaning=say(
                "M-PESA lists this channel's payments since %(when)s.", when=moment(channel.pull_registered_at)
            ),
        )
    meaning = say("Pull is not on: a payment that M-PESA fails to report can't be fetched.")
    if channel.environment != Environment.PRODUCTION:
        return Finding("skipped", meaning=meaning)
    if not channel.nominated_number:
        do_now = say("Save the phone number that Safaricom has on file for this shortcode, and verify again.")
    else:
        do_now = say("Ask Safaricom for the Pull product on your app, and verify again.")
    return Finding("warning", meaning=meaning, do_now=do_now, who=Who.YOU.value)


_FIRST = {
    "credentials": Step(say("See whether everything is saved that has to be"), check_credentials),
    "access_token": Step(say("Get an access token for the consumer key and secret"), fetch_token),
    "products": Step(say("See which products your Daraja app lacks"), _look_at_products, needs_token=True),
    "organisation_name": Step(say("Look up whose number it is"), look_up_name, needs_token=True, is_problem=False),
    "registration": Step(say("See whether Safaricom knows our addresses"), _look_at_registration),
    "validation": Step(say("See whether M-PESA asks before it takes a payment"), _look_at_validation),
    "passkey": Step(
        say("Ask about a prompt that does not exist, with the passkey; no phone rings"), probe_passkey, needs_token=True
    ),
    "certificate": Step(say("See with which key the initiator's password is sealed"), _look_at_certificate),
    "pull": Step(say("See whether missed payments can be fetched"), _look_at_pull),
}
# The last one: its answer is delivered to our hooks, and ends the run.
_LAST = {"account_balance": Step(say("Ask for the balance as the initiator"), ask_balance, needs_token=True)}
_added: dict[str, Step] = {}


def add_step(key: str, step: Step) -> None:
    """Have the doctor look at something of a room above. Called once for each key, when the room starts."""
    _added[key] = step


def doctors_steps() -> dict[str, Step]:
    return {**_FIRST, **_added, **_LAST}


def take(key: str, step: Step, *, channel: MpesaChannel, run: ChannelRun) -> Finding | None:
    """Take one of the doctor's steps, unless it needs a token and there is none."""
    has_token = next(entry for entry in run.steps if entry["key"] == "access_token")["state"] == "ok"
    if step.needs_token and not has_token:
        return Finding("skipped", meaning=say("Safaricom gave no token, so this could not be asked."), code=NOT_ASKED)
    return step.take(channel, run)


def note_findings(*, channel: MpesaChannel, run: ChannelRun, now: datetime) -> None:
    """Open and close the channel's problems by what the steps found, in the caller's commit.

    A fault that passes (a code that begins with `daraja_`) says nothing of what was looked at; what was wrong before is
    still taken to be wrong.
    """
    codes: dict[str, str] = run.details["codes"]
    steps = doctors_steps()
    for entry in run.steps:
        key, code = entry["key"], codes.get(entry["key"], "")
        if code == NOT_ASKED or code.startswith("daraja_") or not steps[key].is_problem:
            continue
        about: dict[str, Any] = {"channel": channel, "kind": Problem.Kind.CONNECTION, "subject": key, "now": now}
        if entry["state"] in {"failed", "warning"} and entry["who"] != Who.NOBODY.value:
            note_problem(sentence=entry["meaning"], do_now=entry["do_now"], who=entry["who"], **about)
        else:
            close_problem(**about)


def next_night(channel: MpesaChannel, *, now: datetime) -> datetime:
    """When to examine the channel next: tomorrow, from one to five at night, each channel at a minute of its own."""
    tomorrow = now.astimezone(NAIROBI).replace(hour=_FIRST_HOUR, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return tomorrow + timedelta(minutes=channel.pk.int % (_HOURS * 60))
