"""Bill Manager: opting in, invoices, acknowledgements (section 21 of the reference).

A refusal of Bill Manager's own has status 200 and says so in `rescode`. Published is only 409 for cancelling an invoice
that is paid, even in part; 409 for an external reference used twice and 404 for what does not exist are ours.
"""

from dataclasses import replace
from datetime import date, datetime
from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from channels.simulator import bills, msisdn, organisations, payments
from channels.simulator.bills import Biller, Invoice, InvoiceExists, InvoicePaid, UnknownInvoice
from channels.simulator.faults import Target
from channels.simulator.gateway import Api, Call, DarajaError, Endpoint, bad_field
from channels.simulator.identifiers import EAT
from channels.simulator.organisations import Product

_TOKEN = (401, "401")
OPT_IN = Api(Target.BILL_MANAGER, Product.BILL_MANAGER, _TOKEN, "shortcode", "shortcode")
ONE = Api(Target.BILL_MANAGER, Product.BILL_MANAGER, _TOKEN, "externalReference", amount_field="amount")
MANY = Api(Target.BILL_MANAGER, Product.BILL_MANAGER, _TOKEN, "externalReference", takes_list=True)
_APP_KEY_HEADERS = ("appkey", "app-key", "app_key")  # which of them is right is not known
_MOST_INVOICES = 1000
_MOST_SHILLINGS = 50_000_000  # no limit is published; this one is ours
_DATE_FORMS = ("%Y-%m-%d", "%Y-%m-%d %H:%M:%S.%f")


async def opt_in(call: Call) -> Response:
    """POST /v1/billmanager-invoice/optin; again it changes the details and answers with the same app key."""
    return _answer("200", "Success", app_key=_write_details(call).app_key)


async def change_opt_in(call: Call) -> Response:
    """POST /v1/billmanager-invoice/change-optin-details"""
    if bills.biller(call.simulator.books, call.text("shortcode")) is None:
        return _unknown("The shortcode has not opted in.")
    _biller(call, call.text("shortcode"))
    _write_details(call)
    return _answer("200", "Success")


def _write_details(call: Call) -> Biller:
    shortcode = call.text("shortcode")
    if shortcode not in {own.shortcode for own in call.own(shortcode)}:
        raise bad_field("shortcode")
    email = call.text("email")
    if "@" not in email:
        raise bad_field("email")
    contact = _phone(call, "officialContact")
    send_reminders = call.text("sendReminders")
    if send_reminders not in {"0", "1"}:
        raise bad_field("sendReminders")
    return bills.opt_in(
        call.simulator.books,
        shortcode,
        email=email,
        official_contact=contact,
        send_reminders=send_reminders == "1",
        callback_url=call.url("callbackurl"),
    )


async def send_invoice(call: Call) -> Response:
    """POST /v1/billmanager-invoice/single-invoicing"""
    return _send(call, [_invoice(call, _biller(call))])


async def send_invoices(call: Call) -> Response:
    """POST /v1/billmanager-invoice/bulk-invoicing: all of them or none."""
    biller = _biller(call)
    return _send(call, [_invoice(one, biller) for one in _each(call)])


def _send(call: Call, invoices: list[Invoice]) -> Response:
    try:
        bills.send(call.simulator.books, invoices)
    except InvoiceExists as known:
        return _answer("409", "Conflict", Status_Message=f"externalReference {known} exists.", errors=[])
    return _answer("200", "Success", Status_Message="Invoice sent successfully")


async def cancel_invoice(call: Call) -> Response:
    """POST /v1/billmanager-invoice/cancel-single-invoice"""
    return _cancel(call, [call.text("externalReference")])


async def cancel_invoices(call: Call) -> Response:
    """POST /v1/billmanager-invoice/cancel-bulk-invoices: all of them or none."""
    return _cancel(call, [one.text("externalReference") for one in _each(call)])


def _cancel(call: Call, references: list[str]) -> Response:
    try:
        bills.cancel(call.simulator.books, _biller(call).shortcode, references)
    except UnknownInvoice as unknown:
        return _unknown(f"externalReference {unknown} does not exist.")
    except InvoicePaid:
        message = "partially or fully paid invoices cannot be cancelled."
        return _answer("409", "Conflict", Status_Message=message, errors=[])
    return _answer("200", "Success", Status_Message="Invoice cancelled successfuly.", errors=[])  # so spelt


