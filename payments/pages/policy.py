"""What the business allows itself to send: limits, the second person, and whom."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from channels.pages.shown import shown_environment
from payments.forms.money_out_settings import PolicyForm, ReceiverForm
from payments.pages.showing import may
from payments.payouts import policy
from tenants.errors import DomainError
from tenants.pages.edges import actor_of, for_members, user_of
from tenants.pages.lists import newest_first
from tenants.permissions import Permission, require
from tenants.reauthentication import prove_again
from tenants.second_factor import has_second_factor
from tenants.serializer_fields import id_in_url


@for_members
@sensitive_post_parameters("password", "second_factor")
@require_http_methods(["GET", "POST"])
def payout_policy(request: HttpRequest) -> HttpResponse:
    """The limits of the environment that is shown: administrators change them, others read them."""
    actor, environment, now = actor_of(request), shown_environment(request), timezone.now()
    found = policy.payout_policy(actor=actor, environment=environment)
    may_change = may(request, Permission.PAYOUTS_POLICY)
    if request.method == "POST":
        require(actor, Permission.PAYOUTS_POLICY)
    present = {name: getattr(found, name) for name in (*PolicyForm.LIMITS, "allowed_receivers_only")}
    has_code = may_change and has_second_factor(user_of(request))
    form = PolicyForm(request.POST or None, initial=present, has_second_factor=has_code)
    if request.method == "POST" and form.is_valid():
        try:
            policy.change_payout_policy(
                actor=actor,
                environment=environment,
                limits=form.limits,
                proof=prove_again(user_of(request), **form.said, now=now),
                now=now,
                allowed_receivers_only=form.cleaned_data["allowed_receivers_only"],
            )
        except DomainError as refusal:
            form.refuse(refusal)
        else:
            messages.success(request, _("Saved. It counts from now on, also for what is not released yet."))
            return redirect("payout-policy")
    context = {"form": form, "policy": found, "may_change": may_change}
    return render(request, "payments/policy.html", context, status=form.status)


@for_members
@require_http_methods(["GET", "POST"])
def allowed_receivers(request: HttpRequest) -> HttpResponse:
    """Whom the business pays, where it pays nobody else."""
    actor, environment = actor_of(request), shown_environment(request)
    rows = policy.allowed_receivers(actor=actor).filter(environment=environment)
    form = ReceiverForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            added = policy.allow_receiver(actor=actor, environment=environment, **form.cleaned_data)
        except DomainError as refusal:
            form.refuse(refusal)
        else:
            messages.success(request, _("%(receiver)s is on the list.") % {"receiver": added.name or added.receiver})
            return redirect("allowed-receivers")
    context = {
        "form": form,
        "page": newest_first(request, rows),
        "is_binding": policy.payout_policy(actor=actor, environment=environment).allowed_receivers_only,
        "may_change": may(request, Permission.PAYOUTS_POLICY),
    }
    return render(request, "payments/policy_receivers.html", context, status=form.status)


@for_members
@require_POST
def disallow(request: HttpRequest, receiver_id: str) -> HttpResponse:
    policy.disallow_receiver(actor=actor_of(request), receiver_id=id_in_url("rcv", receiver_id))
    messages.success(request, _("Taken off the list."))
    return redirect("allowed-receivers")


urlpatterns = [
    path("money-out/policy/", payout_policy, name="payout-policy"),
    path("money-out/policy/receivers/", allowed_receivers, name="allowed-receivers"),
    path("money-out/policy/receivers/<str:receiver_id>/remove/", disallow, name="disallow-receiver"),
]
