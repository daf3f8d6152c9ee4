"""The orders in the books: what an initiator asked M-PESA to move, from the acknowledgement to the result.

An order, the money it moves and the result that is due are one commit, so that the books are right whenever the
process is killed.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from channels.simulator import accounts, faults, tariff
from channels.simulator.books import Books
from channels.simulator.faults import Asked, Target
from channels.simulator.tariff import Bands


class Command(StrEnum):
    """CommandID (section 2 of the reference)."""

    BUSINESS_PAYMENT = "BusinessPayment"
    SALARY_PAYMENT = "SalaryPayment"
    PROMOTION_PAYMENT = "PromotionPayment"
    PAY_TO_POCHI = "BusinessPayToPochi"
    PAY_BILL = "BusinessPayBill"
    BUY_GOODS = "BusinessBuyGoods"
    TOP_UP = "BusinessPayToBulk"
    PAY_TAX = "PayTaxToKRA"
    REVERSAL = "TransactionReversal"


@dataclass(frozen=True)
class Terms:
    """What goes with a command.

    :param reason: ReasonType of a status result
    :param charge: what the charge is called
    :param debited: the organisation's account that pays; '' is the one that receives customers' money
    """

    reason: str
    charge: str
    debited: str
    tariff: Bands


def _to_phone(reason: str) -> Terms:
    return Terms(f"{reason} via API", "Fee For B2C Payment", accounts.UTILITY, tariff.TO_CUSTOMER)


def _to_organisation(reason: str) -> Terms:
    return Terms(f"{reason} via API", f"{reason} Charge", accounts.WORKING, tariff.TO_ORGANISATION)


TERMS = {
    Command.BUSINESS_PAYMENT: _to_phone("Business Payment to Customer"),
    Command.SALARY_PAYMENT: _to_phone("Salary Payment"),
    Command.PROMOTION_PAYMENT: _to_phone("Promotion Payment"),
    Command.PAY_TO_POCHI: _to_phone("Business Payment to Pochi"),
    Command.PAY_BILL: _to_organisation("Business Pay Bill"),
    Command.BUY_GOODS: _to_organisation("Business Buy Goods"),
    Command.TOP_UP: Terms("Business Pay to Bulk via API", "", accounts.WORKING, tariff.FREE),
    Command.PAY_TAX: Terms("Pay Tax to KRA via API", "", accounts.WORKING, tariff.FREE),
    Command.REVERSAL: Terms("Transaction Reversal via API", "", "", tariff.FREE),
}
TO_PHONES = frozenset(
    {Command.BUSINESS_PAYMENT, Command.SALARY_PAYMENT, Command.PROMOTION_PAYMENT, Command.PAY_TO_POCHI}
)


class State(StrEnum):
    """How an order stands. The documented words of Transaction Status are made from it in `daraja.queries`."""

    WAITING = "waiting"  # acknowledged, and not yet carried out
    COMPLETED = "completed"  # the money moved
    FAILED = "failed"  # it did not, and the result says why
    DROPPED = "dropped"  # it did not, because the queue gave up; there is no result


@dataclass(frozen=True)
class Order:
    """One order; the fields are the columns."""

    originator_conversation_id: str
    conversation_id: str
    command: Command
    shortcode: str
    party: str
    cents: int
    account_reference: str
    occasion: str
    result_url: str
    queue_url: str
    asked_faults: str
    created_at: float
    act_at: float
    state: State = State.WAITING
    code: str = ""
    description: str = ""
    receipt: str | None = None
    charge_cents: int = 0
    finished_at: float | None = None

    @property
    def asked(self) -> list[Asked]:
        return faults.load(self.asked_faults)

    @property
    def terms(self) -> Terms:
        return TERMS[self.command]

    @property
    def result_target(self) -> Target:
        """Which kind of result this order has, for the faults that strike it."""
        return Target.REVERSAL_RESULT if self.command is Command.REVERSAL else Target.PAYMENT_RESULT


def _order(row: Any) -> Order:
    values = {name: row[name] for name in row.keys() if name != "id"}  # noqa: SIM118 - a Row iterates over values
    return Order(**{**values, "command": Command(values["command"]), "state": State(values["state"])})


def enter(books: Books, order: Order) -> bool:
    """Write a new order; False if its organisation has used that OriginatorConversationID before."""
    values = vars(order)
    marks = ", ".join("?" for _ in values)
    written = books.run(
        f"INSERT INTO orders ({', '.join(values)}) VALUES ({marks}) "  # noqa: S608 - names of our own fields
        "ON CONFLICT (shortcode, originator_conversation_id) DO NOTHING",
        *values.values(),
    )
    return written.rowcount == 1


def finish(books: Books, order: Order, **outcome: Any) -> Order:
    """Write how an order ended: its state, and if there is a result, the code, description, receipt and charge."""
    finished = replace(order, finished_at=time.time(), **outcome)
    books.run(
        "UPDATE orders SET state = ?, code = ?, description = ?, receipt = ?, charge_cents = ?, finished_at = ? "
        "WHERE conversation_id = ?",
        finished.state,
        finished.code,
        finished.description,
        finished.receipt,
        finished.charge_cents,
        finished.finished_at,
        finished.conversation_id,
    )
    return finished


def due(books: Books) -> list[Order]:
    """The orders that wait no longer."""
    found = books.all("SELECT * FROM orders WHERE state = 'waiting' AND act_at <= ? ORDER BY act_at", time.time())
    return [_order(row) for row in found]


def next_due_at(books: Books) -> float | None:
    """When the next waiting order is to be carried out."""
    row = books.one("SELECT min(act_at) AS next_at FROM orders WHERE state = 'waiting'")
    return row["next_at"] if row else None


def find(books: Books, shortcode: str, *, receipt: str = "", originator_conversation_id: str = "") -> Order | None:
    """An order that an organisation gave, or by its receipt one that paid it; failing a receipt, by conversation."""
    if receipt:
        row = books.one("SELECT * FROM orders WHERE receipt = ?1 AND ?2 IN (shortcode, party)", receipt, shortcode)
    else:
        row = books.one(
            "SELECT * FROM orders WHERE shortcode = ? AND originator_conversation_id = ?",
            shortcode,
            originator_conversation_id,
        )
    return _order(row) if row else None


def received_cents(books: Books, party: str, since: float) -> int:
    """What orders have brought to a phone since a moment."""
    row = books.one(
        "SELECT coalesce(sum(cents), 0) AS cents FROM orders WHERE party = ? AND finished_at >= ? "
        "AND state = 'completed' AND command <> ?",
        party,
        since,
        Command.REVERSAL,
    )
    return int(row["cents"]) if row else 0


def of_customer(books: Books, msisdn: str, limit: int = 10) -> Sequence[Order]:
    """The orders that last brought money to a phone, newest first."""
    rows = books.all(
        "SELECT * FROM orders WHERE party = ? AND state = 'completed' ORDER BY finished_at DESC LIMIT ?", msisdn, limit
    )
    return [_order(row) for row in rows]
