"""The SMS outbox: messages are queued in the commit that gives the reason for them, and sent later, at most once each.

A message is `SENDING` in a commit of its own before a provider hears of it. A worker that dies then leaves it so, and
the next run calls it `UNKNOWN`: the provider may have taken it, so nobody sends it again.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, partial

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, transaction
from django.db.models import Min, QuerySet

from audit.ids import new_id
from audit.services import Actor
from channels.models import Environment, SmsMessage
from channels.sms.africastalking import AfricasTalking
from channels.sms.client import SmsProvider
from channels.sms.console import Console
from channels.sms.errors import SmsRejected, SmsTimeout, SmsUnavailable
from channels.sms.tasks import send_queued_sms
from tenants.permissions import Permission, require
from tenants.queue import enqueue
from tenants.sentences import fitting, kept, say

PROVIDERS: dict[str, Callable[[], SmsProvider]] = {
    "console": Console,
    "africastalking": AfricasTalking.from_settings,
}

RUN_FOR = timedelta(seconds=5)  # then other work has its turn
LOST_AFTER = timedelta(seconds=45)  # longer than a provider's time-outs: whoever was sending it is gone
GIVE_UP_AFTER = timedelta(hours=24)  # nobody wants yesterday's message
_RETRY_AFTER = [timedelta(seconds=seconds) for seconds in (10, 30, 120, 600, 1800, 3600)]

Status = SmsMessage.Status

_QUEUE = """
    INSERT INTO channels_smsmessage (id, dedup_key, phone_number, body, environment, status, provider,
                                     provider_message_id, error, attempts, due_at, created_at)
    SELECT given.*, 'QUEUED', '', '', '', 0, %s, %s
      FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::text[], %s::text[]) AS given
        ON CONFLICT (dedup_key) DO NOTHING
"""
_SETTLE = """
    UPDATE channels_smsmessage AS message
       SET status = CASE WHEN phone_number = '' AND given.status = 'QUEUED' THEN 'FAILED' ELSE given.status END,
           body = CASE WHEN phone_number = '' THEN '' ELSE given.body END,
           provider_message_id = given.provider_message_id, error = given.error, attempts = given.attempts,
           due_at = given.due_at, sent_at = given.sent_at
      FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::text[], %s::int[], %s::timestamptz[], %s::timestamptz[],
                  %s::text[])
           AS given (id, status, provider_message_id, error, attempts, due_at, sent_at, body)
     WHERE message.id = given.id AND message.status IN ('SENDING', 'UNKNOWN')
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSms:
    """A message to queue. `dedup_key` says what it is about ("points:<payment id>"): one message for each."""

    dedup_key: str
    phone_number: str  # 2547…
    body: str
    environment: str


def queue_messages(*, messages: Sequence[NewSms], now: datetime) -> None:
    """Queue messages in the caller's commit, after which they are sent. What was queued before stays as it is."""
    if not messages:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            _QUEUE,
            [
                now,
                now,
                [new_id() for _ in messages],
                [message.dedup_key for message in messages],
                [message.phone_number for message in messages],
                [message.body for message in messages],
                [message.environment for message in messages],
            ],
        )
    enqueue(send_queued_sms)


def forget_number(*, phone_number: str, environment: str) -> None:
    """In the caller's commit take number and text from all messages to it, and send none that is not sent yet. What
    the provider has in hand at this moment goes out, and is not tried again."""
    rows = SmsMessage.objects.filter(phone_number=phone_number, environment=environment)
    keys = list(rows.select_for_update(no_key=True).order_by("pk").values_list("pk", flat=True))
    found = SmsMessage.objects.filter(pk__in=keys)
    found.filter(status=Status.QUEUED).update(
        status=Status.FAILED, error=say("The number was forgotten before it was sent.")
    )
    found.update(phone_number="", body="")


def messages_of(*, actor: Actor) -> QuerySet[SmsMessage]:
    """The business's messages, of all environments: a door shows one environment at a time."""
    require(actor, Permission.LOYALTY_READ)
    return SmsMessage.objects.all()


def send_queued(*, clock: Callable[[], datetime]) -> None:
    """Send what is due in the present tenant, for some seconds, and promise to go on with the rest."""
    note_lost(now=clock())
    until = clock() + RUN_FOR
    for provider, environments in _routes():
        while clock() < until and _send_batch(provider, environments, clock=clock):
            pass
    _promise_the_rest()


