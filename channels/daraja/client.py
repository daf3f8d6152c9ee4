"""All the calls to Daraja: our arguments and names outside, its spellings and types on the wire.

One `Call` and one small method per API, in a module per topic; what they share is in `caller.py` and `gateway.py`.
"""

from channels.daraja.business_payments import BusinessPayments, ExpressAccepted
from channels.daraja.caller import Accepted, IdentifierType
from channels.daraja.collection import C2BVersion, Collection, QrCode, QrKind, ResponseType, StkAccepted, StkState
from channels.daraja.invoicing import Invoice, InvoiceItem, Invoicing
from channels.daraja.organisation import Organisation, OrganisationName
from channels.daraja.payouts import B2CCommand, Payouts
from channels.daraja.pulling import Pulling, PullPage, PullRow
from channels.daraja.standing_orders import Frequency, StandingOrderAccepted, StandingOrders

__all__ = [
    "Accepted",
    "B2CCommand",
    "C2BVersion",
    "DarajaClient",
    "ExpressAccepted",
    "Frequency",
    "IdentifierType",
    "Invoice",
    "InvoiceItem",
    "OrganisationName",
    "PullPage",
    "PullRow",
    "QrCode",
    "QrKind",
    "ResponseType",
    "StandingOrderAccepted",
    "StkAccepted",
    "StkState",
]


class DarajaClient(Collection, Payouts, BusinessPayments, Organisation, StandingOrders, Invoicing, Pulling):
    """Every call, with the keys of one app. The arguments are those of `caller.Caller`."""

    def check_keys(self) -> None:
        """Fetch a new token, whatever is kept: proves the consumer key and secret."""
        self._gateway.renew_token()
