"""From a practice business to a live one: five tasks, and the list of what is in the way."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.views.decorators.http import require_safe

from channels import setup
from tenants.pages.edges import actor_of, for_members
from tenants.permissions import Permission, permissions_of, require


@for_members
@require_safe
def guide(request: HttpRequest) -> HttpResponse:
    actor = actor_of(request)
    require(actor, Permission.CHANNELS_CHANGE)
    tasks = setup.setup_tasks(actor=actor)
    context = {"tasks": tasks, "done": sum(task.state == setup.TaskState.DONE for task in tasks), "all": len(tasks)}
    return render(request, "channels/setup.html", context)


@for_members
@require_safe
def go_live(request: HttpRequest) -> HttpResponse:
    actor = actor_of(request)
    found = setup.going_live(actor=actor)
    context = {
        "found": found,
        "stops": [blocker for blocker in found.blockers if blocker.stops],
        "warnings": [blocker for blocker in found.blockers if not blocker.stops],
        "may_change": Permission.CHANNELS_CHANGE in permissions_of(actor),
    }
    return render(request, "channels/go_live.html", context)


urlpatterns = [
    path("setup/", guide, name="setup"),
    path("go-live/", go_live, name="go-live"),
]
