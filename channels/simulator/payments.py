"""The payments in the books: money that moved, and payments that the payee's validation cancelled."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from channels.simulator import accounts, customers, identifiers, organisations
from channels.simulator.books import Books
from channels.simulator.organisations import Organisation

LEAST_SHILLINGS = 1
MOST_SHILLINGS = 250_000


class Source(StrEnum):
    """How the customer came to pay."""

    PHONE = "phone"
    SIMULATE = "simulate"
    STK = "stk"
    STANDING_ORDER = "standing_order"


class State(StrEnum):
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    REVERSED = "reversed"


@dataclass(frozen=True)
class Payment:
    """One payment; the fields are the columns."""

    receipt: str
    shortcode: str
    msisdn: str
    cents: int
    account_reference: str
    source: Source
    paid_at: float
    originator_conversation_id: str
    conversation_id: str
    state: State = State.COMPLETED
    reason: str = ""
    third_party_id: str = ""
    organisation_cents: int = 0
    customer_cents: int = 0
    reversal_receipt: str = ""


class InsufficientFunds(Exception):
    """The customer's wallet, or for a reversal the organisation's account, holds less than the amount."""


def begin(
    books: Books,
    organisation: Organisation,
    msisdn: str,
    cents: int,
    account_reference: str,
    source: Source,
    *,
    originator_conversation_id: str | None = None,
) -> Payment:
    """A payment with its receipt, not yet in the books: validation knows the receipt before money has moved."""
    now = time.time()
    return Payment(
        receipt=new_receipt(books, now),
        shortcode=organisation.shortcode,
        msisdn=msisdn,
        cents=cents,
        account_reference=account_reference if organisation.is_paybill else "",
        source=source,
        paid_at=now,
        originator_conversation_id=originator_conversation_id or identifiers.request_id(),
        conversation_id=identifiers.conversation_id(now),
    )


def new_receipt(books: Books, at: float) -> str:
    """A receipt that nothing in the books has."""
    taken = " UNION ALL ".join(
        f"SELECT 1 FROM {table} WHERE receipt = ?1"  # noqa: S608 - names from here
        for table in ("payments", "orders", "till_requests")
    )
    while True:
        receipt = identifiers.receipt(at)
        if books.one(taken, receipt) is None:
            return receipt


def complete(books: Books, payment: Payment, organisation: Organisation) -> Payment:
    """Move the money and enter the payment.

    :raises InsufficientFunds: and nothing has moved.
    """
    with books.writing():
        if customers.get(books, payment.msisdn).cents < payment.cents:
            raise InsufficientFunds
        customer = customers.credit(books, payment.msisdn, -payment.cents)
        balance = organisations.credit(books, organisation, payment.cents)
        completed = replace(payment, organisation_cents=balance, customer_cents=customer.cents)
        _enter(books, completed)
    return completed


def cancel(books: Books, payment: Payment, organisation: Organisation, reason: str) -> Payment:
    """Enter a payment that did not happen; no money moves."""
    customer = customers.get(books, payment.msisdn)
    balance = organisations.balances(books, organisation)[organisation.receiving_account]
    cancelled = replace(
        payment,
        state=State.CANCELLED,
        reason=reason,
        organisation_cents=balance,
        customer_cents=customer.cents,
    )
    _enter(books, cancelled)
    return cancelled


def reverse(books: Books, payment: Payment, reversal_receipt: str) -> None:
    """Give a completed payment back to who paid it, out of the account that got it.

    :raises InsufficientFunds: and nothing has moved.
    """
    with books.writing():
        organisation = organisations.find(books, payment.shortcode)
        if organisation is None or accounts.held(books, *organisation.receiving) < payment.cents:
            raise InsufficientFunds
        organisations.credit(books, organisation, -payment.cents)
        books.run(
            "UPDATE payments SET state = ?, reversal_receipt = ? WHERE receipt = ?",
            State.REVERSED,
            reversal_receipt,
            payment.receipt,
        )
        customers.credit(books, payment.msisdn, payment.cents)


def _enter(books: Books, payment: Payment) -> None:
    values = vars(payment)
    marks = ", ".join("?" for _ in values)
    books.run(
        f"INSERT INTO payments ({', '.join(values)}) VALUES ({marks})",  # noqa: S608 - names of our own fields
        *values.values(),
    )


def _payment(row: dict[str, object]) -> Payment:
    return Payment(**{name: value for name, value in row.items() if name != "id"})  # type: ignore[arg-type]


def find(books: Books, shortcode: str, *, receipt: str = "", originator_conversation_id: str = "") -> Payment | None:
    """An organisation's payment, by its receipt or, failing that, by the conversation that made it."""
    row = books.one(
        "SELECT * FROM payments WHERE shortcode = ?1 AND receipt = ?2 UNION ALL "
        "SELECT * FROM payments WHERE shortcode = ?1 AND ?2 = '' AND originator_conversation_id = ?3 LIMIT 1",
        shortcode,
        receipt,
        originator_conversation_id,
    )
    return _payment(dict(row)) if row else None


def of_customer(books: Books, msisdn: str, limit: int = 10) -> Sequence[Payment]:
    """A customer's last payments, newest first."""
    rows = books.all("SELECT * FROM payments WHERE msisdn = ? ORDER BY id DESC LIMIT ?", msisdn, limit)
    return [_payment(dict(row)) for row in rows]
