"""Pull: the C2B payments of the last 48 hours, told or not (section 22 of the reference)."""

import time
import uuid
from datetime import UTC, datetime
from typing import Any

from starlette.responses import JSONResponse, Response

from channels.simulator import identifiers, msisdn
from channels.simulator.faults import Fault, Target
from channels.simulator.gateway import Api, Call, DarajaError, bad_field
from channels.simulator.json_door import money
from channels.simulator.organisations import Mode, Organisation, Product

_INVALID_TOKEN = (401, "401.001")
_WITHOUT_PRODUCT = (*_INVALID_TOKEN, "Invalid Access Token")  # as apps of the sandbox get it
REGISTER = Api(
    Target.PULL_REGISTER,
    Product.PULL,
    _INVALID_TOKEN,
    "ShortCode",
    "ShortCode",
    without_product=_WITHOUT_PRODUCT,
)
QUERY = Api(
    Target.PULL_QUERY,
    Product.PULL,
    _INVALID_TOKEN,
    "ShortCode",
    "ShortCode",
    without_product=_WITHOUT_PRODUCT,
)
_WINDOW_SECONDS = 48 * 3600
_PAGE = 100
_FORMS = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M")


async def register(call: Call) -> Response:
    """POST /pulltransactions/v1/register: once; again it answers 1001. The callback URL is never called."""
    organisation = _own(call)
    if call.text("RequestType") != "Pull":
        raise bad_field("RequestType")
    nominated_number = msisdn.normalise(call.text("NominatedNumber"))
    if nominated_number is None:
        raise bad_field("NominatedNumber")
    callback_url = call.url("CallBackURL")
    shortcode = call.text("ShortCode")
    written = call.simulator.books.run(
        "INSERT OR IGNORE INTO pull_registrations VALUES (?, ?, ?)", shortcode, nominated_number, callback_url
    )
    status, description = (
        ("1000", "Shortcode Registered Successfully") if written.rowcount else ("1001", "ShortCode already Registered")
    )
    # The live keys have a space, those of the portal's sample have none.
    space = " " if organisation.mode is Mode.PRODUCTION else ""
    return JSONResponse(
        {
            "ResponseRefID": str(uuid.uuid4()),
            f"Response{space}Status": status,
            "ShortCode": shortcode,
            f"Response{space}Description": description,
        }
    )


async def query(call: Call) -> Response:
    """POST /pulltransactions/v1/query: at most 100 payments from row OffSetValue on, oldest first.

    That a shortcode must be registered first is published, but not the answer to one that is not: ours is 400.001.
    """
    organisation = _own(call)
    books = call.simulator.books
    shortcode = call.text("ShortCode")
    start, end = _moment(call, "StartDate"), _moment(call, "EndDate")
    if end < start:
        raise bad_field("EndDate")
    offset = call.text("OffSetValue")
    if not (offset.isascii() and offset.isdigit() and len(offset) < 10):
        raise bad_field("OffSetValue")
    if books.one("SELECT 1 FROM pull_registrations WHERE shortcode = ?", shortcode) is None:
        raise DarajaError(400, "400.001", "Invalid ShortCode")

    rows = books.all(
        "SELECT * FROM payments WHERE shortcode IN (SELECT shortcode FROM organisations "
        "WHERE ?1 IN (shortcode, store_number) AND consumer_key = ?2) "
        "AND state <> 'cancelled' AND paid_at >= ?3 AND paid_at < ?4 ORDER BY paid_at, id LIMIT ?5 OFFSET ?6",
        shortcode,
        call.app.consumer_key,
        max(start, time.time() - _WINDOW_SECONDS),
        end + 1,  # the last second is part of the window
        _PAGE,
        int(offset),
    )
    reference = (
        {"RequestID": identifiers.request_id()}
        if organisation.mode is Mode.PRODUCTION
        else {"ResponseRefID": identifiers.request_id()}
    )
    if not rows:
        if Fault.PULL_NOTHING_500 in call.plan:
            message = "Failed to retrieve transactions. The short code does not have any available transactions."
            raise DarajaError(500, "500", message)
        message = "No transactions available for the selected time period."
        return JSONResponse({**reference, "ResponseCode": "1001", "ResponseMessage": message, "Transaction": "[[]]"})
    names = {found.shortcode: found for found in call.own(shortcode)}
    clock = identifiers.EAT if Fault.PULL_KENYAN_TIME in call.plan else UTC
    found = [_shown(row, names[row["shortcode"]], datetime.fromtimestamp(row["paid_at"], clock)) for row in rows]
    return JSONResponse({**reference, "ResponseCode": "1000", "ResponseMessage": "Success", "Response": [found]})


def _shown(row: Any, organisation: Organisation, paid_at: datetime) -> dict[str, Any]:
    return {
        "transactionId": row["receipt"],
        "trxDate": f"{paid_at:%Y-%m-%dT%H:%M:%S}Z",
        "msisdn": _payer(row["msisdn"], row["id"]),
        "sender": "MPESA",
        "transactiontype": "c2b-pay-bill-debit" if organisation.is_paybill else "c2b-buy-goods-debit",
        "billreference": row["account_reference"],
        "amount": money(row["cents"]),
        "organizationname": organisation.name,
    }


def _payer(number: str, payment_id: int) -> int | str:
    """Never masked, but now a number without 254, now one with it, now text."""
    return (int(number[3:]), int(number), number)[payment_id % 3]


def _own(call: Call) -> Organisation:
    owned = call.own(call.text("ShortCode"))
    if not owned:
        raise DarajaError(400, "400.001", "Invalid ShortCode")
    return owned[0]


def _moment(call: Call, name: str) -> float:
    """A time on Kenya's clock as seconds since 1970."""
    text = call.text(name)
    for form in _FORMS:
        try:
            return datetime.strptime(text, form).replace(tzinfo=identifiers.EAT).timestamp()
        except ValueError:
            continue
    raise bad_field(name)
