"""What a payment's own page and lists of payments tell of points, stamps and messages."""

from collections.abc import Collection, Mapping
from datetime import timedelta
from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from channels.models import SmsMessage
from loyalty.models import PaymentOutcome, Reward
from payments.models import Payment
from payments.timeline import Moment

Status = PaymentOutcome.Status
_SMS = SmsMessage.Status

_AWARDED_WITHIN = timedelta(minutes=10)  # what has no outcome after that waits for more than a worker


class LoyaltyTeller:
    """Tells a payment's outcome, and the SMS about it, which are queued under the key “points:<payment id>”."""

    def moments(self, payment: Payment) -> list[Moment]:
        outcome = PaymentOutcome.objects.select_related("member", "program").filter(payment=payment).first()
        if outcome is None:
            is_fresh = timezone.now() - payment.created_at < _AWARDED_WITHIN
            return [Moment(None, _("Points are being counted."), "running")] if is_fresh else []
        moments = [Moment(outcome.decided_at, sentence, state) for sentence, state in _sentences(outcome)]
        if outcome.status == Status.REVERSED and (outcome.points or outcome.gave_stamp):
            moments.append(Moment(payment.reversed_at, _("What it had earned was taken back.")))
        moments += [
            Moment(reward.created_at, _("The card is full: %(reward)s.") % {"reward": reward.description})
            for reward in Reward.objects.filter(payment=payment)
        ]
        messages = SmsMessage.objects.filter(dedup_key=f"points:{payment.pk}")
        return moments + [_of_message(message) for message in messages]

    def notes(self, payment_ids: Collection[UUID]) -> Mapping[UUID, str]:
        outcomes = PaymentOutcome.objects.filter(payment__in=payment_ids, status__in=[Status.EARNED, Status.WAITING])
        return {outcome.payment_id: _note(outcome) for outcome in outcomes}


def _sentences(outcome: PaymentOutcome) -> list[tuple[str, str]]:
    names = {"member": str(outcome.member or ""), "program": str(outcome.program or "")}
    match outcome.status:
        case Status.WAITING:
            return [(_("Nobody knows yet who paid: the points wait until somebody shows the receipt."), "waiting")]
        case Status.NOTHING:
            return [(_("By the terms of “%(program)s” it earns nothing.") % names, "done")]
        case Status.NO_PROGRAM:
            return [(_("No program takes it, so it earns nothing."), "done")]
    sentences = []
    if outcome.points:
        gave = ngettext(
            "%(member)s earned %(points)s point (%(program)s).",
            "%(member)s earned %(points)s points (%(program)s).",
            outcome.points,
        )
        sentences.append((gave % (names | {"points": f"{outcome.points:,}"}), "done"))
    if outcome.gave_stamp:
        sentences.append((_("%(member)s got a stamp (%(program)s).") % names, "done"))
    return sentences


def _note(outcome: PaymentOutcome) -> str:
    if outcome.status == Status.WAITING:
        return _("points wait for their owner")
    if outcome.points:
        points = ngettext("+%(points)s point", "+%(points)s points", outcome.points)
        return points % {"points": f"{outcome.points:,}"}
    return _("a stamp")


def _of_message(message: SmsMessage) -> Moment:
    body = f"“{message.shown_body}”" if message.body else ""
    match message.status:
        case _SMS.SENT:
            return Moment(message.sent_at, _("The customer got an SMS."), detail=body)
        case _SMS.FAILED:
            return Moment(message.created_at, _("The SMS could not be sent."), "failed", message.error)
        case _SMS.UNKNOWN:
            return Moment(message.created_at, _("Nobody knows whether the SMS went out."), "failed", message.error)
    return Moment(None, _("An SMS is on its way to the customer."), "running", body)
