"""Rewards of all members: what is still to be given out, and what was."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from channels.pages.shown import shown_environment
from loyalty.models import Reward
from loyalty.points import rewards_of
from tenants.pages.edges import actor_of, for_members
from tenants.pages.lists import newest_first
from tenants.permissions import Permission, permissions_of

_STATES = {
    Reward.Status.READY: _("To give out"),
    Reward.Status.COLLECTED: _("Given out"),
    Reward.Status.WITHDRAWN: _("Taken back"),
}


@for_members
@require_safe
def rewards(request: HttpRequest) -> HttpResponse:
    """Those of one environment in one state: without a choice, those to give out."""
    actor, chosen = actor_of(request), request.GET.get("state", "").upper()
    state = chosen if chosen in _STATES else Reward.Status.READY
    rows = rewards_of(actor=actor).filter(member__environment=shown_environment(request), status=state)
    context = {
        "page": newest_first(request, rows),
        "state": state,
        "states": [(key.lower(), word, key == state) for key, word in _STATES.items()],
        "may_change": Permission.MEMBERS_CHANGE in permissions_of(actor),
    }
    return render(request, "loyalty/rewards.html", context)


urlpatterns = [path("rewards/", rewards, name="rewards")]
