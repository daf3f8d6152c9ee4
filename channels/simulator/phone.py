"""The virtual phone's JSON door, and what the phone can do: pay, see its prompts, answer one."""

from dataclasses import replace
from decimal import Decimal, InvalidOperation

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from channels.simulator import (
    collection,
    customers,
    faults,
    identifiers,
    msisdn,
    orders,
    organisations,
    payments,
    prompts,
)
from channels.simulator.customers import SANDBOX_TEST_MSISDN
from channels.simulator.faults import Asked
from channels.simulator.json_door import Fields, Refused, money
from channels.simulator.orders import Command, Order
from channels.simulator.organisations import AutoAnswer, Organisation
from channels.simulator.payments import Payment, Source, State
from channels.simulator.prompts import Prompt
from channels.simulator.simulator import Simulator
from channels.simulator.simulator import of as simulator_of

_LONGEST_ACCOUNT = 20
ANSWERS = (AutoAnswer.PIN, AutoAnswer.WRONG_PIN, AutoAnswer.CANCEL)


def number(text: str) -> str:
    """The 12 digits of a phone number as a person writes it."""
    wire = msisdn.normalise(text)
    if wire is None:
        raise Refused("Write the phone number like 0712345678.")
    return wire


def rename(simulator: Simulator, wire: str, first_name: str, last_name: str) -> None:
    """Give the owner of a phone another name; an empty name leaves the old one."""
    customer = customers.get(simulator.books, wire)
    renamed = replace(customer, first_name=first_name or customer.first_name, last_name=last_name or customer.last_name)
    if renamed != customer:
        customers.save(simulator.books, renamed)


async def pay(
    simulator: Simulator, wire: str, shortcode: str, account_reference: str, amount: str, asked: list[Asked]
) -> Payment:
    """Pay a PayBill or a till from the phone's menu, and wait for what comes of it.

    :raises Refused: if M-PESA would not even try
    """
    organisation = organisations.find(simulator.books, shortcode)
    if organisation is None:
        raise Refused(f"No business has the number {shortcode}.", 404)
    if organisation.is_paybill and not account_reference:
        raise Refused("Type an account number; a PayBill asks for one.")
    if len(account_reference) > _LONGEST_ACCOUNT:
        raise Refused(f"An account number has {_LONGEST_ACCOUNT} characters at most.")
    cents = _shillings(amount) * 100
    payment = payments.begin(simulator.books, organisation, wire, cents, account_reference, Source.PHONE)
    try:
        return await collection.pay(simulator.books, simulator.courier, payment, organisation, asked=asked)
    except payments.InsufficientFunds:
        raise Refused("Failed. There is not enough money in your M-PESA account.") from None


def _shillings(text: str) -> int:
    try:
        amount = Decimal(text.replace(",", "").strip())
    except InvalidOperation:
        raise Refused("Write the amount in shillings, like 5000.") from None
    if not amount.is_finite() or amount != int(amount):
        raise Refused("M-PESA moves whole shillings.")
    if not payments.LEAST_SHILLINGS <= amount <= payments.MOST_SHILLINGS:
        raise Refused(f"An amount is from KES {payments.LEAST_SHILLINGS} to KES {payments.MOST_SHILLINGS:,}.")
    return int(amount)


def answer(simulator: Simulator, checkout_request_id: str, given: AutoAnswer) -> Prompt:
    """Answer a waiting prompt.

    :raises Refused: if it does not wait any more, or never can be answered
    """
    prompt = prompts.find(simulator.books, checkout_request_id)
    if prompt is None:
        raise Refused("There is no such request.", 404)
    if prompt.result_code is not None:
        raise Refused(f"That request is over: {prompt.result_desc}", 409)
    if prompt.msisdn == SANDBOX_TEST_MSISDN:
        raise Refused("The sandbox's test number never answers.", 409)
    settled = prompts.settle(simulator.books, simulator.courier, prompt, prompts.ANSWERS[given])
    simulator.prompt_alarm.ring()
    return settled


def message(payment: Payment, organisation: Organisation) -> str:
    """The SMS that the payer gets."""
    amount = f"KES {payment.cents / 100:,.2f}"
    moment = identifiers.east_african(payment.paid_at)
    account = f" for account {payment.account_reference}" if payment.account_reference else ""
    if payment.state == State.CANCELLED:
        reason = collection.REASONS.get(payment.reason, payment.reason)
        return f"Failed. {amount} to {organisation.name}{account} was not paid: {reason}."
    return (
        f"{payment.receipt} Confirmed. {amount} paid to {organisation.name}{account} on {moment:%d/%m/%y} at "
        f"{moment:%H:%M}. New M-PESA balance is KES {payment.customer_cents / 100:,.2f}."
    )


