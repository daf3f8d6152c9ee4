"""Payments: the list with its search, one payment with what happened to it, giving one back, the days."""

from dataclasses import dataclass
from datetime import date, datetime

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from audit.ids import public_id
from channels.mapping import known_programs
from channels.pages.shown import shown_environment
from channels.queries import channels_of
from payments import quarantine, queries, reversals, takings, timeline
from payments.downloads import download_payments
from payments.forms.payments import ReverseForm, SearchForm
from payments.from_statements import Recording, Word, recording_of
from payments.invoice_payments import parts_paid_by
from payments.models import Payment, Reversal
from payments.pages.showing import ending_in, may
from payments.searching import find_payments
from payments.services import NAIROBI
from payments.status_queries import ask_status
from tenants.errors import DomainError
from tenants.models import InboundCallback
from tenants.pages.edges import actor_of, for_members
from tenants.pages.files import hand_over
from tenants.pages.lists import newest_first
from tenants.pages.live import LivePart, live_part
from tenants.permissions import Permission, require
from tenants.serializer_fields import id_in_url

_FIRST_MONTH = date(2007, 3, 1)  # there was no M-PESA before


@for_members
@require_safe
def payments(request: HttpRequest) -> HttpResponse:
    actor, environment = actor_of(request), shown_environment(request)
    channels = list(channels_of(actor=actor).filter(environment=environment).order_by("name"))
    form = SearchForm(request.GET, channels=channels)
    wanted = form.cleaned_data if form.is_valid() else {}
    found = find_payments(
        actor=actor,
        environment=environment,
        text=wanted.get("q", ""),
        since=wanted.get("since"),
        until=wanted.get("until"),
        channel_id=wanted.get("channel"),
        before=_before(request),
    )
    page = newest_first(request, found.rows if form.is_valid() else found.rows.none(), moment="paid_at")
    notes = timeline.notes_of(actor=actor, payment_ids=[row.pk for row in page.rows])
    context = {
        "form": form,
        "page": page,
        "rows": [(row, notes.get(row.pk, "")) for row in page.rows],
        "is_search": any(wanted.values()),
        "looked_back_to": found.looked_back_to,
        "further_back": _further_back(request, found.looked_back_to),
        "has_many_channels": len(channels) > 1,
        "may_ask": may(request, Permission.MPESA_ASK),
    }
    return render(request, "payments/payments.html", context, status=form.status)


def _before(request: HttpRequest) -> datetime | None:
    """Where a search goes on, as `_further_back` wrote it; what can't be read is nowhere."""
    try:
        moment = datetime.fromisoformat(request.GET.get("before", ""))
    except ValueError:
        return None
    return moment if moment.tzinfo else None


def _further_back(request: HttpRequest, looked_back_to: datetime | None) -> str:
    """The address of the same search among the payments that were not looked at."""
    if looked_back_to is None:
        return ""
    parameters = request.GET.copy()
    for name in ("newer", "older"):
        parameters.pop(name, None)
    parameters["before"] = looked_back_to.isoformat()
    return f"?{parameters.urlencode()}"


@for_members
@require_POST
def payments_download(request: HttpRequest) -> HttpResponse:
    """What the filters of the list show, as a file."""
    actor, environment = actor_of(request), shown_environment(request)
    form = SearchForm(request.POST, channels=list(channels_of(actor=actor).filter(environment=environment)))
    if not form.is_valid():
        return redirect("payments")
    wanted = form.cleaned_data
    file = download_payments(
        actor=actor,
        environment=environment,
        ending=ending_in(request),
        text=wanted["q"],
        since=wanted["since"],
        until=wanted["until"],
        channel_id=wanted["channel"],
        now=timezone.now(),
    )
    return hand_over(request, file)


