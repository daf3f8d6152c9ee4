"""The member's own page, on the business's host, behind a signed link."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from loyalty import own_page
from loyalty.forms.members import ClaimForm
from loyalty.pages.members import claimed
from loyalty.pages.showing import holdings
from loyalty.points import entries_of
from tenants.errors import DomainError
from tenants.pages.lists import newest_first


@never_cache
@require_http_methods(["GET", "POST"])
def own(request: HttpRequest, token: str) -> HttpResponse:
    """What the member holds; a POST claims a payment by its receipt."""
    member = own_page.member_behind(token=token)
    form = ClaimForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            outcome = own_page.claim_own_payment(token=token, now=timezone.now(), **form.cleaned_data)
        except DomainError as refusal:
            form.refuse(refusal)
        else:
            messages.success(request, claimed(outcome))
            return _unlisted(redirect("own-page", token))
    context: dict[str, Any] = {"member": member, "token": token, "form": form}
    if member.is_active:
        actor = own_page.reader(member)
        context |= holdings(actor, member)
        context["page"] = newest_first(request, entries_of(actor=actor, member_id=member.pk), size=10)
    return _unlisted(render(request, "loyalty/own.html", context, status=form.status))


@never_cache
@require_http_methods(["GET", "POST"])
def own_leave(request: HttpRequest, token: str) -> HttpResponse:
    """One question before one is out."""
    member = own_page.member_behind(token=token)
    if request.method == "POST" or not member.is_active:
        if member.is_active:
            own_page.leave(token=token, now=timezone.now())
        return _unlisted(redirect("own-page", token))
    return _unlisted(render(request, "loyalty/own_leave.html", {"member": member, "token": token}))


def _unlisted(response: HttpResponse) -> HttpResponse:
    """Not for search engines: the address is the key."""
    response["X-Robots-Tag"] = "noindex"
    return response


urlpatterns = [
    path("m/<str:token>/", own, name="own-page"),
    path("m/<str:token>/leave/", own_leave, name="own-leave"),
]
