"""Connecting a channel, one question to a page. From the number on each answer is saved on the channel and proved at
once, so one can go away and come back, on another device too: the channel's own page knows what is still asked."""

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_safe

from audit.ids import public_id
from channels import overview, proofs, queries, services
from channels.connection import is_connected_to
from channels.credentials import is_refused
from channels.forms.connect import QUESTIONS, NumberForm, SettingsForm
from channels.mapping import DEFAULT, known_programs
from channels.models import Credential, Environment, MpesaChannel
from channels.pages.shown import show
from channels.presets import PRESETS, Preset
from channels.setup import next_question
from tenants.errors import DomainError
from tenants.pages.edges import actor_of, for_members
from tenants.permissions import Permission, require
from tenants.serializer_fields import id_in_url

# As addresses spell them.
_KINDS = {"paybill": MpesaChannel.Kind.PAYBILL, "till": MpesaChannel.Kind.TILL, "buygoods": MpesaChannel.Kind.BUY_GOODS}
_WORLDS = {
    "production": Environment.PRODUCTION,
    "sandbox": Environment.SANDBOX,
    "practice": Environment.PRACTICE,
}


@for_members
@require_safe
def choose_kind(request: HttpRequest) -> HttpResponse:
    require(actor_of(request), Permission.CHANNELS_CHANGE)
    presets = [(key, _spelt(preset.kind), preset) for key, preset in PRESETS.items()]
    return render(request, "channels/choose_kind.html", {"presets": presets})


@for_members
@require_safe
def choose_world(request: HttpRequest, kind: str) -> HttpResponse:
    require(actor_of(request), Permission.CHANNELS_CHANGE)
    _chosen(_KINDS, kind)
    like, _preset = _preset_of(request)
    context = {"kind": kind, "like": like, "is_live_here": is_connected_to(Environment.PRODUCTION)}
    return render(request, "channels/choose_world.html", context)


@for_members
@require_http_methods(["GET", "POST"])
def name_and_number(request: HttpRequest, kind: str, world: str) -> HttpResponse:
    actor = actor_of(request)
    require(actor, Permission.CHANNELS_CHANGE)
    what: dict[str, Any] = {"kind": _chosen(_KINDS, kind), "environment": _chosen(_WORLDS, world)}
    like, preset = _preset_of(request)
    start = {"name": preset.name} if preset else {}
    programs = {} if preset else known_programs()  # a preset says itself which programs there are
    form = NumberForm(request.POST or None, programs=programs, initial=start, **what)
    if request.method == "POST" and form.is_valid():
        details = dict(form.cleaned_data)
        if program := details.pop("program", ""):
            details["account_mapping"] = {DEFAULT: program}
        try:
            channel = services.create_channel(actor=actor, now=timezone.now(), **what, **details)
        except DomainError as refusal:
            form.refuse(refusal)
        else:
            identifier = public_id("ch", channel.pk)
            if not channel.shortcode:
                messages.success(request, _("Your practice channel is being connected, which takes a few seconds."))
            if preset:
                return redirect("channel-preset", identifier, like)
            if not channel.shortcode:
                return redirect("channel", identifier)
            return redirect("channel-keys", identifier)
    context = {"form": form, "kind": kind, "environment": what["environment"], "like": like, "preset": preset}
    return render(request, "channels/name_and_number.html", context, status=form.status)


@for_members
@sensitive_post_parameters("consumer_key", "consumer_secret")
@require_http_methods(["GET", "POST"])
def keys(request: HttpRequest, channel_id: str) -> HttpResponse:
    return _question(request, channel_id, Credential.KEYS)


@for_members
@sensitive_post_parameters("passkey")
@require_http_methods(["GET", "POST"])
def passkey(request: HttpRequest, channel_id: str) -> HttpResponse:
    return _question(request, channel_id, Credential.PASSKEY)


