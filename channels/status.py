"""What state a channel is in, what has to come before what, and what a person does next: one table.

A channel's status follows from facts with dates; nobody sets it.
"""

from collections.abc import Callable
from typing import NamedTuple

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from channels.details import SANDBOX_SHORTCODE
from channels.models import Environment, MpesaChannel
from tenants.errors import Conflict
from tenants.sentences import Sentence, say

Status = MpesaChannel.Status
_WORDS = {
    Status.DRAFT: say("draft"),
    Status.CONFIGURED: say("configured"),
    Status.VERIFIED: say("verified"),
    Status.ACTIVE: say("active"),
    Status.SUSPENDED: say("suspended"),
}


class NotConfigured(Conflict):
    code = "not_configured"


class NotVerified(Conflict):
    code = "not_verified"


class UrlsNotRegistered(Conflict):
    code = "urls_not_registered"


class NotActive(Conflict):
    code = "not_active"


class _Step(NamedTuple):
    name: str
    is_done: Callable[[MpesaChannel], bool]
    refusal: type[Conflict]  # for what comes after it
    do_now: Promise


def only_prompts(channel: MpesaChannel) -> bool:
    """Safaricom's public sandbox number takes prompts, but no URLs: nobody owns it (daraja.md sections 7 and 27)."""
    return channel.environment == Environment.SANDBOX and channel.shortcode == SANDBOX_SHORTCODE


_STEPS = (
    _Step(
        "configure",
        lambda channel: channel.has_keys,
        NotConfigured,
        gettext_lazy("Save the consumer key and the consumer secret of your Daraja app on this channel."),
    ),
    _Step(
        "verify",
        lambda channel: channel.verified_at is not None,
        NotVerified,
        gettext_lazy("Verify this channel, so that Safaricom proves what is saved."),
    ),
    _Step(
        "register_urls",
        lambda channel: channel.urls_registered_at is not None or only_prompts(channel),
        UrlsNotRegistered,
        gettext_lazy("Register this channel's URLs, so that Safaricom reports its payments here."),
    ),
    _Step(
        "activate",
        lambda channel: channel.activated_at is not None and channel.suspended_at is None,
        NotActive,
        gettext_lazy("Activate this channel."),
    ),
)


def status_of(channel: MpesaChannel) -> Status:
    """What the facts on the channel amount to."""
    if not channel.has_keys:
        return Status.DRAFT
    if channel.suspended_at is not None:
        return Status.SUSPENDED
    if channel.verified_at is None:
        return Status.CONFIGURED
    return Status.VERIFIED if channel.activated_at is None else Status.ACTIVE


def do_now(channel: MpesaChannel) -> str:
    """The next thing a person has to do for this channel, or ''."""
    if not channel.shortcode:
        return _("Nothing: your practice number is being opened, which takes a few seconds.")
    return next((str(step.do_now) for step in _STEPS if not step.is_done(channel)), "")


def require_steps_before(channel: MpesaChannel, name: str) -> None:
    """Let pass if every step before the named one is done.

    :raises NotConfigured, NotVerified, UrlsNotRegistered: with what to do, for the first that is not.
    """
    for step in _STEPS:
        if step.name == name:
            return
        if not step.is_done(channel):
            raise step.refusal(do_now(channel))


def state_in_words(channel: MpesaChannel) -> Sentence:
    """The state as a part of sentences: `suspended`."""
    return _WORDS[Status(channel.status)]