async def post_payment(request: Request) -> Response:
    """POST /phone/payments"""
    simulator = simulator_of(request)
    fields = await Fields.of(request)
    shortcode = fields.text("shortcode")
    account_reference = fields.text("account_reference", "")
    amount = fields.amount("amount")
    wire = number(fields.text("phone_number"))
    first_name, last_name = fields.text("first_name", "", longest=40), fields.text("last_name", "", longest=40)
    asked = faults.read_header(",".join((request.headers.get("x-simulator-fault", ""), fields.text("fault", ""))))
    fields.done()
    rename(simulator, wire, first_name.upper(), last_name.upper())
    payment = await pay(simulator, wire, shortcode, account_reference, amount, asked)
    organisation = organisations.find(simulator.books, payment.shortcode)
    sentence = message(payment, organisation) if organisation else ""
    return JSONResponse({"receipt": payment.receipt, "state": payment.state, "message": sentence})


async def get_prompts(request: Request) -> Response:
    """GET /phone/prompts?phone_number="""
    simulator = simulator_of(request)
    wire = number(request.query_params.get("phone_number", ""))
    return JSONResponse({"prompts": [_shown(simulator, prompt) for prompt in prompts.waiting(simulator.books, wire)]})


def _shown(simulator: Simulator, prompt: Prompt) -> dict[str, object]:
    organisation = organisations.find(simulator.books, prompt.shortcode)
    return {
        "checkout_request_id": prompt.checkout_request_id,
        "shortcode": prompt.shortcode,
        "business": organisation.name if organisation else "",
        "amount": money(prompt.cents),
        "account_reference": prompt.account_reference,
        "text": prompts.text(organisation, prompt.cents // 100, prompt.account_reference) if organisation else "",
        "expires_at": identifiers.east_african(prompt.act_at).isoformat(timespec="seconds"),
    }


async def post_answer(request: Request) -> Response:
    """POST /phone/prompts/{checkout_request_id}"""
    simulator = simulator_of(request)
    fields = await Fields.of(request)
    given = fields.choice("answer", AutoAnswer)
    fields.done()
    if given not in ANSWERS:
        raise Refused(f"answer must be one of: {', '.join(ANSWERS)}.")
    settled = answer(simulator, request.path_params["checkout_request_id"], given)
    return JSONResponse(
        {"result_code": settled.result_code, "result_desc": settled.result_desc, "receipt": settled.receipt}
    )


async def get_messages(request: Request) -> Response:
    """GET /phone/messages?phone_number="""
    simulator = simulator_of(request)
    return JSONResponse({"messages": messages(simulator, number(request.query_params.get("phone_number", "")))})


def received_message(order: Order, organisation: Organisation) -> str:
    """The SMS that comes with money from a business; a promotion's congratulates."""
    amount = f"KES {order.cents / 100:,.2f}"
    moment = identifiers.east_african(order.finished_at or order.act_at)
    on = f"on {moment:%d/%m/%y} at {moment:%H:%M}."
    if order.command is Command.REVERSAL:
        return f"{order.receipt} Confirmed. {order.account_reference} was reversed and {amount} is back {on}"
    hail = "Congratulations! " if order.command is Command.PROMOTION_PAYMENT else ""
    return f"{hail}{order.receipt} Confirmed. You have received {amount} from {organisation.name} {on}"


def messages(simulator: Simulator, wire: str) -> list[str]:
    """The phone's last messages from M-PESA, newest first."""
    found = []
    for payment in payments.of_customer(simulator.books, wire):
        if payee := organisations.find(simulator.books, payment.shortcode):
            found.append((payment.paid_at, message(payment, payee)))
    for order in orders.of_customer(simulator.books, wire):
        if payer := organisations.find(simulator.books, order.shortcode):
            found.append((order.finished_at or order.act_at, received_message(order, payer)))
    return [text for _, text in sorted(found, reverse=True)]


routes = [
    Route("/phone/payments", post_payment, methods=["POST"]),
    Route("/phone/prompts", get_prompts),
    Route("/phone/prompts/{checkout_request_id}", post_answer, methods=["POST"]),
    Route("/phone/messages", get_messages),
]
