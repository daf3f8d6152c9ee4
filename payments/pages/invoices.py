"""Invoices that M-PESA sends: the list, one, what became of it, withdrawing it, and turning them on for a PayBill."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from audit.ids import public_id
from channels.pages import making
from channels.pages.shown import shown_environment
from channels.queries import read_channel
from payments import invoice_files, invoices
from payments.forms.invoices import BillManagerForm, InvoiceForm, new_invoice
from payments.invoice_payments import NOT_COUNTED, parts_of
from payments.invoice_words import do_now_about, meaning_of, timeline_of_invoice
from payments.models import Invoice
from payments.pages.showing import may
from payments.services import NAIROBI
from payments.templatetags.payment_words import BADGES
from tenants.errors import DomainError
from tenants.pages.edges import actor_of, for_members, user_of, words_in
from tenants.pages.lists import newest_first
from tenants.pages.live import live_part
from tenants.permissions import Permission, require
from tenants.serializer_fields import id_in_url

Status = Invoice.Status

_CANCELLABLE = frozenset({Status.SENT, Status.UNKNOWN})


@for_members
@require_safe
def all_invoices(request: HttpRequest) -> HttpResponse:
    actor, environment = actor_of(request), shown_environment(request)
    state, words = request.GET.get("state", ""), words_in(request)
    today = timezone.localdate(timezone=NAIROBI)
    rows = invoices.invoices_like(actor=actor, environment=environment, words=words, state=state.upper(), today=today)
    channels = invoices.billing_channels(actor=actor, environment=environment)
    states = [(status, str(word)) for status, (_look, word) in BADGES[Invoice].items()]
    states.insert(3, (invoices.OVERDUE, _("Overdue")))
    context = {
        "page": newest_first(request, rows),
        "today": today,
        "words": words,
        "states": [(key.lower(), word, key.lower() == state) for key, word in states],
        "is_search": bool(words or state),
        "channels": channels,
        "is_on": any(channel.bill_manager_opted_in_at for channel in channels),
        "may_ask": may(request, Permission.PAYMENTS_REQUEST),
        "may_change": may(request, Permission.CHANNELS_CHANGE),
        "being_made": making.lines(request, invoice_files.KIND, route="check-invoices"),
    }
    return render(request, "payments/invoices.html", context)


@for_members
@require_http_methods(["GET", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """Have M-PESA send one: once, however often the button is pressed."""
    actor, environment = actor_of(request), shown_environment(request)
    require(actor, Permission.PAYMENTS_REQUEST)
    channels = [
        channel
        for channel in invoices.billing_channels(actor=actor, environment=environment)
        if channel.bill_manager_opted_in_at
    ]
    form = InvoiceForm(request.POST or None, channels=channels)
    if request.method == "POST" and form.is_valid():

        def send() -> str:
            made = invoices.create_invoice(
                actor=actor, channel_id=form.cleaned_data["channel"], invoice=new_invoice(form), now=timezone.now()
            )
            return public_id("bill", made.pk)

        try:
            invoice_id = form.once(environment=environment, work=send)
        except DomainError as refusal:
            form.refuse(refusal)
        else:
            return redirect("invoice", invoice_id)
    return render(request, "payments/invoice_new.html", {"form": form, "channels": channels}, status=form.status)


@for_members
@require_safe
def invoice(request: HttpRequest, invoice_id: str) -> HttpResponse:
    """What became of one, and what is paid of it; while it is handed over, that part asks for itself."""
    found = invoices.read_invoice(actor=actor_of(request), invoice_id=id_in_url("bill", invoice_id))
    parts = parts_of(found)
    is_open = found.status == Status.PENDING
    stands = live_part(
        request,
        "payments/invoice_stands.html",
        {
            "invoice": found,
            "meaning": meaning_of(found),
            "do_now": do_now_about(found),
            "moments": timeline_of_invoice(found, parts),
        },
        url=reverse("invoice", kwargs={"invoice_id": invoice_id}),
        every_s=3 if is_open else 0,
    )
    if request.htmx:  # type: ignore[attr-defined]
        return stands.answer(request)
    can_cancel = found.status in _CANCELLABLE or (is_open and found.sending_at is None)
    context = {
        "invoice": found,
        "invoice_id": invoice_id,
        "stands": stands.html,
        "is_open": is_open,
        "parts": parts,
        "owed": None if found.status in NOT_COUNTED else found.amount - found.paid_amount,
        "may_cancel": can_cancel and may(request, Permission.PAYMENTS_REQUEST),
    }
    return render(request, "payments/invoice.html", context)


@for_members
@require_http_methods(["GET", "POST"])
def cancel(request: HttpRequest, invoice_id: str) -> HttpResponse:
    """Ask first, then withdraw it, from M-PESA too."""
    actor = actor_of(request)
    require(actor, Permission.PAYMENTS_REQUEST)
    found = invoices.read_invoice(actor=actor, invoice_id=id_in_url("bill", invoice_id))
    if request.method == "POST":
        invoices.cancel_invoice(actor=actor, invoice_id=found.pk, now=timezone.now())
        messages.success(request, _("Withdrawn. M-PESA does not ask for it any more."))
        return redirect("invoice", invoice_id)
    return render(request, "payments/invoice_cancel.html", {"invoice": found, "invoice_id": invoice_id})


@for_members
@require_http_methods(["GET", "POST"])
def bill_manager(request: HttpRequest, channel_id: str) -> HttpResponse:
    """Turn invoices on for a PayBill, or change what M-PESA tells customers of the business."""
    actor = actor_of(request)
    require(actor, Permission.CHANNELS_CHANGE)
    channel = read_channel(actor=actor, channel_id=id_in_url("ch", channel_id))
    form = BillManagerForm(request.POST or None, initial={"email": user_of(request).email})
    if request.method == "POST" and form.is_valid():
        try:
            invoices.opt_in(actor=actor, channel_id=channel.pk, now=timezone.now(), **form.cleaned_data)
        except DomainError as refusal:
            form.refuse(refusal)
        else:
            messages.success(request, _("M-PESA sends invoices for %(channel)s now.") % {"channel": channel})
            return redirect("invoices")
    return render(request, "payments/bill_manager.html", {"form": form, "channel": channel}, status=form.status)


urlpatterns = [
    path("invoices/", all_invoices, name="invoices"),
    path("invoices/new/", new, name="invoice-new"),
    path("invoices/channels/<str:channel_id>/", bill_manager, name="bill-manager"),
    path("invoices/<str:invoice_id>/", invoice, name="invoice"),
    path("invoices/<str:invoice_id>/cancel/", cancel, name="invoice-cancel"),
]
