"""Dynamic QR codes (section 19 of the reference)."""

import base64
import io
import time
from urllib.parse import urlencode

import segno
from starlette.responses import JSONResponse, Response

from channels.simulator import identifiers, organisations, payments
from channels.simulator.faults import Target
from channels.simulator.gateway import Api, Call, DarajaError
from channels.simulator.organisations import Mode, Product

API = Api(Target.QR, Product.QR, (400, "400.003.01"), "MerchantName", "CPI", "Amount")
_CODES = {"BG", "WA", "PB", "SM", "SB"}
_MOST_PIXELS = 2000
_BORDER = 4  # modules of white around a code


async def generate(call: Call) -> Response:
    """POST /mpesa/qrcode/v1/generate"""
    try:
        merchant = call.text("MerchantName")
        reference = call.text("RefNo")
        shillings = call.shillings("Amount", payments.MOST_SHILLINGS)
        code = call.text("TrxCode")
        if code not in _CODES:
            raise _invalid("TrxCode")
        party = call.text("CPI")
        size = call.text("Size")
        if not (size.isascii() and size.isdigit() and 1 <= int(size) <= _MOST_PIXELS):
            raise _invalid("Size")
    except DarajaError as error:
        raise DarajaError(400, "400", error.message) from None  # of all APIs only this one has so short a code
    organisation = organisations.find(call.simulator.books, party)
    is_live = organisation is not None and organisation.mode is Mode.PRODUCTION
    return JSONResponse(
        {
            "ResponseCode": "00" if is_live else identifiers.conversation_id(time.time()),
            "RequestID": identifiers.request_id(),
            "ResponseDescription": "QR Code Successfully Generated.",
            "QRCode": _picture(_content(call, merchant, code, party, reference, shillings), int(size)),
        }
    )


def _invalid(name: str) -> DarajaError:
    return DarajaError(400, "400", f"Bad Request - Invalid {name}")


def _content(call: Call, merchant: str, code: str, party: str, reference: str, shillings: int) -> str:
    """What is in a real code is not published; ours opens the practice phone with the payment filled in."""
    scheme = call.headers.get("x-forwarded-proto", "http")
    account = {"account_reference": reference} if code == "PB" else {}
    query = urlencode({"shortcode": party, **account, "amount": shillings, "merchant": merchant})
    return f"{scheme}://{call.headers['host']}/phone?{query}"


def _picture(content: str, pixels: int) -> str:
    """A PNG in base64, without a data URI's prefix: the largest code that fits into a square of that size."""
    code = segno.make(content, error="m", micro=False)
    modules, _ = code.symbol_size(border=_BORDER)
    picture = io.BytesIO()
    code.save(picture, kind="png", scale=max(1, pixels // modules), border=_BORDER)
    return base64.b64encode(picture.getvalue()).decode()
