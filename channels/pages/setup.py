"""From a practice business to a live one: five tasks, and the list of what is in the way."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.views.decorators.http import require_safe

from audit.services import Actor
from channels import setup
from tenants.pages.edges import actor_of, for_members
from tenants.permissions import Permission, permissions_of, require


@for_members
@require_safe
def guide(request: HttpRequest) -> HttpResponse:
    actor = actor_of(request)
    require(actor, Permission.CHANNELS_CHANGE)
    return render(request, "channels/setup.html", _tasks(actor))


@for_members
@require_safe
def progress(request: HttpRequest) -> HttpResponse:
    """The piece of the home page that says how far the guide is; it comes when the page is there."""
    actor = actor_of(request)
    require(actor, Permission.CHANNELS_CHANGE)
    if not request.htmx:  # type: ignore[attr-defined]
        return redirect("setup")
    return render(request, "channels/setup_progress.html", _tasks(actor))


def _tasks(actor: Actor) -> dict[str, Any]:
    tasks = setup.setup_tasks(actor=actor)
    left = [task for task in tasks if task.state != setup.TaskState.DONE]
    return {"tasks": tasks, "next": left[0] if left else None, "done": len(tasks) - len(left), "all": len(tasks)}


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
    path("setup/progress/", progress, name="setup-progress"),
    path("go-live/", go_live, name="go-live"),
]
