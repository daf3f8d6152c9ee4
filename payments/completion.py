"""Names and charges that reports of payments lack: asked of M-PESA, a few at a time.

A prompt's answer and a Pull give no name. Usually the confirmation follows and brings it (`payments.services`). For
what is left M-PESA is asked for the payment's status, whose answer `payments.status_queries` adds to the payment.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from channels.models import MpesaChannel
from payments import questions
from payments.balances import ASKED_BY_ITSELF, BY_ITSELF
from payments.initiator import has_initiator
from payments.models import Payment, StatusQuery
from payments.status_queries import STATUS
from payments.tasks import complete_payments
from tenants.queue import enqueue

EVERY = timedelta(hours=1)
AT_ONCE = 20  # so that no more questions are asked about one channel in an hour
_NOT_BEFORE = timedelta(minutes=10)  # a confirmation may still come
_NOT_AFTER = timedelta(hours=24)


def complete(*, channel: MpesaChannel, clock: Callable[[], datetime]) -> None:
    """Promise to look again, and ask about the newest payments of an active channel that have no name, once each."""
    now = clock()
    if not promise_completion(channel=channel, now=now) or not has_initiator(channel):
        return
    nameless = Payment.objects.filter(
        environment=channel.environment,
        paid_at__range=(now - _NOT_AFTER, now - _NOT_BEFORE),
        channel=channel,
        payer_name="",
        reversed_at=None,
        status_queries=None,
    )
    asked = [
        StatusQuery(
            channel=channel,
            environment=channel.environment,
            receipt=payment.receipt,
            payment=payment,
            requested_by=BY_ITSELF,
            asked_at=now,
        )
        for payment in nameless.order_by("-paid_at", "-id")[:AT_ONCE]
    ]
    questions.write(asked)
    questions.put(STATUS, asked, clock=clock)


def promise_completion(*, channel: MpesaChannel, now: datetime) -> bool:
    """Promise to look in an hour, unless that is promised already; returns whether it is."""
    is_looked_at = channel.environment in ASKED_BY_ITSELF
    if is_looked_at:
        enqueue(complete_payments, due_at=now + EVERY, channel_id=str(channel.pk))
    return is_looked_at
