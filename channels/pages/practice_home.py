"""What the home page shows of the connections: problems, what failed, and in practice the phone to try it all with."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from audit.ids import public_id
from channels.attention import Connections, connections, open_problems
from channels.forms.practice import PracticePaymentForm
from channels.models import Environment
from channels.pages.shown import shown_environment
from tenants.pages.edges import actor_of, for_members_only
from tenants.pages.home import Need
from tenants.pages.live import LivePart, live_part, slowing_part
from tenants.permissions import Permission, permissions_of

_PROBLEMS = 3


def show_problems(request: HttpRequest) -> str:
    found = open_problems(actor=actor_of(request), environment=shown_environment(request), number=_PROBLEMS)
    return render_to_string("channels/home_problems.html", {"problems": found}, request) if found else ""


def connection_needs(request: HttpRequest) -> list[Need]:
    return [
        Need(
            _("%(channel)s: the last attempt to connect it did not work") % {"channel": channel},
            reverse("channel", kwargs={"channel_id": public_id("ch", channel.pk)}),
        )
        for channel in _connections(request).failed
    ]


def show_practice(request: HttpRequest) -> str:
    return _practice(request).html if shown_environment(request) == Environment.PRACTICE else ""


@for_members_only
@require_safe
def practice_card(request: HttpRequest) -> HttpResponse:
    """The piece alone, which asks for itself until the practice number is connected."""
    if not request.htmx:  # type: ignore[attr-defined]
        return redirect("home")
    return _practice(request).answer(request)


def _practice(request: HttpRequest) -> LivePart:
    found = _connections(request)
    context = {
        "is_ready": found.is_any_active,
        "is_coming": found.is_any_there,
        "form": PracticePaymentForm(),
        "may_set_up": Permission.CHANNELS_CHANGE in permissions_of(actor_of(request)),
    }
    make = slowing_part if found.is_any_there and not found.is_any_active else live_part
    return make(
        request,
        "channels/home_practice.html",
        context,
        url=reverse("practice-card"),
        version=repr((found.is_any_active, found.is_any_there)),
    )


def _connections(request: HttpRequest) -> Connections:
    """Asked once for each request."""
    known: Connections | None = getattr(request, "connections", None)
    if known is None:
        known = connections(actor=actor_of(request), environment=shown_environment(request))
        request.connections = known  # type: ignore[attr-defined]
    return known


urlpatterns = [path("practice/card/", practice_card, name="practice-card")]
