"""The control door: organisations, faults, books and deliveries, behind a token of its own."""

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from channels.simulator import (
    accounts,
    customers,
    deliveries,
    faults,
    identifiers,
    ledger,
    organisations,
    phone,
    simulator,
)
from channels.simulator.books import Books
from channels.simulator.faults import AMOUNT_ANSWERS, AMOUNT_FAULTS, Fault
from channels.simulator.json_door import Fields, Refused, money
from channels.simulator.msisdn import MsisdnStyle
from channels.simulator.organisations import (
    App,
    AutoAnswer,
    Kind,
    Mode,
    NamesStyle,
    Organisation,
    Product,
    Timings,
)

_PAGE = 500
Endpoint = Callable[[Request], Awaitable[Response]]


def guarded(endpoint: Endpoint) -> Endpoint:
    """Let only the bearer of the control token in."""

    async def guard(request: Request) -> Response:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        expected = simulator.of(request).control_token
        if scheme.lower() != "bearer" or not hmac.compare_digest(token.strip().encode(), expected.encode()):
            raise Refused("Send Authorization: Bearer with the simulator's control token.", 401)
        return await endpoint(request)

    return guard


def _books(request: Request) -> Books:
    return simulator.of(request).books


def _found(request: Request) -> Organisation:
    shortcode = request.path_params["shortcode"]
    organisation = organisations.find(_books(request), shortcode)
    if organisation is None:
        raise Refused(f"No organisation has the shortcode {shortcode}.", 404)
    return organisation


def shown(books: Books, organisation: Organisation) -> dict[str, Any]:
    """An organisation with everything a developer needs to call Daraja for it."""
    app = organisations.find_app(books, organisation.consumer_key)
    accounts = organisations.balances(books, organisation)
    return {
        **asdict(organisation),
        "consumer_secret": app.consumer_secret if app else "",
        "products": sorted(app.products) if app else [],
        "accounts": {account: money(cents) for account, cents in accounts.items()},
    }


async def put_organisation(request: Request) -> Response:
    """PUT /control/organisations/{shortcode}"""
    shortcode = request.path_params["shortcode"]
    if not (shortcode.isdigit() and 5 <= len(shortcode) <= 7):
        raise Refused("A shortcode has 5 to 7 digits.")
    return JSONResponse(_write(_books(request), shortcode, await Fields.of(request)))


async def post_organisation(request: Request) -> Response:
    """POST /control/organisations: a practice shortcode for whoever comes with a reference, always the same one."""
    books = _books(request)
    fields = await Fields.of(request)
    reference = fields.text("external_reference")
    row = books.one("SELECT shortcode FROM organisations WHERE external_reference = ?", reference)
    shortcode = row["shortcode"] if row else organisations.allocate_shortcode(books)
    return JSONResponse(_write(books, shortcode, fields, external_reference=reference))


def _write(books: Books, shortcode: str, fields: Fields, external_reference: str | None = None) -> dict[str, Any]:
    old = organisations.find(books, shortcode)
    base = old or Organisation(
        shortcode,
        name=fields.text("name"),
        kind=fields.choice("kind", Kind),
        consumer_key=identifiers.consumer_key(),
        external_reference=external_reference,
        passkey=organisations.default_passkey(shortcode),
    )
    consumer_key = fields.text("consumer_key", base.consumer_key)
    app = organisations.find_app(books, consumer_key) or App(
        consumer_key, identifiers.consumer_secret(), frozenset(Product)
    )
    secret = fields.text("consumer_secret", app.consumer_secret)
    products = frozenset(_products(fields)) if fields.has("products") else app.products
    unlocked = fields.has("initiator_password")
    opening_cents = fields.cents("opening_balance") if fields.has("opening_balance") else 0
    working_cents = fields.cents("working_balance") if fields.has("working_balance") else 0
    organisation = replace(
        base,
        name=fields.text("name", base.name),
        kind=fields.choice("kind", Kind, base.kind),
        consumer_key=consumer_key,
        store_number=fields.text("store_number", base.store_number),
        mode=fields.choice("mode", Mode, base.mode),
        passkey=fields.text("passkey", base.passkey),
        initiator_name=fields.text("initiator_name", base.initiator_name),
        initiator_password=fields.text("initiator_password", base.initiator_password),
        initiator_failures=0 if unlocked else base.initiator_failures,
        msisdn_style=fields.choice("msisdn_style", MsisdnStyle) if fields.has("msisdn_style") else base.msisdn_style,
        names_style=fields.choice("names_style", NamesStyle, base.names_style),
        nominated_number=_nominated_number(fields, base.nominated_number),
        validation_enabled=fields.flag("validation_enabled", base.validation_enabled),
        stk_confirmation=fields.flag("stk_confirmation", base.stk_confirmation),
        auto_answer=fields.choice("auto_answer", AutoAnswer, base.auto_answer),
        timings=_timings(fields.inner("timings"), base.timings),
    )
    fields.done()
    with books.writing():
        organisations.save_app(books, App(consumer_key, secret, products))
        organisations.save(books, organisation)
        if old is None and opening_cents:
            accounts.issue(books, opening_cents)
            organisations.credit(books, organisation, opening_cents)
        if old is None and working_cents:
            accounts.issue(books, working_cents)
            accounts.add(books, organisation.shortcode, accounts.WORKING, working_cents)
    return shown(books, organisation)


