"""A person's own page: name, language, clock, colours, password, second factor."""

from base64 import b32encode

import segno
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods
from django_otp.util import random_hex

from tenants import own_sign_in, second_factor, sessions
from tenants.errors import DomainError
from tenants.forms.profile import ChangePasswordForm, ProfileForm, ProveForm, SecondFactorForm
from tenants.pages.edges import actor_of, for_members_only, place_of, user_of
from tenants.preferences import remember_look
from tenants.reauthentication import prove_again

_KEY_IN_SESSION = "authenticator_key"


@for_members_only
@require_http_methods(["GET", "POST"])
def profile(request: HttpRequest) -> HttpResponse:
    """Who one is, and how pages look; the ways to the password and the second factor."""
    user = user_of(request)
    present = {name: getattr(user, name) for name in ("name", "language", "theme", "time_zone")}
    form = ProfileForm(request.POST or None, initial=present)
    if request.method == "POST" and form.is_valid():
        try:
            own_sign_in.change_profile(actor=actor_of(request), user=user, **form.cleaned_data)
        except DomainError as refusal:
            form.refuse(refusal)
        else:
            messages.success(request, _("Saved."))
            response = redirect("profile")
            remember_look(response, language=form.cleaned_data["language"], theme=form.cleaned_data["theme"])
            return response
    context = {
        "form": form,
        "has_second_factor": second_factor.has_second_factor(user),
        "recovery_codes_left": second_factor.recovery_codes_left(user),
    }
    return render(request, "tenants/profile.html", context, status=form.status)


@for_members_only
@sensitive_post_parameters("present_password", "password")
@require_http_methods(["GET", "POST"])
def change_password(request: HttpRequest) -> HttpResponse:
    form = ChangePasswordForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        user, now = user_of(request), timezone.now()
        try:
            proof = prove_again(user, password=form.cleaned_data["present_password"], now=now)
        except DomainError as refusal:
            form.refuse(refusal, rename={"password": "present_password"})
        else:
            try:
                own_sign_in.change_password(
                    actor=actor_of(request), user=user, password=form.cleaned_data["password"], proof=proof, now=now
                )
            except DomainError as refusal:
                form.refuse(refusal)
            else:
                place = place_of(request)
                place.refresh_from_db(fields=["sign_in_epoch"])
                sessions.sign_in(request, place)  # everything else that was signed in has ended
                messages.success(
                    request, _("Your password is changed. Other phones and computers have to sign in again.")
                )
                return redirect("profile")
    return render(request, "tenants/change_password.html", {"form": form}, status=form.status)


@for_members_only
@sensitive_post_parameters("password", "code")
@require_http_methods(["GET", "POST"])
def set_up_second_factor(request: HttpRequest) -> HttpResponse:
    """Show a new authenticator's key, and take it once a code shows that the person holds it."""
    user = user_of(request)
    if request.method == "GET" or _KEY_IN_SESSION not in request.session:
        request.session[_KEY_IN_SESSION] = random_hex(20)
    key = request.session[_KEY_IN_SESSION]
    form = SecondFactorForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        now = timezone.now()
        try:
            proof = prove_again(user, password=form.cleaned_data["password"], now=now)
            _device, codes = own_sign_in.set_up_second_factor(
                actor=actor_of(request), user=user, key=key, code=form.cleaned_data["code"], proof=proof, now=now
            )
        except second_factor.WrongCode as refusal:
            form.add_error("code", refusal.detail)
        except DomainError as refusal:
            form.refuse(refusal)
        else:
            del request.session[_KEY_IN_SESSION]
            return render(request, "tenants/recovery_codes.html", {"codes": codes})
    authenticator = second_factor.unsaved_authenticator(user, key=key)
    context = {
        "form": form,
        "qr_code": segno.make(authenticator.config_url, error="m").svg_data_uri(scale=5, light="#fff"),
        "key": b32encode(authenticator.bin_key).decode(),
    }
    return render(request, "tenants/second_factor.html", context, status=form.status)


@for_members_only
@sensitive_post_parameters("password")
@require_http_methods(["GET", "POST"])
def renew_recovery_codes(request: HttpRequest) -> HttpResponse:
    form = ProveForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        user, now = user_of(request), timezone.now()
        try:
            proof = prove_again(user, password=form.cleaned_data["password"], now=now)
            codes = own_sign_in.renew_recovery_codes(actor=actor_of(request), user=user, proof=proof, now=now)
        except DomainError as refusal:
            form.refuse(refusal)
        else:
            return render(request, "tenants/recovery_codes.html", {"codes": codes})
    return render(request, "tenants/renew_recovery_codes.html", {"form": form}, status=form.status)


@for_members_only
@sensitive_post_parameters("password")
@require_http_methods(["GET", "POST"])
def remove_second_factor(request: HttpRequest) -> HttpResponse:
    form = ProveForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        user, now = user_of(request), timezone.now()
        try:
            proof = prove_again(user, password=form.cleaned_data["password"], now=now)
            own_sign_in.remove_second_factor(actor=actor_of(request), user=user, proof=proof, now=now)
        except DomainError as refusal:
            form.refuse(refusal)
        else:
            messages.success(request, _("You sign in with your password alone from now on."))
            return redirect("profile")
    return render(request, "tenants/remove_second_factor.html", {"form": form}, status=form.status)


urlpatterns = [
    path("you/", profile, name="profile"),
    path("you/password/", change_password, name="change-password"),
    path("you/second-factor/", set_up_second_factor, name="second-factor"),
    path("you/second-factor/recovery-codes/", renew_recovery_codes, name="renew-recovery-codes"),
    path("you/second-factor/remove/", remove_second_factor, name="remove-second-factor"),
]
