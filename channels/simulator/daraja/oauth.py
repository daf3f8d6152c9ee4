"""Access tokens (section 3 of the reference)."""

import base64
import binascii
import hmac

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from channels.simulator import faults, gateway, organisations, simulator
from channels.simulator.faults import Fault, Target
from channels.simulator.gateway import DarajaError


class TokenEndpoint:
    """``GET /oauth/v1/generate?grant_type=client_credentials``; the ASGI app takes every method to refuse it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await _answer(request)
        except DarajaError as error:
            response = error.response()
        await response(scope, receive, send)


async def _answer(request: Request) -> Response:
    if request.method != "GET":
        raise DarajaError(404, "404.001.04", "Invalid Authentication Header")
    key, secret = _basic(request)
    if request.query_params.get("grant_type") != "client_credentials":
        raise DarajaError(400, "400.008.02", "Invalid grant type passed")
    books = simulator.of(request).books
    app = organisations.find_app(books, key)
    if app is None or not hmac.compare_digest(app.consumer_secret.encode(), secret.encode()):
        return Response(status_code=400)
    plan = faults.draw(
        books,
        Target.OAUTH,
        [organisation.shortcode for organisation in organisations.of_app(books, key)],
        asked=faults.read_header(request.headers.get("x-simulator-fault", "")),
    )

    async def issue() -> Response:
        token = organisations.issue_token(books, app, kill_others=Fault.TOKEN_ONLY_ONE in plan)
        # A string, as the live gateway sends it, although the portal prints a number.
        return JSONResponse({"access_token": token, "expires_in": str(organisations.TOKEN_SECONDS - 1)})

    return await gateway.faulty(request, plan, issue)


def _basic(request: Request) -> tuple[str, str]:
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    try:
        if scheme.lower() != "basic":
            raise ValueError(scheme)
        key, colon, secret = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
        if not colon:
            raise ValueError(encoded)
    except (ValueError, binascii.Error):
        raise DarajaError(400, "400.008.01", "Invalid Authentication passed") from None
    return key, secret
