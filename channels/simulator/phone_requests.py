"""What else the phone shows: standing orders to agree to, invoices to pay, requests to the till it answers for."""

from html import escape

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from channels.simulator import bills, faults, organisations, phone, standing_orders, till_requests
from channels.simulator.bills import Invoice
from channels.simulator.customers import SANDBOX_TEST_MSISDN
from channels.simulator.faults import Asked
from channels.simulator.json_door import Fields, Refused, money
from channels.simulator.organisations import AutoAnswer
from channels.simulator.payments import Payment
from channels.simulator.simulator import Simulator
from channels.simulator.simulator import of as simulator_of
from channels.simulator.standing_orders import StandingOrder
from channels.simulator.till_requests import TillRequest

STOP = "stop"
_TILL_ANSWERS = (AutoAnswer.PIN, AutoAnswer.CANCEL)


def answer_standing_order(simulator: Simulator, reference: str, answer: str) -> StandingOrder:
    """Agree to a standing order (pin, wrong_pin or cancel), or stop one that was agreed to (stop).

    :raises Refused: if that cannot be done (any more)
    """
    books = simulator.books
    order = standing_orders.find(books, reference)
    if order is None:
        raise Refused("There is no such standing order.", 404)
    if answer == STOP:
        if order.state != "active":
            raise Refused("That standing order is not active.", 409)
        standing_orders.stop(books, order)
        return standing_orders.find(books, reference) or order
    if answer not in phone.ANSWERS:
        raise Refused(f"answer must be one of: {', '.join((*phone.ANSWERS, STOP))}.")
    if order.state != "waiting":
        raise Refused("That standing order does not wait for an answer any more.", 409)
    if order.msisdn == SANDBOX_TEST_MSISDN:
        raise Refused("The sandbox's test number never answers.", 409)
    settled = standing_orders.settle(books, simulator.courier, order, standing_orders.ANSWERS[AutoAnswer(answer)])
    simulator.standing_order_alarm.ring()
    return settled


def answer_till_request(simulator: Simulator, request_id: int, answer: str) -> TillRequest:
    """Pay from the till (pin) or decline (cancel).

    :raises Refused: if it does not wait any more
    """
    request = till_requests.find(simulator.books, request_id)
    if request is None:
        raise Refused("There is no such request.", 404)
    if answer not in _TILL_ANSWERS:
        raise Refused(f"answer must be one of: {', '.join(_TILL_ANSWERS)}.")
    if request.result_code is not None:
        raise Refused(f"That request is over: {till_requests.DESCRIPTIONS[request.result_code]}", 409)
    given = till_requests.ANSWERS[AutoAnswer(answer)]
    settled = till_requests.settle(simulator.books, simulator.courier, request, given)
    simulator.till_request_alarm.ring()
    return settled


