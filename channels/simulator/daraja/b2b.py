"""B2B: money to a PayBill, a till, a B2C account or the tax authority (sections 12 to 14 of the reference).

These calls have no OriginatorConversationID of the caller's; the gateway gives one.
"""

from starlette.responses import Response

from channels.simulator import msisdn
from channels.simulator.accounts import TAX_AUTHORITY
from channels.simulator.daraja import initiator
from channels.simulator.daraja.initiator import Wanted
from channels.simulator.faults import Target
from channels.simulator.gateway import Api, Call, bad_field
from channels.simulator.orders import Command
from channels.simulator.organisations import Product

_TOKEN = (401, "401.002.01")
B2B = Api(Target.B2B, Product.B2B, _TOKEN, "Initiator", "PartyA", "Amount")
TAX = Api(Target.TAX_REMITTANCE, Product.TAX_REMITTANCE, _TOKEN, "Initiator", "PartyA", "Amount")
_B2B_COMMANDS = frozenset({Command.PAY_BILL, Command.BUY_GOODS, Command.TOP_UP})
_SHORTCODE, _TILL = "4", "2"
_LONGEST_REFERENCE = 13  # characters
_LONGEST_PRN = 20  # of the payment registration number no length is published; this is ours


async def pay(call: Call) -> Response:
    """POST /mpesa/b2b/v1/paymentrequest; sources disagree on a till's identifier type, so both are taken."""
    command = Command(initiator.command(call, _B2B_COMMANDS))
    types = {_SHORTCODE, _TILL} if command is Command.BUY_GOODS else {_SHORTCODE}
    _identifier_types(call, types)
    shillings = initiator.shillings(call)
    shortcode, party = initiator.digits(call, "PartyA"), initiator.digits(call, "PartyB")
    is_required = command is Command.PAY_BILL
    reference = call.text("AccountReference") if is_required else str(call.fields.get("AccountReference") or "")
    if len(reference) > _LONGEST_REFERENCE:
        raise bad_field("AccountReference")
    if call.fields.get("Requester") and not msisdn.is_wire(call.text("Requester")):
        raise bad_field("Requester")
    return _order(call, command, shortcode, party, shillings, reference, initiator.occasion(call, "Occassion"))


async def pay_tax(call: Call) -> Response:
    """POST /mpesa/b2b/v1/remittax"""
    initiator.command(call, frozenset({Command.PAY_TAX}))
    _identifier_types(call, {_SHORTCODE})
    shillings = initiator.shillings(call)
    shortcode, party = initiator.digits(call, "PartyA"), call.text("PartyB")
    if party != TAX_AUTHORITY:
        raise bad_field("PartyB")
    reference = call.text("AccountReference")
    if len(reference) > _LONGEST_PRN:
        raise bad_field("AccountReference")
    return _order(call, Command.PAY_TAX, shortcode, party, shillings, reference, "")


def _identifier_types(call: Call, receivers: set[str]) -> None:
    if call.text("SenderIdentifierType") != _SHORTCODE:
        raise bad_field("SenderIdentifierType")
    if call.text("RecieverIdentifierType") not in receivers:  # so spelt on the wire
        raise bad_field("RecieverIdentifierType")


def _order(
    call: Call, command: Command, shortcode: str, party: str, shillings: int, reference: str, occasion: str
) -> Response:
    initiator.remarks(call)
    wanted = Wanted(
        command=command,
        shortcode=shortcode,
        party=party,
        shillings=shillings,
        queue_url=call.url("QueueTimeOutURL"),
        result_url=call.url("ResultURL"),
        account_reference=reference,
        occasion=occasion,
    )
    return initiator.order(call, wanted)
