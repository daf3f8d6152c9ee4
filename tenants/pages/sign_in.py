"""Signing in, with a second factor where there is one; choosing a business; the step to its host; signing out."""

from django.contrib.auth import logout
from django.core import signing
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import path
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from audit.ids import UnreadableId, public_id, read_public_id
from tenants import sessions, sign_in
from tenants.errors import DomainError
from tenants.forms.sign_in import CodeForm, SignInForm
from tenants.hosts import url_of_tenant
from tenants.models import Membership, User
from tenants.pages.edges import host_tenant, leads_to_businesses, next_url, platform_url

# Between the pages of one sign-in travels a signed note of whose password was right, and then of who has proved all.
_PROVED_SALT = "tenants.half_signed_in"
_TICKET_SALT = "tenants.choose_business"
_TICKET_LASTS_S = 300


@never_cache
@leads_to_businesses
@sensitive_post_parameters("password")
@require_http_methods(["GET", "POST"])
def sign_in_page(request: HttpRequest) -> HttpResponse:
    """On a business's host: into that business. On the platform host: into the only one, or to the choice of one."""
    form = SignInForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            user = sign_in.identify(request, **form.cleaned_data)
            sign_in.prove_code(user, code="")
            return go_on(request, user)
        except sign_in.CodeNeeded:
            return _ask_code(request, CodeForm(), signing.dumps(user.pk.hex, salt=_PROVED_SALT))
        except DomainError as refusal:
            form.refuse(refusal)
    context = {
        "form": form,
        "next": request.POST.get("next", request.GET.get("next", "")),
        "forgotten_url": platform_url("password"),
    }
    return render(request, "tenants/sign_in.html", context, status=form.status)


@never_cache
@leads_to_businesses
@sensitive_post_parameters("code")
@require_POST
def code_page(request: HttpRequest) -> HttpResponse:
    """The second half of signing in, for people with a second factor."""
    ticket = request.POST.get("ticket", "")
    user = _person_of(ticket, salt=_PROVED_SALT)
    if user is None:
        return redirect("sign-in")
    form = CodeForm(request.POST)
    if form.is_valid():
        try:
            sign_in.prove_code(user, code=form.cleaned_data["code"])
            return go_on(request, user)
        except DomainError as refusal:
            form.refuse(refusal)
    return _ask_code(request, form, ticket)


def _ask_code(request: HttpRequest, form: CodeForm, ticket: str) -> HttpResponse:
    context = {"form": form, "ticket": ticket, "next": request.POST.get("next", "")}
    return render(request, "tenants/sign_in_code.html", context, status=form.status)


def go_on(request: HttpRequest, user: User) -> HttpResponse:
    """To the business of somebody who has proved who they are, or to the choice of one.

    :raises NoPlace, BusinessNotReady: if they can enter none here.
    """
    tenant = host_tenant(request)
    try:
        return enter(request, sign_in.choose_place(user, host_tenant=tenant))
    except sign_in.ChooseBusiness:
        choices = [
            (public_id("mbr", place.pk), place.tenant.business_name)
            for place in sign_in.places_of(user, host_tenant=tenant)
        ]
        ticket = signing.dumps(user.pk.hex, salt=_TICKET_SALT)
        return render(request, "tenants/choose_business.html", {"choices": choices, "ticket": ticket})


@never_cache
@leads_to_businesses
@require_POST
def choose_business(request: HttpRequest) -> HttpResponse:
    """The last page of signing in, for people with several businesses."""
    user = _person_of(request.POST.get("ticket", ""), salt=_TICKET_SALT)
    try:
        membership_id = read_public_id("mbr", request.POST.get("membership", ""))
    except UnreadableId:
        return redirect("sign-in")
    place = sign_in.places_of(user, host_tenant=None).filter(pk=membership_id).first() if user else None
    return enter(request, place) if place else redirect("sign-in")


def _person_of(ticket: str, *, salt: str) -> User | None:
    try:
        user_id = signing.loads(ticket, salt=salt, max_age=_TICKET_LASTS_S)
    except signing.BadSignature:
        return None
    return User.objects.filter(pk=user_id, is_active=True).first()


def enter(request: HttpRequest, place: Membership) -> HttpResponse:
    """Into the business: at once on its own host, by one step from the platform's."""
    if host_tenant(request) is not None:
        sessions.sign_in(request, place)
        return HttpResponseRedirect(next_url(request))
    token = sessions.hand_over(place, now=timezone.now())
    return HttpResponseRedirect(f"{url_of_tenant(place.tenant)}hand-over/{token}/")


@never_cache
@require_safe
def hand_over(request: HttpRequest, token: str) -> HttpResponse:
    """The step from the platform host: opens the session that somebody signed in for there."""
    tenant = host_tenant(request)
    if tenant is None:
        raise Http404
    sessions.sign_in(request, sessions.take_over(token, tenant=tenant, now=timezone.now()))
    return redirect("home")


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return redirect("sign-in")


shared_urlpatterns = [
    path("sign-in/", sign_in_page, name="sign-in"),
    path("sign-in/code/", code_page, name="sign-in-code"),
]
platform_urlpatterns = [path("sign-in/business/", choose_business, name="choose-business")]
business_urlpatterns = [
    path("sign-out/", sign_out, name="sign-out"),
    path("hand-over/<str:token>/", hand_over, name="hand-over"),
]
