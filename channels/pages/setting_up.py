"""A preset on a channel: what it would do, and the button that does it."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from channels import setting_up
from channels.models import Environment, MpesaChannel
from channels.presets import PRESETS
from tenants.errors import DomainError
from tenants.forms.base import PageForm
from tenants.pages.edges import actor_of, for_members
from tenants.serializer_fields import id_in_url


@for_members
@require_http_methods(["GET", "POST"])
def channel_preset(request: HttpRequest, channel_id: str, preset: str) -> HttpResponse:
    actor, key = actor_of(request), id_in_url("ch", channel_id)
    plan = setting_up.plan_of(channel_id=key, preset=preset, actor=actor)
    form = PageForm(request.POST if request.method == "POST" else None)
    then = _next_page(plan.channel)
    if form.is_bound and form.is_valid():
        try:
            seen = request.POST.get("seen", "")
            setting_up.carry_out(channel_id=key, preset=preset, seen=seen, actor=actor, now=timezone.now())
        except DomainError as refusal:
            form.refuse(refusal)
        else:
            messages.success(request, _("It is set up. Payments from now on go by these rules."))
            return redirect(then, channel_id)
    context = {
        "form": form,
        "plan": plan,
        "then": then,
        "others": [(other, each.label) for other, each in PRESETS.items() if other != preset],
    }
    return render(request, "channels/preset.html", context, status=form.status)


def _next_page(channel: MpesaChannel) -> str:
    """What comes after it: the keys, as long as there are none."""
    if channel.environment == Environment.PRACTICE and not channel.shortcode:
        return "channel"
    return "channel-mapping" if channel.has_keys or channel.first_verified_at else "channel-keys"


urlpatterns = [path("channels/<str:channel_id>/preset/<str:preset>/", channel_preset, name="channel-preset")]
