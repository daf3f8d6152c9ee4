"""Asking a customer's phone for a payment, and following it until it ends."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from audit.ids import public_id
from channels.models import Environment, MpesaChannel
from channels.pages.shown import shown_environment
from channels.practice_phone import practice_number
from channels.queries import channels_of
from payments import requests
from payments.forms.ask import AskForm
from payments.models import PaymentRequest
from payments.pages.showing import may
from payments.request_words import why_not_paid
from tenants.errors import DomainError, NotFound
from tenants.pages.edges import actor_of, for_members
from tenants.pages.lists import newest_first
from tenants.pages.live import live_part
from tenants.permissions import Permission, require
from tenants.serializer_fields import id_in_url
from tenants.templatetags.tuzo import phone

Status = PaymentRequest.Status

_ROWS = 10


@for_members
@require_http_methods(["GET", "POST"])
def ask(request: HttpRequest) -> HttpResponse:
    """The form, and what was asked for before, which is all for who may not ask."""
    actor, environment = actor_of(request), shown_environment(request)
    require(actor, Permission.PAYMENTS_READ)
    active = channels_of(actor=actor).filter(environment=environment, status=MpesaChannel.Status.ACTIVE)
    channels = list(active.order_by("-is_primary", "name"))
    wanted = {"phone_number": request.GET.get("phone", ""), "account_reference": request.GET.get("account", "")}
    if environment == Environment.PRACTICE and not wanted["phone_number"]:
        wanted["phone_number"] = phone(practice_number())
    form = AskForm(request.POST or None, channels=channels, initial=wanted)
    if request.method == "POST" and form.is_valid():
        given = form.given

        def ask_phone() -> str:
            asked = requests.request_payment(
                actor=actor,
                phone_number=given["phone_number"],
                amount=given["amount"],
                account_reference=given["account_reference"],
                channel_id=given["channel"],
            )
            return public_id("preq", asked.pk)

        try:
            request_id = form.once(environment=environment, work=ask_phone)
        except DomainError as refusal:
            form.refuse(refusal)
        else:
            return redirect("payment-request", request_id=request_id)
    rows = requests.payment_requests(actor=actor).filter(environment=environment)
    context = {
        "form": form,
        "page": newest_first(request, rows, size=_ROWS),
        "channels": channels,
        "may_ask": may(request, Permission.PAYMENTS_REQUEST),
    }
    return render(request, "payments/ask.html", context, status=form.status)


@for_members
@require_safe
def payment_request(request: HttpRequest, request_id: str) -> HttpResponse:
    """How one request stands; it asks for itself again until it has ended."""
    asked = requests.payment_requests(actor=actor_of(request)).filter(pk=id_in_url("preq", request_id)).first()
    if asked is None:
        raise NotFound(_("There is no such payment request."))
    is_open = asked.status == Status.PENDING
    may_request = may(request, Permission.PAYMENTS_REQUEST)
    may_ask = asked.status == Status.UNKNOWN and bool(asked.checkout_request_id) and may_request
    context = {"asked": asked, "is_open": is_open} | _words(asked)
    stands = live_part(
        request,
        "payments/request_stands.html",
        context,
        url=reverse("payment-request", kwargs={"request_id": request_id}),
        every_s=2 if is_open else 0,
    )
    if request.htmx:  # type: ignore[attr-defined]
        return stands.answer(request)
    is_practice = asked.environment == Environment.PRACTICE
    context |= {"stands": stands.html, "is_practice": is_practice, "may_ask": may_ask, "request_id": request_id}
    return render(request, "payments/request.html", context)


@for_members
@require_POST
def ask_about(request: HttpRequest, request_id: str) -> HttpResponse:
    """Ask M-PESA now how a request ended of which nobody knows."""
    found = requests.ask_what_became(
        actor=actor_of(request), request_id=id_in_url("preq", request_id), now=timezone.now()
    )
    if found.status == Status.UNKNOWN:
        messages.warning(request, _("M-PESA can't say either. Look for the payment in your M-PESA records."))
    else:
        messages.success(request, _("M-PESA answered."))
    return redirect("payment-request", request_id=request_id)


def _words(asked: PaymentRequest) -> dict[str, str]:
    """What happened, and what to do now."""
    match asked.status:
        case Status.PENDING if asked.accepted_at:
            said, do_now = _("The request is on the phone. The customer has not answered yet."), ""
        case Status.PENDING:
            said, do_now = _("Safaricom is being asked to show the request on the phone."), ""
        case Status.SUCCEEDED:
            said, do_now = _("The customer paid."), ""
        case Status.UNKNOWN:
            said = _("Safaricom has not said what happened. The customer may have paid.")
            do_now = _("Look for the payment in your M-PESA records before you ask again.")
        case _other:
            said, do_now = why_not_paid(asked)
    return {"said": said, "do_now": do_now}


urlpatterns = [
    path("ask/", ask, name="ask"),
    path("ask/<str:request_id>/", payment_request, name="payment-request"),
    path("ask/<str:request_id>/ask-mpesa/", ask_about, name="ask-about-request"),
]
