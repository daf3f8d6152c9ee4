"""The virtual phone as a page: plain forms that work without JavaScript; a little script watches for prompts."""

from html import escape
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from channels.simulator import customers, organisations, phone, phone_requests, prompts
from channels.simulator.faults import AMOUNT_ANSWERS, AMOUNT_FAULTS
from channels.simulator.json_door import Refused
from channels.simulator.organisations import AutoAnswer
from channels.simulator.payments import State
from channels.simulator.prompts import Prompt
from channels.simulator.simulator import Simulator
from channels.simulator.simulator import of as simulator_of

_PRACTICE_NUMBER = "0712345678"
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_BUTTONS = {
    AutoAnswer.PIN: "Enter PIN and pay",
    AutoAnswer.WRONG_PIN: "Enter a wrong PIN",
    AutoAnswer.CANCEL: "Cancel",
}
_ANSWERS = {
    AutoAnswer.PUSH_FAILS: "The request cannot be delivered.",
    AutoAnswer.EXPIRED: "The request expires.",
    AutoAnswer.CANCEL: "The customer cancels.",
    AutoAnswer.NO_ANSWER: "The customer does not answer.",
    AutoAnswer.WRONG_PIN: "The customer enters a wrong PIN.",
    AutoAnswer.NO_FUNDS: "The customer has too little money.",
}


async def page(request: Request) -> Response:
    """GET /phone; the query may prefill phone_number, shortcode, account_reference and amount."""
    return _page(simulator_of(request), request.query_params)


def _page(simulator: Simulator, query: QueryParams, notice: str = "", *, status: int = 200) -> Response:
    try:
        wire = phone.number(query.get("phone_number") or _PRACTICE_NUMBER)
    except Refused as refused:
        wire, notice, status = phone.number(_PRACTICE_NUMBER), refused.sentence, refused.status
    waiting = prompts.waiting(simulator.books, wire)
    customer = customers.get(simulator.books, wire)
    local = f"0{wire[3:]}"
    parts = [
        f'<p class="notice" role="status">{escape(notice)}</p>' if notice else "",
        f"<section><h2>My phone</h2>{_number_form(local)}"
        f"<p>{escape(customer.first_name.title())} has KES {customer.cents / 100:,.2f} in M-PESA.</p></section>",
        _prompts(simulator, waiting, local),
        phone_requests.section(simulator, wire, local),
        _pay_form(query, local),
        _messages(simulator, wire),
        _amounts(),
    ]
    return _html("".join(parts), wire, waiting, status)


def _html(content: str, wire: str, waiting: list[Prompt], status: int) -> Response:
    ids = " ".join(prompt.checkout_request_id for prompt in waiting)
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Practice phone</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="stylesheet" href="/phone/static/phone.css"><script src="/phone/static/phone.js" defer></script>'
        f'</head><body data-phone-number="{escape(wire)}" data-waiting="{escape(ids)}">'
        "<header><h1>Practice phone</h1><p>Money here is for practice. No real M-PESA is touched.</p></header>"
        f'<p class="notice" id="arrived" hidden><a href="/phone?phone_number={escape(wire)}">A request has '
        f"arrived. Show it</a></p><main>{content}</main></body></html>"
    )
    return HTMLResponse(text, status, headers=_HEADERS)


def _number_form(local: str) -> str:
    return (
        '<form method="get" action="/phone"><label>Phone number '
        f'<input name="phone_number" inputmode="tel" required value="{escape(local)}"></label>'
        "<button>Use this number</button></form>"
    )


def _prompts(simulator: Simulator, waiting: list[Prompt], local: str) -> str:
    cards = "".join(_prompt(simulator, prompt, local) for prompt in waiting) or (
        f'<p>None. <a href="/phone?phone_number={escape(local)}">Check again</a></p>'
    )
    return f"<section><h2>Requests to pay</h2>{cards}</section>"


