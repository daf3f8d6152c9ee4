"""What the outside is told of a payout or reversal: one word of the six that everything which moves money has."""

from collections.abc import Mapping

from payments.models import MoneyOut

Status = MoneyOut.Status

_OUTWARD = {
    Status.AWAITING_APPROVAL: "awaiting_approval",
    Status.RESERVED: "pending",
    Status.SENDING: "pending",
    Status.ACCEPTED: "pending",
    Status.UNKNOWN: "unknown",
    Status.NEEDS_REVIEW: "unknown",
    Status.SUCCEEDED: "succeeded",
    Status.FAILED: "failed",
    Status.CANCELLED: "failed",
}

# {"pending": (RESERVED, SENDING, ACCEPTED), …}: for lists that are filtered by the outward word.
INNER_STATES: Mapping[str, tuple[Status, ...]] = {
    word: tuple(inner for inner in Status if _OUTWARD[inner] == word) for word in dict.fromkeys(_OUTWARD.values())
}


def outward_state(row: MoneyOut) -> str:
    """`awaiting_approval`, `pending`, `unknown`, `succeeded` or `failed`. Accepted is not paid, unknown not failed."""
    return _OUTWARD[Status(row.status)]
