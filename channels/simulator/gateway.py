"""What Daraja's gateway does before and around every API: method, token, product, body, faults, error envelope.

Sections 3 and 4 of the reference.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import Receive, Scope, Send

from channels.simulator import faults, identifiers, organisations, simulator
from channels.simulator.faults import Asked, Fault, Plan, Target
from channels.simulator.organisations import App, Organisation, Product
from channels.simulator.simulator import Simulator

_FIREWALL_PAGE = "<html><head><title>503</title></head><body><h1>Service Unavailable</h1></body></html>"
_MOST_BYTES = 1_000_000


class DarajaError(Exception):
    """A synchronous refusal, which becomes the error envelope."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message

    def response(self) -> Response:
        body = {"requestId": identifiers.request_id(), "errorCode": self.code, "errorMessage": self.message}
        return JSONResponse(body, self.status)


def bad_field(name: str) -> DarajaError:
    """400.002.02 for a field that is missing or wrong."""
    return DarajaError(400, "400.002.02", f"Bad Request - Invalid {name}")


class CutOff(Response):
    """Promises an answer and breaks the connection instead."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"application/json"), (b"content-length", b"512")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"", "more_body": True})


def _firewall_page() -> Response:
    return HTMLResponse(_FIREWALL_PAGE, 503)


_internal_error = DarajaError(500, "500.003.1001", "Internal Server Error").response
_REFUSALS: dict[Fault, Callable[[], Response]] = {
    Fault.RESETS: CutOff,
    Fault.HTML_503: _firewall_page,
    Fault.INTERNAL_ERROR_500: _internal_error,
    Fault.EMPTY_400: lambda: Response(status_code=400),
    Fault.SPIKE_ARREST: DarajaError(500, "500.003.02", "Error Occurred: Spike Arrest Violation").response,
    Fault.SPIKE_ARREST_429: DarajaError(429, "500.003.02", "Error Occurred: Spike Arrest Violation").response,
    Fault.QUOTA: DarajaError(500, "500.003.03", "Quota Violation").response,
    Fault.MAINTENANCE: DarajaError(
        503, "00.002.1001", "Service is currently under maintenance. Please try again later"
    ).response,
}
# What is answered instead of the truth, after the call was carried out.
_LIES: dict[Fault, Callable[[], Response]] = {
    Fault.TAKEN_THEN_RESETS: CutOff,
    Fault.TAKEN_THEN_HTML_503: _firewall_page,
    Fault.TAKEN_THEN_500: _internal_error,
    Fault.NONSENSE_HTML: lambda: HTMLResponse("<html><body>It works!</body></html>"),
}


@dataclass(frozen=True)
class Api:
    """One API as the gateway knows it.

    :param invalid_token: status and code of "Invalid Access Token", which differ from API to API (section 4)
    :param first_field: what a wrong Content-Type is blamed on
    :param shortcode_field: where the body names the organisation, for faults set for a shortcode
    :param amount_field: where the body names an amount, for faults asked for by amount
    :param takes_list: whether the body is a JSON array instead of an object
    :param without_product: status, code and message for an app to which the product is not attached
    """

    target: Target
    product: Product
    invalid_token: tuple[int, str]
    first_field: str
    shortcode_field: str = ""
    amount_field: str = ""
    takes_list: bool = False
    without_product: tuple[int, str, str] = (
        401,
        "401.003.01",
        "Error Occurred - Invalid Access Token - Invalid API call as no apiproduct match found",
    )


@dataclass
class Call:
    """A request that passed the gateway.

    :param rows: the body of a call that takes a list
    :param plan: the faults that strike this call
    :param asked: the faults asked for with it, for the deliveries that follow
    :param awaited: references whose deliveries must have gone out before the answer (fault callback_before_ack)
    """

    simulator: Simulator
    app: App
    fields: dict[str, Any]
    headers: dict[str, str]
    plan: Plan
    asked: list[Asked]
    awaited: list[str] = field(default_factory=list)
    rows: list[Any] = field(default_factory=list)

    def text(self, name: str, *, blamed: str = "") -> str:
        """A field as text, whether it came as a number or a string; missing or empty is a bad field."""
        value = self.fields.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if not isinstance(value, str) or not value.strip():
            raise bad_field(blamed or name)
        return value.strip()

    def shillings(self, name: str, most: int) -> int:
        """An amount: whole shillings, at least one."""
        text = self.text(name)
        if not (text.isascii() and text.isdigit() and 1 <= int(text) <= most):
            raise bad_field(name)
        return int(text)

    def own(self, number: str) -> list[Organisation]:
        """The app's organisations with that number; a store number stands for all the tills under it."""
        found = organisations.under(self.simulator.books, number)
        return [organisation for organisation in found if organisation.consumer_key == self.app.consumer_key]

    def url(self, name: str) -> str:
        """An http or https URL with a host."""
        text = self.text(name)
        try:
            parts = urlsplit(text)
            good = parts.scheme in {"http", "https"} and bool(parts.hostname) and not any(map(str.isspace, text))
        except ValueError:
            good = False
        if not good:
            raise bad_field(name)
        return text


