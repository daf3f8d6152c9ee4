"""Standing orders: the list, asking a customer for one, what became of it and what it paid, cancelling it here."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from audit.ids import public_id
from channels.models import Environment, MpesaChannel
from channels.pages.shown import shown_environment
from channels.practice_phone import practice_number
from channels.queries import channels_of
from payments import standing_orders
from payments.forms.standing_orders import StandingOrderForm
from payments.models import StandingOrder
from payments.pages.showing import may
from payments.standing_order_words import do_now_about, meaning_of, timeline_of_order
from payments.templatetags.payment_words import BADGES
from tenants.errors import DomainError
from tenants.pages.edges import actor_of, for_members, words_in
from tenants.pages.lists import newest_first
from tenants.pages.live import live_part
from tenants.permissions import Permission, require
from tenants.serializer_fields import id_in_url
from tenants.templatetags.tuzo import phone

Status = StandingOrder.Status

_CANCELLABLE = frozenset({Status.PENDING, Status.ACTIVE, Status.UNKNOWN})


@for_members
@require_safe
def orders(request: HttpRequest) -> HttpResponse:
    state, words = request.GET.get("state", ""), words_in(request)
    rows = standing_orders.standing_orders_like(
        actor=actor_of(request), environment=shown_environment(request), words=words, status=state.upper()
    )
    context = {
        "page": newest_first(request, rows),
        "words": words,
        "states": [
            (status.lower(), word, status.lower() == state) for status, (_look, word) in BADGES[StandingOrder].items()
        ],
        "is_search": bool(words or state),
        "may_ask": may(request, Permission.PAYMENTS_REQUEST),
    }
    return render(request, "payments/standing_orders.html", context)


@for_members
@require_http_methods(["GET", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """Ask a customer's phone to agree: once, however often the button is pressed."""
    actor, environment = actor_of(request), shown_environment(request)
    require(actor, Permission.PAYMENTS_REQUEST)
    active = channels_of(actor=actor).filter(environment=environment, status=MpesaChannel.Status.ACTIVE)
    channels = list(active.order_by("-is_primary", "name"))
    form = StandingOrderForm(
        request.POST or None,
        channels=channels,
        offered=standing_orders.frequencies_in(environment),
        initial={"phone_number": phone(practice_number())} if environment == Environment.PRACTICE else {},
    )
    if request.method == "POST" and form.is_valid():
        given = form.given
        channel_id = given.pop("channel")

        def ask() -> str:
            asked = standing_orders.create_standing_order(
                actor=actor, channel_id=channel_id, now=timezone.now(), **given
            )
            return public_id("so", asked.pk)

        try:
            order_id = form.once(environment=environment, work=ask)
        except DomainError as refusal:
            form.refuse(refusal)
        else:
            return redirect("standing-order", order_id)
    context = {"form": form, "channels": channels}
    return render(request, "payments/standing_order_new.html", context, status=form.status)


@for_members
@require_safe
def order(request: HttpRequest, order_id: str) -> HttpResponse:
    """What became of one, and what seems to have come by it; while the customer is asked, it asks for itself."""
    found = standing_orders.read_standing_order(actor=actor_of(request), order_id=id_in_url("so", order_id))
    is_open = found.status == Status.PENDING
    stands = live_part(
        request,
        "payments/standing_order_stands.html",
        {
            "order": found,
            "meaning": meaning_of(found),
            "do_now": do_now_about(found),
            "moments": timeline_of_order(found),
        },
        url=reverse("standing-order", kwargs={"order_id": order_id}),
        every_s=3 if is_open else 0,
    )
    if request.htmx:  # type: ignore[attr-defined]
        return stands.answer(request)
    context = {
        "order": found,
        "order_id": order_id,
        "stands": stands.html,
        "is_open": is_open,
        "page": newest_first(request, standing_orders.payments_of_order(found), moment="paid_at"),
        "may_cancel": found.status in _CANCELLABLE and may(request, Permission.PAYMENTS_REQUEST),
        "is_practice": found.environment == Environment.PRACTICE,
    }
    return render(request, "payments/standing_order.html", context)


@for_members
@require_http_methods(["GET", "POST"])
def cancel(request: HttpRequest, order_id: str) -> HttpResponse:
    """Say first what cancelling does, and what only the customer can do."""
    actor = actor_of(request)
    require(actor, Permission.PAYMENTS_REQUEST)
    found = standing_orders.read_standing_order(actor=actor, order_id=id_in_url("so", order_id))
    if request.method == "POST":
        standing_orders.cancel_standing_order(actor=actor, order_id=found.pk, now=timezone.now())
        messages.success(request, _("Cancelled here. You expect nothing more of it."))
        return redirect("standing-order", order_id)
    if found.status not in _CANCELLABLE:
        return redirect("standing-order", order_id)
    return render(request, "payments/standing_order_cancel.html", {"order": found, "order_id": order_id})


urlpatterns = [
    path("standing-orders/", orders, name="standing-orders"),
    path("standing-orders/new/", new, name="standing-order-new"),
    path("standing-orders/<str:order_id>/", order, name="standing-order"),
    path("standing-orders/<str:order_id>/cancel/", cancel, name="standing-order-cancel"),
]
