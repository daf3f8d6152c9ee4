"""B2B express checkout: a request to pay, pushed to another business's till (section 15 of the reference)."""

from starlette.responses import JSONResponse, Response

from channels.simulator import till_requests
from channels.simulator.daraja.stk import asked_answer
from channels.simulator.faults import Fault, Target
from channels.simulator.gateway import Api, Call, bad_field
from channels.simulator.organisations import AutoAnswer, Product

API = Api(
    Target.B2B_EXPRESS, Product.B2B_EXPRESS, (401, "401.002.01"), "primaryShortCode", "receiverShortCode", "amount"
)
_MOST_SHILLINGS = 50_000_000  # no limit between businesses is published; this one is ours


async def push(call: Call) -> Response:
    """POST /v1/ussdpush/get-msisdn"""
    payer = call.text("primaryShortCode")
    if not payer.isdigit():
        raise bad_field("primaryShortCode")
    owned = [own for own in call.own(call.text("receiverShortCode")) if own.is_paybill]
    if not owned:
        raise bad_field("receiverShortCode")
    shillings = call.shillings("amount", _MOST_SHILLINGS)
    payment_reference = call.text("paymentRef")
    callback_url = call.url("callbackUrl")
    partner_name = call.text("partnerName")
    # The sample writes it with a capital D, the table without.
    request_id = call.text("RequestRefId" if "RequestRefId" in call.fields else "RequestRefID")

    books, courier = call.simulator.books, call.simulator.courier
    early = Fault.CALLBACK_BEFORE_ACK in call.plan
    auto_answer = asked_answer(call, owned[0])
    request = till_requests.create(
        books,
        owned[0],
        payer=payer,
        request_id=request_id,
        shillings=shillings,
        payment_reference=payment_reference,
        partner_name=partner_name,
        callback_url=callback_url,
        asked=call.asked,
        auto_answer=AutoAnswer.PIN if early and auto_answer is AutoAnswer.NONE else auto_answer,
    )
    if early:
        till_requests.settle(books, courier, request, request.answer, at_once=True)
        call.awaited.append(request.request_id)
    call.simulator.till_request_alarm.ring()
    return JSONResponse({"code": "0", "status": "USSD Initiated Successfully"})
