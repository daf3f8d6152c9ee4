"""Practising: a customer's phone beside the business's pages, which pays and is asked to pay, without real money."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from channels import practice_phone
from channels.forms.practice import PracticePaymentForm
from channels.models import Environment
from channels.pages.shown import environments_of, shown_environment
from channels.practice import PracticeUnavailable
from tenants.errors import DomainError
from tenants.pages.edges import actor_of, for_members_only, next_url
from tenants.pages.live import LivePart, slowing_part


@for_members_only
@require_http_methods(["GET", "POST"])
def practice(request: HttpRequest) -> HttpResponse:
    """The form of a practice payment, the phone, and what the business sees. A button elsewhere posts here, too."""
    is_elsewhere = shown_environment(request) != Environment.PRACTICE
    if request.method != "POST" and is_elsewhere and Environment.PRACTICE in environments_of(request):
        return redirect(f"{reverse('practice')}?environment=practice")
    form = PracticePaymentForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            paid = practice_phone.pay_in_practice(actor=actor_of(request), **form.cleaned_data)
        except DomainError as refusal:
            form.refuse(refusal)
        else:
            if paid.is_paid:
                messages.success(request, _("The phone has paid. See the payment arrive."))
            else:
                messages.warning(request, paid.message)
            return HttpResponseRedirect(next_url(request, default=reverse("practice")))
    context = {"form": form, "phone": _phone(request).html}
    return render(request, "channels/practice.html", context, status=form.status)


@for_members_only
@require_safe
def phone(request: HttpRequest) -> HttpResponse:
    """The phone alone, for pages that show it beside something else."""
    if not request.htmx:  # type: ignore[attr-defined]
        return redirect("practice")
    return _phone(request).answer(request)


@for_members_only
@require_POST
def answer(request: HttpRequest) -> HttpResponse:
    """A button of the phone, under a request to pay."""
    practice_phone.answer_prompt(
        actor=actor_of(request), prompt_id=request.POST.get("prompt", ""), answer=request.POST.get("answer", "")
    )
    return HttpResponseRedirect(next_url(request, default=reverse("practice")))


def _phone(request: HttpRequest) -> LivePart:
    try:
        shown = practice_phone.read_phone(actor=actor_of(request))
    except PracticeUnavailable:
        shown = None
    return slowing_part(
        request,
        "channels/practice_phone.html",
        {"phone": shown, "back": next_url(request, default=_page_around(request))},
        url=reverse("practice-phone"),
        version=repr(shown),
    )


def _page_around(request: HttpRequest) -> str:
    """Where the phone stands: the page that htmx asks from, else the page of its own."""
    around: str | None = getattr(request, "htmx", None) and request.htmx.current_url_abs_path  # type: ignore[attr-defined]
    return around or reverse("practice")


urlpatterns = [
    path("practice/", practice, name="practice"),
    path("practice/phone/", phone, name="practice-phone"),
    path("practice/answer/", answer, name="practice-answer"),
]
