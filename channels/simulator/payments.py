"""The payments in the books: money that moved, and payments that the payee's validation cancelled."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from channels.simulator import customers, identifiers, organisations
from channels.simulator.books import Books
from channels.simulator.organisations import Organisation

LEAST_SHILLINGS = 1
MOST_SHILLINGS = 250_000


class Source(StrEnum):
    """How the customer came to pay."""

    PHONE = "phone"
    SIMULATE = "simulate"
    STK = "stk"


class State(StrEnum):
    COMPLETED = "completed"
    CANCELLED = "cancelled"


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


class InsufficientFunds(Exception):
    """The customer's wallet holds less than the amount."""


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
    receipt = identifiers.receipt(now)
    while books.one("SELECT 1 FROM payments WHERE receipt = ?", receipt):
        receipt = identifiers.receipt(now)
    return Payment(
        receipt=receipt,
        shortcode=organisation.shortcode,
        msisdn=msisdn,
        cents=cents,
        account_reference=account_reference if organisation.is_paybill else "",
        source=source,
        paid_at=now,
        originator_conversation_id=originator_conversation_id or identifiers.request_id(),
        conversation_id=identifiers.conversation_id(now),
    )


def complete(books: Books, payment: Payment, organisation: Organisation) -> Payment:
    """Move the money and enter the payment.

    :raises InsufficientFunds: and nothing has moved.
    """
    with books.writing():
        customer = customers.get(books, payment.msisdn)
        if customer.cents < payment.cents:
            raise InsufficientFunds
        customer = replace(customer, cents=customer.cents - payment.cents)
        customers.save(books, customer)
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
