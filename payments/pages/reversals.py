"""Payments that are given back: the list, one with what happened to it, and what people decide about it."""

from functools import partial

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from channels.pages.shown import shown_environment
from payments.forms.money_out import CancelForm, DecisionForm, ProofForm
from payments.models import Reversal
from payments.money_out.deciding import decide_reversal
from payments.money_out.reversal_words import do_now_about, meaning_of
from payments.money_out.states import INNER_STATES
from payments.money_out.timeline import timeline_of_reversal
from payments.pages.showing import UNDER_WAY, decided, how_it_stands, is_being_asked, may, may_ask, refreshed
from payments.reversals import approve_reversal, cancel_reversal, needs_another, read_reversal, reversals_of
from payments.status_queries import ask_status
from tenants.errors import DomainError
from tenants.pages.edges import actor_of, for_members, user_of
from tenants.pages.lists import newest_first
from tenants.permissions import Permission, require
from tenants.reauthentication import prove_again
from tenants.second_factor import has_second_factor
from tenants.serializer_fields import id_in_url

Status = Reversal.Status


@for_members
@require_safe
def reversals(request: HttpRequest) -> HttpResponse:
    rows = reversals_of(actor=actor_of(request)).filter(environment=shown_environment(request))
    state = request.GET.get("state", "")
    if state in INNER_STATES:
        rows = rows.filter(status__in=INNER_STATES[state])
    return render(request, "payments/reversals.html", {"page": newest_first(request, rows), "state": state})


@for_members
@require_http_methods(["GET", "POST"])
def reversal(request: HttpRequest, reversal_id: str) -> HttpResponse:
    """What happened to one; where nobody could tell, a person decides here."""
    actor = actor_of(request)
    found = read_reversal(actor=actor, reversal_id=id_in_url("rev", reversal_id))
    is_asking = is_being_asked(found)
    part = how_it_stands(request, found, meaning=meaning_of(found), do_now=do_now_about(found), is_asking=is_asking)
    if request.htmx:  # type: ignore[attr-defined]
        return refreshed(part, request)
    form = DecisionForm(request.POST or None)
    if decided(request, form, partial(decide_reversal, reversal_id=found.pk)):
        return redirect("reversal", reversal_id)
    is_maker = found.requested_by_id == actor.id
    may_approve = may(request, Permission.REVERSALS_APPROVE)
    is_waiting, is_under_review = found.status == Status.AWAITING_APPROVAL, found.status == Status.NEEDS_REVIEW
    others_approve = is_waiting and needs_another(actor=actor, reversal=found)
    context = {
        "form": form,
        "reversal": found,
        "reversal_id": reversal_id,
        "how_it_stands": part.html,
        "is_live": found.status in UNDER_WAY or is_asking,
        "may_ask": not is_asking and may_ask(request, found),
        "timeline": timeline_of_reversal(found),
        "is_waiting": is_waiting,
        "may_approve": is_waiting and may_approve and not others_approve,
        "others_approve": others_approve,
        "may_cancel": is_waiting and may(request, Permission.REVERSALS_REQUEST),
        "may_decide": is_under_review and may_approve and not is_maker,
        "needs_another": is_under_review and is_maker,
    }
    return render(request, "payments/reversal.html", context, status=form.status)


@for_members
@sensitive_post_parameters("password", "second_factor")
@require_http_methods(["GET", "POST"])
def approve(request: HttpRequest, reversal_id: str) -> HttpResponse:
    """Give the money back, once whoever approves has proved again who they are."""
    actor, now = actor_of(request), timezone.now()
    require(actor, Permission.REVERSALS_APPROVE)
    found = read_reversal(actor=actor, reversal_id=id_in_url("rev", reversal_id))
    if found.status != Status.AWAITING_APPROVAL:
        return redirect("reversal", reversal_id)
    user = user_of(request)
    form = ProofForm(request.POST or None, has_second_factor=has_second_factor(user))
    if request.method == "POST" and form.is_valid():
        try:
            proof = prove_again(user, **form.cleaned_data, now=now)
            approve_reversal(actor=actor, reversal_id=found.pk, proof=proof, now=now)
        except DomainError as refusal:
            form.refuse(refusal)
        else:
            messages.success(request, _("Approved. The money is being given back now."))
            return redirect("reversal", reversal_id)
    context = {"form": form, "reversal": found, "reversal_id": reversal_id}
    return render(request, "payments/reversal_approve.html", context, status=form.status)


@for_members
@require_http_methods(["GET", "POST"])
def cancel(request: HttpRequest, reversal_id: str) -> HttpResponse:
    """Withdraw one that waits for approval."""
    actor = actor_of(request)
    require(actor, Permission.REVERSALS_REQUEST)
    found = read_reversal(actor=actor, reversal_id=id_in_url("rev", reversal_id))
    if found.status != Status.AWAITING_APPROVAL:
        return redirect("reversal", reversal_id)
    form = CancelForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            cancel_reversal(actor=actor, reversal_id=found.pk, now=timezone.now(), **form.cleaned_data)
        except DomainError as refusal:
            form.refuse(refusal)
        else:
            messages.success(request, _("Withdrawn. The customer's payment stays as it is."))
            return redirect("reversal", reversal_id)
    context = {"form": form, "reversal": found, "reversal_id": reversal_id}
    return render(request, "payments/reversal_cancel.html", context, status=form.status)


@for_members
@require_POST
def ask_about(request: HttpRequest, reversal_id: str) -> HttpResponse:
    """Have M-PESA asked what became of a reversal; its answer settles it, and shows itself on the page."""
    ask_status(actor=actor_of(request), reversal_id=id_in_url("rev", reversal_id), now=timezone.now())
    messages.success(request, _("M-PESA is being asked. The answer appears here by itself."))
    return redirect("reversal", reversal_id)


urlpatterns = [
    path("reversals/", reversals, name="reversals"),
    path("reversals/<str:reversal_id>/", reversal, name="reversal"),
    path("reversals/<str:reversal_id>/ask/", ask_about, name="ask-about-reversal"),
    path("reversals/<str:reversal_id>/approve/", approve, name="approve-reversal"),
    path("reversals/<str:reversal_id>/cancel/", cancel, name="cancel-reversal"),
]
