"""M-PESA Ratiba: standing orders of customers (section 20).

No call that cancels one is documented: the customer ends it on the phone.
"""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from channels.daraja.caller import Caller, IdentifierType, id_somewhere
from channels.daraja.errors import first_text
from channels.daraja.gateway import Call, nonsense
from channels.daraja.reading import DESC_MAX
from channels.daraja.rules import (
    ACCOUNT_REFERENCE_MAX,
    DESCRIPTION_MAX,
    require,
    require_amount,
    require_digits,
    require_msisdn,
    require_text,
)
from channels.msisdn import mask

CREATE_STANDING_ORDER = Call(
    "create_standing_order",
    "/standingorder/v1/createStandingOrderExternal",
    repeatable=False,
    good_codes=frozenset({"200"}),
)

_NAME_MAX = 64
_DAY = "%Y%m%d"
_TO_PAYBILL = "Standing Order Customer Pay Bill"
_TO_TILL = "Standing Order Customer Pay Marchant"  # Daraja's spelling


class Frequency(StrEnum):
    """How often a standing order pays."""

    ONCE = "1"
    DAILY = "2"
    WEEKLY = "3"
    MONTHLY = "4"
    EVERY_TWO_MONTHS = "5"
    QUARTERLY = "6"
    HALF_YEARLY = "7"
    YEARLY = "8"


@dataclass(frozen=True, slots=True)
class StandingOrderAccepted:
    """Daraja will ask the customer. The answer is called back under the same `response_ref_id`."""

    response_ref_id: str
    description: str


class StandingOrders(Caller):
    """Standing orders."""

    def create_standing_order(
        self,
        *,
        name: str,
        shortcode: str,
        msisdn: str,
        amount_kes: int,
        frequency: Frequency,
        start: date,
        end: date,
        account_reference: str,
        callback_url: str,
        description: str = "Payment",
        payee_type: IdentifierType = IdentifierType.SHORTCODE,
    ) -> StandingOrderAccepted:
        """Ask a customer to agree to a standing order, to a PayBill or (with TILL) to a till (section 20).

        `name` is unique per customer: a second order of the same name is refused in the callback, with code 1050.
        """
        require_text("StandingOrderName", name, _NAME_MAX)
        require_digits("BusinessShortCode", shortcode)
        require_msisdn("PartyA", msisdn)
        require_amount(amount_kes)
        require(start <= end, "EndDate", "A standing order does not end before it starts.")
        require_text("AccountReference", account_reference, ACCOUNT_REFERENCE_MAX)
        require_text("TransactionDesc", description, DESCRIPTION_MAX)
        self._require_url("CallBackURL", callback_url)
        answer = self._gateway.post(
            CREATE_STANDING_ORDER,
            {
                "StandingOrderName": name,
                "StartDate": start.strftime(_DAY),
                "EndDate": end.strftime(_DAY),
                "BusinessShortCode": shortcode,
                "TransactionType": _TO_TILL if payee_type is IdentifierType.TILL else _TO_PAYBILL,
                "ReceiverPartyIdentifierType": payee_type.value,
                "Amount": str(amount_kes),
                "PartyA": msisdn,
                "CallBackURL": callback_url,
                "AccountReference": account_reference,
                "TransactionDesc": description,
                "Frequency": frequency.value,
            },
            about=f"{shortcode} from {mask(msisdn)}",
        )
        response_ref_id = id_somewhere(CREATE_STANDING_ORDER, answer, "responserefid")
        if not response_ref_id:
            raise nonsense(CREATE_STANDING_ORDER, "no responseRefID in the answer")
        return StandingOrderAccepted(response_ref_id, first_text(answer, "responsedescription")[:DESC_MAX])
