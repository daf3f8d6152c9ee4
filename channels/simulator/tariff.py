"""What M-PESA takes for moving an organisation's money: bands in the manner of its published tariffs.

What a business really pays is in its contract; Daraja says it afterwards, as DebitPartyCharges.
"""

from collections.abc import Sequence

Bands = Sequence[tuple[int, int]]  # shillings up to which a charge in shillings holds, rising

TO_CUSTOMER: Bands = ((100, 0), (1_500, 5), (5_000, 9), (20_000, 11), (250_000, 13))
TO_ORGANISATION: Bands = (
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
FREE: Bands = ()


def charge_cents(bands: Bands, cents: int) -> int:
    """The charge for an amount; above the last band its charge stays."""
    for limit, shillings in bands:
        if cents <= limit * 100:
            return shillings * 100
    return bands[-1][1] * 100 if bands else 0
