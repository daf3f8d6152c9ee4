"""What a person has to know of, over all channels of an environment."""

from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from channels import problems as services
from channels.pages.shown import shown_environment
from tenants.pages.edges import actor_of, for_members
from tenants.pages.lists import newest_first
from tenants.permissions import Permission, permissions_of
from tenants.serializer_fields import id_in_url

_STATES = {
    "open": Q(closed_at=None, dismissed_at=None),
    "dismissed": Q(closed_at=None, dismissed_at__isnull=False),
    "closed": Q(closed_at__isnull=False),
}


@for_members
@require_safe
def problems(request: HttpRequest) -> HttpResponse:
    actor = actor_of(request)
    environment = shown_environment(request)
    state = request.GET.get("state", "")
    state = state if state in _STATES else "open"
    rows = services.problems(actor=actor).filter(_STATES[state], environment=environment)
    context = {
        "page": newest_first(request, rows),
        "state": state,
        "may_dismiss": Permission.PAYMENTS_SETTLE in permissions_of(actor),
    }
    return render(request, "channels/problems.html", context)


@for_members
@require_POST
def dismiss(request: HttpRequest, problem_id: str) -> HttpResponse:
    services.dismiss_problem(actor=actor_of(request), problem_id=id_in_url("prob", problem_id), now=timezone.now())
    messages.success(request, _("Out of sight. If it was well and comes back, you see it again."))
    return redirect("problems")


urlpatterns = [
    path("problems/", problems, name="problems"),
    path("problems/<str:problem_id>/dismiss/", dismiss, name="problem-dismiss"),
]
