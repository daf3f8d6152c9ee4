"""The SMS outbox: what was said to customers, what became of it, and why."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from channels.models import SmsMessage
from channels.pages.shown import shown_environment
from channels.sms.outbox import messages_of
from tenants.pages.edges import actor_of, for_members
from tenants.pages.lists import newest_first

Status = SmsMessage.Status

# A word for each state, and the badge that shows it. That a provider took it is all that we know: not that it was read.
_STATES = {
    Status.QUEUED: ("pending", _("Waiting to be sent")),
    Status.SENDING: ("pending", _("Being sent")),
    Status.SENT: ("succeeded", _("Sent")),
    Status.FAILED: ("failed", _("Not sent")),
    Status.UNKNOWN: ("unknown", _("Perhaps sent")),
}


@for_members
@require_safe
def sms(request: HttpRequest) -> HttpResponse:
    """Messages of one environment, newest first; `?state=failed` shows those in one state."""
    environment, chosen = shown_environment(request), request.GET.get("state", "").upper()
    rows = messages_of(actor=actor_of(request)).filter(environment=environment)
    if chosen in Status.values:
        rows = rows.filter(status=chosen)
    page = newest_first(request, rows)
    context = {
        "page": page,
        "messages_shown": [(message, *_STATES[Status(message.status)]) for message in page.rows],
        "states": [(status.lower(), word, status == chosen) for status, (_badge, word) in _STATES.items()],
        "is_filtered": chosen in Status.values,
    }
    return render(request, "channels/sms.html", context)


urlpatterns = [path("sms/", sms, name="sms")]
