"""A new password for who forgot theirs, by a link in a mail."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from tenants import own_sign_in
from tenants.actors import visitor
from tenants.errors import DomainError
from tenants.forms.sign_in import ForgottenPasswordForm, NewPasswordForm


@never_cache
@require_http_methods(["GET", "POST"])
def forgotten(request: HttpRequest) -> HttpResponse:
    """Asks for the address, and says the same whether it is known or not."""
    form = ForgottenPasswordForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        email = form.cleaned_data["email"]
        try:
            own_sign_in.request_password_reset(actor=visitor(request, email=email), email=email)
        except DomainError as refusal:
            form.refuse(refusal)
        else:
            messages.success(
                request,
                _("If %(email)s has signed up here, a mail with a link is on its way. It is good for an hour.")
                % {"email": email},
            )
            return redirect("sign-in")
    return render(request, "tenants/password.html", {"form": form}, status=form.status)


@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "POST"])
def reset(request: HttpRequest, token: str) -> HttpResponse:
    """Where the link in the mail leads."""
    user = own_sign_in.person_of_reset(token)
    form = NewPasswordForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            own_sign_in.reset_password(
                actor=visitor(request, email=user.email), token=token, password=form.cleaned_data["password"]
            )
        except DomainError as refusal:
            form.refuse(refusal)
        else:
            messages.success(request, _("Your password is changed. Sign in with it."))
            return redirect("sign-in")
    return render(request, "tenants/password_reset.html", {"form": form, "person": user}, status=form.status)


urlpatterns = [
    path("password/", forgotten, name="password"),
    path("password/<str:token>/", reset, name="password-reset"),
]
