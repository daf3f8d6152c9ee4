"""One batch of payouts, from its approval to its last row, and one payout with what happened to it."""

from functools import partial

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from audit.ids import public_id
from payments.forms.money_out import CancelForm, DecisionForm, ProofForm
from payments.models import Payout, PayoutBatch
from payments.money_out.deciding import decide_payout
from payments.money_out.timeline import timeline_of_payout
from payments.pages.showing import UNDER_WAY, decided, how_it_stands, is_being_asked, may, may_ask, refreshed
from payments.payouts import batches, export
from payments.payouts.creating import retry_failed
from payments.payouts.explaining import do_now_about, meaning_of
from payments.status_queries import ask_status
from tenants.errors import DomainError
from tenants.pages.edges import actor_of, for_members, user_of
from tenants.pages.files import hand_over
from tenants.pages.live import live_part, pace_s
from tenants.permissions import Permission, require
from tenants.reauthentication import prove_again
from tenants.second_factor import has_second_factor
from tenants.serializer_fields import id_in_url

Status = PayoutBatch.Status

_WAITING = frozenset({Status.AWAITING_APPROVAL, Status.APPROVED})  # of which nothing was sent
_ROWS = 20  # of a fragment that is polled, and weighs 2 KB at most


@for_members
@require_safe
def batch(request: HttpRequest, batch_id: str) -> HttpResponse:
    """Who made it, what may be done with it, and how far each row is. Asked by htmx it is the progress alone."""
    found = batches.payout_batch(actor=actor_of(request), batch_id=id_in_url("pbat", batch_id))
    progress = batches.progress_of(found)
    open_count = progress["pending"].count + progress["unknown"].count
    is_live = found.status == Status.RELEASED
    rows, newer, older = _rows(request, found)
    context = {
        "batch": found,
        "batch_id": batch_id,
        "progress": progress,
        "done_count": found.payout_count - open_count,
        "rows": rows,
        "newer": newer,
        "older": older,
        "is_live": is_live,
    }
    part = live_part(
        request,
        "payments/batch_progress.html",
        context,
        url=request.path,
        every_s=pace_s(timezone.now() - (found.released_at or found.created_at)) if is_live else 0,
        **{name: request.GET[name] for name in ("after", "before") if name in request.GET},
    )
    if request.htmx:  # type: ignore[attr-defined]
        answer = part.answer(request)
        if not is_live:
            answer["HX-Refresh"] = "true"  # what may be done now stands around the piece
        return answer
    context["progress_part"] = part.html
    is_maker = found.created_by_id == actor_of(request).id
    context |= {
        "is_maker": is_maker,
        "cost": found.total_amount + found.fee_estimate,
        "may_approve": may(request, Permission.PAYOUTS_APPROVE) and not is_maker,
        "may_release": may(request, Permission.PAYOUTS_RELEASE) and not (found.approved_at and is_maker),
        "may_create": may(request, Permission.PAYOUTS_CREATE),
        "may_invite": may(request, Permission.TEAM_CHANGE),
        "is_waiting": found.status in _WAITING,
        "can_retry": progress["failed"].count and found.status in {Status.RELEASED, Status.FINISHED},
    }
    return render(request, "payments/batch.html", context)


def _rows(request: HttpRequest, found: PayoutBatch) -> tuple[list[Payout], str, str]:
    """A page of the batch's rows, in the order of the file, and the addresses of those before and after it."""
    after, before = _number(request, "after"), _number(request, "before")
    if before:
        some = list(found.payouts.filter(row__lt=before).order_by("-row")[: _ROWS + 1])
        shown, has_newer, has_older = some[:_ROWS][::-1], len(some) > _ROWS, True
    else:
        some = list(found.payouts.filter(row__gt=after).order_by("row")[: _ROWS + 1])
        shown, has_newer, has_older = some[:_ROWS], after > 0, len(some) > _ROWS
    newer = f"?before={shown[0].row}" if shown and has_newer else ""
    older = f"?after={shown[-1].row}" if shown and has_older else ""
    return shown, newer, older


def _number(request: HttpRequest, name: str) -> int:
    text = request.GET.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0


@for_members
@require_POST
def approve(request: HttpRequest, batch_id: str) -> HttpResponse:
    batches.approve_batch(actor=actor_of(request), batch_id=id_in_url("pbat", batch_id), now=timezone.now())
    messages.success(request, _("Approved. It may now be released, by anybody but who made it."))
    return redirect("payout-batch", batch_id)


@for_members
@sensitive_post_parameters("password", "second_factor")
@require_http_methods(["GET", "POST"])
def release(request: HttpRequest, batch_id: str) -> HttpResponse:
    """Send it, once whoever does it has proved again who they are."""
    actor, now = actor_of(request), timezone.now()
    require(actor, Permission.PAYOUTS_RELEASE)
    found = batches.payout_batch(actor=actor, batch_id=id_in_url("pbat", batch_id))
    if found.status != Status.APPROVED:
        return redirect("payout-batch", batch_id)
    user = user_of(request)
    form = ProofForm(request.POST or None, has_second_factor=has_second_factor(user))
    if request.method == "POST" and form.is_valid():
        try:
            proof = prove_again(user, **form.cleaned_data, now=now)
            batches.release_batch(actor=actor, batch_id=found.pk, proof=proof, now=now)
        except DomainError as refusal:
            form.refuse(refusal)
        else:
            messages.success(request, _("Released. The payouts are being sent now."))
            return redirect("payout-batch", batch_id)
    context = {"form": form, "batch": found, "batch_id": batch_id, "cost": found.total_amount + found.fee_estimate}
    return render(request, "payments/batch_release.html", context, status=form.status)


