"""How pages speak of channels: their state, their kind, their runs, their rules."""

from typing import Any

from django import template
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from channels.mapping import DEFAULT, normalise
from channels.models import ChannelRun, Credential, MpesaChannel
from channels.status import Status
from tenants.sentences import Sentence

register = template.Library()

_STATUS = {
    Status.DRAFT: ("", gettext_lazy("Keys are missing")),
    Status.CONFIGURED: ("state-pending", gettext_lazy("Not proved yet")),
    Status.VERIFIED: ("state-pending", gettext_lazy("Not switched on yet")),
    Status.ACTIVE: ("good", gettext_lazy("Receives payments")),
    Status.SUSPENDED: ("", gettext_lazy("Switched off")),
}
_KINDS = {
    MpesaChannel.Kind.PAYBILL: gettext_lazy("PayBill"),
    MpesaChannel.Kind.TILL: gettext_lazy("Till"),
    MpesaChannel.Kind.BUY_GOODS: gettext_lazy("Buy Goods"),
}
_CREDENTIALS = {
    Credential.KEYS: gettext_lazy("Consumer key and secret"),
    Credential.PASSKEY: gettext_lazy("Passkey"),
    Credential.INITIATOR: gettext_lazy("API operator"),
}
_RUNS = {
    ChannelRun.Kind.VERIFY: gettext_lazy("Proving the credentials"),
    ChannelRun.Kind.REGISTER_URLS: gettext_lazy("Telling Safaricom where to report payments"),
    ChannelRun.Kind.DOCTOR: gettext_lazy("Examining the connection"),
    ChannelRun.Kind.PROVE_KEYS: gettext_lazy("Proving the keys"),
    ChannelRun.Kind.PROVE_PASSKEY: gettext_lazy("Proving the passkey"),
    ChannelRun.Kind.PROVE_INITIATOR: gettext_lazy("Proving the API operator"),
}
_OUTCOMES = {
    ChannelRun.Status.PENDING: ("state-pending", gettext_lazy("Working")),
    ChannelRun.Status.DONE: ("good", gettext_lazy("Done")),
    ChannelRun.Status.FAILED: ("bad", gettext_lazy("Did not work")),
}
_STEP_STATES = {
    "waiting": gettext_lazy("To come"),
    "running": gettext_lazy("Working"),
    "ok": gettext_lazy("Works"),
    "warning": gettext_lazy("Look at this"),
    "failed": gettext_lazy("Does not work"),
    "skipped": gettext_lazy("Passed over"),
}
_WHO = {
    "you": gettext_lazy("You"),
    "customer": gettext_lazy("The customer"),
    "safaricom": gettext_lazy("Safaricom"),
    "us": gettext_lazy("Whoever runs this Tuzo"),
}


@register.inclusion_tag("parts/badge.html")
def channel_status(channel: MpesaChannel, problems: int = 0) -> dict[str, Any]:
    """The badge of a channel; one that is active and has open problems needs somebody."""
    if channel.status == Status.ACTIVE and problems:
        return {"look": "bad", "word": _("Needs you")}
    look, word = _STATUS[Status(channel.status)]
    return {"look": look, "word": word}


@register.inclusion_tag("parts/badge.html")
def run_status(run: ChannelRun) -> dict[str, Any]:
    look, word = _OUTCOMES[ChannelRun.Status(run.status)]
    return {"look": look, "word": word}


@register.filter
def kind_word(channel: MpesaChannel) -> str:
    """`PayBill`, `Till` or `Buy Goods`"""
    return str(_KINDS[MpesaChannel.Kind(channel.kind)])


@register.filter
def credential_word(credential: str) -> str:
    """`Consumer key and secret`, `Passkey` or `API operator`"""
    return str(_CREDENTIALS[Credential(credential)])


@register.filter
def run_word(run: ChannelRun) -> str:
    return str(_RUNS[ChannelRun.Kind(run.kind)])


@register.filter
def step_state_word(step: dict[str, Any]) -> str:
    return str(_STEP_STATES[step["state"]])


@register.filter
def who_word(who: str) -> str:
    """Who has to act; empty if nobody has."""
    return str(_WHO.get(who, ""))


@register.filter
def is_ours(words: str) -> bool:
    """Is it a sentence of ours? Everything else is Safaricom's own words."""
    return isinstance(words, Sentence)


@register.filter
def rule_words(rule: str) -> str:
    """A rule of an account mapping as a sentence has it: `begins with VIP`."""
    if normalise(rule) == DEFAULT:
        return _("is anything else")
    inner = rule.strip("*")
    if "*" in inner or "?" in inner or not inner:
        return _("fits %(rule)s") % {"rule": rule}
    if rule.startswith("*") and rule.endswith("*"):
        return _("contains %(rule)s") % {"rule": inner}
    if rule.endswith("*"):
        return _("begins with %(rule)s") % {"rule": inner}
    if rule.startswith("*"):
        return _("ends with %(rule)s") % {"rule": inner}
    return _("is %(rule)s") % {"rule": rule}


@register.filter
def lookup(names: dict[str, str], key: str) -> str:
    """`{{ programs|lookup:rule.program }}`: the name, or the key itself where it has none."""
    return names.get(key, key)
