"""How a standing order stands, in plain words, and what happened to it: for the API and the pages alike."""

from datetime import datetime

from django.utils.translation import gettext as _

from channels.daraja.explanations import Api
from channels.explaining import explain
from payments.models import StandingOrder
from payments.timeline import Moment
from tenants.models import InboundCallback
from tenants.queue import require_current_tenant

Status = StandingOrder.Status


def meaning_of(order: StandingOrder) -> str:
    """What has happened, in a sentence or two."""
    match order.status:
        case Status.PENDING:
            return _("The customer has not answered yet.")
        case Status.ACTIVE:
            return _("The customer agreed. What is paid comes as ordinary payments.")
        case Status.UNKNOWN:
            return _("Safaricom has not told us whether the customer agreed.")
        case Status.CANCELLED:
            return _("You expect nothing more of it. It pays until the customer ends it on the phone.")
    return explain(Api.RATIBA, order.result_code, order.result_desc).meaning


def do_now_about(order: StandingOrder) -> str:
    """One action, or nothing."""
    match order.status:
        case Status.UNKNOWN:
            return _("Ask the customer whether the standing order is on the phone, before you ask for another.")
        case Status.FAILED:
            return explain(Api.RATIBA, order.result_code, order.result_desc).do_now
    return ""


def timeline_of_order(order: StandingOrder) -> list[Moment]:
    """The earliest first, what is still to come last."""
    asked = _("%(who)s asked for it.") % {"who": order.requested_by}
    moments = [Moment(order.created_at, asked)]
    if order.sending_at:
        moments.append(Moment(order.sending_at, _("We asked Safaricom to ask the customer.")))
    if order.accepted_at:
        moments.append(Moment(order.accepted_at, _("Safaricom took it to the customer's phone.")))
    moments += [Moment(at, _("The customer's answer arrived.")) for at in _answered_at(order)]
    if order.status == Status.CANCELLED and order.finished_at:
        moments.append(Moment(order.finished_at, _("It was cancelled here: nothing more is expected of it.")))
    elif order.status == Status.FAILED and order.finished_at:
        moments.append(Moment(order.finished_at, _("There is no standing order."), "failed"))
    moments.sort(key=lambda moment: moment.at or order.created_at)
    match order.status:
        case Status.PENDING:
            moments.append(Moment(None, _("The customer agrees on the phone, with the M-PESA PIN."), "running"))
        case Status.UNKNOWN:
            moments.append(Moment(None, _("Nobody can say whether the customer agreed."), "waiting"))
    return moments


def _answered_at(order: StandingOrder) -> list[datetime]:
    if not order.response_ref_id:
        return []
    rows = InboundCallback.objects.filter(
        tenant=require_current_tenant(),
        channel_id=order.channel_id,
        kind=InboundCallback.Kind.STANDING_ORDER,
        dedup_key=order.response_ref_id,
        state=InboundCallback.State.APPLIED,
    )
    return list(rows.order_by("pk").values_list("received_at", flat=True)[:1])
