"""Receipts that M-PESA was asked about: asking for one, and what M-PESA said."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from audit.ids import public_id
from channels.models import MpesaChannel
from channels.pages.shown import shown_environment
from channels.queries import channels_of
from payments.forms.questions import ReceiptForm
from payments.initiator import has_initiator
from payments.models import StatusQuery
from payments.pages.showing import may
from payments.question_words import answer_to, found_in, who_asked
from payments.status_queries import ask_status, read_status_query, status_queries
from tenants.errors import DomainError
from tenants.pages.edges import actor_of, for_members
from tenants.pages.lists import newest_first
from tenants.pages.live import live_part
from tenants.permissions import Permission, require
from tenants.serializer_fields import id_in_url


@for_members
@require_http_methods(["GET", "POST"])
def receipts(request: HttpRequest) -> HttpResponse:
    """The form, and what was asked before, of people and by itself."""
    actor, environment = actor_of(request), shown_environment(request)
    require(actor, Permission.PAYMENTS_READ)
    active = channels_of(actor=actor).filter(environment=environment, status=MpesaChannel.Status.ACTIVE)
    channels = [channel for channel in active.order_by("-is_primary", "name") if has_initiator(channel)]
    form = ReceiptForm(request.POST or None, channels=channels, initial={"receipt": request.GET.get("receipt", "")})
    if request.method == "POST" and form.is_valid():
        try:
            query = ask_status(
                actor=actor,
                now=timezone.now(),
                receipt=form.cleaned_data["receipt"],
                channel_id=form.cleaned_data["channel"],
            )
        except DomainError as refusal:
            form.refuse(refusal)
        else:
            return redirect("receipt", public_id("stq", query.pk))
    page = newest_first(request, status_queries(actor=actor).filter(environment=environment))
    context = {
        "form": form,
        "page": page,
        "rows": [(query, who_asked(query), answer_to(query)) for query in page.rows],
        "may_ask": may(request, Permission.MPESA_ASK),
        "can_ask": bool(channels),
    }
    return render(request, "payments/receipts.html", context, status=form.status)


@for_members
@require_safe
def receipt(request: HttpRequest, query_id: str) -> HttpResponse:
    """What M-PESA said about one; until it does, that part asks for itself."""
    query = read_status_query(actor=actor_of(request), query_id=id_in_url("stq", query_id))
    is_open = query.status == StatusQuery.Status.PENDING
    said = live_part(
        request,
        "payments/receipt_said.html",
        {"query": query, "answer": answer_to(query), "found": found_in(query), "who": who_asked(query)},
        url=request.path,
        every_s=2 if is_open else 0,
    )
    if request.htmx:  # type: ignore[attr-defined]
        return said.answer(request)
    context = {"query": query, "said": said.html, "is_open": is_open, "may_ask": may(request, Permission.MPESA_ASK)}
    return render(request, "payments/receipt.html", context)


urlpatterns = [
    path("receipts/", receipts, name="receipts"),
    path("receipts/<str:query_id>/", receipt, name="receipt"),
]
