"""The customer of a practice business: a phone on the simulator that pays, gets messages, and answers requests.

Each business has a number of its own, so that nobody sees another's messages. Network calls, so never inside a
transaction. Practice channels only: no money moves.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import requests
from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from audit.services import Actor
from channels.models import Environment, MpesaChannel, SmsMessage
from channels.practice import PracticeUnavailable
from channels.signals import practice_payment_coming
from tenants.errors import Conflict, Invalid
from tenants.permissions import Permission, require
from tenants.queue import require_current_tenant

ANSWERS = ("pin", "cancel")
FIRST_NAME = "Wanjiru"
_TIMEOUT_S = (3.0, 10.0)
_MESSAGES = 4
_MOST = 3  # standing orders, and invoices, on one screen
_UNPAID = ("sent", "part-paid")  # of the simulator's invoices


class NoPracticeChannel(Conflict):
    code = "no_practice_channel"


class PracticeRefused(Conflict):
    """The phone says no, as a real one would: too little money, no such request any more."""

    code = "practice_refused"


@dataclass(frozen=True, slots=True)
class PracticePayment:
    """`receipt` is M-PESA's; `is_paid` is False if the business's rules refused it. `message` is the payer's SMS."""

    receipt: str
    is_paid: bool
    message: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """What waits on the phone: a request to pay, a standing order to agree to, or an invoice, which nobody refuses."""

    id: str  # as the simulator's phone addresses it: "prompts/ws_CO_…"
    text: str
    can_refuse: bool = True


@dataclass(frozen=True, slots=True)
class Phone:
    """What the phone shows: requests, messages of M-PESA and of the business, both the newest first."""

    number: str
    prompts: list[Prompt]
    from_mpesa: list[str]
    from_business: list[str]


def practice_number() -> str:
    """The 12 digits of the present business's practice phone."""
    digest = sha256(f"practice phone of {require_current_tenant().pk}".encode()).digest()
    return f"2547{int.from_bytes(digest[:8]) % 100_000_000:08d}"


def practice_channels(*, actor: Actor) -> list[MpesaChannel]:
    """The channels that the phone can pay, the primary one first."""
    require(actor, Permission.CHANNELS_READ)
    active = MpesaChannel.objects.without_secrets().filter(
        environment=Environment.PRACTICE, status=MpesaChannel.Status.ACTIVE
    )
    return list(active.order_by("-is_primary", "created_at"))


def pay_in_practice(*, actor: Actor, amount: int, account_reference: str) -> PracticePayment:
    """Pay KES `amount` from the practice phone to the first practice channel, as a customer would.

    Whoever gives something for payments can prepare for it (`practice_payment_coming`).

    :raises NoPracticeChannel: if none is active.
    :raises PracticeRefused: if M-PESA would not even try.
    :raises PracticeUnavailable: if the simulator does not answer.
    """
    require(actor, Permission.PAYMENTS_REQUEST)
    channels = practice_channels(actor=actor)
    if not channels:
        raise NoPracticeChannel(_("Your practice number is still being connected. Try again in a few seconds."))
    channel = channels[0]
    with transaction.atomic():
        practice_payment_coming.send(
            sender=MpesaChannel,
            channel=channel,
            account_reference=account_reference,
            phone_number=practice_number(),
            name=FIRST_NAME,
            now=timezone.now(),
        )
    return pay_as_customer(
        actor=actor,
        channel=channel,
        account_reference=account_reference,
        amount=amount,
        phone_number=practice_number(),
        name=FIRST_NAME,
    )


def pay_as_customer(
    *, actor: Actor, channel: MpesaChannel, account_reference: str, amount: int, phone_number: str, name: str
) -> PracticePayment:
    """Pay KES `amount` to a practice channel from any phone on the simulator; its owner goes by this first name.

    :raises PracticeRefused: if M-PESA would not even try.
    :raises PracticeUnavailable: if the simulator does not answer.
    """
    require(actor, Permission.PAYMENTS_REQUEST)
    answer = _ask(
        "POST",
        "/payments",
        {
            "shortcode": channel.shortcode,
            "account_reference": account_reference if channel.kind == MpesaChannel.Kind.PAYBILL else "",
            "amount": str(amount),
            "phone_number": phone_number,
            "first_name": name,
        },
    )
    return PracticePayment(
        receipt=str(answer.get("receipt", "")),
        is_paid=answer.get("state") == "completed",
        message=str(answer.get("message", "")),
    )