Handler = Callable[[Call], Awaitable[Response]]


class Endpoint:
    """An ASGI app for one path of Daraja: the gateway in front of an API's handler."""

    def __init__(self, api: Api, handler: Handler) -> None:
        self._api = api
        self._handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except DarajaError as error:
            response = error.response()
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        token = bearer_token(request)
        books = simulator.of(request).books
        app = organisations.app_of_token(books, token)
        if app is None:
            raise self._invalid_token(token)
        raw = await request.body()
        fields = _lenient(raw)
        asked = faults.read_header(request.headers.get("x-simulator-fault", ""))
        plan = faults.draw(
            books, self._api.target, self._scope(request, app, fields), asked=asked, amount=self._amount(fields)
        )
        if Fault.TOKEN_KILLED in plan:
            organisations.kill_token(books, token)
            raise self._invalid_token(token)
        if Fault.PRODUCT_MISSING in plan or self._api.product not in app.products:
            raise DarajaError(*self._api.without_product)
        call = Call(simulator.of(request), app, fields, dict(request.headers), plan, asked)
        return await faulty(request, plan, lambda: self._carry_out(call, raw))

    async def _carry_out(self, call: Call, raw: bytes) -> Response:
        if call.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise bad_field(self._api.first_field)
        body = _parsed(raw)
        if len(raw) > _MOST_BYTES or not isinstance(body, list if self._api.takes_list else dict):
            raise DarajaError(400, "400.002.05", "Invalid Request Payload")
        call.rows = body if isinstance(body, list) else []
        response = await self._handler(call)
        for reference in call.awaited:
            await call.simulator.courier.settled(reference)
        return response

    def _invalid_token(self, token: str) -> DarajaError:
        status, code = self._api.invalid_token
        message = "Invalid Access Token"
        if code == "401.002.01":
            message = f"Error Occurred - Invalid Access Token - {token}"
        return DarajaError(status, code, message)

    def _scope(self, request: Request, app: App, fields: dict[str, Any]) -> list[str]:
        """The shortcodes whose faults strike this call: those it names, or else all of the app's."""
        books = simulator.of(request).books
        named = str(fields.get(self._api.shortcode_field, ""))
        return [found.shortcode for found in organisations.under(books, named)] or [
            found.shortcode for found in organisations.of_app(books, app.consumer_key)
        ]

    def _amount(self, fields: dict[str, Any]) -> int | None:
        text = str(fields.get(self._api.amount_field, ""))
        return int(text) if text.isascii() and text.isdigit() else None


async def faulty(request: Request, plan: Plan, carry_out: Callable[[], Awaitable[Response]]) -> Response:
    """Answer a call as the faults of the plan have it."""
    if slow := plan.get(Fault.SLOW_ANSWER):
        await asyncio.sleep(slow.seconds_or(5))
    if hanging := plan.get(Fault.HANGS):
        await _until_gone(request, hanging.seconds_or(60))
        return CutOff()
    for fault, refusal in _REFUSALS.items():
        if fault in plan:
            return refusal()
    response = await carry_out()
    if hanging := plan.get(Fault.TAKEN_THEN_HANGS):
        await _until_gone(request, hanging.seconds_or(60))
        return CutOff()
    for fault, lie in _LIES.items():
        if fault in plan:
            return lie()
    if Fault.NONSENSE_TRUNCATED in plan:
        body = bytes(response.body)
        return Response(body[: len(body) // 2], media_type="application/json")
    return response


async def _until_gone(request: Request, seconds: float) -> None:
    """Wait until the caller hangs up, or the time is over."""
    try:
        while (await asyncio.wait_for(request.receive(), seconds))["type"] != "http.disconnect":
            pass
    except TimeoutError:
        pass


def bearer_token(request: Request) -> str:
    """The token of a POST with ``Authorization: Bearer``."""
    invalid_header = DarajaError(404, "404.001.04", "Invalid Authentication Header")
    if request.method == "GET":
        raise invalid_header
    if request.method != "POST":
        raise DarajaError(405, "405.001", f"{request.method} Method Not Allowed")
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise invalid_header
    return token.strip()


def _parsed(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return None


def _lenient(raw: bytes) -> dict[str, Any]:
    parsed = _parsed(raw)
    return parsed if isinstance(parsed, dict) else {}


class NotFound:
    """Any path that Daraja does not have; the number in the code depends on the API's family."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        number = "001"
        if path.startswith(("/mpesa/accountbalance", "/mpesa/b2c", "/mpesa/b2b")):
            number = "002"
        elif path.startswith(("/mpesa/c2b", "/mpesa/qrcode", "/mpesa/transactionstatus")):
            number = "003"
        response = DarajaError(404, f"404.{number}.01", "Resource not found").response()
        await response(scope, receive, send)