def _nominated_number(fields: Fields, old: str) -> str:
    text = fields.text("nominated_number", old)
    return phone.number(text) if text else ""


def _products(fields: Fields) -> list[Product]:
    try:
        return [Product(name) for name in fields.texts("products")]
    except ValueError:
        raise Refused(f"products must be some of: {', '.join(Product)}.") from None


def _timings(fields: Fields, old: Timings) -> Timings:
    changes = {name: fields.seconds(name) for name in asdict(old) if fields.has(name)}
    fields.done()
    return replace(old, **{name: seconds for name, seconds in changes.items() if seconds is not None})


async def get_organisation(request: Request) -> Response:
    """GET /control/organisations/{shortcode}"""
    return JSONResponse(shown(_books(request), _found(request)))


async def delete_registration(request: Request) -> Response:
    """DELETE /control/organisations/{shortcode}/registration: what URL Management on the portal does."""
    organisations.change(
        _books(request),
        _found(request),
        confirmation_url=None,
        validation_url=None,
        response_type=None,
        registered_version=None,
    )
    return Response(status_code=204)


async def post_deposit(request: Request) -> Response:
    """POST /control/organisations/{shortcode}/deposits: money from a bank, or with a negative amount to it."""
    books, organisation = _books(request), _found(request)
    fields = await Fields.of(request)
    account, cents = fields.text("account"), fields.cents("amount")
    fields.done()
    if account not in organisation.account_names:
        raise Refused(f"account must be one of: {', '.join(organisation.account_names)}.")
    if cents < 0 and accounts.held(books, organisation.shortcode, account) + cents < 0:
        raise Refused(f"{account} holds less than that.")
    with books.writing():
        accounts.issue(books, cents)
        accounts.add(books, organisation.shortcode, account, cents)
    return JSONResponse(shown(books, organisation))


async def put_customer(request: Request) -> Response:
    """PUT /control/customers/{phone_number}"""
    books = _books(request)
    wire = phone.number(request.path_params["phone_number"])
    fields = await Fields.of(request)
    old = customers.get(books, wire)
    cents = fields.cents("balance") if fields.has("balance") else old.cents
    customer = replace(
        old,
        first_name=fields.text("first_name", old.first_name),
        middle_name=fields.text("middle_name", old.middle_name),
        last_name=fields.text("last_name", old.last_name),
        is_registered=fields.flag("registered", old.is_registered),
    )
    fields.done()
    with books.writing():
        customer = customers.set_balance(books, customer, cents)
    names = {"first_name": customer.first_name, "middle_name": customer.middle_name, "last_name": customer.last_name}
    return JSONResponse(
        {
            "phone_number": wire,
            **names,
            "balance": money(customer.cents),
            "registered": customer.is_registered,
        }
    )


async def get_books(request: Request) -> Response:
    """GET /control/books: what every organisation holds and was paid, to compare other books with."""
    return JSONResponse(ledger.summary(_books(request)))


async def get_ledger(request: Request) -> Response:
    """GET /control/ledger?shortcode=: the books, with every payment in, order out and request to a till."""
    return JSONResponse(ledger.complete(_books(request), request.query_params.get("shortcode")))


