"""What an explanation is, and where a code that needs one comes from."""

from dataclasses import dataclass
from enum import StrEnum

from channels.daraja.phrases import Phrase


class Api(StrEnum):
    """Where a result code came from."""

    STK = "stk"
    B2C = "b2c"  # and Pochi
    B2B = "b2b"  # PayBill, till, top-up, tax
    REVERSAL = "reversal"
    B2B_EXPRESS = "b2b_express"
    RATIBA = "ratiba"
    BALANCE = "balance"
    STATUS = "status"


class Who(StrEnum):
    """Who has to act."""

    YOU = "you"  # the business
    CUSTOMER = "customer"
    SAFARICOM = "safaricom"
    US = "us"  # who runs this platform
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Explanation:
    """`is_retryable`: doing the same again, after `do_now`, can work. Plain text becomes a phrase."""

    title: str
    meaning: str
    do_now: str
    who: Who
    is_retryable: bool

    def __post_init__(self) -> None:
        for name in ("title", "meaning", "do_now"):
            text = getattr(self, name)
            if type(text) is str:
                object.__setattr__(self, name, Phrase(text))
