"""What the pages of money share: what one may do, how a payout or reversal stands, a word on it, which file."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _

from channels.daraja.verdicts import Verdict
from payments.forms.money_out import DecisionForm
from payments.models import MoneyOut, Payout, Reversal, StatusQuery
from payments.status_queries import can_be_asked_about
from tenants.errors import DomainError
from tenants.pages.edges import actor_of
from tenants.pages.live import LivePart, live_part
from tenants.permissions import Permission, permissions_of

UNDER_WAY = frozenset(
    {MoneyOut.Status.RESERVED, MoneyOut.Status.SENDING, MoneyOut.Status.ACCEPTED, MoneyOut.Status.UNKNOWN}
)
# Of which M-PESA has not said for certain what became of it.
_TO_ASK = frozenset({MoneyOut.Status.ACCEPTED, MoneyOut.Status.UNKNOWN, MoneyOut.Status.NEEDS_REVIEW})
_SHOWN_CELLS = 100


def may(request: HttpRequest, permission: Permission) -> bool:
    """Is it theirs to do now? What they may not do is not offered."""
    return permission in permissions_of(actor_of(request))


def how_it_stands(
    request: HttpRequest, row: Payout | Reversal, *, meaning: str, do_now: str, is_asking: bool
) -> LivePart:
    """The sentence about a payout or reversal; while it is under way, or M-PESA is being asked, it asks for itself."""
    return live_part(
        request,
        "payments/money_out_meaning.html",
        {"row": row, "meaning": meaning, "do_now": do_now, "is_asking": is_asking},
        url=request.path,
        every_s=3 if row.status in UNDER_WAY or is_asking else 0,
    )


def is_being_asked(row: Payout | Reversal) -> bool:
    """Does a question about it wait for M-PESA's answer?"""
    return row.status_queries.filter(status=StatusQuery.Status.PENDING).exists()


def may_ask(request: HttpRequest, row: Payout | Reversal) -> bool:
    """May this person have M-PESA asked what became of it?"""
    return row.status in _TO_ASK and can_be_asked_about(row) and may(request, Permission.MPESA_ASK)


def decided(request: HttpRequest, form: DecisionForm, decide: Callable[..., Payout | Reversal]) -> bool:
    """Have a person's word on money that nobody could tell of written down, if it was given and the service takes it.

    `decide` is the service for this row, without what the form says.
    """
    if request.method != "POST" or not form.is_valid():
        return False
    values = dict(form.cleaned_data)
    verdict = Verdict(values.pop("verdict"))
    try:
        decide(actor=actor_of(request), verdict=verdict, now=timezone.now(), **values)
    except DomainError as refusal:
        form.refuse(refusal)
        return False
    messages.success(request, _("Decided, and written down with your name."))
    return True


def refreshed(part: LivePart, request: HttpRequest) -> HttpResponse:
    """To htmx: nothing, as long as nothing is new; then the whole page is."""
    answer = part.answer(request)
    if answer.status_code == 200:
        answer["HX-Refresh"] = "true"
    return answer


def ending_in(request: HttpRequest) -> str:
    """Of a list that is asked for by its button: csv or xlsx."""
    return "xlsx" if request.POST.get("type") == "xlsx" else "csv"


@dataclass(frozen=True, slots=True)
class RefusedCell:
    """Something in a file that can't be used: `given` is what stands there, where that is still known."""

    row: int
    column: str
    sentence: str
    given: str | None = None


def shown_cells(refused: Sequence[RefusedCell]) -> dict[str, Any]:
    """What `payments/refused_cells.html` shows."""
    return {
        "refused": refused[:_SHOWN_CELLS],
        "not_shown": len(refused[_SHOWN_CELLS:]),
        "knows_given": any(cell.given is not None for cell in refused),
    }
