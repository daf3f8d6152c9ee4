"""Bill Manager's books: billers, invoices, and the payments pushed to billers (section 21 of the reference)."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from channels.simulator import faults, identifiers
from channels.simulator.books import Books
from channels.simulator.deliveries import Body, Courier, Delivery
from channels.simulator.faults import Asked, Target
from channels.simulator.organisations import Organisation
from channels.simulator.payments import Payment

_TRIES = 5  # the only callback that is tried again


@dataclass(frozen=True)
class Biller:
    """An organisation that opted in; the fields are the columns."""

    shortcode: str
    app_key: str
    email: str
    official_contact: str
    send_reminders: bool
    callback_url: str


@dataclass(frozen=True)
class Invoice:
    """What a customer is asked to pay; the fields are the columns."""

    external_reference: str
    billed_name: str
    msisdn: str
    billed_period: str
    invoice_name: str
    due_date: str
    account_reference: str
    cents: int
    shortcode: str
    paid_cents: int = 0
    id: int = 0

    @property
    def state(self) -> str:
        """sent, part-paid or paid."""
        if self.paid_cents >= self.cents:
            return "paid"
        return "part-paid" if self.paid_cents else "sent"

    @property
    def owed_cents(self) -> int:
        """What is still to be paid."""
        return max(0, self.cents - self.paid_cents)


class InvoiceExists(Exception):
    """The organisation has sent an invoice with that external reference before."""


class InvoicePaid(Exception):
    """An invoice that is paid, even in part, cannot be cancelled."""


class UnknownInvoice(Exception):
    """The organisation has no such invoice."""


def biller(books: Books, shortcode: str) -> Biller | None:
    """The biller with this shortcode, if it opted in."""
    row = books.one("SELECT * FROM billers WHERE shortcode = ?", shortcode)
    return Biller(**{**row, "send_reminders": bool(row["send_reminders"])}) if row else None


def opt_in(
    books: Books, shortcode: str, *, email: str, official_contact: str, send_reminders: bool, callback_url: str
) -> Biller:
    """Write a biller's details, new or changed; the app key stays the one that was given first."""
    books.run(
        "INSERT INTO billers VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (shortcode) DO UPDATE SET email = excluded.email, "
        "official_contact = excluded.official_contact, send_reminders = excluded.send_reminders, "
        "callback_url = excluded.callback_url",
        shortcode,
        identifiers.conversation_id(time.time()),
        email,
        official_contact,
        send_reminders,
        callback_url,
    )
    found = biller(books, shortcode)
    if found is None:
        raise LookupError(shortcode)
    return found


def send(books: Books, invoices: Sequence[Invoice]) -> None:
    """Send invoices, all or none.

    :raises InvoiceExists: with the first external reference that was used before.
    """
    with books.writing():
        for invoice in invoices:
            values = {name: value for name, value in vars(invoice).items() if name != "id"}
            done = books.run(
                f"INSERT OR IGNORE INTO invoices ({', '.join(values)}) "  # noqa: S608 - names of our own fields
                f"VALUES ({', '.join('?' for _ in values)})",
                *values.values(),
            )
            if not done.rowcount:
                raise InvoiceExists(invoice.external_reference)


def find(books: Books, shortcode: str, external_reference: str) -> Invoice | None:
    """An organisation's invoice."""
    row = books.one(
        "SELECT * FROM invoices WHERE shortcode = ? AND external_reference = ?", shortcode, external_reference
    )
    return Invoice(**row) if row else None


def by_id(books: Books, invoice_id: int) -> Invoice | None:
    """The invoice with this number of ours."""
    row = books.one("SELECT * FROM invoices WHERE id = ?", invoice_id)
    return Invoice(**row) if row else None


def cancel(books: Books, shortcode: str, external_references: Iterable[str]) -> None:
    """Let invoices cease to exist, all or none.

    :raises UnknownInvoice, InvoicePaid: with the first external reference of which that is true.
    """
    with books.writing():
        for reference in external_references:
            invoice = find(books, shortcode, reference)
            if invoice is None:
                raise UnknownInvoice(reference)
            if invoice.paid_cents:
                raise InvoicePaid(reference)
            books.run("DELETE FROM invoices WHERE id = ?", invoice.id)


def of_customer(books: Books, msisdn: str) -> list[Invoice]:
    """A customer's last invoices, newest first."""
    rows = books.all("SELECT * FROM invoices WHERE msisdn = ? ORDER BY id DESC LIMIT 20", msisdn)
    return [Invoice(**row) for row in rows]


def of_organisation(books: Books, shortcode: str | None) -> list[Invoice]:
    """An organisation's invoices, or with None everybody's, oldest first."""
    rows = books.all("SELECT * FROM invoices WHERE ?1 IS NULL OR shortcode = ?1 ORDER BY id", shortcode)
    return [Invoice(**row) for row in rows]


def note_payment(
    books: Books,
    courier: Courier,
    payment: Payment,
    organisation: Organisation,
    *,
    asked: Sequence[Asked],
    delay: float,
) -> None:
    """Count a completed payment towards the invoices of its account, and push it to an organisation that opted in."""
    found = biller(books, payment.shortcode)
    if found is None:
        return
    _allocate(books, payment)
    body: Body = {
        "transactionId": payment.receipt,
        "paidAmount": str(payment.cents // 100),
        "msisdn": payment.msisdn,
        "dateCreated": identifiers.east_african(payment.paid_at).date().isoformat(),
        "accountReference": payment.account_reference,
        "shortCode": payment.shortcode,
    }
    plan = faults.draw(books, Target.BILL_PAYMENT, [payment.shortcode], asked=asked, amount=payment.cents // 100)
    delivery = Delivery(
        kind=Target.BILL_PAYMENT,
        shortcode=payment.shortcode,
        reference=payment.receipt,
        url=found.callback_url,
        body=body,
        tries=_TRIES,
        pause=organisation.timings.retry,
    )
    courier.schedule(delivery, delay=delay, plan=plan)


def _allocate(books: Books, payment: Payment) -> None:
    """The invoice that is due first is paid first; what is left over belongs to none."""
    left = payment.cents
    rows = books.all(
        "SELECT * FROM invoices WHERE shortcode = ? AND account_reference = ? AND paid_cents < cents "
        "ORDER BY due_date, id",
        payment.shortcode,
        payment.account_reference,
    )
    for invoice in (Invoice(**row) for row in rows):
        part = min(left, invoice.owed_cents)
        books.run("UPDATE invoices SET paid_cents = paid_cents + ? WHERE id = ?", part, invoice.id)
        left -= part


def acknowledge(books: Books, shortcode: str, *, receipt: str, msisdn: str, text: str) -> None:
    """Send a customer the e-receipt for a payment, once."""
    books.run("INSERT OR IGNORE INTO e_receipts VALUES (?, ?, ?, ?, ?)", receipt, shortcode, msisdn, text, time.time())


def e_receipts(books: Books, msisdn: str) -> list[str]:
    """The texts of a customer's last e-receipts, newest first."""
    rows = books.all("SELECT text FROM e_receipts WHERE msisdn = ? ORDER BY sent_at DESC LIMIT 10", msisdn)
    return [row["text"] for row in rows]
