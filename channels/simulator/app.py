"""The simulator's front door: every path, and the life of the process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route

from channels.simulator import control, gateway, json_door, phone, phone_pages, simulator
from channels.simulator.daraja import c2b, initiator, organisation_query, stk
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
    Route("/mpesa/accountbalance/v1/query", Endpoint(initiator.BALANCE, initiator.account_balance)),
    Route("/mpesa/transactionstatus/v1/query", Endpoint(initiator.STATUS, initiator.transaction_status)),
    Route("/sfcverify/v1/query/info", Endpoint(organisation_query.API, organisation_query.query)),
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
        *phone_pages.routes,
        *phone.routes,
        Mount("/", gateway.NotFound()),
    ],
    exception_handlers={Refused: json_door.refusal},
    lifespan=lifespan,
)
