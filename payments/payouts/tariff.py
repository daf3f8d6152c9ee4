"""What M-PESA will probably charge for a payout: an estimate, for people to see before they release.

The bands are those of Safaricom's “M-PESA Bulk Payment Tariff” for registered receivers, and for payments between
businesses of its PayBill tariff where the business pays all. A business's contract may say otherwise; what Daraja says
afterwards is kept as the payout's `charge`, and counts.
"""

from decimal import Decimal

from payments.models import Payout

# Shillings up to which a charge in shillings holds, rising; above the last band its charge stays.
_Bands = tuple[tuple[int, int], ...]

_TO_CUSTOMER: _Bands = ((100, 0), (1_500, 5), (5_000, 9), (20_000, 11), (250_000, 13))
_TO_BUSINESS: _Bands = (
    (100, 0),
    (500, 5),
    (1_000, 10),
    (1_500, 15),
    (2_500, 20),
    (3_500, 25),
    (5_000, 34),
    (7_500, 42),
    (10_000, 48),
    (15_000, 57),
    (20_000, 62),
    (25_000, 67),
    (30_000, 72),
    (35_000, 83),
    (40_000, 99),
    (45_000, 103),
    (50_000, 108),
)
_FREE: _Bands = ((0, 0),)

_BANDS: dict[str, _Bands] = {
    Payout.Kind.PHONE: _TO_CUSTOMER,
    Payout.Kind.POCHI: _TO_CUSTOMER,
    Payout.Kind.PAYBILL: _TO_BUSINESS,
    Payout.Kind.BUY_GOODS: _TO_BUSINESS,
    Payout.Kind.TOP_UP: _FREE,
    Payout.Kind.TAX: _FREE,
}


def fee_estimate(kind: str, amount: int) -> Decimal:
    """KES, for one payout of `amount` whole shillings."""
    bands = _BANDS[kind]
    return Decimal(next((charge for limit, charge in bands if amount <= limit), bands[-1][1]))
