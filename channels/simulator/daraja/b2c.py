"""B2C and B2Pochi: money to a phone (section 11 of the reference)."""

from starlette.responses import Response

from channels.simulator import msisdn
from channels.simulator.daraja import initiator
from channels.simulator.daraja.initiator import Wanted
from channels.simulator.faults import Target
from channels.simulator.gateway import Api, Call, bad_field
from channels.simulator.orders import TO_PHONES, Command
from channels.simulator.organisations import Product

_TOKEN = (401, "401.002.01")
B2C = Api(Target.B2C, Product.B2C, _TOKEN, "InitiatorName", "PartyA", "Amount")
POCHI = Api(Target.B2POCHI, Product.B2POCHI, _TOKEN, "InitiatorName", "PartyA", "Amount")
_POCHI_COMMANDS = frozenset({Command.PAY_TO_POCHI})


async def pay_v1(call: Call) -> Response:
    """POST /mpesa/b2c/v1/paymentrequest: the gateway gives the OriginatorConversationID."""
    return _pay(call, TO_PHONES - _POCHI_COMMANDS, "")


async def pay_v3(call: Call) -> Response:
    """POST /mpesa/b2c/v3/paymentrequest: the caller gives it, once for ever."""
    return _pay(call, TO_PHONES - _POCHI_COMMANDS, call.text("OriginatorConversationID"))


async def pay_pochi(call: Call) -> Response:
    """POST /mpesa/b2pochi/v1/paymentrequest"""
    return _pay(call, _POCHI_COMMANDS, call.text("OriginatorConversationID"))


def _pay(call: Call, allowed: frozenset[Command], originator_conversation_id: str) -> Response:
    command = Command(initiator.command(call, allowed, initiator_field="InitiatorName"))
    shillings = initiator.shillings(call)
    shortcode, party = initiator.digits(call, "PartyA"), call.text("PartyB")
    if not msisdn.is_wire(party):
        raise bad_field("PartyB")
    initiator.remarks(call, least=2)
    wanted = Wanted(
        command=command,
        shortcode=shortcode,
        party=party,
        shillings=shillings,
        queue_url=call.url("QueueTimeOutURL"),
        result_url=call.url("ResultURL"),
        occasion=initiator.occasion(call, "Occassion"),
        originator_conversation_id=originator_conversation_id,
        initiator_field="InitiatorName",
    )
    return initiator.order(call, wanted)