def read_phone(*, actor: Actor) -> Phone:
    """What the practice phone shows now. A request of another business is not shown.

    :raises PracticeUnavailable: if the simulator does not answer.
    """
    ours = {channel.shortcode for channel in practice_channels(actor=actor)}
    number = practice_number()
    prompts = _ask("GET", f"/prompts?phone_number={number}").get("prompts", [])
    requested = _ask("GET", f"/requests?phone_number={number}")
    messages = _ask("GET", f"/messages?phone_number={number}").get("messages", [])
    sent = SmsMessage.objects.filter(
        environment=Environment.PRACTICE, phone_number=number, status=SmsMessage.Status.SENT
    )
    return Phone(
        number=number,
        prompts=[
            *(
                Prompt(f"prompts/{each['checkout_request_id']}", str(each["text"]))
                for each in prompts
                if each["shortcode"] in ours
            ),
            *_standing_orders(requested.get("standing_orders", []), ours),
            *_invoices(requested.get("invoices", []), ours),
        ],
        from_mpesa=[str(message) for message in messages[:_MESSAGES]],
        from_business=list(sent.order_by("-pk").values_list("body", flat=True)[:_MESSAGES]),
    )


def _standing_orders(orders: Iterable[Mapping[str, Any]], ours: Collection[str]) -> list[Prompt]:
    prompts = [
        Prompt(
            f"standing-orders/{order['reference']}",
            f"Do you want to pay Ksh.{order['amount']} account no. {order['account_reference']} {order['frequency']}"
            f" from {order['start_date']} to {order['end_date']} ({order['name']})? Enter M-PESA PIN",
        )
        for order in orders
        if order["shortcode"] in ours and order["state"] == "waiting"
    ]
    return prompts[:_MOST]


def _invoices(invoices: Iterable[Mapping[str, Any]], ours: Collection[str]) -> list[Prompt]:
    prompts = [
        Prompt(
            f"invoices/{invoice['id']}",
            f"Bill for {invoice['billed_name']}, {invoice['invoice_name']} {invoice['billed_period']}:"
            f" Ksh.{invoice['amount']}, due {invoice['due_date']}. Pay to account no. {invoice['account_reference']}",
            can_refuse=False,
        )
        for invoice in invoices
        if invoice["shortcode"] in ours and invoice["state"] in _UNPAID
    ]
    return prompts[:_MOST]


def answer_prompt(*, actor: Actor, prompt_id: str, answer: str) -> None:
    """Press a button of the practice phone: "pin" pays or agrees, "cancel" does not.

    :raises Invalid: for another answer.
    :raises PracticeRefused: if no such request waits on the phone any more.
    :raises PracticeUnavailable: if the simulator does not answer.
    """
    require(actor, Permission.PAYMENTS_REQUEST)
    if answer not in ANSWERS:
        raise Invalid(_("Press one of the phone's buttons."))
    waiting = {prompt.id: prompt for prompt in read_phone(actor=actor).prompts}
    if prompt_id not in waiting:
        raise PracticeRefused(_("That request does not wait on the phone any more."))
    _ask("POST", f"/{prompt_id}", {"answer": answer} if waiting[prompt_id].can_refuse else {})


def _ask(method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    try:
        with requests.Session() as session:
            session.trust_env = False  # it is ours: no proxy of the environment stands between
            answer = session.request(
                method,
                f"{settings.SIMULATOR_URL}/phone{path}",
                json=body,
                timeout=_TIMEOUT_S,
                allow_redirects=False,
            )
            shown = answer.json()
    except (requests.RequestException, ValueError) as problem:
        raise PracticeUnavailable(_("The practice phone does not answer. Try again in a moment.")) from problem
    if answer.status_code in {404, 409, 422}:
        raise PracticeRefused(str(shown.get("error", "")))
    if answer.status_code != requests.codes.ok or not isinstance(shown, dict):
        raise PracticeUnavailable(_("The practice phone does not answer. Try again in a moment."))
    return shown
