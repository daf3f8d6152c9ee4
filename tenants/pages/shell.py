"""What stands around every page: whose it is, and where one can go."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import Promise

from tenants import business
from tenants.pages.edges import is_member, is_visitor, platform_url
from tenants.permissions import Permission, permissions_of


@dataclass(frozen=True)
class Place:
    """A page in the navigation of a business.

    `route` is its name in the URLs, `order` its rank, `permission` what one must be allowed to. `in_bar` puts it into
    the bar at the bottom of phones, which has room for four; the rest is under "More".
    """

    route: str
    label: Promise
    icon: str  # a drawing of static/icons.svg
    permission: Permission
    order: int
    in_bar: bool = False


@dataclass(frozen=True)
class Link:
    """A place as one person sees it from the page they are on."""

    url: str
    label: Promise
    icon: str
    in_bar: bool
    is_here: bool


_places: dict[str, Place] = {}


def register(*places: Place) -> None:
    """Add pages to the navigation; each room does it in its `urls.py`, below the routes."""
    _places.update({place.route: place for place in places})


def links_for(allowed: Collection[Permission], *, path: str) -> list[Link]:
    """Where somebody who may do this can go; the page at `path` belongs to at most one of them."""
    places = sorted(_places.values(), key=lambda place: place.order)
    found = [(place, reverse(place.route)) for place in places if place.permission in allowed]
    here = max((url for _, url in found if path == url or (url != "/" and path.startswith(url))), key=len, default="")
    return [Link(url, place.label, place.icon, place.in_bar, is_here=url == here) for place, url in found]


def page_context(request: HttpRequest) -> dict[str, Any]:
    """For every template: `tenant` and its `branding`, `membership`, `theme`; for who is signed in, or visits the demo
    (`is_visitor`), also `navigation`, and on phones `bar` and `more`; on the demo's host the way out of it."""
    tenant = getattr(request, "tenant", None)
    looks = is_member(request) or is_visitor(request)
    navigation = links_for(permissions_of(request.actor), path=request.path) if looks else []  # type: ignore[attr-defined]
    way_out = {"front_url": platform_url("front"), "sign_up_url": platform_url("sign-up")}
    return {
        "tenant": tenant,
        "branding": lambda: business.branding_of(tenant) if tenant else None,  # asked only where a template does
        "membership": getattr(request, "membership", None),
        "is_visitor": is_visitor(request),
        "theme": getattr(request, "theme", ""),
        "navigation": navigation,
        "bar": [link for link in navigation if link.in_bar],
        "more": [link for link in navigation if not link.in_bar],
        **(way_out if tenant and tenant.is_demo else {}),
    }
