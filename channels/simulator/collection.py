"""A customer pays: validation, the money, the confirmation (sections 7 and 8 of the reference)."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from channels.simulator import bills, callbacks, customers, faults, payments
from channels.simulator.books import Books
from channels.simulator.deliveries import Courier, Delivery, Reply
from channels.simulator.faults import Asked, Fault, Plan, Target
from channels.simulator.organisations import Organisation
from channels.simulator.payments import Payment

NO_ANSWER = "no_answer"  # the reason of a cancelled payment whose validation nobody answered
REASONS = {
    "C2B00011": "Invalid MSISDN",
    "C2B00012": "Invalid Account Number",
    "C2B00013": "Invalid Amount",
    "C2B00014": "Invalid KYC Details",
    "C2B00015": "Invalid Shortcode",
    "C2B00016": "Other Error",
    NO_ANSWER: "The business cannot be reached",
}


@dataclass(frozen=True)
class Verdict:
    """What became of a validation; an empty reason accepts."""

    reason: str = ""
    third_party_id: str = ""


def read_verdict(reply: Reply, response_type: str | None) -> Verdict:
    """An answer in time decides by its ResultCode; no answer, or one that is none, lets ResponseType decide."""
    try:
        answer = json.loads(reply.text) if reply.status == 200 else None
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        return Verdict() if response_type == "Completed" else Verdict(reason=NO_ANSWER)
    code = str(answer.get("ResultCode", "C2B00016"))
    if code == "0":
        return Verdict(third_party_id=str(answer.get("ThirdPartyTransID") or ""))
    return Verdict(reason=code if code in REASONS else "C2B00016")


async def pay(
    books: Books, courier: Courier, payment: Payment, organisation: Organisation, *, asked: Sequence[Asked] = ()
) -> Payment:
    """Carry out a payment that a customer began, and return it as it was entered: completed or cancelled.

    :raises payments.InsufficientFunds: and nothing is entered.
    """
    if customers.get(books, payment.msisdn).cents < payment.cents:
        raise payments.InsufficientFunds
    plan = draw(books, Target.C2B_CONFIRMATION, payment, asked)
    if not (organisation.validation_enabled and organisation.validation_url):
        return _complete(books, courier, payment, organisation, plan, asked, delay=organisation.timings.callback)
    if Fault.CALLBACK_OUT_OF_ORDER in plan:
        completed = _complete(books, courier, payment, organisation, plan, asked, delay=0)
        await courier.settled(payment.receipt)
        await _validate(books, courier, payment, organisation, asked)
        return completed
    verdict = await _validate(books, courier, payment, organisation, asked)
    if verdict.reason:
        return payments.cancel(books, payment, organisation, verdict.reason)
    payment = replace(payment, third_party_id=verdict.third_party_id)
    return _complete(books, courier, payment, organisation, plan, asked, delay=organisation.timings.callback)


def draw(books: Books, target: Target, payment: Payment, asked: Sequence[Asked]) -> Plan:
    """The faults that strike a delivery about this payment."""
    return faults.draw(books, target, [payment.shortcode], asked=asked, amount=payment.cents // 100)


async def _validate(
    books: Books, courier: Courier, payment: Payment, organisation: Organisation, asked: Sequence[Asked]
) -> Verdict:
    customer = customers.get(books, payment.msisdn)
    delivery = Delivery(
        kind=Target.C2B_VALIDATION,
        shortcode=organisation.shortcode,
        reference=payment.receipt,
        url=organisation.validation_url or "",
        body=callbacks.c2b(payment, organisation, customer, confirmed=False),
    )
    plan = draw(books, Target.C2B_VALIDATION, payment, asked)
    reply = await courier.ask(delivery, seconds=organisation.timings.validation, plan=plan)
    return read_verdict(reply, organisation.response_type)


def _complete(
    books: Books,
    courier: Courier,
    payment: Payment,
    organisation: Organisation,
    plan: Plan,
    asked: Sequence[Asked],
    *,
    delay: float,
) -> Payment:
    with books.writing():
        completed = payments.complete(books, payment, organisation)
        send_confirmation(books, courier, completed, organisation, plan, delay=delay)
        bills.note_payment(books, courier, completed, organisation, asked=asked, delay=delay)
    return completed


def send_confirmation(
    books: Books, courier: Courier, payment: Payment, organisation: Organisation, plan: Plan, *, delay: float
) -> None:
    """Schedule the confirmation of a completed payment, if URLs are registered."""
    if not organisation.confirmation_url:
        return
    customer = customers.get(books, payment.msisdn)
    delivery = Delivery(
        kind=Target.C2B_CONFIRMATION,
        shortcode=organisation.shortcode,
        reference=payment.receipt,
        url=organisation.confirmation_url,
        body=callbacks.c2b(payment, organisation, customer, confirmed=True),
        altered=callbacks.c2b(callbacks.altered(payment), organisation, customer, confirmed=True),
    )
    courier.schedule(delivery, delay=delay, plan=plan)
