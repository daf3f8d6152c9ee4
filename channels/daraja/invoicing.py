"""Bill Manager: e-invoices that customers pay from the phone (section 21).

Every call but the first needs the `app_key` that opting in gave. It is a credential: keep it sealed, and out of logs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from channels.daraja.caller import Caller, id_somewhere
from channels.daraja.gateway import Body, Call, nonsense
from channels.daraja.rules import require, require_amount, require_digits, require_msisdn, require_text

MOST_INVOICES = 1000  # per call (section 26)
_GOOD = frozenset({"200"})
_PREFIX = "/v1/billmanager-invoice"
_TEXT_MAX = 100


def _call(name: str, operation: str) -> Call:
    return Call(name, f"{_PREFIX}/{operation}", repeatable=False, good_codes=_GOOD, code_key="rescode")


OPT_IN = _call("bill_opt_in", "optin")
CHANGE_OPT_IN = _call("bill_change_opt_in", "change-optin-details")
SEND_INVOICE = _call("bill_send_invoice", "single-invoicing")
SEND_INVOICES = _call("bill_send_invoices", "bulk-invoicing")
CANCEL_INVOICE = _call("bill_cancel_invoice", "cancel-single-invoice")
CANCEL_INVOICES = _call("bill_cancel_invoices", "cancel-bulk-invoices")
ACKNOWLEDGE_PAYMENT = _call("bill_acknowledge_payment", "reconciliation")


@dataclass(frozen=True, slots=True)
class InvoiceItem:
    """A line of an invoice."""

    name: str
    amount_kes: int


@dataclass(frozen=True, slots=True)
class Invoice:
    """What a customer is asked to pay. `external_reference` is ours, and unique for ever."""

    external_reference: str
    full_name: str
    msisdn: str  # 12 digits, of Safaricom's
    period: str  # such as `August 2021`
    name: str
    due_on: date
    account_reference: str
    amount_kes: int
    items: tuple[InvoiceItem, ...] = ()


class Invoicing(Caller):
    """E-invoices. An invoice that is paid, even in part, is refused to be cancelled: Reason.INVOICE_PAID."""

    def opt_in_to_invoicing(
        self,
        *,
        shortcode: str,
        email: str,
        contact_msisdn: str,
        send_reminders: bool,
        callback_url: str,
        logo_url: str = "",
    ) -> str:
        """Turn Bill Manager on for a PayBill, and return its app key. Payments are called back to `callback_url`."""
        answer = self._gateway.post(
            OPT_IN,
            self._details(shortcode, email, contact_msisdn, send_reminders, callback_url, logo_url),
            about=shortcode,
        )
        app_key = id_somewhere(OPT_IN, answer, "app_key")
        if not (app_key and app_key.isascii() and app_key.isprintable()):
            raise nonsense(OPT_IN, "no app_key in the answer")
        return app_key

    def change_invoicing_details(
        self,
        *,
        app_key: str,
        shortcode: str,
        email: str,
        contact_msisdn: str,
        send_reminders: bool,
        callback_url: str,
        logo_url: str = "",
    ) -> None:
        """Replace what opting in gave."""
        details = self._details(shortcode, email, contact_msisdn, send_reminders, callback_url, logo_url)
        self._bill(CHANGE_OPT_IN, details, app_key=app_key, about=shortcode)

    def send_invoice(self, *, app_key: str, invoice: Invoice) -> None:
        """Send one invoice."""
        self._bill(SEND_INVOICE, _invoice(invoice), app_key=app_key, about=invoice.external_reference)

    def send_invoices(self, *, app_key: str, invoices: Sequence[Invoice]) -> None:
        """Send up to 1,000 invoices."""
        _require_count(invoices)
        about = f"{len(invoices)} from {invoices[0].external_reference}"
        self._bill(SEND_INVOICES, [_invoice(invoice) for invoice in invoices], app_key=app_key, about=about)

    def cancel_invoice(self, *, app_key: str, external_reference: str) -> None:
        """Cancel an invoice that nobody has paid anything of."""
        self._bill(CANCEL_INVOICE, _reference(external_reference), app_key=app_key, about=external_reference)

    def cancel_invoices(self, *, app_key: str, external_references: Sequence[str]) -> None:
        """Cancel up to 1,000 invoices that nobody has paid anything of."""
        _require_count(external_references)
        about = f"{len(external_references)} from {external_references[0]}"
        self._bill(CANCEL_INVOICES, [_reference(text) for text in external_references], app_key=app_key, about=about)

    def acknowledge_invoice_payment(
        self,
        *,
        app_key: str,
        receipt: str,
        paid_on: date,
        amount_kes: int,
        account_reference: str,
        msisdn: str,
        full_name: str,
        invoice_name: str,
        external_reference: str,
    ) -> None:
        """Say that a payment has been booked, so that the customer is sent an e-receipt."""
        require_msisdn("phoneNumber", msisdn)
        fields = {
            "paymentDate": paid_on.isoformat(),
            "paidAmount": str(amount_kes),
            "accountReference": account_reference,
            "transactionId": receipt,
            "phoneNumber": _local(msisdn),
            "fullName": full_name,
            "invoiceName": invoice_name,
            "externalReference": external_reference,
        }
        self._bill(ACKNOWLEDGE_PAYMENT, fields, app_key=app_key, about=receipt)

    def _details(
        self,
        shortcode: str,
        email: str,
        contact_msisdn: str,
        send_reminders: bool,
        callback_url: str,
        logo_url: str,
    ) -> dict[str, str]:
        require_digits("shortcode", shortcode)
        require_text("email", email, _TEXT_MAX)
        require_msisdn("officialContact", contact_msisdn)
        self._require_url("callbackurl", callback_url)
        return {
            "shortcode": shortcode,
            "email": email,
            "officialContact": _local(contact_msisdn),
            "sendReminders": "1" if send_reminders else "0",
            **({"logo": logo_url} if logo_url else {}),
            "callbackurl": callback_url,
        }

    def _bill(self, call: Call, body: Body, *, app_key: str, about: str) -> None:
        self._gateway.post(call, body, about=about, headers={"appKey": app_key})


def _invoice(invoice: Invoice) -> dict[str, object]:
    for field, text in (
        ("externalReference", invoice.external_reference),
        ("billedFullName", invoice.full_name),
        ("billedPeriod", invoice.period),
        ("invoiceName", invoice.name),
        ("accountReference", invoice.account_reference),
    ):
        require_text(field, text, _TEXT_MAX)
    require_msisdn("billedPhoneNumber", invoice.msisdn)
    require_amount(invoice.amount_kes, field="amount", most=None)
    items = [{"itemName": item.name, "amount": str(item.amount_kes)} for item in invoice.items]
    return {
        "externalReference": invoice.external_reference,
        "billedFullName": invoice.full_name,
        "billedPhoneNumber": _local(invoice.msisdn),
        "billedPeriod": invoice.period,
        "invoiceName": invoice.name,
        "dueDate": invoice.due_on.isoformat(),
        "accountReference": invoice.account_reference,
        "amount": str(invoice.amount_kes),
        **({"invoiceItems": items} if items else {}),
    }


def _reference(external_reference: str) -> dict[str, str]:
    require_text("externalReference", external_reference, _TEXT_MAX)
    return {"externalReference": external_reference}


def _require_count(things: Sequence[object]) -> None:
    require(0 < len(things) <= MOST_INVOICES, "externalReference", f"Send 1 to {MOST_INVOICES:,} invoices at a time.")


def _local(msisdn: str) -> str:
    """`0712345678`: Bill Manager wants numbers as people write them."""
    return f"0{msisdn.removeprefix('254')}"