async def pay_invoice(simulator: Simulator, invoice_id: int, amount: str, asked: list[Asked]) -> Payment:
    """Pay an invoice, or part of it; an empty amount pays what is owed.

    :raises Refused: if it is paid, cancelled, or M-PESA would not even try
    """
    invoice = bills.by_id(simulator.books, invoice_id)
    if invoice is None:
        raise Refused("There is no such invoice.", 404)
    if not invoice.owed_cents:
        raise Refused("That invoice is paid.", 409)
    return await phone.pay(
        simulator,
        invoice.msisdn,
        invoice.shortcode,
        invoice.account_reference,
        amount or str(invoice.owed_cents // 100),
        asked,
    )


def shown_order(order: StandingOrder) -> dict[str, object]:
    """A standing order as the phone's and the control door show it."""
    return {
        "reference": order.reference,
        "shortcode": order.shortcode,
        "phone_number": order.msisdn,
        "name": order.name,
        "amount": money(order.cents),
        "account_reference": order.account_reference,
        "frequency": standing_orders.FREQUENCIES[order.frequency],
        "start_date": order.start_date,
        "end_date": order.end_date,
        "state": order.state,
        "result_code": order.result_code,
        "next_date": order.next_date,
        "last_outcome": order.last_outcome,
    }


def shown_invoice(invoice: Invoice) -> dict[str, object]:
    """An invoice as the phone's and the control door show it."""
    return {
        "id": invoice.id,
        "external_reference": invoice.external_reference,
        "shortcode": invoice.shortcode,
        "phone_number": invoice.msisdn,
        "billed_name": invoice.billed_name,
        "billed_period": invoice.billed_period,
        "invoice_name": invoice.invoice_name,
        "due_date": invoice.due_date,
        "account_reference": invoice.account_reference,
        "amount": money(invoice.cents),
        "paid": money(invoice.paid_cents),
        "state": invoice.state,
    }


def shown_till_request(request: TillRequest) -> dict[str, object]:
    """A request to a till as the phone's and the control door show it."""
    return {
        "id": request.id,
        "request_id": request.request_id,
        "payer": request.payer,
        "payee": request.payee,
        "phone_number": request.msisdn,
        "amount": money(request.cents),
        "payment_reference": request.payment_reference,
        "partner_name": request.partner_name,
        "result_code": request.result_code,
        "receipt": request.receipt,
    }


async def get_requests(request: Request) -> Response:
    """GET /phone/requests?phone_number="""
    books = simulator_of(request).books
    wire = phone.number(request.query_params.get("phone_number", ""))
    return JSONResponse(
        {
            "standing_orders": [shown_order(order) for order in standing_orders.of_customer(books, wire)],
            "invoices": [shown_invoice(invoice) for invoice in bills.of_customer(books, wire)],
            "till_requests": [shown_till_request(one) for one in till_requests.waiting(books, wire)],
            "e_receipts": bills.e_receipts(books, wire),
        }
    )


async def post_standing_order(request: Request) -> Response:
    """POST /phone/standing-orders/{reference}"""
    fields = await Fields.of(request)
    answer = fields.text("answer")
    fields.done()
    settled = answer_standing_order(simulator_of(request), request.path_params["reference"], answer)
    return JSONResponse(shown_order(settled))


async def post_till_request(request: Request) -> Response:
    """POST /phone/till-requests/{id}"""
    fields = await Fields.of(request)
    answer = fields.text("answer")
    fields.done()
    return JSONResponse(
        shown_till_request(answer_till_request(simulator_of(request), request.path_params["id"], answer))
    )


async def post_invoice(request: Request) -> Response:
    """POST /phone/invoices/{id}"""
    simulator = simulator_of(request)
    fields = await Fields.of(request)
    amount = fields.amount("amount") if fields.has("amount") else ""
    asked = faults.read_header(request.headers.get("x-simulator-fault", ""))
    fields.done()
    payment = await pay_invoice(simulator, request.path_params["id"], amount, asked)
    organisation = organisations.find(simulator.books, payment.shortcode)
    sentence = phone.message(payment, organisation) if organisation else ""
    return JSONResponse({"receipt": payment.receipt, "state": payment.state, "message": sentence})


def section(simulator: Simulator, wire: str, local: str) -> str:
    """The part of the phone's page; empty when there is nothing to show."""
    books = simulator.books
    cards = [
        *(_order_card(simulator, order, local) for order in standing_orders.of_customer(books, wire)),
        *(_invoice_card(simulator, invoice, local) for invoice in bills.of_customer(books, wire)),
        *(_till_card(simulator, request, local) for request in till_requests.waiting(books, wire)),
        *(f"<p>{escape(text)}</p>" for text in bills.e_receipts(books, wire)),
    ]
    content = "".join(cards)
    return f"<section><h2>Standing orders, invoices and tills</h2>{content}</section>" if content else ""


def _order_card(simulator: Simulator, order: StandingOrder, local: str) -> str:
    organisation = organisations.find(simulator.books, order.shortcode)
    if organisation is None or order.state in {"refused", "over"}:
        return ""
    if order.state == "waiting":
        buttons = {
            AutoAnswer.PIN: "Enter PIN and agree",
            AutoAnswer.WRONG_PIN: "Enter a wrong PIN",
            AutoAnswer.CANCEL: "Cancel",
        }
        text = standing_orders.text(organisation, order)
        return _card("standing-order", order.reference, text, _buttons(buttons), local)
    text = (
        f"{order.name}: KES {order.cents // 100:,} to {organisation.name} "
        f"{standing_orders.FREQUENCIES[order.frequency]}, next on {order.next_date}. {order.last_outcome}"
    )
    return _card("standing-order", order.reference, text, _buttons({STOP: "Stop this standing order"}), local)


def _invoice_card(simulator: Simulator, invoice: Invoice, local: str) -> str:
    organisation = organisations.find(simulator.books, invoice.shortcode)
    if organisation is None or not invoice.owed_cents:
        return ""
    text = (
        f"{organisation.name} asks {invoice.billed_name} for KES {invoice.cents // 100:,}: {invoice.invoice_name}, "
        f"{invoice.billed_period}, account {invoice.account_reference}, due on {invoice.due_date}."
    )
    controls = (
        '<label>Amount in KES <input name="amount" inputmode="numeric" required maxlength="9" '
        f'value="{invoice.owed_cents // 100}"></label><button>Pay</button>'
    )
    return _card("invoice", str(invoice.id), text, controls, local)


def _till_card(simulator: Simulator, request: TillRequest, local: str) -> str:
    payer = organisations.find(simulator.books, request.payer)
    if payer is None:
        return ""
    buttons = {AutoAnswer.PIN: "Enter PIN and pay", AutoAnswer.CANCEL: "Decline"}
    return _card("till-request", str(request.id), till_requests.text(payer, request), _buttons(buttons), local)


def _buttons(labels: dict[AutoAnswer, str] | dict[str, str]) -> str:
    return "".join(f'<button name="answer" value="{answer}">{label}</button>' for answer, label in labels.items())


def _card(kind: str, identifier: str, text: str, controls: str, local: str) -> str:
    return (
        f'<form class="prompt" method="post" action="/phone/requests"><p>{escape(text)}</p>'
        f'<input type="hidden" name="phone_number" value="{escape(local)}">'
        f'<input type="hidden" name="kind" value="{kind}">'
        f'<input type="hidden" name="id" value="{escape(identifier)}">{controls}</form>'
    )


async def act(simulator: Simulator, form: dict[str, str]) -> None:
    """Do what a card's form asks for.

    :raises Refused: if that cannot be done
    """
    kind, identifier, answer = form.get("kind", ""), form.get("id", ""), form.get("answer", "")
    if kind == "standing-order":
        answer_standing_order(simulator, identifier, answer)
        return
    number = int(identifier) if identifier.isascii() and identifier.isdigit() and len(identifier) < 16 else 0
    if kind == "invoice":
        await pay_invoice(simulator, number, form.get("amount", ""), [])
    else:
        answer_till_request(simulator, number, answer)


routes = [
    Route("/phone/requests", get_requests),
    Route("/phone/standing-orders/{reference}", post_standing_order, methods=["POST"]),
    Route("/phone/invoices/{id:int}", post_invoice, methods=["POST"]),
    Route("/phone/till-requests/{id:int}", post_till_request, methods=["POST"]),
]
