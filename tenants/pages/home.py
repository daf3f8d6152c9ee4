"""Where people land: what the rooms above put there, in one order, and what waits for them."""

from collections.abc import Callable
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import path
from django.views.decorators.http import require_safe

from tenants.pages.edges import actor_of, for_members
from tenants.permissions import Permission, permissions_of


@dataclass(frozen=True)
class Part:
    """A piece of the home page. `show` gives its HTML, empty if there is nothing to show now.

    `order` is its rank; `is_beside` puts it into the narrower column of desks, below everything else on phones.
    """

    key: str
    order: int
    permission: Permission
    show: Callable[[HttpRequest], str]
    is_beside: bool = False


@dataclass(frozen=True)
class Need:
    """Something that waits for a person, and the page where they see to it."""

    sentence: str
    url: str


_parts: dict[str, Part] = {}
_needs: dict[str, Callable[[HttpRequest], list[Need]]] = {}


def register_part(part: Part) -> None:
    """Put something on the home page; each room does it in its `urls.py`, below the routes."""
    _parts[part.key] = part


def register_needs(key: str, needs_of: Callable[[HttpRequest], list[Need]]) -> None:
    """Let a room say what waits for whoever looks. It leaves out what they may not see to."""
    _needs[key] = needs_of


@for_members
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    allowed = permissions_of(actor_of(request))
    parts = [part for part in sorted(_parts.values(), key=lambda part: part.order) if part.permission in allowed]
    needs = [need for needs_of in _needs.values() for need in needs_of(request)]
    context = {
        "parts": [part.show(request) for part in parts if not part.is_beside],
        "needs": render_to_string("tenants/home_needs.html", {"needs": needs}, request),
        "beside": [part.show(request) for part in parts if part.is_beside],
    }
    return render(request, "tenants/home.html", context)


urlpatterns = [path("", home, name="home")]
