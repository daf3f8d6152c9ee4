"""The business's PayBills and tills: all of them with their health, and one of them with what is saved of it."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from channels import overview, queries, services, transfer
from channels.forms.channels import NewPathForm, SwitchOffForm
from channels.pages import making
from channels.pages.shown import show
from tenants.errors import DomainError
from tenants.pages.edges import actor_of, for_members
from tenants.pages.lists import newest_first
from tenants.permissions import Permission, permissions_of
from tenants.serializer_fields import id_in_url


@for_members
@require_safe
def channels(request: HttpRequest) -> HttpResponse:
    """Of every environment: this is about connections, not about money."""
    actor = actor_of(request)
    page = newest_first(request, queries.channels_of(actor=actor))
    counts = overview.open_problem_counts(actor=actor)
    context = {
        "page": page,
        "rows": [(channel, counts.get(channel.pk, 0)) for channel in page.rows],
        "may_change": Permission.CHANNELS_CHANGE in permissions_of(actor),
        "being_made": making.lines(request, transfer.KIND, route="channels-import"),
    }
    return render(request, "channels/channels.html", context)


@for_members
@require_safe
def channel(request: HttpRequest, channel_id: str) -> HttpResponse:
    actor = actor_of(request)
    shown = overview.overview_of(channel_id=id_in_url("ch", channel_id), actor=actor, now=timezone.now())
    show(request, shown.channel.environment)
    may = permissions_of(actor)
    context = {
        "channel": shown.channel,
        "shown": shown,
        "may_change": Permission.CHANNELS_CHANGE in may,
        "may_examine": Permission.MPESA_ASK in may,
        "may_ask": Permission.PAYMENTS_REQUEST in may,
    }
    return render(request, "channels/channel.html", context)


@for_members
@require_POST
def activate(request: HttpRequest, channel_id: str) -> HttpResponse:
    channel = services.activate_channel(
        channel_id=id_in_url("ch", channel_id), actor=actor_of(request), now=timezone.now()
    )
    messages.success(request, _("%(channel)s receives payments now.") % {"channel": channel})
    return redirect("channel", channel_id)


@for_members
@require_http_methods(["GET", "POST"])
def switch_off(request: HttpRequest, channel_id: str) -> HttpResponse:
    """Ask first, then take no more payments on a channel."""
    actor = actor_of(request)
    channel = overview.channel_to_change(channel_id=id_in_url("ch", channel_id), actor=actor)
    form = SwitchOffForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            services.deactivate_channel(channel_id=channel.pk, actor=actor, now=timezone.now(), **form.cleaned_data)
        except DomainError as refusal:
            form.refuse(refusal)
        else:
            messages.success(request, _("%(channel)s is switched off.") % {"channel": channel})
            return redirect("channel", channel_id)
    return render(request, "channels/switch_off.html", {"form": form, "channel": channel}, status=form.status)


@for_members
@require_http_methods(["GET", "POST"])
def new_path(request: HttpRequest, channel_id: str) -> HttpResponse:
    """Ask first, then give the channel another secret address."""
    actor = actor_of(request)
    channel = overview.channel_to_change(channel_id=id_in_url("ch", channel_id), actor=actor)
    form = NewPathForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        rotation = services.rotate_callback_token(channel_id=channel.pk, actor=actor, now=timezone.now())
        messages.warning(request, rotation.do_now)
        return redirect("channel", channel_id)
    return render(request, "channels/new_path.html", {"form": form, "channel": channel}, status=form.status)


urlpatterns = [
    path("channels/", channels, name="channels"),
    path("channels/<str:channel_id>/", channel, name="channel"),
    path("channels/<str:channel_id>/activate/", activate, name="channel-activate"),
    path("channels/<str:channel_id>/switch-off/", switch_off, name="channel-switch-off"),
    path("channels/<str:channel_id>/new-path/", new_path, name="channel-new-path"),
]
