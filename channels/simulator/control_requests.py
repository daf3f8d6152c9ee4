"""The control door's part about standing orders, invoices and requests to tills."""

from datetime import date

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from channels.simulator import bills, simulator, standing_orders, till_requests
from channels.simulator.control import guarded
from channels.simulator.json_door import Fields, Refused
from channels.simulator.phone_requests import shown_invoice, shown_order, shown_till_request


async def get_standing_orders(request: Request) -> Response:
    """GET /control/standing-orders?shortcode="""
    found = standing_orders.of_organisation(simulator.of(request).books, request.query_params.get("shortcode"))
    return JSONResponse({"standing_orders": [shown_order(order) for order in found]})


async def run_standing_orders(request: Request) -> Response:
    """POST /control/standing-orders/run: make the payments that are due up to and on a day, without waiting for it.

    ``{"day": "2026-11-21"}``, for one organisation with a ``shortcode``; answers when all are made. Again it makes
    none: each date of an order pays once.
    """
    fields = await Fields.of(request)
    text = fields.text("day")
    shortcode = fields.text("shortcode") if fields.has("shortcode") else None
    fields.done()
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise Refused("Write the day like 2026-11-21.") from None
    running = simulator.of(request)
    due = standing_orders.take_due(running.books, day, shortcode)
    return JSONResponse({"payments": await standing_orders.pay(running.books, running.courier, due)})


async def get_invoices(request: Request) -> Response:
    """GET /control/invoices?shortcode="""
    found = bills.of_organisation(simulator.of(request).books, request.query_params.get("shortcode"))
    return JSONResponse({"invoices": [shown_invoice(invoice) for invoice in found]})


async def get_till_requests(request: Request) -> Response:
    """GET /control/till-requests?shortcode="""
    found = till_requests.of_organisation(simulator.of(request).books, request.query_params.get("shortcode"))
    return JSONResponse({"till_requests": [shown_till_request(one) for one in found]})


routes = [
    Route("/control/standing-orders", guarded(get_standing_orders), methods=["GET"]),
    Route("/control/standing-orders/run", guarded(run_standing_orders), methods=["POST"]),
    Route("/control/invoices", guarded(get_invoices), methods=["GET"]),
    Route("/control/till-requests", guarded(get_till_requests), methods=["GET"]),
]