async def reconcile(call: Call) -> Response:
    """POST /v1/billmanager-invoice/reconciliation: the customer gets an e-receipt for a payment."""
    books, biller = call.simulator.books, _biller(call)
    paid_on = _day(call, "paymentDate")
    shillings = call.shillings("paidAmount", _MOST_SHILLINGS)
    account_reference = call.text("accountReference")
    receipt = call.text("transactionId")
    phone_number = _phone(call, "phoneNumber")
    full_name = call.text("fullName")
    invoice_name = call.text("invoiceName")
    external_reference = call.text("externalReference")
    payment = payments.find(books, biller.shortcode, receipt=receipt)
    if payment is None or bills.find(books, biller.shortcode, external_reference) is None:
        return _unknown("There is no such payment or invoice.")
    organisation = organisations.find(books, biller.shortcode)
    text = (
        f"Dear {full_name}, {organisation.name if organisation else ''} received KES {shillings:,} on "
        f"{paid_on.isoformat()} for {invoice_name}, account {account_reference}. Receipt {receipt}."
    )
    bills.acknowledge(books, biller.shortcode, receipt=receipt, msisdn=phone_number, text=text)
    return _answer("200", "Success")


def _each(call: Call) -> list[Call]:
    """A call for each row of a call that takes a list."""
    if not 1 <= len(call.rows) <= _MOST_INVOICES or not all(isinstance(row, dict) for row in call.rows):
        raise DarajaError(400, "400.002.05", "Invalid Request Payload")
    return [replace(call, fields=row) for row in call.rows]


def _biller(call: Call, shortcode: str = "") -> Biller:
    """The biller whose app key came in a header; without one, that of the shortcode, or else the app's only biller."""
    books = call.simulator.books
    every = [bills.biller(books, own.shortcode) for own in organisations.of_app(books, call.app.consumer_key)]
    key = next((call.headers[name] for name in _APP_KEY_HEADERS if name in call.headers), None)
    found = [one for one in every if one and key in {None, one.app_key} and shortcode in {"", one.shortcode}]
    if len(found) != 1:
        raise DarajaError(401, "401", "Unauthorized")
    return found[0]


def _invoice(call: Call, biller: Biller) -> Invoice:
    items = call.fields.get("invoiceItems") or []
    if not isinstance(items, list) or not all(isinstance(item, dict) and item.get("itemName") for item in items):
        raise bad_field("invoiceItems")
    return Invoice(
        external_reference=call.text("externalReference"),
        billed_name=call.text("billedFullName"),
        msisdn=_phone(call, "billedPhoneNumber"),
        billed_period=call.text("billedPeriod"),
        invoice_name=call.text("invoiceName"),
        due_date=_day(call, "dueDate").isoformat(),
        account_reference=call.text("accountReference"),
        cents=call.shillings("amount", _MOST_SHILLINGS) * 100,
        shortcode=biller.shortcode,
    )


def _phone(call: Call, name: str) -> str:
    number = msisdn.normalise(call.text(name))
    if number is None:
        raise bad_field(name)
    return number


def _day(call: Call, name: str) -> date:
    text = call.text(name)
    for form in _DATE_FORMS:
        try:
            return datetime.strptime(text, form).replace(tzinfo=EAT).date()
        except ValueError:
            continue
    raise bad_field(name)


def _unknown(message: str) -> Response:
    return _answer("404", "Not Found", Status_Message=message, errors=[])


def _answer(code: str, message: str, **more: Any) -> Response:
    return JSONResponse({**more, "resmsg": message, "rescode": code})


# One e-mail about going live doubles the prefix and has the singular of the last path.
_PREFIX = "/v1/billmanager-invoice"
routes = [
    Route(f"{prefix}/{path}", Endpoint(api, handler))
    for prefix in (_PREFIX, _PREFIX * 2)
    for path, api, handler in (
        ("optin", OPT_IN, opt_in),
        ("change-optin-details", OPT_IN, change_opt_in),
        ("single-invoicing", ONE, send_invoice),
        ("bulk-invoicing", MANY, send_invoices),
        ("reconciliation", ONE, reconcile),
        ("cancel-single-invoice", ONE, cancel_invoice),
        ("cancel-bulk-invoices", MANY, cancel_invoices),
        ("cancel-bulk-invoice", MANY, cancel_invoices),
    )
]
