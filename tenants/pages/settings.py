"""What the business says about itself, and what it looks like to its customers."""

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.utils.translation import gettext as _
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_http_methods, require_safe

from tenants import business
from tenants.errors import DomainError
from tenants.forms.settings import OUR_COLOUR, BrandingForm, BusinessForm
from tenants.pages.edges import actor_of, for_members
from tenants.queue import require_current_tenant

_FOR_A_YEAR = cache_control(public=True, max_age=31_536_000, immutable=True)  # the address changes with the content

_RULES = """\
.branded { background: COLOUR; color: #fff; }
.branded .brand, .branded a, .branded button.link { color: #fff; }
.branded :focus-visible { outline-color: #fff; }
"""


@for_members
@require_http_methods(["GET", "POST"])
def settings(request: HttpRequest) -> HttpResponse:
    actor = actor_of(request)
    present = business.business(actor=actor)
    names = ("business_name", "business_type", "email")
    form = BusinessForm(
        request.POST or None,
        initial={name: getattr(present, name) for name in names} | {"phone": f"+{present.phone}"},
    )
    if request.method == "POST" and form.is_valid():
        try:
            business.change_business(actor=actor, **form.cleaned_data)
        except DomainError as refusal:
            form.refuse(refusal)
        else:
            messages.success(request, _("Saved."))
            return redirect("business-settings")
    context = {"form": form, "branding": business.branding_of(present), "present": present}
    return render(request, "tenants/settings.html", context, status=form.status)


@for_members
@require_http_methods(["GET", "POST"])
def branding(request: HttpRequest) -> HttpResponse:
    """The colour and the logo, and how they look together."""
    actor = actor_of(request)
    present = business.branding_of(business.business(actor=actor))
    form = BrandingForm(request.POST or None, request.FILES or None, initial={"colour": present.colour or OUR_COLOUR})
    if not present.logo_digest:
        del form.fields["without_logo"]
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        try:
            business.change_branding(
                actor=actor,
                colour=given["colour"],
                logo=given["logo"].read(business.LOGO_MAXIMUM_BYTES + 1) if given["logo"] else None,
                without_logo=given.get("without_logo", False),
            )
        except DomainError as refusal:
            form.refuse(refusal)
        else:
            messages.success(request, _("Saved."))
            return redirect("branding")
    return render(request, "tenants/settings_branding.html", {"form": form, "branding": present}, status=form.status)


@require_safe
@_FOR_A_YEAR
def logo(request: HttpRequest, digest: str) -> HttpResponse:
    """The business's logo, for everybody who looks at one of its pages."""
    found = business.logo_of(require_current_tenant(), digest=digest)
    if found is None:
        raise Http404
    return HttpResponse(found, content_type="image/png")


@require_safe
@_FOR_A_YEAR
def brand_style(request: HttpRequest, colour: str) -> HttpResponse:
    """`.branded` in the business's colour: the policy allows no style inside a page."""
    if business.branding_of(require_current_tenant()).colour != f"#{colour}":
        raise Http404
    return HttpResponse(_RULES.replace("COLOUR", f"#{colour}"), content_type="text/css")


urlpatterns = [
    path("settings/", settings, name="business-settings"),
    path("settings/branding/", branding, name="branding"),
    path("brand/<str:digest>.png", logo, name="logo"),
    path("brand/<str:colour>.css", brand_style, name="brand-style"),
]
