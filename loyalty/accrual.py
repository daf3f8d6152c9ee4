"""What a payment earns: arithmetic without a database."""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, kw_only=True)
class AccrualTerms:
    """Points per so many shillings, times a multiplier, within limits."""

    points: int = 1
    per_kes: int = 100
    multiplier: Decimal = Decimal(1)
    minimum_kes: int = 0  # smaller payments earn nothing
    cap_points: int | None = None  # the most that one payment earns


@dataclass(frozen=True, kw_only=True)
class StampTerms:
    """After so many payments, a reward; and the words for saying so."""

    payments_needed: int
    minimum_kes: int = 0  # smaller payments are no stamp
    reward: str  # "free delivery"
    thanks: str  # "Thanks for ordering!"
    noun: str  # "order"
    noun_plural: str  # "orders"


@dataclass(frozen=True, slots=True)
class Earned:
    """What a payment gives, whoever made it."""

    points: int
    stamp: bool

    def __bool__(self) -> bool:
        return self.points > 0 or self.stamp


def earned_by(amount: Decimal, *, accrual: AccrualTerms | None, stamp: StampTerms | None) -> Earned:
    """What one payment of `amount` (KES) gives under a program's rules."""
    return Earned(
        points=points_for(accrual, amount) if accrual else 0,
        stamp=stamp is not None and amount >= stamp.minimum_kes,
    )


def points_for(terms: AccrualTerms, amount: Decimal) -> int:
    """The points that one payment of `amount` (KES) earns; what is left below one point is dropped once, at the end.

    KES 5,000 at 1 point per KES 100, multiplier 2, are 100 points.
    """
    if amount < terms.minimum_kes:
        return 0
    # In whole cents and hundredths: no product is ever rounded, whatever the decimal context.
    cents, hundredths = int(amount.scaleb(2)), int(terms.multiplier.scaleb(2))
    points = cents * terms.points * hundredths // (terms.per_kes * 100 * 100)
    return points if terms.cap_points is None else min(points, terms.cap_points)


def add_stamp(terms: StampTerms, stamps: int) -> tuple[int, bool]:
    """The stamps on a card of `stamps` after one more, and whether that filled it; a full card starts again at 0."""
    filled = stamps + 1 >= terms.payments_needed
    return (0 if filled else stamps + 1), filled
