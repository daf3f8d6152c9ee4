"""Customers: who pays, what they have paid, and what can be done for them."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.views.decorators.http import require_safe

from channels.pages.shown import shown_environment
from loyalty import customers as service
from payments.queries import payments_of
from tenants.pages.edges import actor_of, for_members, words_in
from tenants.pages.lists import newest_first
from tenants.permissions import Permission, permissions_of
from tenants.serializer_fields import id_in_url


@for_members
@require_safe
def customers(request: HttpRequest) -> HttpResponse:
    """Who paid last comes first. Payments are walked, so many for each page; `older` goes on where a page ended."""
    actor, environment = actor_of(request), shown_environment(request)
    text = words_in(request)
    rows = service.find_payers(actor=actor, environment=environment, text=text)
    at_most = service.payments_to_walk(text)
    walked = payments_of(actor=actor).filter(environment=environment) if at_most else None
    page = newest_first(request, rows, moment="paid_at", walked=walked, at_most=at_most)
    context = {
        "page": page,
        "rows": service.customers_behind(actor=actor, environment=environment, newest=page.rows),
        "text": text,
    }
    return render(request, "loyalty/customers.html", context)


@for_members
@require_safe
def customer(request: HttpRequest, payment_id: str) -> HttpResponse:
    """Whoever made this payment: no number of theirs is in the address."""
    actor = actor_of(request)
    found, rows = service.customer_behind(actor=actor, payment_id=id_in_url("pay", payment_id))
    page = newest_first(request, rows, moment="paid_at")
    messages = service.messages_about(actor=actor, payments=page.rows)
    may = permissions_of(actor)
    context = {
        "customer": found,
        "page": page,
        "rows": [(row, messages.get(row.pk)) for row in page.rows],
        "may_enrol": Permission.MEMBERS_CHANGE in may and not found.members and bool(found.phone_number),
        "may_ask": Permission.PAYMENTS_REQUEST in may and bool(found.phone_number),
        "may_send": Permission.PAYOUTS_CREATE in may and bool(found.phone_number),
    }
    return render(request, "loyalty/customer.html", context)


urlpatterns = [
    path("customers/", customers, name="customers"),
    path("customers/<str:payment_id>/", customer, name="customer"),
]
