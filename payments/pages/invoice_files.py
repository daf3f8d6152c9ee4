"""Many invoices in a file: every row is checked first, and only the last button sends them."""

from collections.abc import Sequence
from datetime import datetime
from re import fullmatch
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_safe

from audit.services import Actor
from channels import kept_drafts
from channels.pages import making
from channels.pages.shown import shown_environment
from payments import blank_file, invoice_files, invoices
from payments.forms.invoices import InvoiceFields, InvoiceFileForm, new_invoice
from payments.pages.showing import RefusedCell, shown_cells
from tenants.errors import DomainError, Invalid
from tenants.forms.base import PageForm
from tenants.pages.edges import actor_of, for_members
from tenants.pages.files import download
from tenants.permissions import Permission, require

_SHOWN_ROWS = 100
_Rows = Sequence[tuple[int, dict[str, str]]]


@for_members
@require_http_methods(["GET", "POST"])
def upload(request: HttpRequest) -> HttpResponse:
    actor, environment = actor_of(request), shown_environment(request)
    require(actor, Permission.PAYMENTS_REQUEST)
    billing = invoices.billing_channels(actor=actor, environment=environment)
    channels = [channel for channel in billing if channel.bill_manager_opted_in_at]
    form = InvoiceFileForm(request.POST or None, request.FILES or None, channels=channels)
    refused: list[RefusedCell] = []
    if request.method == "POST" and form.is_valid():
        try:
            rows = invoice_files.read_rows(form.cleaned_data["file"])
            token, refused = _keep(rows, channel_id=form.cleaned_data["channel"], actor=actor, now=timezone.now())
        except DomainError as refusal:
            form.refuse(refusal, rename={"invoices": "file"})
        else:
            if token:
                return redirect("check-invoices", token)
            number = len({cell.row for cell in refused})
            sentence = ngettext("%(number)s row can't be sent.", "%(number)s rows can't be sent.", number)
            form.add_error("file", sentence % {"number": f"{number:,}"})
    named = [(names[0], name in invoice_files.NEEDED) for name, names in invoice_files.HEADERS.items()]
    context = {"form": form, "channels": channels, "headers": named, **shown_cells(refused)}
    return render(request, "payments/invoice_upload.html", context, status=form.status)


def _keep(rows: _Rows, *, channel_id: UUID, actor: Actor, now: datetime) -> tuple[str, list[RefusedCell]]:
    """The draft's token, or the cells for which there is none."""
    forms = [(number, values, InvoiceFields(values)) for number, values in rows]
    refused = [
        _cell(number, values, name, str(sentence))
        for number, values, form in forms
        for name, sentences in form.errors.items()
        for sentence in sentences
    ]
    if refused:
        return "", refused
    given = [new_invoice(form) for _number, _values, form in forms]
    try:
        return invoice_files.keep_draft(actor=actor, channel_id=channel_id, invoices=given, now=now), []
    except Invalid as refusal:
        for place, sentences in refusal.errors.items():
            if found := fullmatch(r"invoices\[(\d+)\]\.(\w+)", place):
                number, values = rows[int(found[1]) - 1]
                refused += [_cell(number, values, found[2], sentence) for sentence in sentences]
        if not refused:
            raise
        return "", refused


def _cell(number: int, values: dict[str, str], name: str, sentence: str) -> RefusedCell:
    return RefusedCell(number, invoice_files.HEADERS[name][0], sentence, values.get(name, ""))


@for_members
@require_safe
def blank(request: HttpRequest) -> HttpResponse:
    """A file to fill in."""
    require(actor_of(request), Permission.PAYMENTS_REQUEST)
    headers = [names[0] for names in invoice_files.HEADERS.values()]
    if request.GET.get("type") == "csv":
        return download(blank_file.as_csv(headers), "invoices.csv")
    needed = {names[0] for name, names in invoice_files.HEADERS.items() if name in invoice_files.NEEDED}
    return download(blank_file.as_xlsx(headers, needed=needed, sheet="Invoices"), "invoices.xlsx")


@for_members
@require_http_methods(["GET", "POST"])
def check(request: HttpRequest, draft: str) -> HttpResponse:
    """Who gets a bill, and over how much. Only the button here sends them, once; then how far that is."""
    actor, now = actor_of(request), timezone.now()
    kept = kept_drafts.find(invoice_files.KIND, draft, actor=actor, now=now)
    back = ("invoices", _("Invoices"))
    if followed := making.follow(request, kept, kind=invoice_files.KIND, back=back, lead_on=_to_invoices):
        return followed
    if request.method == "POST":
        kept = invoice_files.create_from_draft(actor=actor, token=draft, now=now)
        return making.led_on(request, kept, lead_on=_to_invoices)
    form = PageForm(making.last_word(request, kept))
    if refused := making.refused_before(request, kept):
        form.refuse(refused)
    try:
        rows = invoice_files.check_draft(actor=actor, token=draft, now=now)
    except Invalid:
        messages.warning(request, _("Their numbers are used by now: they were sent, or others were. Look here first."))
        return redirect("invoices")
    context = {
        "form": form,
        "rows": rows[:_SHOWN_ROWS],
        "not_shown": len(rows[_SHOWN_ROWS:]),
        "count": len(rows),
        "total": sum(row.amount for row in rows),
        "channel": rows[0].channel,
    }
    return render(request, "payments/invoice_check.html", context)


def _to_invoices(request: HttpRequest, number: int) -> HttpResponse:
    sentence = ngettext(
        "%(number)s invoice is being handed to M-PESA.",
        "%(number)s invoices are being handed to M-PESA.",
        number,
    )
    messages.success(request, sentence % {"number": f"{number:,}"})
    return redirect("invoices")


urlpatterns = [
    path("invoices/upload/", upload, name="upload-invoices"),
    path("invoices/upload/blank/", blank, name="blank-invoices"),
    path("invoices/check/<str:draft>/", check, name="check-invoices"),
]
