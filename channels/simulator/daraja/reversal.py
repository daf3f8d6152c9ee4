"""Reversal: a customer's payment goes back, the whole of it (section 18 of the reference)."""

from starlette.responses import Response

from channels.simulator import payments
from channels.simulator.daraja import initiator
from channels.simulator.daraja.initiator import Wanted
from channels.simulator.faults import Target
from channels.simulator.gateway import Api, Call, bad_field
from channels.simulator.orders import Command
from channels.simulator.organisations import Product

API = Api(Target.REVERSAL, Product.REVERSAL, (404, "404.001.03"), "Initiator", "ReceiverParty", "Amount")
_ORGANISATION = "11"  # RecieverIdentifierType; the 4 of the 2017 pages is not taken any more


async def reverse(call: Call) -> Response:
    """POST /mpesa/reversal/v1/request"""
    initiator.command(call, frozenset({Command.REVERSAL}))
    receipt = call.text("TransactionID")
    shillings = initiator.shillings(call)
    shortcode = initiator.digits(call, "ReceiverParty")
    if call.text("RecieverIdentifierType") != _ORGANISATION:  # so spelt on the wire
        raise bad_field("RecieverIdentifierType")
    result_url, queue_url = call.url("ResultURL"), call.url("QueueTimeOutURL")
    initiator.remarks(call, least=2)
    organisation = initiator.speaking_for(call, shortcode)
    payment = payments.find(call.simulator.books, organisation.shortcode, receipt=receipt) if organisation else None
    wanted = Wanted(
        command=Command.REVERSAL,
        shortcode=shortcode,
        party=payment.msisdn if payment else "",
        shillings=shillings,
        queue_url=queue_url,
        result_url=result_url,
        account_reference=receipt,
        occasion=initiator.occasion(call, "Occasion"),
    )
    return initiator.order(call, wanted)