def note_lost(*, now: datetime) -> None:
    """Messages that a worker was sending when it died: the provider may have them."""
    SmsMessage.objects.filter(status=Status.SENDING, sending_at__lt=now - LOST_AFTER).update(
        status=Status.UNKNOWN, error=say("We stopped while sending it; the provider may have taken it.")
    )


def _routes() -> list[tuple[SmsProvider, list[Environment]]]:
    """Who sends which environment's messages. Only real payments' messages leave the house."""
    return [
        (_provider("console"), [Environment.PRACTICE, Environment.SANDBOX]),
        (_provider(settings.SMS_PROVIDER), [Environment.PRODUCTION]),
    ]


@cache
def _provider(name: str) -> SmsProvider:
    if name not in PROVIDERS:
        raise ImproperlyConfigured(f"SMS_PROVIDER must be one of {', '.join(PROVIDERS)}, not {name!r}.")
    return PROVIDERS[name]()


def _send_batch(provider: SmsProvider, environments: Sequence[str], *, clock: Callable[[], datetime]) -> bool:
    """Send a few messages side by side; returns whether it is worth going on."""
    batch = _claim(provider=provider, environments=environments, now=clock())
    if not batch:
        return False
    with ThreadPoolExecutor(max_workers=8) as threads:
        list(threads.map(partial(_hand_over, provider=provider, clock=clock), batch))
    _settle(batch)
    return all(message.status != Status.QUEUED for message in batch)


@transaction.atomic
def _claim(*, provider: SmsProvider, environments: Sequence[str], now: datetime) -> list[SmsMessage]:
    batch = list(
        SmsMessage.objects.select_for_update(skip_locked=True)
        .filter(status=Status.QUEUED, due_at__lte=now, environment__in=environments)
        .order_by("due_at")[: provider.batch_size]
    )
    SmsMessage.objects.filter(pk__in=[message.pk for message in batch]).update(
        status=Status.SENDING, sending_at=now, provider=provider.name
    )
    return batch


def _hand_over(message: SmsMessage, *, provider: SmsProvider, clock: Callable[[], datetime]) -> None:
    """Give one message to the provider and note on it what came of that. Runs in a thread: no database here."""
    try:
        sent = provider.send(message.phone_number, message.body)
    except SmsRejected as error:
        message.status, message.error = Status.FAILED, error.sentence
    except SmsTimeout as error:
        message.status, message.error = Status.UNKNOWN, error.sentence
    except SmsUnavailable as error:
        now = clock()
        message.status = Status.FAILED if now - message.created_at > GIVE_UP_AFTER else Status.QUEUED
        message.error = error.sentence
        message.due_at = now + _RETRY_AFTER[min(message.attempts, len(_RETRY_AFTER) - 1)]
        message.attempts += 1
    else:
        message.status, message.error, message.sent_at = Status.SENT, "", clock()
        message.provider_message_id = sent.provider_message_id


def _settle(messages: Sequence[SmsMessage]) -> None:
    batch = sorted(messages, key=lambda message: message.pk)  # in the order in which `forget_number` locks
    with connection.cursor() as cursor:
        cursor.execute(
            _SETTLE,
            [
                [message.pk for message in batch],
                [str(message.status) for message in batch],
                [message.provider_message_id for message in batch],
                [kept(fitting(message.error, 254)) for message in batch],
                [message.attempts for message in batch],
                [message.due_at for message in batch],
                [message.sent_at for message in batch],
                [_left_of_body(message) for message in batch],
            ],
        )


def _left_of_body(message: SmsMessage) -> str:
    """Whole until nothing more comes of it, and in practice, where the practice phone goes on showing it."""
    is_kept_whole = message.status == Status.QUEUED or message.environment == Environment.PRACTICE
    return message.body if is_kept_whole else message.shown_body


def _promise_the_rest() -> None:
    """Come back when the next message is due, or when one that somebody is sending must be called lost."""
    due_at = SmsMessage.objects.filter(status=Status.QUEUED).aggregate(at=Min("due_at"))["at"]
    sending_at = SmsMessage.objects.filter(status=Status.SENDING).aggregate(at=Min("sending_at"))["at"]
    times = [due_at] if due_at else []
    if sending_at:
        times.append(sending_at + LOST_AFTER)
    if times:
        enqueue(send_queued_sms, due_at=min(times))
