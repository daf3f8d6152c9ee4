"""What the home page shows of the money: today against a week ago, the latest payments, and what waits."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from channels.models import Environment
from channels.pages.shown import shown_environment
from payments.attention import attention
from payments.pages.counter import latest
from payments.takings import takings_today
from tenants.pages.edges import actor_of, for_members
from tenants.pages.home import Need
from tenants.pages.live import LivePart, slowing_part

_ROWS = 5


@for_members
@require_safe
def latest_payments(request: HttpRequest) -> HttpResponse:
    """The piece alone, which asks for itself."""
    if not request.htmx:  # type: ignore[attr-defined]
        return redirect("home")
    return _today(request).answer(request)


def show_today(request: HttpRequest) -> str:
    return _today(request).html


def _today(request: HttpRequest) -> LivePart:
    environment = shown_environment(request)
    today = takings_today(actor=actor_of(request), environment=environment, now=timezone.now())
    return slowing_part(
        request,
        "payments/today.html",
        {"today": today, "rows": latest(request, number=_ROWS), "is_practice": environment == Environment.PRACTICE},
        url=reverse("latest-payments"),
    )


def money_needs(request: HttpRequest) -> list[Need]:
    """What waits for this person, and where they see to it."""
    waits = attention(actor=actor_of(request), environment=shown_environment(request), now=timezone.now())
    wanted = [
        (
            waits.unknown_payouts,
            ngettext(
                "%(number)s payout: nobody knows whether the money moved",
                "%(number)s payouts: nobody knows whether the money moved",
                waits.unknown_payouts,
            ),
            reverse("payouts") + "?state=unknown",
        ),
        (
            waits.unknown_reversals,
            ngettext(
                "%(number)s payment: nobody knows whether it was given back",
                "%(number)s payments: nobody knows whether they were given back",
                waits.unknown_reversals,
            ),
            reverse("reversals") + "?state=unknown",
        ),
        (
            waits.unknown_requests,
            ngettext(
                "%(number)s request: nobody knows whether the customer paid",
                "%(number)s requests: nobody knows whether the customers paid",
                waits.unknown_requests,
            ),
            reverse("ask"),
        ),
        (
            waits.batches_to_approve,
            ngettext(
                "%(number)s batch of payouts waits for approval",
                "%(number)s batches of payouts wait for approval",
                waits.batches_to_approve,
            ),
            reverse("money-out"),
        ),
        (
            waits.batches_to_release,
            ngettext(
                "%(number)s batch of payouts is approved and not sent yet",
                "%(number)s batches of payouts are approved and not sent yet",
                waits.batches_to_release,
            ),
            reverse("money-out"),
        ),
        (
            waits.reversals_to_approve,
            ngettext(
                "%(number)s payment waits for approval to be given back",
                "%(number)s payments wait for approval to be given back",
                waits.reversals_to_approve,
            ),
            reverse("reversals"),
        ),
        (
            waits.put_aside,
            ngettext(
                "%(number)s message of M-PESA did not fit and was put aside",
                "%(number)s messages of M-PESA did not fit and were put aside",
                waits.put_aside,
            ),
            reverse("put-aside"),
        ),
    ]
    return [Need(sentence % {"number": f"{number:,}"}, url) for number, sentence, url in wanted if number]


urlpatterns = [path("payments/latest/", latest_payments, name="latest-payments")]
