from datetime import date

import pytest

from channels.daraja.client import DarajaClient, Invoice, InvoiceItem
from channels.daraja.errors import DarajaRejected, DarajaTimeout, Reason
from channels.daraja.tokens import MemoryTokenStore

PREFIX = "/v1/billmanager-invoice"
DONE = {"resmsg": "Success", "rescode": "200"}
APP_KEY = "AG_canary_app_key"
INVOICE = Invoice(
    external_reference="INV-1",
    full_name="John Doe",
    msisdn="254708374149",
    period="August 2026",
    name="Rent",
    due_on=date(2026, 12, 5),
    account_reference="VIP001",
    amount_kes=1500,
    items=(InvoiceItem("House", 1400), InvoiceItem("Water", 100)),
)
INVOICE_SENT = {
    "externalReference": "INV-1",
    "billedFullName": "John Doe",
    "billedPhoneNumber": "0708374149",
    "billedPeriod": "August 2026",
    "invoiceName": "Rent",
    "dueDate": "2026-12-05",
    "accountReference": "VIP001",
    "amount": "1500",
    "invoiceItems": [{"itemName": "House", "amount": "1400"}, {"itemName": "Water", "amount": "100"}],
}
DETAILS = {
    "shortcode": "600984",
    "email": "bills@acme.example",
    "contact_msisdn": "254708374149",
    "send_reminders": True,
    "callback_url": "https://pay.tuzo.co.ke/h/abc/invoice-payment",
}
DETAILS_SENT = {
    "shortcode": "600984",
    "email": "bills@acme.example",
    "officialContact": "0708374149",
    "sendReminders": "1",
    "callbackurl": "https://pay.tuzo.co.ke/h/abc/invoice-payment",
}


def without_items(invoice):
    return Invoice(**{name: getattr(invoice, name) for name in invoice.__slots__} | {"items": ()})


def test_opting_in_gives_an_app_key(client, daraja):
    daraja.will_answer(f"{PREFIX}/optin", {"app_key": APP_KEY, **DONE})

    assert client.opt_in_to_invoicing(**DETAILS, logo_url="https://acme.example/logo.png") == APP_KEY
    (call,) = daraja.calls(f"{PREFIX}/optin")
    assert call.json == {**DETAILS_SENT, "logo": "https://acme.example/logo.png"}
    assert "appKey" not in call.headers


@pytest.mark.parametrize(
    ("operation", "ask", "sent"),
    [
        (
            "change-optin-details",
            lambda client: client.change_invoicing_details(app_key=APP_KEY, **DETAILS | {"send_reminders": False}),
            {**DETAILS_SENT, "sendReminders": "0"},
        ),
        ("single-invoicing", lambda client: client.send_invoice(app_key=APP_KEY, invoice=INVOICE), INVOICE_SENT),
        (
            "bulk-invoicing",
            lambda client: client.send_invoices(app_key=APP_KEY, invoices=[INVOICE, without_items(INVOICE)]),
            [INVOICE_SENT, {name: value for name, value in INVOICE_SENT.items() if name != "invoiceItems"}],
        ),
        (
            "cancel-single-invoice",
            lambda client: client.cancel_invoice(app_key=APP_KEY, external_reference="113"),
            {"externalReference": "113"},
        ),
        (
            "cancel-bulk-invoices",
            lambda client: client.cancel_invoices(app_key=APP_KEY, external_references=["113", "114"]),
            [{"externalReference": "113"}, {"externalReference": "114"}],
        ),
        (
            "reconciliation",
            lambda client: client.acknowledge_invoice_payment(
                app_key=APP_KEY,
                receipt="RJB53MYR1N",
                paid_on=date(2021, 9, 15),
                amount_kes=5000,
                account_reference="LGHJIO789",
                msisdn="254708374149",
                full_name="John Doe",
                invoice_name="Rent",
                external_reference="INV-1",
            ),
            {
                "paymentDate": "2021-09-15",
                "paidAmount": "5000",
                "accountReference": "LGHJIO789",
                "transactionId": "RJB53MYR1N",
                "phoneNumber": "0708374149",
                "fullName": "John Doe",
                "invoiceName": "Rent",
                "externalReference": "INV-1",
            },
        ),
    ],
)
def test_each_operation_is_sent_in_daraja_s_spelling_with_the_app_key(client, daraja, operation, ask, sent):
    daraja.will_answer(f"{PREFIX}/{operation}", {"Status_Message": "Done", **DONE, "errors": []})

    assert ask(client) is None
    (call,) = daraja.calls(f"{PREFIX}/{operation}")
    assert call.json == sent
    assert call.headers["appKey"] == APP_KEY


