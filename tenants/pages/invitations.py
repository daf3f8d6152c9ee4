from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from tenants import people, sign_in
from tenants.errors import DomainError
from tenants.forms.base import PageForm
from tenants.forms.sign_in import KnownPersonForm, NewPersonForm
from tenants.pages.edges import leads_to_businesses
from tenants.pages.sign_in import enter


@never_cache
@leads_to_businesses
@sensitive_post_parameters("password", "second_factor")
@require_http_methods(["GET", "POST"])
def accept_invitation(request: HttpRequest, token: str) -> HttpResponse:
    """Where the link in an invitation leads: a password, a name from who is new, and in."""
    invitation = people.read_invitation(token, now=timezone.now())
    form_class: type[PageForm] = KnownPersonForm if people.is_known(invitation) else NewPersonForm
    form = form_class(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            place = sign_in.accept_invitation(
                request,
                token=token,
                name=form.cleaned_data.get("name", ""),
                password=form.cleaned_data["password"],
                code=form.cleaned_data.get("second_factor", ""),
                now=timezone.now(),
            )
        except DomainError as refusal:
            form.refuse(refusal)
        else:
            return enter(request, place)
    context = {"form": form, "invitation": invitation}
    return render(request, "tenants/accept_invitation.html", context, status=form.status)


urlpatterns = [path("invitations/<str:token>/", accept_invitation, name="accept-invitation")]