def _prompt(simulator: Simulator, prompt: Prompt, local: str) -> str:
    organisation = organisations.find(simulator.books, prompt.shortcode)
    if organisation is None:
        return ""
    question = escape(prompts.text(organisation, prompt.cents // 100, prompt.account_reference))
    buttons = "".join(f'<button name="answer" value="{answer}">{label}</button>' for answer, label in _BUTTONS.items())
    return (
        f'<form class="prompt" method="post" action="/phone/answer"><p>{question}</p>'
        f'<input type="hidden" name="phone_number" value="{escape(local)}">'
        f'<input type="hidden" name="checkout_request_id" value="{escape(prompt.checkout_request_id)}">'
        f"{buttons}</form>"
    )


def _pay_form(query: QueryParams, local: str) -> str:
    def field(name: str, label: str, attributes: str) -> str:
        return f'<label>{label} <input name="{name}" {attributes} value="{escape(query.get(name, ""))}"></label>'

    return (
        '<section><h2>Lipa na M-PESA</h2><form method="post" action="/phone/pay">'
        f'<input type="hidden" name="phone_number" value="{escape(local)}">'
        + field("shortcode", "PayBill or till number", 'inputmode="numeric" required maxlength="7"')
        + field("account_reference", "Account number (not for a till)", 'maxlength="20" autocapitalize="characters"')
        + field("amount", "Amount in KES", 'inputmode="numeric" required maxlength="9"')
        + "<button>Pay</button></form></section>"
    )


def _messages(simulator: Simulator, wire: str) -> str:
    items = "".join(f"<li>{escape(message)}</li>" for message in phone.messages(simulator, wire))
    return f"<section><h2>Messages from M-PESA</h2>{f'<ul>{items}</ul>' if items else '<p>None yet.</p>'}</section>"


def _amounts() -> str:
    told = {amount: asked.fault for amount, asked in AMOUNT_FAULTS.items() if asked.fault.strikes_payments_in}
    answered = {amount: asked.fault for amount, asked in AMOUNT_FAULTS.items() if amount not in told}
    return (
        "<section><details><summary>Amounts that make things go wrong</summary>"
        + _table("A business asks this phone to pay", {n: _ANSWERS[answer] for n, answer in AMOUNT_ANSWERS.items()})
        + _table("Somebody pays, and the business is told wrongly", {n: fault.sentence for n, fault in told.items()})
        + _table("A business asks Daraja", {n: fault.sentence for n, fault in answered.items()})
        + "</details></section>"
    )


def _table(caption: str, rows: dict[int, str]) -> str:
    cells = "".join(f"<tr><th>{amount:,}</th><td>{escape(what)}</td></tr>" for amount, what in rows.items())
    return f"<table><caption>{caption}</caption>{cells}</table>"


async def _form(request: Request) -> dict[str, str]:
    """A form's fields; a form on another site may not post here."""
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        raise Refused("Use the form on the practice phone itself.", 403)
    return dict(parse_qsl((await request.body()).decode(errors="replace"), max_num_fields=20))


async def pay(request: Request) -> Response:
    """POST /phone/pay"""
    simulator = simulator_of(request)
    form = await _form(request)
    try:
        payment = await phone.pay(
            simulator,
            phone.number(form.get("phone_number", "")),
            form.get("shortcode", "").strip(),
            form.get("account_reference", "").strip(),
            form.get("amount", ""),
            [],
        )
    except Refused as refused:
        return _page(simulator, QueryParams(form), refused.sentence, status=refused.status)
    if payment.state == State.CANCELLED:
        organisation = organisations.find(simulator.books, payment.shortcode)
        return _page(simulator, QueryParams(form), phone.message(payment, organisation) if organisation else "")
    return _back(form)


async def answer(request: Request) -> Response:
    """POST /phone/answer"""
    simulator = simulator_of(request)
    form = await _form(request)
    given = next((answer for answer in _BUTTONS if answer == form.get("answer")), AutoAnswer.CANCEL)
    try:
        phone.answer(simulator, form.get("checkout_request_id", ""), given)
    except Refused as refused:
        return _page(simulator, QueryParams(form), refused.sentence, status=refused.status)
    return _back(form)


async def act(request: Request) -> Response:
    """POST /phone/requests"""
    simulator = simulator_of(request)
    form = await _form(request)
    try:
        await phone_requests.act(simulator, form)
    except Refused as refused:
        return _page(simulator, QueryParams(form), refused.sentence, status=refused.status)
    return _back(form)


def _back(form: dict[str, str]) -> Response:
    """See the page again, so that reloading it does not pay again."""
    query = urlencode({"phone_number": form.get("phone_number", "")})
    return RedirectResponse(f"/phone?{query}", 303)


routes = [
    Route("/phone", page),
    Route("/phone/pay", pay, methods=["POST"]),
    Route("/phone/answer", answer, methods=["POST"]),
    Route("/phone/requests", act, methods=["POST"]),
    Mount("/phone/static", StaticFiles(directory=Path(__file__).parent / "static")),
]