@pytest.mark.parametrize("status", [200, 409])
def test_an_invoice_that_is_paid_is_not_cancelled(client, daraja, status):
    daraja.will_answer(f"{PREFIX}/cancel-single-invoice", {"resmsg": "Conflict", "rescode": "409"}, status=status)

    with pytest.raises(DarajaRejected) as refusal:
        client.cancel_invoice(app_key=APP_KEY, external_reference="113")

    assert (refusal.value.reason, refusal.value.code, refusal.value.message) == (
        Reason.INVOICE_PAID,
        "409",
        "Conflict",
    )


@pytest.mark.parametrize("answer", [{}, {"rescode": "500", "resmsg": "Failed"}, b"<html></html>"], ids=str)
def test_an_invoice_without_a_clear_answer_may_have_been_sent(client, daraja, answer):
    daraja.will_answer(f"{PREFIX}/single-invoicing", answer)

    with pytest.raises(DarajaTimeout):
        client.send_invoice(app_key=APP_KEY, invoice=INVOICE)


def test_opting_in_without_a_key_in_the_answer_is_unclear(client, daraja):
    daraja.will_answer(f"{PREFIX}/optin", DONE)

    with pytest.raises(DarajaTimeout) as unclear:
        client.opt_in_to_invoicing(**DETAILS)

    assert unclear.value.message == "no app_key in the answer"


@pytest.mark.parametrize("count", [0, 1001])
def test_more_than_a_thousand_invoices_at_once_or_none_are_not_sent(client, daraja, count):
    with pytest.raises(DarajaRejected):
        client.send_invoices(app_key=APP_KEY, invoices=[INVOICE] * count)
    with pytest.raises(DarajaRejected):
        client.cancel_invoices(app_key=APP_KEY, external_references=["113"] * count)

    assert daraja.received == []


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"external_reference": ""}, "externalReference"),
        ({"full_name": ""}, "billedFullName"),
        ({"msisdn": "0708374149"}, "billedPhoneNumber"),
        ({"amount_kes": 0}, "amount"),
    ],
    ids=str,
)
def test_an_invoice_that_daraja_would_refuse_is_not_sent(client, daraja, changes, field):
    invoice = Invoice(**{name: getattr(INVOICE, name) for name in INVOICE.__slots__} | changes)

    with pytest.raises(DarajaRejected) as refusal:
        client.send_invoice(app_key=APP_KEY, invoice=invoice)

    assert refusal.value.field == field
    assert daraja.received == []


def test_a_path_that_safaricom_told_the_app_takes_the_place_of_the_published_one(daraja, session, credentials):
    told = f"{PREFIX}{PREFIX}/cancel-bulk-invoice"
    client = DarajaClient(
        daraja.base_url,
        credentials,
        session=session,
        tokens=MemoryTokenStore(),
        paths={"bill_cancel_invoices": told},
    )
    daraja.will_answer(told, DONE)

    client.cancel_invoices(app_key=APP_KEY, external_references=["113"])

    assert len(daraja.calls(told)) == 1


def test_the_app_key_is_not_in_the_log(client, daraja, caplog):
    daraja.will_answer(f"{PREFIX}/optin", {"app_key": APP_KEY, **DONE})
    daraja.will_answer(f"{PREFIX}/single-invoicing", DONE)

    with caplog.at_level("DEBUG"):
        client.opt_in_to_invoicing(**DETAILS)
        client.send_invoice(app_key=APP_KEY, invoice=INVOICE)

    assert APP_KEY not in caplog.text
    assert "Daraja bill_send_invoice, INV-1: answered" in caplog.text
