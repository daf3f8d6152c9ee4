"""Signing a business up, watching it being made, and going in."""

from uuid import UUID

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from tenants import limits, provisioning, services, sessions, sign_in
from tenants.actors import client_address, visitor
from tenants.errors import DomainError
from tenants.forms.sign_up import SignUpForm
from tenants.hosts import url_of_tenant
from tenants.models import Membership, Tenant
from tenants.pages.edges import leads_to_businesses

# Who signed up in this browser need not sign in: their place, signed, for an hour.
_COOKIE = "tuzo-signed-up"
_SALT = "tenants.signed_up"
_LASTS_S = 60 * 60


@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "POST"])
def sign_up(request: HttpRequest) -> HttpResponse:
    """A business with its owner; what it needs is made in the background, and watched on the next page."""
    form = SignUpForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            limits.count_attempt("sign_up", who=client_address(request))
            tenant = services.open_tenant(actor=visitor(request, email=form.cleaned_data["email"]), **form.cleaned_data)
        except DomainError as refusal:
            form.refuse(refusal)
        else:
            response = redirect("sign-up-progress", provisioning.progress_token(tenant))
            response.set_cookie(
                _COOKIE,
                signing.dumps(tenant.pk.hex, salt=_SALT),
                max_age=_LASTS_S,
                path="/sign-up/",
                secure=settings.SESSION_COOKIE_SECURE,
                httponly=True,
                samesite="Lax",
            )
            return response
    return render(request, "tenants/sign_up.html", {"form": form}, status=form.status)


@never_cache
@leads_to_businesses
@require_safe
def progress(request: HttpRequest, token: str) -> HttpResponse:
    """How far the business is. Asked by htmx it is the list alone, which asks again until all is done."""
    tenant = provisioning.progress_of(token)
    context = {
        "steps": provisioning.shown_steps(tenant),
        "is_made": tenant.status != Tenant.Status.PROVISIONING,
        "business": tenant,
        "token": token,
        "may_open": _signed_up(request) == tenant.pk,
    }
    page = "tenants/sign_up_steps.html" if request.htmx else "tenants/sign_up_progress.html"  # type: ignore[attr-defined]
    return render(request, page, context)


@never_cache
@leads_to_businesses
@require_POST
def open_business(request: HttpRequest, token: str) -> HttpResponse:
    """Into the business that was signed up in this browser a moment ago; elsewhere one signs in."""
    tenant = provisioning.progress_of(token)
    owners = Membership.objects.filter(tenant=tenant, user__email=tenant.email, is_active=True)
    place = owners.select_related("user", "tenant").first()
    if place is None or _signed_up(request) != tenant.pk or tenant.status == Tenant.Status.PROVISIONING:
        return redirect("sign-in")
    sign_in.prove_code(place.user, code="")
    step = sessions.hand_over(place, now=timezone.now())
    response = redirect(f"{url_of_tenant(tenant)}hand-over/{step}/")
    response.delete_cookie(_COOKIE, path="/sign-up/", samesite="Lax")
    return response


def _signed_up(request: HttpRequest) -> UUID | None:
    try:
        return UUID(signing.loads(request.COOKIES.get(_COOKIE, ""), salt=_SALT, max_age=_LASTS_S))
    except signing.BadSignature:
        return None


urlpatterns = [
    path("sign-up/", sign_up, name="sign-up"),
    path("sign-up/<str:token>/", progress, name="sign-up-progress"),
    path("sign-up/<str:token>/open/", open_business, name="sign-up-open"),
]
