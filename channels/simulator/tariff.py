"""What M-PESA takes for moving an organisation's money: bands in the manner of its published tariffs.

What a business really pays is in its contract; Daraja says it afterwards, as DebitPartyCharges.
"""

from collections.abc import Sequence

Bands = Sequence[tuple[int, int]]  # shillings up to which a charge in shillings holds, rising

TO_CUSTOMER: Bands = ((1_500, 5), (5_000, 9), (20_000, 11), (250_000, 13))
TO_ORGANISATION: Bands = (
    (49, 2),
    (100, 3),
    (500, 8),
    (1_000, 13),
    (1_500, 18),
    (2_500, 25),
    (3_500, 30),
    (5_000, 39),
    (7_500, 48),
    (10_000, 54),
    (15_000, 63),
    (20_000, 68),
    (25_000, 74),
    (50_000, 108),
)
FREE: Bands = ()


def charge_cents(bands: Bands, cents: int) -> int:
    """The charge for an amount; above the last band its charge stays."""
    for limit, shillings in bands:
        if cents <= limit * 100:
            return shillings * 100
    return bands[-1][1] * 100 if bands else 0