@for_members
@require_safe
def payment(request: HttpRequest, payment_id: str) -> HttpResponse:
    """One payment and what happened to it; while something is under way, that part asks for itself again."""
    found = queries.read_payment(actor=actor_of(request), payment_id=id_in_url("pay", payment_id))
    recording = recording_of(found)
    told = _told(request, found, recording)
    if request.htmx:  # type: ignore[attr-defined]
        return told.answer(request)
    open_reversal = _open_reversal(found)
    is_incomplete = found.charge is None or not found.payer_name or recording.word != Word.CONFIRMED
    context = {
        "payment": found,
        "program": known_programs().get(found.routed_to, found.routed_to),
        "told": told.html,
        "paid_invoices": parts_paid_by(found),
        "reversal": open_reversal,
        "may_ask": is_incomplete and may(request, Permission.MPESA_ASK),
        "may_reverse": not found.reversed_at and open_reversal is None and may(request, Permission.REVERSALS_REQUEST),
    }
    return render(request, "payments/payment.html", context)


@for_members
@require_POST
def ask_about(request: HttpRequest, payment_id: str) -> HttpResponse:
    """Have M-PESA asked about a payment: it gets the name and the charge that its report lacked."""
    ask_status(actor=actor_of(request), payment_id=id_in_url("pay", payment_id), now=timezone.now())
    messages.success(request, _("M-PESA is being asked. The answer appears here by itself."))
    return redirect("payment", payment_id)


def _told(request: HttpRequest, found: Payment, recording: Recording) -> LivePart:
    moments = timeline.timeline_of(actor=actor_of(request), payment=found, recording=recording)
    is_moving = any(moment.state == "running" for moment in moments)
    url = reverse("payment", kwargs={"payment_id": public_id("pay", found.pk)})
    context = {"moments": moments, "word": recording.word.value}
    return live_part(request, "payments/payment_story.html", context, url=url, every_s=3 if is_moving else 0)


def _open_reversal(found: Payment) -> Reversal | None:
    gone = {Reversal.Status.FAILED, Reversal.Status.CANCELLED}
    return next((reversal for reversal in found.reversals.all() if reversal.status not in gone), None)


@for_members
@require_http_methods(["GET", "POST"])
def reverse_payment(request: HttpRequest, payment_id: str) -> HttpResponse:
    """Ask that a payment be given back; somebody approves it afterwards."""
    actor = actor_of(request)
    require(actor, Permission.REVERSALS_REQUEST)
    found = queries.read_payment(actor=actor, payment_id=id_in_url("pay", payment_id))
    form = ReverseForm(request.POST or None)
    if request.method == "POST" and form.is_valid():

        def ask() -> str:
            asked = reversals.request_reversal(actor=actor, payment_id=found.pk, now=timezone.now(), **form.given)
            return public_id("rev", asked.pk)

        try:
            form.once(environment=found.environment, work=ask)
        except DomainError as refusal:
            form.refuse(refusal)
        else:
            messages.success(request, _("Nothing is sent yet: somebody has to approve it within 24 hours."))
            return redirect("payment", payment_id=payment_id)
    return render(request, "payments/reverse.html", {"form": form, "payment": found}, status=form.status)


@for_members
@require_safe
def days(request: HttpRequest) -> HttpResponse:
    """What each day of a month brought, and what is left of it."""
    today = timezone.localdate(timezone=NAIROBI)
    month = _month(request.GET.get("month", ""), today=today)
    rows = takings.days_of_month(actor=actor_of(request), environment=shown_environment(request), month=month)
    context = {
        "rows": rows,
        "total": takings.sum_of(rows),
        "month": month,
        "earlier": takings.months_on(month, -1),
        "later": takings.months_on(month, 1) if month < today.replace(day=1) else None,
    }
    return render(request, "payments/days.html", context)


def _month(text: str, *, today: date) -> date:
    """`2026-11` → its first day; what can't be read, or is to come, is this month."""
    try:
        month = date.fromisoformat(f"{text}-01")
    except ValueError:
        return today.replace(day=1)
    return max(min(month, today.replace(day=1)), _FIRST_MONTH)


