"""The operators' site, on the platform host only: password, second factor, and then every page.

Rooms say in their `admin.py` what operators may look up; here it is put together. Nothing of a business's own schema
is here. Its pages are templates of ours in place of Django's: the same look, words and policy as everywhere, and none
of the admin's own scripts and styles.
"""

from base64 import b32encode
from collections.abc import Callable, Iterator
from functools import update_wrapper
from typing import Any, TypeVar, cast
from urllib.parse import urlencode

import django_otp
import segno
from django import forms
from django.contrib import admin
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.admin.utils import flatten, get_fields_from_path, label_for_field
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path, reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django_otp.util import random_hex

import audit.admin
import payments.admin
import tenants.admin
from config.operator_search import search_businesses
from tenants import operators, second_factor
from tenants.actors import operator
from tenants.errors import DomainError
from tenants.forms.base import PageForm, email_field, present_password_field
from tenants.forms.renderer import PageRenderer
from tenants.forms.sign_in import CodeForm
from tenants.models import User
from tenants.pages.shell import Link
from tenants.sign_in import identify

_View = TypeVar("_View", bound=Callable[..., HttpResponseBase])

_KEY_IN_SESSION = "second_factor_key"
_WRONG = _("The e-mail address or the password is wrong.")


class PasswordForm(AdminAuthenticationForm):
    """The same check as at every other door, with its limits; people who are no operators are told nothing else."""

    default_renderer = PageRenderer
    use_required_attribute = False

    username = email_field()
    password = present_password_field(_("Password"))

    def clean(self) -> dict[str, Any]:
        username, password = self.cleaned_data.get("username"), self.cleaned_data.get("password")
        if username and password:
            try:
                user = identify(self.request, email=username, password=password)  # type: ignore[arg-type]
            except DomainError as refusal:
                raise ValidationError(refusal.detail) from None
            self.confirm_login_allowed(user)
            self.user_cache = user
        return self.cleaned_data

    def confirm_login_allowed(self, user: Any) -> None:
        if not (user.is_active and user.is_staff):
            raise ValidationError(_WRONG)


class SearchForm(PageForm):
    text = forms.CharField(
        label=_("Receipt or shortcode"),
        help_text=_("An M-PESA receipt, or a PayBill, till or store number. The audit trails say who asked."),
        max_length=40,
        error_messages={"required": _("Enter an M-PESA receipt like UKL1000001, or a shortcode of 5 to 7 digits.")},
        widget=forms.TextInput({"autocomplete": "off", "spellcheck": "false"}),
    )


