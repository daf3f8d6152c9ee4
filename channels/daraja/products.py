"""Which products an app has: the APIs that its keys open (sections 3 and 4).

Nowhere can this be read. But the gateway looks for the product before the API looks at the body, and no API does
anything with an empty body: so it is sent, and what matters is who refuses it.
"""

from collections.abc import Iterable
from dataclasses import replace

from channels.daraja.business_payments import B2B, TAX
from channels.daraja.caller import Caller
from channels.daraja.collection import DYNAMIC_QR, REGISTER_URLS
from channels.daraja.errors import DarajaError, Reason
from channels.daraja.gateway import Call
from channels.daraja.invoicing import OPT_IN
from channels.daraja.organisation import TRANSACTION_STATUS
from channels.daraja.payouts import B2C, B2POCHI, REVERSAL
from channels.daraja.pulling import PULL_QUERY
from channels.daraja.standing_orders import CREATE_STANDING_ORDER

# By their names on the Daraja portal; each with one of its calls.
PRODUCTS = {
    "Customer To Business": REGISTER_URLS[2],
    "Customer To Business v1": REGISTER_URLS[1],
    "Dynamic QR": DYNAMIC_QR,
    "Business To Customer": B2C,
    "Business To Pochi": B2POCHI,
    "Business Pay Bill": B2B,
    "Tax Remittance": TAX,
    "Reversals": REVERSAL,
    "Transaction Status": TRANSACTION_STATUS,
    "M-Pesa Ratiba": CREATE_STANDING_ORDER,
    "Bill Manager": OPT_IN,
    "Pull Transactions": PULL_QUERY,
}

# Pull says "invalid token" of a token that is valid elsewhere (section 22); the gateway has just tried a new one.
_LACKS = frozenset({Reason.PRODUCT_MISSING, Reason.INVALID_TOKEN})
_SAYS_NOTHING = frozenset(
    {
        *(Reason.WRONG_KEYS, Reason.SPIKE_ARREST, Reason.QUOTA, Reason.MAINTENANCE, Reason.BLOCKED_BY_FIREWALL),
        *(Reason.SLOW, Reason.CONNECTION_LOST, Reason.UNREACHABLE, Reason.HELD_BACK),
    }
)


class Products(Caller):
    """What the keys of one app open."""

    def missing(self, names: Iterable[str]) -> list[str]:
        """Of these names of PRODUCTS, those that the app lacks. Raises what a call raises when that can't be told."""
        return [name for name in names if self._lacks(PRODUCTS[name])]

    def _lacks(self, call: Call) -> bool:
        try:
            self._gateway.post(replace(call, repeatable=True), {}, about="an empty body")
        except DarajaError as refusal:
            if refusal.reason in _SAYS_NOTHING:
                raise
            return refusal.reason in _LACKS
        return False
