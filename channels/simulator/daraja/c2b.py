"""C2B: registering URLs, and the sandbox's simulated payment (sections 7 and 9 of the reference)."""

import asyncio
from urllib.parse import urlsplit

from starlette.responses import JSONResponse, Response

from channels.simulator import collection, identifiers, msisdn, organisations, payments
from channels.simulator.customers import SANDBOX_TEST_MSISDN
from channels.simulator.faults import Fault, Target
from channels.simulator.gateway import Api, Call, DarajaError, Handler, bad_field
from channels.simulator.organisations import Mode, Organisation, Product
from channels.simulator.payments import Payment, Source

_TOKEN = (400, "400.003.01")
REGISTER = {
    version: Api(Target.C2B_REGISTER, product, _TOKEN, "ShortCode", "ShortCode")
    for version, product in ((1, Product.C2B_V1), (2, Product.C2B_V2))
}
SIMULATE = {
    version: Api(Target.C2B_SIMULATE, product, _TOKEN, "ShortCode", "ShortCode", "Amount")
    for version, product in ((1, Product.C2B_V1), (2, Product.C2B_V2))
}
_FORBIDDEN_WORDS = ("m-pesa", "mpesa", "safaricom", "exec", "exe", "cmd", "sql", "query")
_TUNNELS = ("ngrok", "mockbin", "requestbin")
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}  # no certificate can be had for these


def register(version: int) -> Handler:
    """POST /mpesa/c2b/v{version}/registerurl"""

    async def handler(call: Call) -> Response:
        shortcode = call.text("ShortCode")
        response_type = call.text("ResponseType")
        if response_type not in {"Completed", "Cancelled"}:
            raise bad_field("ResponseType")
        confirmation_url = call.url("ConfirmationURL")
        validation_url = call.url("ValidationURL")
        owned = _own(call, shortcode)
        for organisation in owned:
            _check_url("ConfirmationURL", confirmation_url, organisation.mode)
            _check_url("ValidationURL", validation_url, organisation.mode)
            if organisation.mode is Mode.PRODUCTION and organisation.confirmation_url:
                raise DarajaError(500, "500.003.1001", "Urls are already registered.")
        for organisation in owned:
            organisations.change(
                call.simulator.books,
                organisation,
                confirmation_url=confirmation_url,
                validation_url=validation_url,
                response_type=response_type,
                registered_version=version,
            )
        return _accepted("success" if version == 1 else "Success")

    return handler


def _check_url(name: str, url: str, mode: Mode) -> None:
    lowered = url.lower()
    words = _FORBIDDEN_WORDS + (_TUNNELS if mode is Mode.PRODUCTION else ())
    for word in words:
        if word in lowered:
            message = f"Bad Request - Invalid {name} - URL has the word {word.upper()}"
            raise DarajaError(400, "400.003.02", message)
    parts = urlsplit(lowered)
    if mode is Mode.PRODUCTION and parts.scheme != "https" and parts.hostname not in _LOOPBACK:
        raise DarajaError(400, "400.003.02", f"Bad Request - Invalid {name}")


def _own(call: Call, shortcode: str) -> list[Organisation]:
    owned = call.own(shortcode)
    if not owned:
        raise DarajaError(400, "400.003.02", "Bad Request - Kindly use your own ShortCode")
    return owned


def _accepted(description: str) -> Response:
    return JSONResponse(
        {
            "OriginatorCoversationID": identifiers.request_id(),  # so spelt on the wire
            "ResponseCode": "0",
            "ResponseDescription": description,
        }
    )


async def simulate(call: Call) -> Response:
    """POST /mpesa/c2b/v{1,2}/simulate; the sandbox's: production has no such path."""
    shortcode = call.text("ShortCode")
    command = call.text("CommandID")
    if command not in {"CustomerPayBillOnline", "CustomerBuyGoodsOnline"}:
        raise bad_field("CommandID")
    shillings = call.shillings("Amount", payments.MOST_SHILLINGS)
    payer = call.text("Msisdn")
    if not msisdn.is_wire(payer):
        raise bad_field("Msisdn")
    account_reference = str(call.fields.get("BillRefNumber") or "")
    if (command == "CustomerBuyGoodsOnline") == bool(account_reference) or len(account_reference) > 20:
        raise bad_field("BillRefNumber")
    organisation = _own(call, shortcode)[0]
    if organisation.mode is Mode.PRODUCTION:
        raise DarajaError(404, "404.003.01", "Resource not found")
    if organisation.is_paybill != (command == "CustomerPayBillOnline"):
        raise bad_field("CommandID")

    if payer == SANDBOX_TEST_MSISDN:  # any other number is accepted and nothing comes of it
        payment = payments.begin(
            call.simulator.books, organisation, payer, shillings * 100, account_reference, Source.SIMULATE
        )
        if Fault.CALLBACK_BEFORE_ACK in call.plan:
            await _pay(call, payment, organisation)
            call.awaited.append(payment.receipt)
        else:
            call.simulator.in_background(_pay_later(call, payment, organisation))
    return _accepted("Accept the service request successfully.")


async def _pay_later(call: Call, payment: Payment, organisation: Organisation) -> None:
    await asyncio.sleep(organisation.timings.simulate)
    await _pay(call, payment, organisation)


async def _pay(call: Call, payment: Payment, organisation: Organisation) -> None:
    try:
        await collection.pay(call.simulator.books, call.simulator.courier, payment, organisation, asked=call.asked)
    except payments.InsufficientFunds:
        return  # the sandbox's customer has spent everything; nothing is told
