"""The simulator's front door: every path, and the life of the process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route

from channels.simulator import (
    control,
    control_requests,
    gateway,
    json_door,
    phone,
    phone_pages,
    phone_requests,
    simulator,
)
from channels.simulator.daraja import (
    b2b,
    b2b_express,
    b2c,
    bill_manager,
    c2b,
    organisation_query,
    pull,
    qr,
    queries,
    ratiba,
    reversal,
    stk,
)
from channels.simulator.daraja.oauth import TokenEndpoint
from channels.simulator.gateway import Endpoint
from channels.simulator.json_door import Refused

daraja_routes = [
    Route("/oauth/v1/generate", TokenEndpoint()),
    Route("/mpesa/stkpush/v1/processrequest", Endpoint(stk.PUSH, stk.push)),
    Route("/mpesa/stkpushquery/v1/query", Endpoint(stk.QUERY, stk.query)),
    Route("/mpesa/c2b/v1/registerurl", Endpoint(c2b.REGISTER[1], c2b.register(1))),
    Route("/mpesa/c2b/v2/registerurl", Endpoint(c2b.REGISTER[2], c2b.register(2))),
    Route("/mpesa/c2b/v1/simulate", Endpoint(c2b.SIMULATE[1], c2b.simulate)),
    Route("/mpesa/c2b/v2/simulate", Endpoint(c2b.SIMULATE[2], c2b.simulate)),
    Route("/mpesa/accountbalance/v1/query", Endpoint(queries.BALANCE, queries.account_balance)),
    Route("/mpesa/transactionstatus/v1/query", Endpoint(queries.STATUS, queries.transaction_status)),
    Route("/mpesa/b2c/v1/paymentrequest", Endpoint(b2c.B2C, b2c.pay_v1)),
    Route("/mpesa/b2c/v3/paymentrequest", Endpoint(b2c.B2C, b2c.pay_v3)),
    Route("/mpesa/b2pochi/v1/paymentrequest", Endpoint(b2c.POCHI, b2c.pay_pochi)),
    Route("/mpesa/b2b/v1/paymentrequest", Endpoint(b2b.B2B, b2b.pay)),
    Route("/mpesa/b2b/v1/remittax", Endpoint(b2b.TAX, b2b.pay_tax)),
    Route("/mpesa/reversal/v1/request", Endpoint(reversal.API, reversal.reverse)),
    Route("/sfcverify/v1/query/info", Endpoint(organisation_query.API, organisation_query.query)),
    Route("/mpesa/qrcode/v1/generate", Endpoint(qr.API, qr.generate)),
    Route("/standingorder/v1/createStandingOrderExternal", Endpoint(ratiba.CREATE, ratiba.create)),
    Route("/pulltransactions/v1/register", Endpoint(pull.REGISTER, pull.register)),
    Route("/pulltransactions/v1/query", Endpoint(pull.QUERY, pull.query)),
    Route("/v1/ussdpush/get-msisdn", Endpoint(b2b_express.API, b2b_express.push)),
    *bill_manager.routes,
]


async def health(_request: Request) -> Response:
    """GET /health"""
    return JSONResponse({"status": "ok"})


async def front(_request: Request) -> Response:
    """GET /"""
    return RedirectResponse("/phone", 303)


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """Open the books, send and settle while the process lives."""
    app.state.simulator = simulator.from_environment()
    async with app.state.simulator.running():
        yield


application = Starlette(
    routes=[
        Route("/", front),
        Route("/health", health),
        *daraja_routes,
        *control.routes,
        *control_requests.routes,
        *phone_pages.routes,
        *phone.routes,
        *phone_requests.routes,
        Mount("/", gateway.NotFound()),
    ],
    exception_handlers={Refused: json_door.refusal},
    lifespan=lifespan,
)
