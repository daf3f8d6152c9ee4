"""The counter: what just came in, large enough to be read across the till."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from channels.msisdn import mask
from channels.pages.shown import shown_environment
from payments import queries, timeline
from payments.models import Payment
from tenants.pages.edges import actor_of, for_members
from tenants.pages.live import LivePart, live_part

_ROWS = 8


@for_members
@require_safe
def counter(request: HttpRequest) -> HttpResponse:
    shown = _shown(request)
    if request.htmx:  # type: ignore[attr-defined]
        return shown.answer(request)
    return render(request, "payments/counter.html", {"shown": shown.html})


def _shown(request: HttpRequest) -> LivePart:
    rows = latest(request, number=_ROWS)
    return live_part(request, "payments/counter_rows.html", {"rows": rows}, url=reverse("counter"), every_s=4)


def latest(request: HttpRequest, *, number: int) -> list[tuple[Payment, str, str]]:
    """The newest payments that are shown, each with whom strangers may read as its payer, and with what it gave."""
    actor = actor_of(request)
    rows = queries.payments_of(actor=actor).filter(environment=shown_environment(request))
    found = list(rows.order_by("-paid_at", "-pk")[:number])
    notes = timeline.notes_of(actor=actor, payment_ids=[row.pk for row in found])
    return [(row, _payer(row), notes.get(row.pk, "")) for row in found]


def _payer(row: Payment) -> str:
    """A name, else what is left of the number when its middle is hidden; of a hash nothing is."""
    masked = mask(row.payer)
    return row.payer_name.title() or (masked if masked.strip("*") else _("A customer"))


urlpatterns = [path("counter/", counter, name="counter")]
