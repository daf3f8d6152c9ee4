"""Do our records and M-PESA's agree? Day by day for each channel, what does not match, and the evidence for it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from audit.ids import public_id
from channels.models import MpesaChannel
from channels.pages.shown import shown_environment
from channels.queries import channels_of, read_channel
from payments import reconciliation
from payments.forms.money_out_reconciliation import NoteForm, PullForm, StatementForm
from payments.models import Pull, ReconciliationDay, ReconciliationItem, StatementFile
from payments.pages.showing import RefusedCell, may, shown_cells
from payments.pulls import pulls_of, request_pull
from payments.statement_files import LARGE_BYTES, UNREAD, give_statement, read_one, statement_files
from payments.statements import NEEDED_COLUMNS, UnusableStatement, load_statement
from tenants.errors import DomainError
from tenants.pages.edges import actor_of, for_members
from tenants.pages.lists import newest_first
from tenants.pages.live import live_part
from tenants.permissions import Permission, require
from tenants.serializer_fields import id_in_url

_DAYS = 31  # on one page
_CHANNELS = 50  # to choose from
_PULLS = 10
_SHOWN_ROWS = 100
_ROW_ERROR = re.compile(r"rows\[(\d+)\]\.(\w+)")

# By whose word; as `ReconciliationDay.sources` names them.
_SOURCES = {
    "payments": gettext_lazy("Payments in our records"),
    "callbacks": gettext_lazy("Reported by M-PESA at once"),
    "requests": gettext_lazy("Paid on request"),
    "pull": gettext_lazy("Listed by M-PESA when asked"),
    "statement": gettext_lazy("In the statement, paid in"),
    "unproved": gettext_lazy("Payments that no list of M-PESA's speaks of"),
    "payouts": gettext_lazy("Payouts"),
    "reversals": gettext_lazy("Reversals"),
    "charges": gettext_lazy("Charges of M-PESA"),
}


@for_members
@require_safe
def days(request: HttpRequest) -> HttpResponse:
    """The days of one channel, the newest first."""
    actor = actor_of(request)
    require(actor, Permission.BALANCES_READ)
    channels = _channels(request)
    chosen = next(
        (each for each in channels if _id(each) == request.GET.get("channel")), channels[0] if channels else None
    )
    before = _date(request.GET.get("before", ""))
    rows = reconciliation.reconciliation_days(actor=actor).filter(channel=chosen)
    shown = list((rows.filter(date__lt=before) if before else rows).order_by("-date")[: _DAYS + 1])
    context = {
        "channels": [(_id(each), str(each)) for each in channels],
        "channel_id": _id(chosen) if chosen else "",
        "days": shown[:_DAYS],
        "earlier": shown[_DAYS - 1].date.isoformat() if len(shown) > _DAYS else "",
        "is_first": before is None,
        "may_settle": may(request, Permission.PAYMENTS_SETTLE),
    }
    return render(request, "payments/reconciliation.html", context)


def _channels(request: HttpRequest) -> list[MpesaChannel]:
    rows = channels_of(actor=actor_of(request)).filter(environment=shown_environment(request))
    return list(rows.order_by("-is_primary", "name", "pk")[:_CHANNELS])


def _id(channel: MpesaChannel) -> str:
    return public_id("ch", channel.pk)


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class ShownSource:
    word: str
    count: int
    amount: Decimal  # KES


@for_members
@require_safe
def day(request: HttpRequest, day_id: str) -> HttpResponse:
    """One day: what each source says of it, side by side, and what does not match."""
    actor = actor_of(request)
    found = _day(request, day_id)
    is_settled = request.GET.get("settled") == "1"
    items = reconciliation.reconciliation_items(actor=actor).filter(day=found, settled_at__isnull=not is_settled)
    kinds = reconciliation.count_by_kind(items)
    kind = request.GET.get("kind", "")
    if kind in kinds:
        items = items.filter(kind=kind)
    proof = found.balance_proof
    context = {
        "day": found,
        "day_id": day_id,
        "channel": read_channel(channel_id=found.channel_id, actor=actor),
        "channel_id": public_id("ch", found.channel_id),
        "sources": _shown_sources(found),
        "proof": proof if "closing" in proof else None,
        "proof_since": _moment(proof.get("since", "")),
        "proof_until": _moment(proof.get("until", "")),
        "page": newest_first(request, items),
        "is_settled": is_settled,
        "kinds": kinds.items(),
        "kind": kind if kind in kinds else "",
        "may_settle": may(request, Permission.PAYMENTS_SETTLE),
    }
    return render(request, "payments/reconciliation_day.html", context)


def _day(request: HttpRequest, day_id: str) -> ReconciliationDay:
    rows = reconciliation.reconciliation_days(actor=actor_of(request))
    found = rows.filter(pk=id_in_url("rec", day_id)).first()
    if found is None:
        raise reconciliation.DayNotFound
    return found


def _shown_sources(found: ReconciliationDay) -> Sequence[ShownSource]:
    """In our order; one that we have no word for stands last, under its own name."""
    names = [name for name in _SOURCES if name in found.sources]
    names += [name for name in found.sources if name not in _SOURCES]
    return [
        ShownSource(str(_SOURCES.get(name, name)), found.sources[name]["count"], Decimal(found.sources[name]["amount"]))
        for name in names
    ]


def _moment(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


@for_members
@require_POST
def recount(request: HttpRequest, day_id: str) -> HttpResponse:
    found = _day(request, day_id)
    reconciliation.request_recount(
        actor=actor_of(request), channel_id=found.channel_id, day=found.date, now=timezone.now()
    )
    messages.success(request, _("The day is being counted again. Look again in a moment."))
    return redirect("reconciliation-day", day_id)


@for_members
@require_http_methods(["GET", "POST"])
def item(request: HttpRequest, item_id: str) -> HttpResponse:
    """One thing that does not match: look at it, and settle it with a note."""
    actor, found = actor_of(request), _item(request, item_id)
    form = NoteForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            reconciliation.settle_item(
                actor=actor, item_id=found.pk, note=form.cleaned_data["note"], now=timezone.now()
            )
        except DomainError as refusal:
            form.refuse(refusal)
        else:
            messages.success(request, _("Settled, with your note and your name."))
            return redirect("reconciliation-day", public_id("rec", found.day_id))
    is_open = found.settled_at is None and may(request, Permission.PAYMENTS_SETTLE)
    context = {
        "form": form,
        "item": found,
        "item_id": item_id,
        "may_settle": is_open,
        "may_record": is_open and found.kind == ReconciliationItem.Kind.MISSING_HERE and (found.theirs or 0) > 0,
    }
    return render(request, "payments/reconciliation_item.html", context, status=form.status)


@for_members
@require_POST
def record(request: HttpRequest, item_id: str) -> HttpResponse:
    """Make a payment of what M-PESA lists and we did not have."""
    found = _item(request, item_id)
    reconciliation.record_item(actor=actor_of(request), item_id=found.pk, now=timezone.now())
    messages.success(request, _("Recorded as a payment. Points and totals follow."))
    return redirect("reconciliation-day", public_id("rec", found.day_id))


def _item(request: HttpRequest, item_id: str) -> ReconciliationItem:
    rows = reconciliation.reconciliation_items(actor=actor_of(request))
    found = rows.filter(pk=id_in_url("rit", item_id)).first()
    if found is None:
        raise reconciliation.ItemNotFound
    return found


@for_members
@require_http_methods(["GET", "POST"])
def statement(request: HttpRequest) -> HttpResponse:
    """Load a statement of the M-PESA portal: whole, or not at all with what to mend."""
    actor = actor_of(request)
    require(actor, Permission.PAYMENTS_SETTLE)
    channels = _channels(request)
    form = StatementForm(request.POST or None, request.FILES or None, channels=channels)
    refused: list[RefusedCell] = []
    if request.method == "POST" and form.is_valid():
        values = form.cleaned_data
        try:
            if values["file"].size > LARGE_BYTES:
                return redirect("statement-file", _given(request, values))
            loaded = load_statement(actor=actor, channel_id=values["channel"], file=values["file"], now=timezone.now())
        except UnusableStatement as refusal:
            refused = _refused_cells(refusal)
            form.refuse(UnusableStatement(refusal.detail, errors={"file": [refusal.detail]}))
        except DomainError as refusal:
            form.refuse(refusal)
        else:
            sentence = ngettext(
                "The statement has %(count)s line, %(new)s of them new. Its days are being counted again.",
                "The statement has %(count)s lines, %(new)s of them new. Its days are being counted again.",
                loaded.line_count,
            )
            messages.success(request, sentence % {"count": f"{loaded.line_count:,}", "new": f"{loaded.new_count:,}"})
            return redirect("reconciliation")
    given = statement_files(actor=actor).filter(channel__in=channels).select_related("channel").order_by("-pk")
    context = {
        "form": form,
        "has_channels": bool(channels),
        "given": given[:_PULLS],
        "columns": [(name, True) for name in NEEDED_COLUMNS],
        **shown_cells(refused),
    }
    return render(request, "payments/reconciliation_statement.html", context, status=form.status)


def _given(request: HttpRequest, values: Mapping[str, Any]) -> str:
    """Its identifier, for the page that shows how far it is."""
    file = give_statement(
        actor=actor_of(request),
        channel_id=values["channel"],
        name=values["file"].name,
        content=values["file"].read(),
        now=timezone.now(),
    )
    return public_id("stf", file.pk)


@for_members
@require_safe
def statement_file(request: HttpRequest, statement_id: str) -> HttpResponse:
    """How far a large statement is, and what became of it."""
    found = read_one(actor=actor_of(request), statement_id=id_in_url("stf", statement_id))
    is_reading = found.status in UNREAD
    part = live_part(
        request,
        "payments/statement_file_state.html",
        {"file": found, "is_reading": is_reading},
        url=request.path,
        every_s=2 if is_reading else 0,
    )
    if request.htmx:  # type: ignore[attr-defined]
        answer = part.answer(request)
        if not is_reading:
            answer["HX-Refresh"] = "true"  # what to mend stands below the piece
        return answer
    refused = _refused_cells(found)
    context = {
        "file": found,
        "part": part.html,
        "is_reading": is_reading,
        "channel": read_channel(channel_id=found.channel_id, actor=actor_of(request)),
        **shown_cells(refused),
    }
    return render(request, "payments/statement_file.html", context)


def _refused_cells(refusal: DomainError | StatementFile) -> list[RefusedCell]:
    return [
        RefusedCell(int(found[1]), found[2], sentence)
        for place, sentences in refusal.errors.items()
        if (found := _ROW_ERROR.fullmatch(place))
        for sentence in sentences
    ]


@for_members
@require_http_methods(["GET", "POST"])
def pulls(request: HttpRequest) -> HttpResponse:
    """What M-PESA was asked to list again, and asking it. Asked by htmx it is the list alone."""
    actor, now = actor_of(request), timezone.now()
    require(actor, Permission.BALANCES_READ)
    page = newest_first(request, pulls_of(actor=actor).filter(environment=shown_environment(request)), size=_PULLS)
    is_reading = any(pull.status == Pull.Status.PENDING for pull in page.rows)
    part = live_part(
        request,
        "payments/pull_list.html",
        {"pulls": page.rows},
        url=request.path,
        every_s=2 if is_reading else 0,
        **{name: request.GET[name] for name in ("older", "newer") if name in request.GET},
    )
    if request.htmx:  # type: ignore[attr-defined]
        return part.answer(request)
    channels = [channel for channel in _channels(request) if channel.pull_registered_at]
    minute = now.replace(second=0, microsecond=0)
    usual = {"window_from": minute - timedelta(hours=24), "window_until": minute}
    form = PullForm(request.POST or None, channels=channels, initial=usual)
    may_ask = may(request, Permission.MPESA_ASK)
    if request.method == "POST" and form.is_valid():
        values = form.cleaned_data
        try:
            request_pull(
                actor=actor,
                channel_id=values["channel"],
                window_from=values["window_from"],
                window_until=values["window_until"],
                now=now,
            )
        except DomainError as refusal:
            form.refuse(refusal, rename={"from": "window_from", "until": "window_until"})
        else:
            return redirect("pulls")
    context = {
        "form": form,
        "part": part.html,
        "page": page,
        "is_reading": is_reading,
        "may_ask": may_ask and bool(channels),
        "has_channels": bool(channels),
    }
    return render(request, "payments/pulls.html", context, status=form.status)


urlpatterns = [
    path("reconciliation/", days, name="reconciliation"),
    path("reconciliation/statement/", statement, name="load-statement"),
    path("reconciliation/statement/<str:statement_id>/", statement_file, name="statement-file"),
    path("reconciliation/pulls/", pulls, name="pulls"),
    path("reconciliation/days/<str:day_id>/", day, name="reconciliation-day"),
    path("reconciliation/days/<str:day_id>/recount/", recount, name="recount-day"),
    path("reconciliation/items/<str:item_id>/", item, name="reconciliation-item"),
    path("reconciliation/items/<str:item_id>/record/", record, name="record-item"),
]
