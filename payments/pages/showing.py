"""What the pages of money out share: what one may do, how a payout or a reversal stands."""

from django.http import HttpRequest, HttpResponse

from payments.models import MoneyOut, Payout, Reversal
from tenants.pages.edges import actor_of
from tenants.pages.live import LivePart, live_part
from tenants.permissions import Permission, permissions_of

UNDER_WAY = frozenset(
    {MoneyOut.Status.RESERVED, MoneyOut.Status.SENDING, MoneyOut.Status.ACCEPTED, MoneyOut.Status.UNKNOWN}
)


def may(request: HttpRequest, permission: Permission) -> bool:
    """Is it theirs to do now? What they may not do is not offered."""
    return permission in permissions_of(actor_of(request))


def how_it_stands(request: HttpRequest, row: Payout | Reversal, *, meaning: str, do_now: str) -> LivePart:
    """The sentence about a payout or reversal; while it is under way, it asks for itself."""
    return live_part(
        request,
        "payments/money_out_meaning.html",
        {"row": row, "meaning": meaning, "do_now": do_now},
        url=request.path,
        every_s=3 if row.status in UNDER_WAY else 0,
    )


def refreshed(part: LivePart, request: HttpRequest) -> HttpResponse:
    """To htmx: nothing, as long as nothing is new; then the whole page is."""
    answer = part.answer(request)
    if answer.status_code == 200:
        answer["HX-Refresh"] = "true"
    return answer