class OperatorSite(admin.AdminSite):
    site_header = _("Tuzo operators")
    index_title = _("The platform now")
    site_url = None
    login_form = PasswordForm

    def has_permission(self, request: HttpRequest) -> bool:
        return _is_operator(request) and request.user.is_verified()  # type: ignore[union-attr]

    def admin_view(self, view: _View, cacheable: bool = False) -> _View:
        """Every page behind both factors knows its actor: `request.actor`, for the services that it calls."""

        def act(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            request.actor = operator(request, _user(request))  # type: ignore[attr-defined]
            return view(request, *args, **kwargs)

        return super().admin_view(cast(_View, update_wrapper(act, view)), cacheable)

    def get_urls(self) -> list[URLPattern | URLResolver]:
        return [
            path("second-factor/", self.behind_password(self.prove), name="second_factor"),
            path("second-factor/set-up/", self.behind_password(self.set_up), name="second_factor_set_up"),
            path("search/", self.admin_view(self.search), name="search"),
            *super().get_urls(),
        ]

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        context = super().each_context(request)
        links = list(self._links(request)) if context["has_permission"] else []
        by_place = {place: [link for link in links if link.in_bar == (place == "bar")] for place in ("bar", "more")}
        return {**context, "navigation": links, **by_place}

    def _links(self, request: HttpRequest) -> Iterator[Link]:
        """The start, the search and every list."""
        places = [("index", _("Start"), "home", True), ("search", _("Find a business"), "search", True)]
        for model, pages in self._registry.items():
            route = f"{model._meta.app_label}_{model._meta.model_name}_changelist"
            places.append((route, pages.label, pages.icon, pages.in_bar))  # type: ignore[attr-defined]
        for route, label, icon, in_bar in places:
            url = reverse(f"admin:{route}")
            here = request.path == url or (route != "index" and request.path.startswith(url))
            yield Link(url, label, icon, in_bar, is_here=here)

    def app_index(self, request: HttpRequest, app_label: str, extra_context: Any = None) -> HttpResponse:  # type: ignore[override]
        """The navigation has every list: there are no pages of lists."""
        return HttpResponseRedirect(reverse("admin:index"))

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        found = operators.problems(actor=request.actor, now=timezone.now())  # type: ignore[attr-defined]
        problems = [(problem, _list_of(problem)) for problem in found]
        now = operators.numbers(actor=request.actor)  # type: ignore[attr-defined]
        context = {"problems": problems, "numbers": now, "search_form": SearchForm()}
        return super().index(request, {**(extra_context or {}), **context})

    def search(self, request: HttpRequest) -> HttpResponse:
        """Find businesses by what a caller reads from a phone or a sticker. The trails say who asked."""
        form = SearchForm(request.POST or None)
        found = None
        if request.method == "POST" and form.is_valid():
            try:
                found = search_businesses(actor=request.actor, text=form.cleaned_data["text"])  # type: ignore[attr-defined]
            except DomainError as refusal:
                form.refuse(refusal, rename={"": "text"})
        context = {
            **self.each_context(request),
            "title": gettext("Find a business"),
            "search_form": form,
            "found": found,
        }
        return TemplateResponse(request, "admin/search.html", context)

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The password; whoever has given it goes on to the second factor."""
        if request.method == "GET" and _is_operator(request) and not self.has_permission(request):
            return HttpResponseRedirect(_with_next(request, "admin:second_factor"))
        return super().login(request, {**(extra_context or {}), "title": gettext("Sign in")})

    def logout(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        return super().logout(request, {**(extra_context or {}), "title": gettext("You are signed out")})

    def behind_password(self, view: Callable[[HttpRequest], HttpResponse]) -> Callable[..., HttpResponse]:
        """A page between the password and the second factor."""

        def ask(request: HttpRequest) -> HttpResponse:
            if not _is_operator(request):
                return HttpResponseRedirect(_with_next(request, "admin:login"))
            return view(request)

        return never_cache(sensitive_post_parameters("code")(ask))

    def prove(self, request: HttpRequest) -> HttpResponse:
        """Ask for a code of the second factor."""
        user = _user(request)
        if not second_factor.has_second_factor(user):
            return HttpResponseRedirect(_with_next(request, "admin:second_factor_set_up"))
        form = CodeForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                device = operators.prove_second_factor(
                    actor=operator(request, user), user=user, code=form.cleaned_data["code"]
                )
            except DomainError as refusal:
                form.refuse(refusal, rename={"": "code"})
            else:
                _note_proved(request, device)
                return HttpResponseRedirect(_next(request) or reverse("admin:index"))
        context = {
            **self.each_context(request),
            "title": gettext("Your second factor"),
            "form": form,
            "next": _next(request),
        }
        return TemplateResponse(request, "admin/second_factor.html", context)

    def set_up(self, request: HttpRequest) -> HttpResponse:
        """Show a new authenticator's key, and take it once a code shows that the operator holds it."""
        user = _user(request)
        if second_factor.has_second_factor(user) and not self.has_permission(request):
            return HttpResponseRedirect(_with_next(request, "admin:second_factor"))
        if request.method == "GET" or _KEY_IN_SESSION not in request.session:
            request.session[_KEY_IN_SESSION] = random_hex(20)
        key = request.session[_KEY_IN_SESSION]
        form = CodeForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                device, codes = operators.set_up_second_factor(
                    actor=operator(request, user),
                    user=user,
                    key=key,
                    code=form.cleaned_data["code"],
                    proved_by=request.user.otp_device,  # type: ignore[union-attr]
                )
            except DomainError as refusal:
                form.refuse(refusal, rename={"": "code"})
            else:
                del request.session[_KEY_IN_SESSION]
                _note_proved(request, device)
                context = {
                    **self.each_context(request),
                    "title": gettext("Recovery codes"),
                    "codes": codes,
                    "next": _next(request) or reverse("admin:index"),
                }
                return TemplateResponse(request, "admin/recovery_codes.html", context)
        authenticator = second_factor.unsaved_authenticator(user, key=key)
        context = {
            **self.each_context(request),
            "title": gettext("Set up a second factor"),
            "form": form,
            "next": _next(request),
            "qr_code": segno.make(authenticator.config_url, error="m").svg_data_uri(scale=5, light="#fff"),
            "key": b32encode(authenticator.bin_key).decode(),
        }
        return TemplateResponse(request, "admin/second_factor_set_up.html", context)


def _is_operator(request: HttpRequest) -> bool:
    return request.user.is_active and isinstance(request.user, User) and request.user.is_staff


def _user(request: HttpRequest) -> User:
    """Who has given an operator's password; call it behind `_is_operator`."""
    assert isinstance(request.user, User)  # noqa: S101
    return request.user


def _note_proved(request: HttpRequest, device: Any) -> None:
    request.session.cycle_key()
    django_otp.login(request, device)


def _next(request: HttpRequest) -> str:
    """Where the operator wanted to go, if it is here."""
    wanted = request.POST.get(REDIRECT_FIELD_NAME) or request.GET.get(REDIRECT_FIELD_NAME) or ""
    is_here = url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return wanted if is_here else ""


def _with_next(request: HttpRequest, name: str) -> str:
    wanted = _next(request)
    return f"{reverse(name)}?{urlencode({REDIRECT_FIELD_NAME: wanted})}" if wanted else reverse(name)


def _list_of(problem: operators.Problem) -> str:
    """The list that shows what a problem is about."""
    model, query = {
        "waiting": ("inboundcallback", {"state__exact": "PENDING"}),
        "failing": ("duetask", {"attempts__gte": "3"}),
        "stuck": ("tenant", {"status__exact": "PROVISIONING"}),
        "ill": ("tenant", {"activity__channel_health__exact": "PROBLEM"}),
        "quarantined": ("inboundcallback", {"state__exact": "QUARANTINED", "reason__exact": problem.reason}),
    }[problem.kind]
    return f"{reverse(f'admin:tenants_{model}_changelist')}?{urlencode(query)}"


site = OperatorSite(name="admin")
for pages in (tenants.admin.PAGES, payments.admin.PAGES, audit.admin.PAGES):
    for model, model_admin in pages.items():
        site.register(model, model_admin)


def labels() -> set[str]:
    """What columns, fields and filters of the lists are called, in English: the catalogue has their Swahili."""
    found = set()
    for model, pages in site._registry.items():
        for name in {*flatten(pages.list_display), *flatten(pages.fields or ())}:
            found.add(str(label_for_field(name, model, pages)))
        for each in pages.list_filter:
            title = get_fields_from_path(model, each)[-1].verbose_name if isinstance(each, str) else each.title  # type: ignore[union-attr]
            found.add(str(title))
    return found
