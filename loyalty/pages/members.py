"""Members: who they are, what they hold, and what people at the counter do for them."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from audit.ids import UnreadableId, public_id, read_public_id
from channels.pages import making
from channels.pages.shown import shown_environment
from loyalty import member_lists, own_page, queries, services
from loyalty.claims import claim_payment, waiting_payments
from loyalty.forms.members import AdjustForm, ChangeMemberForm, ClaimForm, EnrolForm, RedeemForm
from loyalty.joining import programs_to_join
from loyalty.members import change_member, enrol_member, get_member
from loyalty.models import Member, PaymentOutcome
from loyalty.pages.showing import holdings
from loyalty.points import adjust_points, collect_reward, entries_of, redeem_points
from tenants.errors import DomainError
from tenants.forms.base import PageForm
from tenants.pages.edges import actor_of, for_members, words_in
from tenants.pages.lists import newest_first
from tenants.permissions import Permission, permissions_of, require
from tenants.serializer_fields import id_in_url


@for_members
@require_safe
def members(request: HttpRequest) -> HttpResponse:
    """With `?claim=` and a receipt, to choose whose payment it was."""
    actor = actor_of(request)
    text, chosen = words_in(request), request.GET.get("program", "")
    try:
        program_id = read_public_id("prog", chosen) if chosen else None
    except UnreadableId:
        chosen, program_id = "", None
    rows = queries.find_members(actor=actor, environment=shown_environment(request), text=text, program_id=program_id)
    programs = services.programs_of(actor=actor).order_by("name")
    may = permissions_of(actor)
    context = {
        "page": newest_first(request, rows),
        "text": text,
        "chosen": chosen,
        "claim": request.GET.get("claim", ""),
        "programs": [(public_id("prog", program.pk), program.name) for program in programs],
        "may_enrol": Permission.MEMBERS_CHANGE in may,
        "may_export": Permission.DATA_READ in may,
        "being_made": making.lines(request, member_lists.KIND, route="members-check"),
    }
    return render(request, "loyalty/members.html", context)


@for_members
@require_http_methods(["GET", "POST"])
def member_new(request: HttpRequest) -> HttpResponse:
    """One member; `?phone=` and `?name=` fill in who it is."""
    actor = actor_of(request)
    require(actor, Permission.MEMBERS_CHANGE)
    programs = services.programs_of(actor=actor).filter(is_active=True).order_by("name")
    wanted = {"phone_number": request.GET.get("phone", ""), "name": request.GET.get("name", "")}
    form = EnrolForm(request.POST or None, programs=programs, initial=wanted)
    if request.method == "POST" and form.is_valid():
        try:
            member = enrol_member(
                actor=actor, environment=shown_environment(request), now=timezone.now(), **form.services()
            )
        except DomainError as refusal:
            form.refuse(refusal, rename={"program_id": "program"})
        else:
            messages.success(request, _("Welcome, %(member)s.") % {"member": member})
            return redirect("member", public_id("mem", member.pk))
    join_address = request.build_absolute_uri(reverse("join")) if programs_to_join() else ""
    context = {"form": form, "join_address": join_address}
    return render(request, "loyalty/member_new.html", context, status=form.status)


@for_members
@require_safe
def member(request: HttpRequest, member_id: str) -> HttpResponse:
    actor = actor_of(request)
    found = get_member(actor=actor, member_id=id_in_url("mem", member_id))
    permissions = permissions_of(actor)
    may_change = Permission.MEMBERS_CHANGE in permissions
    context: dict[str, Any] = {
        "member": found,
        "page": newest_first(request, entries_of(actor=actor, member_id=found.pk)),
        "may_change": may_change,
        "may_adjust": Permission.LOYALTY_CHANGE in permissions,
        **holdings(actor, found),
    }
    if may_change and found.is_active:
        token = own_page.own_page_token(actor=actor, member=found)
        context["own_page"] = request.build_absolute_uri(reverse("own-page", args=[token]))
        context["own_page_until"] = timezone.now() + own_page.LINK_LASTS
    return render(request, "loyalty/member.html", context)


@for_members
@require_http_methods(["GET", "POST"])
def member_change(request: HttpRequest, member_id: str) -> HttpResponse:
    found = _member(request, member_id, Permission.MEMBERS_CHANGE)
    present = {"name": found.name, "phone_number": found.phone_number, "is_active": found.is_active}
    form = ChangeMemberForm(request.POST or None, initial=present | {"consented": bool(found.consented_at)})
    if request.method == "POST" and form.is_valid():
        try:
            change_member(actor=actor_of(request), member_id=found.pk, now=timezone.now(), **form.cleaned_data)
        except DomainError as refusal:
            form.refuse(refusal)
        else:
            messages.success(request, _("Saved."))
            return redirect("member", member_id)
    return _form_page(request, "member_change", form, found)


@for_members
@require_http_methods(["GET", "POST"])
def points_redeem(request: HttpRequest, member_id: str) -> HttpResponse:
    found = _member(request, member_id, Permission.MEMBERS_CHANGE)
    form = RedeemForm(request.POST or None)
    if request.method == "POST" and form.is_valid():

        def redeem() -> list[int]:
            entry = redeem_points(actor=actor_of(request), member_id=found.pk, now=timezone.now(), **form.given)
            return [-entry.points, entry.balance_after]

        try:
            spent, left = form.once(environment=found.environment, work=redeem)
        except DomainError as refusal:
            form.refuse(refusal)
        else:
            messages.success(
                request,
                ngettext(
                    "%(spent)s point is spent; %(left)s left.",
                    "%(spent)s points are spent; %(left)s left.",
                    spent,
                )
                % {"spent": f"{spent:,}", "left": f"{left:,}"},
            )
            return redirect("member", member_id)
    return _form_page(request, "points_redeem", form, found)


@for_members
@require_http_methods(["GET", "POST"])
def points_adjust(request: HttpRequest, member_id: str) -> HttpResponse:
    found = _member(request, member_id, Permission.LOYALTY_CHANGE)
    form = AdjustForm(request.POST or None)
    if request.method == "POST" and form.is_valid():

        def adjust() -> int:
            entry = adjust_points(actor=actor_of(request), member_id=found.pk, now=timezone.now(), **form.given)
            return entry.balance_after

        try:
            balance = form.once(environment=found.environment, work=adjust)
        except DomainError as refusal:
            form.refuse(refusal)
        else:
            messages.success(request, _("Corrected. The balance is %(points)s now.") % {"points": f"{balance:,}"})
            return redirect("member", member_id)
    return _form_page(request, "points_adjust", form, found)


@for_members
@require_http_methods(["GET", "POST"])
def payment_claim(request: HttpRequest, member_id: str) -> HttpResponse:
    """A payment whose payer nobody knew, for the member who has its receipt."""
    found = _member(request, member_id, Permission.MEMBERS_CHANGE)
    form = ClaimForm(request.POST or None, initial={"receipt": request.GET.get("receipt", "")})
    if request.method == "POST" and form.is_valid():
        try:
            outcome = claim_payment(
                actor=actor_of(request), member_id=found.pk, now=timezone.now(), **form.cleaned_data
            )
        except DomainError as refusal:
            form.refuse(refusal)
        else:
            messages.success(request, claimed(outcome))
            return redirect("member", member_id)
    return _form_page(request, "payment_claim", form, found)


@for_members
@require_safe
def payments_waiting(request: HttpRequest) -> HttpResponse:
    """Payments whose payer nobody knows, until somebody shows their receipt."""
    rows = waiting_payments(actor=actor_of(request)).filter(environment=shown_environment(request))
    context = {
        "page": newest_first(request, rows),
        "may_claim": Permission.MEMBERS_CHANGE in permissions_of(actor_of(request)),
    }
    return render(request, "loyalty/payments_waiting.html", context)


@for_members
@require_POST
def reward_collect(request: HttpRequest, reward_id: str) -> HttpResponse:
    reward = collect_reward(actor=actor_of(request), reward_id=id_in_url("rew", reward_id), now=timezone.now())
    messages.success(request, _("Given out: %(reward)s.") % {"reward": reward.description})
    return redirect("member", public_id("mem", reward.member_id))


def claimed(outcome: PaymentOutcome) -> str:
    """What a claimed payment gave, as a sentence."""
    receipt, points = outcome.payment.receipt, outcome.points
    if not points:
        return _("Payment %(receipt)s gave a stamp.") % {"receipt": receipt}
    return ngettext(
        "Payment %(receipt)s gave %(points)s point.", "Payment %(receipt)s gave %(points)s points.", points
    ) % {"receipt": receipt, "points": f"{points:,}"}


def _member(request: HttpRequest, member_id: str, permission: Permission) -> Member:
    require(actor_of(request), permission)
    return get_member(actor=actor_of(request), member_id=id_in_url("mem", member_id))


def _form_page(request: HttpRequest, name: str, form: PageForm, found: Member) -> HttpResponse:
    return render(request, f"loyalty/{name}.html", {"form": form, "member": found}, status=form.status)


urlpatterns = [
    path("members/", members, name="members"),
    path("members/new/", member_new, name="member-new"),
    path("members/waiting-payments/", payments_waiting, name="payments-waiting"),
    path("members/<str:member_id>/", member, name="member"),
    path("members/<str:member_id>/change/", member_change, name="member-change"),
    path("members/<str:member_id>/redeem/", points_redeem, name="points-redeem"),
    path("members/<str:member_id>/adjust/", points_adjust, name="points-adjust"),
    path("members/<str:member_id>/claim/", payment_claim, name="payment-claim"),
    path("rewards/<str:reward_id>/collect/", reward_collect, name="reward-collect"),
]
