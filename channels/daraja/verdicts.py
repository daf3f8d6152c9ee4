"""What a result says of the money: it moved, it did not and never will, or we don't know.

The tables are those of sections 5.5, 11, 12, 15, 16, 17, 18 and 20. A code stands here as failed only if its
documented meaning leaves no doubt; whatever else comes is unknown, never failed.
"""

from enum import StrEnum
from types import MappingProxyType

from channels.daraja.explanations import Api
from channels.daraja.payloads import AsyncResult


class Verdict(StrEnum):
    """How a call, or the payment that it asked about, ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"  # definitely: nothing moved and nothing will
    UNKNOWN = "unknown"


# Not here, because they don't say that nothing moved: 15 duplicate, 17 internal failure, 19 message sequence,
# 100000000 kept for resending, 100000001 overloaded, 100000004 internal error, 100000007 and 100000009 abnormal state.
_INITIATOR = frozenset(
    {
        *("1", "11", "18", "20", "21", "22", "24", "25", "26", "29"),
        *("2001", "2006", "2028", "8006", "SFC_IC0003", "TP40153"),
        *("100000002", "100000005", "100000010", "100000011"),
    }
)
_LIMITS = frozenset({"2", "3", "4", "8"})

_FAILED = MappingProxyType(
    {
        Api.STK: frozenset(
            {
                *("1", "2", "3", "4", "8", "17", "26", "1001", "1019", "1025", "1031", "1032", "1036", "1037"),
                *("2001", "2028", "2029", "8006", "9999", "SFC_IC0003", "E3008"),
            }
        ),
        Api.B2C: _INITIATOR | _LIMITS | {"2040"},
        Api.B2B: _INITIATOR | _LIMITS,
        Api.REVERSAL: _INITIATOR | {"R000002"},  # R000001, already reversed: by whom, its status tells
        Api.B2B_EXPRESS: frozenset({"4001", "4102", "4104"}),  # 4201 and 4203 broke off at a point unknown
        Api.RATIBA: frozenset({"1001", "1025", "1032", "1037", "1050", "1051", "2001"}),
        Api.BALANCE: _INITIATOR,
        Api.STATUS: _INITIATOR | {"2032"},
    }
)
_WITH_RECEIPT = (Api.B2C, Api.B2B, Api.REVERSAL)
_STATUS = MappingProxyType(
    {
        "completed": Verdict.SUCCEEDED,
        "cancelled": Verdict.FAILED,
        "declined": Verdict.FAILED,
        "expired": Verdict.FAILED,
    }
)


def verdict(api: Api, code: str, desc: str = "") -> Verdict:
    """What a result code of this API says, given the words that came with it.

    For BALANCE and STATUS it is about the question: 0 means answered.
    """
    if code == "0":
        return Verdict.SUCCEEDED
    if code in _FAILED[api] and "processing" not in desc.lower():
        return Verdict.FAILED
    return Verdict.UNKNOWN


def verdict_of(api: Api, result: AsyncResult) -> Verdict:
    """What a result says. Money that moved has a receipt: without one we don't know."""
    if result.result_type == "1":  # more messages will follow (section 10)
        return Verdict.UNKNOWN
    said = verdict(api, result.result_code, result.result_desc)
    if said is Verdict.SUCCEEDED and api in _WITH_RECEIPT and not result.transaction_id:
        return Verdict.UNKNOWN
    return said


def verdict_of_status(status: str) -> Verdict:
    """What the TransactionStatus of a status result says of the money that was asked about (section 17).

    Initiated, Authorized and Pending Authorized are not final.
    """
    return _STATUS.get(status.strip().lower(), Verdict.UNKNOWN)