@for_members
@require_safe
def put_aside(request: HttpRequest) -> HttpResponse:
    """What M-PESA sent and did not fit: kept, without effect, until a person decides."""
    page = newest_first(request, quarantine.quarantined_callbacks(actor=actor_of(request)))
    return render(request, "payments/put_aside.html", {"page": page, "rows": [_Aside(row) for row in page.rows]})


@for_members
@require_POST
def redrive(request: HttpRequest, callback_id: str) -> HttpResponse:
    """Apply one of them again."""
    if not quarantine.redrive_callbacks(actor=actor_of(request), callback_ids=[id_in_url("cb", callback_id)]):
        raise Http404
    messages.success(request, _("It is being applied again. If it still does not fit, it comes back here."))
    return redirect("put-aside")


@dataclass(frozen=True)
class _Aside:
    """A delivery that was put aside, in words."""

    row: InboundCallback

    @property
    def kind(self) -> str:
        return str(_KINDS[InboundCallback.Kind(self.row.kind)])

    @property
    def reason(self) -> str:
        return str(_REASONS[InboundCallback.Reason(self.row.reason)]) if self.row.reason else ""

    @property
    def body(self) -> str:
        """As it came; bytes that are no text are shown as �."""
        return bytes(self.row.body).decode("utf-8", "replace")


_KINDS = {
    InboundCallback.Kind.C2B_VALIDATION: gettext_lazy("M-PESA asked whether to take a payment"),
    InboundCallback.Kind.C2B_CONFIRMATION: gettext_lazy("M-PESA reported a payment"),
    InboundCallback.Kind.STK_CALLBACK: gettext_lazy("M-PESA answered a request on a customer's phone"),
    InboundCallback.Kind.RESULT: gettext_lazy("M-PESA told the outcome of something we asked for"),
    InboundCallback.Kind.TIMEOUT: gettext_lazy("M-PESA gave up on something we asked for"),
    InboundCallback.Kind.STANDING_ORDER: gettext_lazy("A customer answered a standing order"),
    InboundCallback.Kind.INVOICE_PAYMENT: gettext_lazy("M-PESA reported what was paid on an invoice"),
}
_REASONS = {
    InboundCallback.Reason.UNKNOWN_TOKEN: gettext_lazy("The address it came to belongs to no channel."),
    InboundCallback.Reason.UNREADABLE: gettext_lazy("It is not what M-PESA usually sends."),
    InboundCallback.Reason.TOO_LARGE: gettext_lazy("It is larger than 64 kB; its beginning is kept."),
    InboundCallback.Reason.FOREIGN_SHORTCODE: gettext_lazy("It names a number that is not this channel's."),
    InboundCallback.Reason.CONFLICTING_BODY: gettext_lazy("The same receipt came before with another content."),
    InboundCallback.Reason.UNMATCHED_REQUEST: gettext_lazy("It answers a request that was not made here."),
    InboundCallback.Reason.AMOUNT_MISMATCH: gettext_lazy("Its amount is not the one that was asked for."),
    InboundCallback.Reason.CONTRADICTION: gettext_lazy("It contradicts an outcome that is final already."),
    InboundCallback.Reason.UNLISTED_ADDRESS: gettext_lazy("It came from an address that is not Safaricom's."),
    InboundCallback.Reason.FAILED: gettext_lazy("Applying it failed again and again."),
}

urlpatterns = [
    path("payments/", payments, name="payments"),
    path("payments/download/", payments_download, name="payments-download"),
    path("payments/days/", days, name="days"),
    path("payments/put-aside/", put_aside, name="put-aside"),
    path("payments/put-aside/<str:callback_id>/again/", redrive, name="redrive"),
    path("payments/<str:payment_id>/", payment, name="payment"),
    path("payments/<str:payment_id>/ask/", ask_about, name="ask-about-payment"),
    path("payments/<str:payment_id>/reverse/", reverse_payment, name="reverse-payment"),
]
