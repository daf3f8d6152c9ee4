"""Does what an account holds now follow from what it held before, and from what moved? Arithmetic, no database."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from tenants.sentences import say

CHARGES_PAID = "Charges Paid Account"  # holds what M-PESA took, below nought (docs/daraja.md section 16)
_NOTHING = Decimal("0.00")


class Basis(StrEnum):
    BALANCES = "balances"  # as M-PESA answered when it was asked
    STATEMENT = "statement"  # as the lines of a statement have them


@dataclass(frozen=True, slots=True)
class Reading:
    """What was in the accounts of a channel at a time, in KES by account."""

    as_at: datetime
    accounts: Mapping[str, Decimal]

    @property
    def total(self) -> Decimal:
        return sum(self.accounts.values(), _NOTHING)


@dataclass(frozen=True, slots=True)
class Movements:
    """KES that moved between two readings, by our records.

    `uncertain` is what moved, in or out, so near to a reading that the reading may have it or not; `untold_charges` is
    our estimate of charges that M-PESA has not told, which are not in `charges`.
    """

    money_in: Decimal = _NOTHING
    money_out: Decimal = _NOTHING
    charges: Decimal = _NOTHING
    uncertain: Decimal = _NOTHING
    untold_charges: Decimal = _NOTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """opening + money_in - money_out - charges = expected_closing; `difference` is what closing has more than that.

    `tolerance` is by how much the closing may be lower and higher for reasons that are no fault.
    """

    basis: Basis
    since: datetime
    until: datetime
    opening: Decimal
    money_in: Decimal
    money_out: Decimal
    charges: Decimal
    closing: Decimal
    tolerance: tuple[Decimal, Decimal] = (_NOTHING, _NOTHING)

    @property
    def expected_closing(self) -> Decimal:
        return self.opening + self.money_in - self.money_out - self.charges

    @property
    def difference(self) -> Decimal:
        return self.closing - self.expected_closing

    @property
    def holds(self) -> bool:
        lower, higher = self.tolerance
        return -lower <= self.difference <= higher

    @property
    def sentence(self) -> str:
        by = f"{abs(self.difference):,.2f}"
        if self.basis == Basis.BALANCES:
            return (
                say(
                    "The closing balance is KES %(amount)s more than what moved explains: a withdrawal to the bank, "
                    "for example, that is not known here.",
                    amount=by,
                )
                if self.difference > 0
                else say(
                    "The closing balance is KES %(amount)s less than what moved explains: a withdrawal to the bank, "
                    "for example, that is not known here.",
                    amount=by,
                )
            )
        return (
            say(
                "The closing balance is KES %(amount)s more than the lines of the statement explain: some of its lines "
                "are missing here.",
                amount=by,
            )
            if self.difference > 0
            else say(
                "The closing balance is KES %(amount)s less than the lines of the statement explain: some of its lines "
                "are missing here.",
                amount=by,
            )
        )

    def as_json(self) -> dict[str, str | bool]:
        """Times in ISO form, KES as text."""
        amounts = {
            "opening": self.opening,
            "money_in": self.money_in,
            "money_out": self.money_out,
            "charges": self.charges,
            "expected_closing": self.expected_closing,
            "closing": self.closing,
            "difference": self.difference,
        }
        return {
            "basis": self.basis.value,
            "since": self.since.isoformat(),
            "until": self.until.isoformat(),
            **{name: f"{amount:.2f}" for name, amount in amounts.items()},
            "holds": self.holds,
        }


def prove_readings(before: Reading, after: Reading, moved: Movements) -> Proof | None:
    """Compare two readings of a channel's balances. None if they are not of the same accounts, or are one.

    Where M-PESA keeps an account of the charges, that says what they were; otherwise what it told us of each.
    """
    if before.accounts.keys() != after.accounts.keys() or before.as_at >= after.as_at:
        return None
    charges, untold = moved.charges, moved.untold_charges
    if CHARGES_PAID in before.accounts:
        charges, untold = before.accounts[CHARGES_PAID] - after.accounts[CHARGES_PAID], _NOTHING
    return Proof(
        basis=Basis.BALANCES,
        since=before.as_at,
        until=after.as_at,
        opening=before.total,
        money_in=moved.money_in,
        money_out=moved.money_out,
        charges=charges,
        closing=after.total,
        tolerance=(moved.uncertain + untold, moved.uncertain),
    )
