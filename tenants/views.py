"""Signing in, choosing a business, taking up an invitation, signing out."""

from urllib.parse import urlsplit

from csp.decorators import csp_update
from django import forms
from django.conf import settings
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.core import signing
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from audit.ids import UnreadableId, public_id, read_public_id
from tenants import people, sessions, sign_in
from tenants.errors import DomainError
from tenants.forms import KnownPersonForm, NewPersonForm, SignInForm
from tenants.hosts import url_of_tenant
from tenants.models import Membership, Tenant, User

_TICKET_SALT = "tenants.choose_business"
_TICKET_LASTS_S = 300

_platform = urlsplit(settings.TUZO_PUBLIC_URL)
# A form on the platform host may lead to a business's host: browsers hold redirects after a form to `form-action` too.
_leads_to_businesses = csp_update(
    {"form-action": [f"{_platform.scheme}://*.{settings.TUZO_PLATFORM_HOST}:{_platform.port or '*'}"]}
)


def _host_tenant(request: HttpRequest) -> Tenant | None:
    tenant: Tenant | None = request.tenant  # type: ignore[attr-defined]
    return tenant


@require_safe
def front(request: HttpRequest) -> HttpResponse:
    """What one finds at the platform's address."""
    return render(request, "tenants/front.html")


@never_cache
@_leads_to_businesses
@require_http_methods(["GET", "POST"])
def sign_in_page(request: HttpRequest) -> HttpResponse:
    """On a business's host: into that business. On the platform host: into the only one, or to the choice of one."""
    form = SignInForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            return _enter(request, form.cleaned_data["email"], form.cleaned_data["password"])
        except DomainError as refusal:
            form.add_error(None, refusal.detail)
            return _render(request, "sign_in", {"form": form, "next": request.POST.get("next", "")}, refusal.status)
    return _render(request, "sign_in", {"form": form, "next": request.GET.get("next", "")})


def _enter(request: HttpRequest, email: str, password: str) -> HttpResponse:
    user = sign_in.identify(request, email=email, password=password)
    try:
        place = sign_in.choose_place(user, host_tenant=_host_tenant(request))
    except sign_in.ChooseBusiness:
        places = sign_in.places_of(user, host_tenant=None)
        choices = [(public_id("mbr", place.pk), place.tenant.business_name) for place in places]
        ticket = signing.dumps(user.pk.hex, salt=_TICKET_SALT)
        return _render(request, "choose_business", {"choices": choices, "ticket": ticket})
    return _go_to(request, place)


@never_cache
@_leads_to_businesses
@require_POST
def choose_business(request: HttpRequest) -> HttpResponse:
    """The second half of signing in, for people with several businesses."""
    try:
        user_id = signing.loads(request.POST.get("ticket", ""), salt=_TICKET_SALT, max_age=_TICKET_LASTS_S)
        membership_id = read_public_id("mbr", request.POST.get("membership", ""))
    except (signing.BadSignature, UnreadableId):
        return redirect("sign-in")
    user = User.objects.filter(pk=user_id, is_active=True).first()
    place = sign_in.places_of(user, host_tenant=None).filter(pk=membership_id).first() if user else None
    return _go_to(request, place) if place else redirect("sign-in")


def _go_to(request: HttpRequest, place: Membership) -> HttpResponse:
    """Into the business: at once on its own host, by one step from the platform's."""
    if _host_tenant(request) is not None:
        sessions.sign_in(request, place)
        target = request.POST.get("next", "")
        is_ours = url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure())
        return HttpResponseRedirect(target if is_ours else "/")
    token = sessions.hand_over(place, now=timezone.now())
    return HttpResponseRedirect(f"{url_of_tenant(place.tenant)}hand-over/{token}/")


@never_cache
@require_safe
def hand_over(request: HttpRequest, token: str) -> HttpResponse:
    """The step from the platform host: opens the session that somebody signed in for there."""
    tenant = _host_tenant(request)
    if tenant is None:
        raise Http404
    try:
        place = sessions.take_over(token, tenant=tenant, now=timezone.now())
    except sessions.HandOverSpent as refusal:
        return _render(request, "refused", {"detail": refusal.detail}, refusal.status)
    sessions.sign_in(request, place)
    return redirect("home")


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return redirect("sign-in")


@never_cache
@login_required
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    return _render(request, "home", {"membership": request.membership})  # type: ignore[attr-defined]


@never_cache
@_leads_to_businesses  # type: ignore[arg-type]  # typed for views without arguments
@require_http_methods(["GET", "POST"])
def accept_invitation(request: HttpRequest, token: str) -> HttpResponse:
    """Where the link in an invitation leads: a password, a name from who is new, and in."""
    try:
        invitation = people.read_invitation(token, now=timezone.now())
    except DomainError as refusal:
        return _render(request, "refused", {"detail": refusal.detail}, refusal.status)
    form_class: type[forms.Form] = KnownPersonForm if people.is_known(invitation) else NewPersonForm
    form = form_class(request.POST or None)
    status = 200
    if request.method == "POST" and form.is_valid():
        try:
            place = sign_in.accept_invitation(
                request,
                token=token,
                name=form.cleaned_data.get("name", ""),
                password=form.cleaned_data["password"],
                now=timezone.now(),
            )
        except DomainError as refusal:
            status = refusal.status
            for field, sentences in (refusal.errors or {"": [refusal.detail]}).items():
                form.add_error(field if field in form.fields else None, sentences)
        else:
            return _go_to(request, place)
    return _render(request, "accept_invitation", {"form": form, "invitation": invitation}, status)


def _render(request: HttpRequest, page: str, context: dict[str, object], status: int = 200) -> HttpResponse:
    return render(request, f"tenants/{page}.html", context | {"tenant": _host_tenant(request)}, status=status)