async def get_payments(request: Request) -> Response:
    """GET /control/payments?shortcode=&after=&limit="""
    shortcode = request.query_params.get("shortcode")
    rows = _books(request).all(
        "SELECT * FROM payments WHERE id > ?1 AND (?2 IS NULL OR shortcode = ?2) ORDER BY id LIMIT ?3",
        _whole(request, "after", 0),
        shortcode,
        _whole(request, "limit", _PAGE),
    )
    return JSONResponse({"payments": [ledger.payment(row) for row in rows]})


async def get_deliveries(request: Request) -> Response:
    """GET /control/deliveries?shortcode=&reference=&after=&limit="""
    found = deliveries.listed(
        _books(request),
        shortcode=request.query_params.get("shortcode"),
        reference=request.query_params.get("reference"),
        after=_whole(request, "after", 0),
        limit=_whole(request, "limit", _PAGE),
    )
    return JSONResponse({"deliveries": list(found)})


async def resend_delivery(request: Request) -> Response:
    """POST /control/deliveries/{id}/resend"""
    simulator.of(request).courier.resend(request.path_params["id"])
    return Response(status_code=202)


def _whole(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise Refused(f"{name} must be a whole number.")
    return int(text)


async def put_faults(request: Request) -> Response:
    """PUT /control/faults/{shortcode}: these faults and no others."""
    books, organisation = _books(request), _found(request)
    fields = await Fields.of(request)
    wanted = fields.inners("faults")
    fields.done()
    with books.writing():
        faults.remove(books, organisation.shortcode)
        for one in wanted:
            faults.add(books, organisation.shortcode, one)
    return await get_faults(request)


async def post_fault(request: Request) -> Response:
    """POST /control/faults: one more fault, for all."""
    faults.add(_books(request), "", await Fields.of(request))
    return await get_faults(request)


async def get_faults(request: Request) -> Response:
    """GET /control/faults"""
    return JSONResponse({"faults": faults.listed(_books(request))})


async def delete_faults(request: Request) -> Response:
    """DELETE /control/faults, or /control/faults/{shortcode}"""
    faults.remove(_books(request), request.path_params.get("shortcode"))
    return Response(status_code=204)


async def get_catalogue(_request: Request) -> Response:
    """GET /control/faults/catalogue"""
    return JSONResponse(
        {
            "faults": [
                {"fault": fault, "sentence": fault.sentence, "strikes": sorted(fault.targets)} for fault in Fault
            ],
            "amounts": {
                **{str(amount): f"STK: {answer}" for amount, answer in AMOUNT_ANSWERS.items()},
                **{str(amount): asked.fault for amount, asked in AMOUNT_FAULTS.items()},
            },
        }
    )


async def reset(request: Request) -> Response:
    """POST /control/reset"""
    _books(request).empty()
    return Response(status_code=204)


async def get_certificate(request: Request) -> Response:
    """GET /control/certificate.pem, open to all: it is a public key."""
    return Response(simulator.of(request).key.certificate_pem, media_type="application/x-pem-file")


routes = [
    Route("/control/certificate.pem", get_certificate),
    *(
        Route(path, guarded(endpoint), methods=[method])
        for method, path, endpoint in (
            ("POST", "/control/organisations", post_organisation),
            ("PUT", "/control/organisations/{shortcode}", put_organisation),
            ("GET", "/control/organisations/{shortcode}", get_organisation),
            ("DELETE", "/control/organisations/{shortcode}/registration", delete_registration),
            ("PUT", "/control/customers/{phone_number}", put_customer),
            ("POST", "/control/organisations/{shortcode}/deposits", post_deposit),
            ("GET", "/control/books", get_books),
            ("GET", "/control/ledger", get_ledger),
            ("GET", "/control/payments", get_payments),
            ("GET", "/control/deliveries", get_deliveries),
            ("POST", "/control/deliveries/{id:int}/resend", resend_delivery),
            ("GET", "/control/faults/catalogue", get_catalogue),
            ("PUT", "/control/faults/{shortcode}", put_faults),
            ("DELETE", "/control/faults/{shortcode}", delete_faults),
            ("GET", "/control/faults", get_faults),
            ("POST", "/control/faults", post_fault),
            ("DELETE", "/control/faults", delete_faults),
            ("POST", "/control/reset", reset),
        )
    ),
]
