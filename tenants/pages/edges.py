"""What the edges of every room's pages share."""

from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from csp.decorators import csp_update
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django_htmx.http import HttpResponseClientRedirect

from audit.services import Actor
from tenants import demo
from tenants.actors import client_address, demo_visitor
from tenants.errors import DomainError
from tenants.models import Membership, Tenant, User
from tenants.permissions import VISITOR, OnlyToLookAt

View = Callable[..., HttpResponse]

_LOOKING = frozenset({"GET", "HEAD", "OPTIONS"})

_platform = urlsplit(settings.TUZO_PUBLIC_URL)
_BUSINESSES = f"{_platform.scheme}://*.{settings.TUZO_PLATFORM_HOST}:{_platform.port or '*'}"


def leads_to_businesses(view: View) -> View:
    """A page whose form may lead to a business's host: browsers hold redirects after a form to `form-action` too."""
    return csp_update({"form-action": [_BUSINESSES]})(view)  # type: ignore[return-value]  # typed narrowly


def for_members(view: View) -> View:
    """A page for who is signed in to the business; others are sent to sign in and come back. Browsers don't keep it.

    On the demo's host others are visitors, who only look: whatever else they send is refused here, before any view.
    """

    @wraps(view)
    def open_for(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if is_member(request) or not demo.receives_visitors(host_tenant(request)):
            return view(request, *args, **kwargs) if request.user.is_authenticated else _sent_to_sign_in(request)
        demo.receive_visitor(address=client_address(request))
        request.actor = demo_visitor(request)  # type: ignore[attr-defined]
        if request.method not in _LOOKING:
            raise OnlyToLookAt
        return view(request, *args, **kwargs)

    return never_cache(open_for)


def _sent_to_sign_in(request: HttpRequest) -> HttpResponse:
    """And from there back to the page that was open, also if a piece of it or a form asked."""
    page = request.get_full_path()
    if request.method not in _LOOKING:
        messages.warning(request, _("You were signed out meanwhile, so nothing was done. Sign in, and send it again."))
        page = _path_here(request, request.headers.get("Referer", "")) or page
    if request.htmx:  # type: ignore[attr-defined]
        page = request.htmx.current_url_abs_path or "/"  # type: ignore[attr-defined]
        return HttpResponseClientRedirect(redirect_to_login(page).url)
    return redirect_to_login(page)


def _path_here(request: HttpRequest, url: str) -> str:
    """An address of this host without the host; empty for another's."""
    if not url_has_allowed_host_and_scheme(url, {request.get_host()}, require_https=request.is_secure()):
        return ""
    parts = urlsplit(url)
    return urlunsplit(("", "", parts.path, parts.query, ""))


def for_members_only(view: View) -> View:
    """Likewise, and not for visitors of the demo: a page of somebody's own, or one on which something is done."""

    @wraps(view)
    def closed_to_visitors(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if is_visitor(request):
            raise OnlyToLookAt
        return view(request, *args, **kwargs)

    return for_members(closed_to_visitors)


def is_member(request: HttpRequest) -> bool:
    return getattr(request, "membership", None) is not None


def is_visitor(request: HttpRequest) -> bool:
    """Does somebody look around in the demo without a place there?"""
    actor: Actor | None = getattr(request, "actor", None)
    return actor is not None and actor.role == VISITOR


def host_tenant(request: HttpRequest) -> Tenant | None:
    """The business whose host this is; None on the platform's."""
    tenant: Tenant | None = request.tenant  # type: ignore[attr-defined]
    return tenant


def place_of(request: HttpRequest) -> Membership:
    """The place of who is signed in; call it behind `for_members`.

    :raises OnlyToLookAt: for a visitor of the demo, who has none.
    """
    if is_visitor(request):
        raise OnlyToLookAt
    place: Membership = request.membership  # type: ignore[attr-defined]
    return place


def actor_of(request: HttpRequest) -> Actor:
    """Who is signed in, or visits the demo, as services know them; call it behind `for_members`."""
    actor: Actor = request.actor  # type: ignore[attr-defined]
    return actor


def user_of(request: HttpRequest) -> User:
    return place_of(request).user


def platform_url(route: str) -> str:
    """The address of a page of the platform host, from wherever one is."""
    return settings.TUZO_PUBLIC_URL + reverse(route, urlconf=settings.PUBLIC_SCHEMA_URLCONF)


def words_in(request: HttpRequest, name: str = "q") -> str:
    """What somebody looks for, as the address or the form says; a NUL, which no column holds, is left out."""
    return (request.POST if request.method == "POST" else request.GET).get(name, "").replace("\0", "")


def next_url(request: HttpRequest, *, default: str = "/") -> str:
    """Where the form wants to go on to, if that is on this host."""
    target = request.POST.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure())
    return target if is_ours else default


class RefusalMiddleware:
    """What a service refuses and no page catches becomes a page that says why, with the refusal's status."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, DomainError):
            return None
        return refused(request, exception)


def refused(request: HttpRequest, refusal: DomainError) -> HttpResponse:
    looks = isinstance(refusal, OnlyToLookAt)
    headings = {403: _("You may not do this"), 404: _("There is nothing here")}
    context: dict[str, Any] = {
        "heading": _("Only to look at") if looks else headings.get(refusal.status, _("This can't be done")),
        "detail": refusal.detail,
        "shell": "business.html" if is_member(request) or is_visitor(request) else "platform.html",
    }
    return render(request, "refused.html", context, status=refusal.status)
