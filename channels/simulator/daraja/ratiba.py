"""M-PESA Ratiba: standing orders (section 20 of the reference)."""

from datetime import date, datetime

from starlette.responses import JSONResponse, Response

from channels.simulator import msisdn, payments, standing_orders
from channels.simulator.daraja.stk import asked_answer
from channels.simulator.faults import Fault, Target
from channels.simulator.gateway import Api, Call, bad_field
from channels.simulator.identifiers import EAT
from channels.simulator.organisations import AutoAnswer, Product
from channels.simulator.standing_orders import BAD_REQUEST, FREQUENCIES

CREATE = Api(
    Target.STANDING_ORDER, Product.RATIBA, (401, "401.002.01"), "StandingOrderName", "BusinessShortCode", "Amount"
)
_PAYBILL, _TILL = "4", "2"
_TYPES = {
    "Standing Order Customer Pay Bill": _PAYBILL,
    "Standing Order Customer Pay Marchant": _TILL,  # so spelt on the wire
}
_LONGEST_ACCOUNT = 12


async def create(call: Call) -> Response:
    """POST /standingorder/v1/createStandingOrderExternal

    A field that cannot be read is refused at once; what contradicts itself is refused afterwards, with 1051.
    """
    name = call.text("StandingOrderName")
    start, end = _day(call, "StartDate"), _day(call, "EndDate")
    owned = call.own(call.text("BusinessShortCode"))
    if not owned:
        raise bad_field("BusinessShortCode")
    kind = call.text("TransactionType")
    if kind not in _TYPES:
        raise bad_field("TransactionType")
    receiver_type = call.text("ReceiverPartyIdentifierType")
    if receiver_type not in {_PAYBILL, _TILL}:
        raise bad_field("ReceiverPartyIdentifierType")
    shillings = call.shillings("Amount", payments.MOST_SHILLINGS)
    payer = call.text("PartyA")
    if not msisdn.is_wire(payer):
        raise bad_field("PartyA")
    callback_url = call.url("CallBackURL")
    account_reference = call.text("AccountReference")
    if len(account_reference) > _LONGEST_ACCOUNT:
        raise bad_field("AccountReference")
    call.text("TransactionDesc")
    frequency = call.text("Frequency")
    if frequency not in FREQUENCIES:
        raise bad_field("Frequency")

    organisation = owned[0]
    fits = _TYPES[kind] == receiver_type == (_PAYBILL if organisation.is_paybill else _TILL)
    early = Fault.CALLBACK_BEFORE_ACK in call.plan
    auto_answer = asked_answer(call, organisation)
    order = standing_orders.create(
        call.simulator.books,
        organisation,
        msisdn=payer,
        name=name,
        shillings=shillings,
        account_reference=account_reference,
        frequency=frequency,
        start=start,
        end=end,
        callback_url=callback_url,
        asked=call.asked,
        auto_answer=AutoAnswer.PIN if early and auto_answer is AutoAnswer.NONE else auto_answer,
        refused_with=None if fits else BAD_REQUEST,
    )
    if early:
        standing_orders.settle(call.simulator.books, call.simulator.courier, order, order.answer, at_once=True)
        call.awaited.append(order.reference)
    call.simulator.standing_order_alarm.ring()
    return JSONResponse(
        {
            "ResponseHeader": {
                "responseRefID": order.reference,
                "responseCode": "200",
                "responseDescription": "Request accepted for processing",
                "ResultDesc": "The service request is processed successfully.",
            },
            "ResponseBody": {"responseDescription": "Request accepted for processing", "responseCode": "200"},
        }
    )


def _day(call: Call, name: str) -> date:
    text = call.text(name)
    try:
        day = datetime.strptime(text, "%Y%m%d").replace(tzinfo=EAT).date()
    except ValueError:
        raise bad_field(name) from None
    if len(text) != 8:
        raise bad_field(name)
    return day
