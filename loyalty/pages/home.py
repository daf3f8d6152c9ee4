"""What of the points waits for a person, for the home page."""

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from channels.pages.shown import shown_environment
from loyalty.claims import waiting_payments
from tenants.pages.edges import actor_of
from tenants.pages.home import Need

_MOST = 99


def points_needs(request: HttpRequest) -> list[Need]:
    """Payments whose payer nobody knew: whoever has the receipt can have the points."""
    rows = waiting_payments(actor=actor_of(request)).filter(environment=shown_environment(request))
    number = rows.order_by()[: _MOST + 1].count()
    if not number:
        return []
    if number > _MOST:
        return [Need(_("More than 99 payments wait for the member who made them"), reverse("payments-waiting"))]
    sentence = ngettext(
        "%(number)s payment waits for the member who made it",
        "%(number)s payments wait for the members who made them",
        number,
    )
    return [Need(sentence % {"number": number}, reverse("payments-waiting"))]
