"""Handing a question about a channel to somebody else, and answering one that was handed over, without signing in."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from channels import links, overview, runs
from channels.forms.connect import QUESTIONS
from channels.forms.links import SendStepForm
from channels.models import ChannelRun, Credential
from channels.pages.reading import credential_in_url
from tenants.actors import visitor
from tenants.errors import DomainError
from tenants.pages.edges import actor_of, for_members
from tenants.pages.live import pace_s
from tenants.serializer_fields import id_in_url

_PENDING = ChannelRun.Status.PENDING


@for_members
@require_http_methods(["GET", "POST"])
def send_step(request: HttpRequest, channel_id: str, credential: str) -> HttpResponse:
    """Make a link to one question. The answer to the form shows it; no other page can."""
    actor, asked = actor_of(request), credential_in_url(credential)
    channel = overview.channel_to_change(channel_id=id_in_url("ch", channel_id), actor=actor)
    form = SendStepForm(request.POST if request.method == "POST" else None)
    context = {"form": form, "channel": channel, "credential": asked, "question": f"channel-{credential}"}
    if request.method == "POST" and form.is_valid():
        try:
            made = links.make_link(
                channel_id=channel.pk, credential=asked, actor=actor, now=timezone.now(), **form.cleaned_data
            )
        except DomainError as refusal:
            form.refuse(refusal)
        else:
            address = request.build_absolute_uri(reverse("step-link", args=[made.token]))
            return render(request, "channels/link_made.html", context | {"link": made.link, "address": address})
    return render(request, "channels/send_step.html", context, status=form.status)


@for_members
@require_POST
def withdraw_link(request: HttpRequest, channel_id: str, link_id: str) -> HttpResponse:
    links.withdraw_link(
        channel_id=id_in_url("ch", channel_id),
        link_id=id_in_url("link", link_id),
        actor=actor_of(request),
        now=timezone.now(),
    )
    messages.success(request, _("The link does not work any more."))
    return redirect("channel", channel_id)


@never_cache
@sensitive_post_parameters("consumer_key", "consumer_secret", "passkey", "initiator_credential")
@require_http_methods(["GET", "POST"])
def question(request: HttpRequest, token: str) -> HttpResponse:
    """The question that a link is for. Nothing that is saved already shows."""
    caller, now = visitor(request, email=""), timezone.now()
    try:
        link = links.question_behind(token=token, visitor=caller, now=now)
    except DomainError as refusal:
        return _closed(request, refusal)
    if request.method == "GET" and link.run and link.run.status == _PENDING:
        return _unlisted(redirect("step-link-progress", token))
    form = QUESTIONS[Credential(link.credential)](request.POST or None, saved=frozenset())
    if request.method == "POST" and form.is_valid():
        try:
            links.answer_by_link(token=token, visitor=caller, now=now, **form.details)
        except links.LinkClosed as refusal:
            return _closed(request, refusal)
        except DomainError as refusal:
            form.refuse(refusal)
        else:
            return _unlisted(redirect("step-link-progress", token))
    context = {"form": form, "link": link, "channel": link.channel, "shell": "platform.html"}
    return _unlisted(render(request, f"channels/{link.credential.lower()}.html", context, status=form.status))


@never_cache
@require_safe
def progress(request: HttpRequest, token: str) -> HttpResponse:
    """How what was entered is proved. Asked by htmx it is the steps alone, which ask again until that has ended."""
    now = timezone.now()
    try:
        link = links.progress_behind(token=token, visitor=visitor(request, email=""), now=now)
    except DomainError as refusal:
        return _closed(request, refusal)
    if link.run is None:
        return _unlisted(redirect("step-link", token))
    context = {
        "link": link,
        "token": token,
        "channel": link.channel,
        "run": link.run,
        "is_over": link.run.status != _PENDING,
        "worked": runs.outcome_of(link.run),
        "failure": runs.failure_of(link.run),
        "pace_s": pace_s(now - link.run.created_at),
    }
    page = "channels/link_steps.html" if request.htmx else "channels/link_progress.html"  # type: ignore[attr-defined]
    return _unlisted(render(request, page, context))


def _closed(request: HttpRequest, refusal: DomainError) -> HttpResponse:
    """The same page for every link that opens nothing; it does not say whose it was."""
    context = {"detail": refusal.detail, "tenant": None}
    return _unlisted(render(request, "channels/link_closed.html", context, status=refusal.status))


def _unlisted(response: HttpResponse) -> HttpResponse:
    """Not for search engines: the address is the key."""
    response["X-Robots-Tag"] = "noindex"
    return response


urlpatterns = [
    path("channels/<str:channel_id>/send/<str:credential>/", send_step, name="channel-send-step"),
    path("channels/<str:channel_id>/links/<str:link_id>/withdraw/", withdraw_link, name="channel-link-withdraw"),
    path("link/<str:token>/", question, name="step-link"),
    path("link/<str:token>/progress/", progress, name="step-link-progress"),
]
