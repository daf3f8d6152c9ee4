"""The books as a whole, to compare other books with: balances, payments in and orders out, at one moment.

One read of 20,000 rows takes some tenths of a second; nothing else happens meanwhile, so it is of one moment.
"""

import sqlite3
from typing import Any

from channels.simulator import accounts, identifiers, organisations
from channels.simulator.accounts import TAX_AUTHORITY
from channels.simulator.books import Books
from channels.simulator.json_door import money

_ENDED = ("completed", "cancelled", "reversed")


def summary(books: Books) -> dict[str, Any]:
    """What every organisation holds and was paid, and where the rest of the money is.

    ``sum`` is over all accounts and wallets: always 0.00.
    """
    rows = books.all("SELECT shortcode, state, count(*) AS n, sum(cents) AS cents FROM payments GROUP BY 1, 2")
    counted = {(row["shortcode"], row["state"]): (row["n"], row["cents"]) for row in rows}

    def total(shortcode: str, state: str) -> dict[str, Any]:
        count, cents = counted.get((shortcode, state), (0, 0))
        return {"count": count, "total": money(cents)}

    listed = [
        {
            "shortcode": organisation.shortcode,
            "name": organisation.name,
            "kind": organisation.kind,
            "accounts": {name: money(cents) for name, cents in organisations.balances(books, organisation).items()},
            **{state: total(organisation.shortcode, state) for state in _ENDED},
        }
        for organisation in organisations.every(books)
    ]
    return {
        "organisations": listed,
        "spent_by_customers": money(accounts.spent_by_customers(books)),
        "charges_collected": money(accounts.held(books, accounts.MPESA, accounts.CHARGES_COLLECTED)),
        "tax_collected": money(accounts.held(books, TAX_AUTHORITY, accounts.UTILITY)),
        "issued": money(-accounts.held(books, accounts.MPESA, accounts.ISSUED)),
        "sum": money(accounts.total(books)),
    }


def complete(books: Books, shortcode: str | None) -> dict[str, Any]:
    """`summary`, with every payment in, order out and request to a till, oldest first; of one shortcode, or of all.

    An order is also the receiver's, if that is an organisation. Of a request to a till the receipt says that it paid.
    """
    payments = books.all("SELECT * FROM payments WHERE ?1 IS NULL OR shortcode = ?1 ORDER BY id", shortcode)
    orders = books.all("SELECT * FROM orders WHERE ?1 IS NULL OR ?1 IN (shortcode, party) ORDER BY id", shortcode)
    asked = books.all("SELECT * FROM till_requests WHERE ?1 IS NULL OR ?1 IN (payer, payee) ORDER BY id", shortcode)
    return {
        **summary(books),
        "payments": [payment(row) for row in payments],
        "orders": [_order(row) for row in orders],
        "till_requests": [_till_request(row) for row in asked],
    }


def payment(row: sqlite3.Row) -> dict[str, Any]:
    """A payment in, as the control door shows it."""
    return {
        "id": row["id"],
        "receipt": row["receipt"],
        "shortcode": row["shortcode"],
        "phone_number": row["msisdn"],
        "amount": money(row["cents"]),
        "account_reference": row["account_reference"],
        "source": row["source"],
        "state": row["state"],
        "reason": row["reason"],
        "originator_conversation_id": row["originator_conversation_id"],
        "conversation_id": row["conversation_id"],
        "reversal_receipt": row["reversal_receipt"],
        "paid_at": _moment(row["paid_at"]),
    }


def _order(row: sqlite3.Row) -> dict[str, Any]:
    return {
        "id": row["id"],
        "command": row["command"],
        "originator_conversation_id": row["originator_conversation_id"],
        "conversation_id": row["conversation_id"],
        "receipt": row["receipt"] or "",
        "shortcode": row["shortcode"],
        "party": row["party"],
        "amount": money(row["cents"]),
        "charge": money(row["charge_cents"]),
        "account_reference": row["account_reference"],
        "state": row["state"],
        "result_code": row["code"],
        "asked_at": _moment(row["created_at"]),
        "finished_at": None if row["finished_at"] is None else _moment(row["finished_at"]),
    }


def _till_request(row: sqlite3.Row) -> dict[str, Any]:
    return {
        "id": row["id"],
        "request_id": row["request_id"],
        "conversation_id": row["conversation_id"],
        "receipt": row["receipt"] or "",
        "payer": row["payer"],
        "payee": row["payee"],
        "amount": money(row["cents"]),
        "result_code": row["result_code"] or "",
        "asked_at": _moment(row["created_at"]),
    }


def _moment(at: float) -> str:
    return identifiers.east_african(at).isoformat()
