"""The money of one business: what came in, what went out, what M-PESA was asked, and what shows that it all agrees."""

from payments.models.agreements import Invoice, StandingOrder
from payments.models.evidence import Pull, ReconciliationDay, ReconciliationItem, StatementFile, StatementLine
from payments.models.money_in import DayTotal, HourTotal, Payment, PaymentRequest
from payments.models.money_out import (
    AllowedReceiver,
    MoneyOut,
    Payout,
    PayoutBatch,
    PayoutEntry,
    PayoutPolicy,
    Reversal,
)
from payments.models.questions import BalanceQuery, StatusQuery

__all__ = [
    "AllowedReceiver",
    "BalanceQuery",
    "DayTotal",
    "HourTotal",
    "Invoice",
    "MoneyOut",
    "Payment",
    "PaymentRequest",
    "Payout",
    "PayoutBatch",
    "PayoutEntry",
    "PayoutPolicy",
    "Pull",
    "ReconciliationDay",
    "ReconciliationItem",
    "Reversal",
    "StandingOrder",
    "StatementFile",
    "StatementLine",
    "StatusQuery",
]