@for_members
@sensitive_post_parameters("initiator_credential")
@require_http_methods(["GET", "POST"])
def initiator(request: HttpRequest, channel_id: str) -> HttpResponse:
    return _question(request, channel_id, Credential.INITIATOR)


def _question(request: HttpRequest, channel_id: str, credential: Credential) -> HttpResponse:
    """Ask for a credential, save it, and show how it is proved."""
    actor = actor_of(request)
    channel = overview.channel_to_change(channel_id=id_in_url("ch", channel_id), actor=actor)
    show(request, channel.environment)
    # What M-PESA refused is asked for again: trying it once more could lock an API operator.
    form = QUESTIONS[credential](
        request.POST or None,
        saved=frozenset() if is_refused(channel, credential) else frozenset(channel.secret_notes),
        initial={"initiator_name": channel.initiator_name},
    )
    if request.method == "POST" and form.is_valid():
        try:
            run = proofs.save_and_prove(
                channel_id=channel.pk, credential=credential, actor=actor, now=timezone.now(), **form.details
            )
        except DomainError as refusal:
            form.refuse(refusal)
        else:
            if run is None:
                messages.success(request, _("Saved. It is proved as soon as the keys are here."))
                return redirect("channel-keys", channel_id)
            return redirect("channel-run", channel_id, public_id("run", run.pk))
    context = {
        "form": form,
        "channel": channel,
        "credential": credential,
        "secrets": queries.saved_secrets(channel),
        "skip_to": _skip_to(channel, credential),
    }
    return render(request, f"channels/{credential.lower()}.html", context, status=form.status)


def _skip_to(channel: MpesaChannel, credential: Credential) -> str:
    """The route that passes a question over: to the next one, or to the channel; "" where there is no passing over."""
    if channel.first_verified_at or credential == Credential.KEYS:
        return ""
    following = next_question(channel, after=credential)
    return f"channel-{following.lower()}" if following else "channel"


@for_members
@require_http_methods(["GET", "POST"])
def settings(request: HttpRequest, channel_id: str) -> HttpResponse:
    actor = actor_of(request)
    channel = overview.channel_to_change(channel_id=id_in_url("ch", channel_id), actor=actor)
    show(request, channel.environment)
    form = SettingsForm(request.POST or None, channel=channel)
    if request.method == "POST" and form.is_valid():
        given = {**form.cleaned_data, "is_primary": form.cleaned_data.get("is_primary") or None}
        try:
            services.change_channel(channel_id=channel.pk, actor=actor, now=timezone.now(), **given)
        except DomainError as refusal:
            form.refuse(refusal)
        else:
            messages.success(request, _("Saved."))
            return redirect("channel", channel_id)
    return render(request, "channels/settings.html", {"form": form, "channel": channel}, status=form.status)


def _preset_of(request: HttpRequest) -> tuple[str, Preset | None]:
    """What `?like=` names, and what it stands for. Until the page after the number, it only proposes."""
    like = request.GET.get("like", "")
    return (like, PRESETS[like]) if like in PRESETS else ("", None)


def _spelt(kind: MpesaChannel.Kind) -> str:
    return next(text for text, each in _KINDS.items() if each == kind)


def _chosen(choices: dict[str, Any], text: str) -> Any:
    if text not in choices:
        raise Http404
    return choices[text]


urlpatterns = [
    path("channels/new/", choose_kind, name="channel-new"),
    path("channels/new/<str:kind>/", choose_world, name="channel-new-environment"),
    path("channels/new/<str:kind>/<str:world>/", name_and_number, name="channel-new-number"),
    path("channels/<str:channel_id>/keys/", keys, name="channel-keys"),
    path("channels/<str:channel_id>/passkey/", passkey, name="channel-passkey"),
    path("channels/<str:channel_id>/initiator/", initiator, name="channel-initiator"),
    path("channels/<str:channel_id>/settings/", settings, name="channel-settings"),
]
