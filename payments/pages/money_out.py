"""Sending money: what was sent, one payout, a file of payouts, and the check before either is made."""

import re
from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from channels import kept_drafts
from channels.pages import making
from channels.pages.shown import shown_environment
from payments import blank_file
from payments.downloads import download_payouts
from payments.forms.money_out import KINDS, CreateForm, SendForm, UploadForm, read_kind
from payments.models import Payout, PayoutBatch
from payments.pages.showing import RefusedCell, ending_in, may, shown_cells
from payments.payouts import batches, drafts, looking
from payments.payouts.checking import GivenRow, UnpayableRows, columns, required_columns
from payments.payouts.files import headers, read_rows
from tenants.errors import DomainError
from tenants.pages.edges import actor_of, for_members, words_in
from tenants.pages.files import download, hand_over
from tenants.pages.lists import newest_first
from tenants.permissions import Permission, require

_SHOWN_ROWS = 100  # of those that were refused, or have a warning
_ROW_ERROR = re.compile(r"rows\[(\d+)\]\.(\w+)")
_ONE = {f"rows[1].{name}": name for kind in KINDS for name in columns(kind)}


@for_members
@require_safe
def money_out(request: HttpRequest) -> HttpResponse:
    """Batches, newest first, of one state or of all, and what waits for a person."""
    actor, environment = actor_of(request), shown_environment(request)
    rows = batches.payout_batches(actor=actor).filter(environment=environment)
    status = request.GET.get("status", "").upper()
    if status in PayoutBatch.Status:
        rows = rows.filter(status=status)
    context = {
        "page": newest_first(request, rows),
        "waiting": looking.waiting(actor=actor, environment=environment),
        "status": status,
        "may_send": may(request, Permission.PAYOUTS_CREATE),
        "being_made": making.lines(request, drafts.KIND, route="check-payouts"),
    }
    return render(request, "payments/money_out.html", context)


@for_members
@require_safe
def payouts(request: HttpRequest) -> HttpResponse:
    """Single payouts, found by whom they went to, by receipt, by state: "was she paid?"."""
    state, words = request.GET.get("state", ""), words_in(request)
    rows = looking.payouts_like(
        actor=actor_of(request), environment=shown_environment(request), words=words, state=state
    )
    return render(
        request,
        "payments/payouts.html",
        {"page": newest_first(request, rows.select_related("batch")), "state": state, "words": words},
    )


@for_members
@require_POST
def payouts_download(request: HttpRequest) -> HttpResponse:
    """What the list of payouts shows, as a file."""
    file = download_payouts(
        actor=actor_of(request),
        environment=shown_environment(request),
        ending=ending_in(request),
        words=words_in(request),
        state=words_in(request, "state"),
        now=timezone.now(),
    )
    return hand_over(request, file)


@for_members
@require_http_methods(["GET", "POST"])
def send(request: HttpRequest) -> HttpResponse:
    """One payout: what is entered here is checked, and shown before anything is made of it.

    `?phone=` and `?name=` fill in whom it is for.
    """
    actor, kind = actor_of(request), read_kind(request.GET.get("to", ""))
    require(actor, Permission.PAYOUTS_CREATE)
    channels = looking.sending_channels(actor=actor, environment=shown_environment(request))
    wanted = {"phone_number": request.GET.get("phone", ""), "name": request.GET.get("name", "")}
    form = SendForm(request.POST or None, kind=kind, channels=channels, initial=wanted)
    if request.method == "POST" and form.is_valid():
        draft = drafts.Draft(
            rows=[GivenRow(1, form.row)],
            channel_id=form.cleaned_data["channel"],
            kind=kind,
            purpose=form.cleaned_data.get("purpose") or Payout.Purpose.BUSINESS,
        )
        try:
            token = drafts.keep_draft(actor=actor, draft=draft, now=timezone.now())
        except DomainError as refusal:
            form.refuse(refusal, rename=_ONE)
        else:
            return redirect("check-payouts", token)
    context = {"form": form, "kind": kind, "kinds": KINDS, "can_send": bool(channels)}
    return render(request, "payments/money_out_send.html", context, status=form.status)