@for_members
@require_http_methods(["GET", "POST"])
def cancel(request: HttpRequest, batch_id: str) -> HttpResponse:
    """Withdraw it before it is released."""
    actor = actor_of(request)
    require(actor, Permission.PAYOUTS_CREATE)
    found = batches.payout_batch(actor=actor, batch_id=id_in_url("pbat", batch_id))
    if found.status not in _WAITING:
        return redirect("payout-batch", batch_id)
    form = CancelForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            batches.cancel_batch(actor=actor, batch_id=found.pk, now=timezone.now(), **form.cleaned_data)
        except DomainError as refusal:
            form.refuse(refusal)
        else:
            messages.success(request, _("Withdrawn. Nothing of it was sent."))
            return redirect("payout-batch", batch_id)
    return render(
        request, "payments/batch_cancel.html", {"form": form, "batch": found, "batch_id": batch_id}, status=form.status
    )


@for_members
@require_POST
def retry(request: HttpRequest, batch_id: str) -> HttpResponse:
    """A new batch of what definitely failed, to be approved and released like every other."""
    made = retry_failed(actor=actor_of(request), batch_id=id_in_url("pbat", batch_id), now=timezone.now())
    messages.success(
        request,
        ngettext(
            "A new batch has the payout that failed. Nothing is sent until it is released.",
            "A new batch has the %(count)s payouts that failed. Nothing is sent until it is released.",
            made.payout_count,
        )
        % {"count": made.payout_count},
    )
    return redirect("payout-batch", public_id("pbat", made.pk))


@for_members
@require_POST
def result(request: HttpRequest, batch_id: str) -> HttpResponse:
    """The result file: every row as it stands now."""
    actor = actor_of(request)
    found = batches.payout_batch(actor=actor, batch_id=id_in_url("pbat", batch_id))
    ending = request.POST.get("type", "")
    file = export.download_result(
        actor=actor, batch=found, ending=ending if ending in {"csv", "xlsx", "pdf"} else "csv", now=timezone.now()
    )
    return hand_over(request, file)


@for_members
@require_http_methods(["GET", "POST"])
def payout(request: HttpRequest, payout_id: str) -> HttpResponse:
    """What happened to one payout; where nobody could tell, a person decides here."""
    actor = actor_of(request)
    found = batches.payout(actor=actor, payout_id=id_in_url("pout", payout_id))
    is_asking = is_being_asked(found)
    part = how_it_stands(request, found, meaning=meaning_of(found), do_now=do_now_about(found), is_asking=is_asking)
    if request.htmx:  # type: ignore[attr-defined]
        return refreshed(part, request)
    its_batch = batches.payout_batch(actor=actor, batch_id=found.batch_id)
    form = DecisionForm(request.POST or None)
    if decided(request, form, partial(decide_payout, payout_id=found.pk)):
        return redirect("payout", payout_id)
    is_under_review = found.status == Payout.Status.NEEDS_REVIEW
    is_maker = its_batch.created_by_id == actor_of(request).id
    context = {
        "form": form,
        "payout": found,
        "payout_id": payout_id,
        "batch": its_batch,
        "batch_id": public_id("pbat", its_batch.pk),
        "how_it_stands": part.html,
        "is_live": found.status in UNDER_WAY or is_asking,
        "may_ask": not is_asking and may_ask(request, found),
        "timeline": timeline_of_payout(found, its_batch),
        "may_decide": is_under_review and not is_maker and may(request, Permission.PAYOUTS_APPROVE),
        "needs_another": is_under_review and is_maker,
    }
    return render(request, "payments/payout.html", context, status=form.status)


@for_members
@require_POST
def ask_about(request: HttpRequest, payout_id: str) -> HttpResponse:
    """Have M-PESA asked what became of a payout; its answer settles it, and shows itself on the page."""
    ask_status(actor=actor_of(request), payout_id=id_in_url("pout", payout_id), now=timezone.now())
    messages.success(request, _("M-PESA is being asked. The answer appears here by itself."))
    return redirect("payout", payout_id)


urlpatterns = [
    path("money-out/batches/<str:batch_id>/", batch, name="payout-batch"),
    path("money-out/batches/<str:batch_id>/approve/", approve, name="approve-batch"),
    path("money-out/batches/<str:batch_id>/release/", release, name="release-batch"),
    path("money-out/batches/<str:batch_id>/cancel/", cancel, name="cancel-batch"),
    path("money-out/batches/<str:batch_id>/retry/", retry, name="retry-batch"),
    path("money-out/batches/<str:batch_id>/result/", result, name="batch-result"),
    path("money-out/payouts/<str:payout_id>/", payout, name="payout"),
    path("money-out/payouts/<str:payout_id>/ask/", ask_about, name="ask-about-payout"),
]
