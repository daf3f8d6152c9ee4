"""The name behind a PayBill or till (section 23 of the reference)."""

from starlette.responses import JSONResponse, Response

from channels.simulator import organisations
from channels.simulator.faults import Target
from channels.simulator.gateway import Api, Call, bad_field
from channels.simulator.organisations import Product

API = Api(Target.ORGANISATION_QUERY, Product.ORGANISATION_QUERY, (400, "400.003.01"), "IdentifierType", "Identifier")
_TILL, _SHORTCODE = "2", "4"


async def query(call: Call) -> Response:
    """POST /sfcverify/v1/query/info

    Only the answer to a number that exists is published (ResponseCode 4000); 4001 for one that does not is ours.
    """
    identifier_type = call.text("IdentifierType")
    if identifier_type not in {_TILL, _SHORTCODE}:
        raise bad_field("IdentifierType")
    identifier = call.text("Identifier")
    organisation = organisations.find(call.simulator.books, identifier)
    if organisation is None or organisation.is_paybill != (identifier_type == _SHORTCODE):
        return JSONResponse({"ResponseCode": "4001", "ResponseMessage": "Organization not found"})
    return JSONResponse({"ResponseCode": "4000", "ResponseMessage": "Success", "OrganizationName": organisation.name})