@for_members
@require_http_methods(["GET", "POST"])
def upload(request: HttpRequest) -> HttpResponse:
    """Payouts in a file: all of it can be paid, or every row that can't is told what to mend."""
    actor, kind = actor_of(request), read_kind(request.GET.get("to", ""))
    require(actor, Permission.PAYOUTS_CREATE)
    channels = looking.sending_channels(actor=actor, environment=shown_environment(request))
    form = UploadForm(request.POST or None, request.FILES or None, kind=kind, channels=channels)
    refused: list[RefusedCell] = []
    if request.method == "POST" and form.is_valid():
        rows: list[GivenRow] = []
        try:
            rows = read_rows(form.cleaned_data["file"], kind=kind)
            draft = drafts.Draft(
                rows=rows,
                channel_id=form.cleaned_data["channel"],
                kind=kind,
                purpose=form.cleaned_data.get("purpose") or Payout.Purpose.BUSINESS,
                reference=form.reference,
            )
            token = drafts.keep_draft(actor=actor, draft=draft, now=timezone.now())
        except UnpayableRows as refusal:
            refused = _refused_cells(refusal, rows, kind=kind)
            form.refuse(UnpayableRows(refusal.detail, errors={"file": [refusal.detail]}))
        except DomainError as refusal:
            form.refuse(refusal)
        else:
            return redirect("check-payouts", token)
    context = {
        "form": form,
        "kind": kind,
        "kinds": KINDS,
        "can_send": bool(channels),
        "headers": [(header, name in required_columns(kind)) for name, header in headers(kind).items()],
        **shown_cells(refused),
    }
    return render(request, "payments/money_out_upload.html", context, status=form.status)


def _refused_cells(refusal: DomainError, rows: Sequence[GivenRow], *, kind: str) -> list[RefusedCell]:
    given, named = {row.number: row.values for row in rows}, headers(kind)
    return [
        RefusedCell(int(found[1]), named.get(found[2], found[2]), sentence, str(given[int(found[1])].get(found[2], "")))
        for place, sentences in refusal.errors.items()
        if (found := _ROW_ERROR.fullmatch(place))
        for sentence in sentences
    ]


@for_members
@require_safe
def blank(request: HttpRequest) -> HttpResponse:
    """A file to fill in."""
    require(actor_of(request), Permission.PAYOUTS_CREATE)
    kind = read_kind(request.GET.get("to", ""))
    named = headers(kind)
    if request.GET.get("type") == "csv":
        return download(blank_file.as_csv(list(named.values())), f"payouts-{kind.lower()}.csv")
    needed = {named[name] for name in required_columns(kind)}
    content = blank_file.as_xlsx(list(named.values()), needed=needed, sheet="Payouts")
    return download(content, f"payouts-{kind.lower()}.xlsx")


@for_members
@require_http_methods(["GET", "POST"])
def check(request: HttpRequest, draft: str) -> HttpResponse:
    """What it will come to: total, fees, who is odd. Only the button makes the batch, once; then how far that is."""
    actor, now = actor_of(request), timezone.now()
    kept = kept_drafts.find(drafts.KIND, draft, actor=actor, now=now)
    back = ("money-out", _("Money out"))
    if followed := making.follow(request, kept, kind=drafts.KIND, back=back, lead_on=_to_batch):
        return followed
    given = drafts.read_draft(actor=actor, token=draft, now=now)
    is_single = len(given.rows) == 1 and not given.reference
    form = CreateForm(making.last_word(request, kept), initial={"reference": given.reference}, is_single=is_single)
    if request.method == "POST" and form.is_valid():
        try:
            kept = drafts.create_from_draft(actor=actor, token=draft, reference=form.cleaned_data["reference"], now=now)
        except DomainError as refusal:
            form.refuse(_about_reference(refusal))
        else:
            return making.led_on(request, kept, lead_on=_to_batch)
    elif refused := making.refused_before(request, kept):
        form.refuse(_about_reference(refused))
    found = drafts.check(given, actor=actor, now=now)
    context = {
        "form": form,
        "found": found,
        "is_single": is_single,
        "flagged": found.flagged[:_SHOWN_ROWS],
        "not_shown": len(found.flagged[_SHOWN_ROWS:]),
        "cost": found.total_amount + found.fee_estimate,
        "kind": KINDS.get(Payout.Kind(found.kind), ""),
        "again": "send-money" if is_single else "upload-payouts",
    }
    return render(request, "payments/money_out_check.html", context, status=form.status)


def _to_batch(request: HttpRequest, made: dict[str, Any]) -> HttpResponse:
    sentence = (
        _("It is made. A second person has to approve it before it is sent.")
        if made["needs_approval"]
        else _("It is made. Nothing is sent until you release it.")
    )
    messages.success(request, sentence)
    return redirect("payout-batch", made["batch_id"])


def _about_reference(refusal: DomainError) -> DomainError:
    """The same refusal beside the field, where it is about that."""
    if refusal.code == "reference_taken" and not refusal.errors:
        refusal.errors = {"reference": [refusal.detail]}
    return refusal


urlpatterns = [
    path("money-out/", money_out, name="money-out"),
    path("money-out/payouts/", payouts, name="payouts"),
    path("money-out/payouts/download/", payouts_download, name="payouts-download"),
    path("money-out/send/", send, name="send-money"),
    path("money-out/upload/", upload, name="upload-payouts"),
    path("money-out/upload/blank/", blank, name="blank-payouts"),
    path("money-out/check/<str:draft>/", check, name="check-payouts"),
]
