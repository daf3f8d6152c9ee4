import re
from datetime import datetime, timedelta, timezone

import pytest
import requests

EAT = timezone(timedelta(hours=3))
BASE = "/v1/billmanager-invoice"
SUCCESS = {"resmsg": "Success", "rescode": "200"}


def details(business, **changes):
    return {
        "shortcode": business.shortcode,
        "email": "accounts@acme.example",
        "officialContact": "0710000000",
        "sendReminders": "1",
        "callbackurl": business.receiver.url("bill"),
        **changes,
    }


def opt_in(business, **changes):
    answer = business.call(f"{BASE}/optin", details(business, **changes))
    assert answer.status_code == 200, answer.text
    return answer.json()["app_key"]


def invoice(phone, reference="955", **changes):
    return {
        "externalReference": reference,
        "billedFullName": "John Doe",
        "billedPhoneNumber": f"0{phone[3:]}",
        "billedPeriod": "August 2021",
        "invoiceName": "School Fees",
        "dueDate": "2021-10-12",
        "accountReference": "BALBOA95",
        "amount": "800",
        "invoiceItems": [{"itemName": "Tuition", "amount": "800"}],
        **changes,
    }


def send(business, *invoices, **headers):
    if len(invoices) == 1:
        return business.call(f"{BASE}/single-invoicing", invoices[0], **headers)
    return business.call(f"{BASE}/bulk-invoicing", list(invoices), **headers)


def cancel(business, *references):
    if len(references) == 1:
        return business.call(f"{BASE}/cancel-single-invoice", {"externalReference": references[0]})
    return business.call(f"{BASE}/cancel-bulk-invoices", [{"externalReference": one} for one in references])


def invoices(business):
    return business.process.control("GET", f"/invoices?shortcode={business.shortcode}").json()["invoices"]


def states(business):
    return [(one["external_reference"], one["state"], one["paid"]) for one in invoices(business)]


def pay(business, number, **body):
    return requests.post(f"{business.process.url}/phone/invoices/{number}", json=body, timeout=10)


@pytest.fixture
def biller(paybill):
    paybill.change(timings={"retry": 0.02})
    opt_in(paybill)
    return paybill


def test_opting_in_gives_an_app_key_and_again_the_same(paybill):
    first = paybill.call(f"{BASE}/optin", details(paybill)).json()
    again = paybill.call(f"{BASE}/optin", details(paybill, sendReminders=0)).json()

    assert re.fullmatch(r"AG_\d{8}_0100[0-9a-z]{16}", first["app_key"])
    assert again == first == {"app_key": first["app_key"], **SUCCESS}


def test_doubled_prefix_of_the_go_live_email_works_too(paybill):
    assert paybill.call(f"{BASE}{BASE}/optin", details(paybill)).json()["rescode"] == "200"
    assert paybill.call(f"{BASE}{BASE}/cancel-bulk-invoice", [{"externalReference": "1"}]).json()["rescode"] == "404"


def test_changed_details_move_the_callback(biller, receiver, customer):
    answer = biller.call(f"{BASE}/change-optin-details", details(biller, callbackurl=receiver.url("moved")))

    biller.is_paid(customer, 50)

    assert answer.json() == SUCCESS
    assert len(receiver.wait("moved")) == 1
    assert not receiver.of("bill")


def test_details_of_who_never_opted_in_cannot_be_changed(paybill, receiver, customer):
    answer = paybill.call(f"{BASE}/change-optin-details", details(paybill))
    paybill.is_paid(customer, 50)

    assert answer.json()["rescode"] == "404"
    assert paybill.deliveries() == []


def test_invoice_is_sent_and_the_phone_shows_it(process, biller, customer):
    answer = send(biller, invoice(customer, dueDate="2021-09-15 00:00:00.00"))

    assert answer.json() == {"Status_Message": "Invoice sent successfully", **SUCCESS}
    shown = requests.get(f"{process.url}/phone/requests?phone_number={customer}", timeout=5).json()["invoices"]
    assert shown == invoices(biller)
    assert shown[0] == {
        "id": shown[0]["id"],
        "external_reference": "955",
        "shortcode": biller.shortcode,
        "phone_number": customer,
        "billed_name": "John Doe",
        "billed_period": "August 2021",
        "invoice_name": "School Fees",
        "due_date": "2021-09-15",
        "account_reference": "BALBOA95",
        "amount": "800.00",
        "paid": "0.00",
        "state": "sent",
    }
    page = requests.get(f"{process.url}/phone?phone_number={customer}", timeout=5).text
    assert "Acme Electronics asks John Doe for KES 800: School Fees, August 2021, account BALBOA95" in page


def test_paid_invoice_is_pushed_once_it_is_paid_and_confirmed_as_any_payment(biller, receiver, customer):
    biller.register()
    send(biller, invoice(customer))

    receipt = pay(biller, invoices(biller)[0]["id"]).json()["receipt"]

    assert receiver.wait("bill")[0].body == {
        "transactionId": receipt,
        "paidAmount": "800",
        "msisdn": customer,
        "dateCreated": datetime.now(EAT).date().isoformat(),
        "accountReference": "BALBOA95",
        "shortCode": biller.shortcode,
    }
    assert receiver.wait("confirmation")[0].body["TransID"] == receipt
    assert states(biller) == [("955", "paid", "800.00")]
    assert biller.books()["completed"] == {"count": 1, "total": "800.00"}
    assert pay(biller, invoices(biller)[0]["id"]).status_code == 409


def test_payment_by_account_number_counts_from_the_phone_menu_and_from_a_prompt(biller, receiver, customer):
    send(biller, invoice(customer, "2", dueDate="2021-11-12"), invoice(customer, "1"))

    biller.is_paid(customer, 500, account="BALBOA95")
    prompt = biller.push(customer, Amount=400, AccountReference="BALBOA95").json()["CheckoutRequestID"]
    biller.answer(prompt, "pin")
    biller.is_paid(customer, 10, account="OTHER")

    assert sorted(arrival.body["paidAmount"] for arrival in receiver.wait("bill", 3)) == ["10", "400", "500"]
    assert states(biller) == [("2", "part-paid", "100.00"), ("1", "paid", "800.00")]


def test_push_is_tried_five_times_and_no_more(biller, receiver, customer):
    receiver.answers["bill"] = (500, "out of order")

    receipt = biller.is_paid(customer, 50).json()["receipt"]

    tries = receiver.wait("bill", 5)
    assert {arrival.body["transactionId"] for arrival in tries} == {receipt}
    delivery = biller.delivery("failed")
    assert (delivery["attempts"], delivery["status"]) == (5, 500)
    assert len(receiver.of("bill")) == 5


def test_push_that_is_answered_is_not_tried_again(biller, receiver, customer):
    receiver.answers["bill"] = (503, "")
    biller.is_paid(customer, 50)
    receiver.wait("bill", 2)
    receiver.answers["bill"] = (200, '{"resmsg":"Success","rescode":"200"}')

    delivery = biller.delivery("answered")
    assert len(receiver.of("bill")) == delivery["attempts"] <= 5


def test_acknowledged_payment_gives_the_customer_one_e_receipt(process, biller, customer):
    send(biller, invoice(customer))
    receipt = pay(biller, invoices(biller)[0]["id"], amount=300).json()["receipt"]
    body = {
        "paymentDate": "2021-10-01",
        "paidAmount": "300",
        "accountReference": "BALBOA95",
        "transactionId": receipt,
        "phoneNumber": f"0{customer[3:]}",
        "fullName": "John Doe",
        "invoiceName": "School Fees",
        "externalReference": "955",
    }

    answers = [biller.call(f"{BASE}/reconciliation", body).json() for _ in range(2)]
    unknown = biller.call(f"{BASE}/reconciliation", {**body, "transactionId": "XXX0000000"}).json()

    assert answers == [SUCCESS, SUCCESS]
    assert unknown["rescode"] == "404"
    shown = requests.get(f"{process.url}/phone/requests?phone_number={customer}", timeout=5).json()
    assert shown["e_receipts"] == [
        "Dear John Doe, Acme Electronics received KES 300 on 2021-10-01 for School Fees, account BALBOA95. "
        f"Receipt {receipt}."
    ]


def test_cancelled_invoice_ceases_to_exist(biller, customer):
    send(biller, invoice(customer))

    answer = cancel(biller, "955")

    assert answer.json() == {"Status_Message": "Invoice cancelled successfuly.", **SUCCESS, "errors": []}
    assert invoices(biller) == []
    assert cancel(biller, "955").json()["rescode"] == "404"


def test_part_paid_invoice_cannot_be_cancelled_nor_any_beside_it(biller, customer):
    send(biller, invoice(customer, "1"), invoice(customer, "2", accountReference="OTHER"))
    biller.is_paid(customer, 1, account="BALBOA95")

    single, bulk = cancel(biller, "1"), cancel(biller, "2", "1")

    for answer in (single, bulk):
        assert (answer.status_code, answer.json()) == (
            200,
            {
                "Status_Message": "partially or fully paid invoices cannot be cancelled.",
                "resmsg": "Conflict",
                "rescode": "409",
                "errors": [],
            },
        )
    assert states(biller) == [("1", "part-paid", "1.00"), ("2", "sent", "0.00")]


def test_bulk_is_sent_whole_or_not_at_all(biller, customer):
    first = send(biller, invoice(customer, "1"), invoice(customer, "2"))
    conflict = send(biller, invoice(customer, "3"), invoice(customer, "1"))
    bad = send(biller, invoice(customer, "4"), invoice(customer, "5", amount="1,000"))
    too_many = send(biller, *(invoice(customer, f"n{number}") for number in range(1001)))

    assert first.json()["rescode"] == "200"
    assert (conflict.json()["rescode"], conflict.json()["resmsg"]) == ("409", "Conflict")
    assert (bad.status_code, bad.json()["errorMessage"]) == (400, "Bad Request - Invalid amount")
    assert (too_many.status_code, too_many.json()["errorCode"]) == (400, "400.002.05")
    assert [reference for reference, _, _ in states(biller)] == ["1", "2"]
    assert send(biller, *(invoice(customer, f"n{number}") for number in range(1000))).json()["rescode"] == "200"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("externalReference", ""),
        ("billedFullName", None),
        ("billedPhoneNumber", "12"),
        ("billedPeriod", ""),
        ("invoiceName", ""),
        ("dueDate", "12/10/2021"),
        ("accountReference", ""),
        ("amount", "0"),
        ("invoiceItems", [{"amount": "1"}]),
    ],
)
def test_bad_field_of_an_invoice_is_named_and_nothing_is_sent(biller, customer, field, value):
    answer = send(biller, invoice(customer, **{field: value}))

    assert (answer.status_code, answer.json()["errorMessage"]) == (400, f"Bad Request - Invalid {field}")
    assert invoices(biller) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("shortcode", "999998"),
        ("email", "nobody"),
        ("officialContact", "x"),
        ("sendReminders", "2"),
        ("callbackurl", ""),
    ],
)
def test_bad_field_of_opting_in_is_named(paybill, field, value):
    answer = paybill.call(f"{BASE}/optin", details(paybill, **{field: value}))

    assert (answer.status_code, answer.json()["errorMessage"]) == (400, f"Bad Request - Invalid {field}")


def test_app_key_says_which_of_an_apps_shortcodes_is_meant(open_business, customer):
    one = open_business()
    two = open_business(consumer_key=one.data["consumer_key"])
    keys = [opt_in(one), opt_in(two)]

    without = send(one, invoice(customer))
    wrong = send(one, invoice(customer), appKey="AG_wrong")
    right = [send(one, invoice(customer), appKey=key).json()["rescode"] for key in keys]

    for refused in (without, wrong):
        assert (refused.status_code, refused.json()["errorCode"]) == (401, "401")
    assert right == ["200", "200"]
    assert len(invoices(one)) == len(invoices(two)) == 1


def test_rival_can_neither_bill_nor_cancel_nor_opt_in_for_another(biller, open_business, customer):
    rival = open_business()
    send(biller, invoice(customer))

    assert send(rival, invoice(customer, "7")).json()["errorCode"] == "401"
    opt_in(rival)
    assert cancel(rival, "955").json()["rescode"] == "404"
    stolen = rival.call(f"{BASE}/optin", details(rival, shortcode=biller.shortcode))
    assert stolen.json()["errorMessage"] == "Bad Request - Invalid shortcode"
    assert states(biller) == [("955", "sent", "0.00")]


def test_faults_strike_calls_and_pushes(biller, receiver, customer):
    biller.faults(
        {"fault": "taken_then_500", "on": ["bill_manager"], "count": 1},
        {"fault": "callback_repeated", "on": ["bill-payment"]},
    )

    answer = send(biller, invoice(customer))
    biller.is_paid(customer, 50)

    assert answer.status_code == 500
    assert len(invoices(biller)) == 1
    first, second = receiver.wait("bill", 2)
    assert first.body == second.body


def test_phone_page_pays_part_of_an_invoice(process, biller, customer):
    send(biller, invoice(customer))
    form = {"phone_number": customer, "kind": "invoice", "id": invoices(biller)[0]["id"], "amount": "300"}

    requests.post(f"{process.url}/phone/requests", data=form, timeout=5)

    assert states(biller) == [("955", "part-paid", "300.00")]


def test_biller_and_invoices_outlive_a_kill(own, shop, receiver, customer):
    opt_in(shop)
    send(shop, invoice(customer))

    own.kill()
    own.start()

    assert pay(shop, invoices(shop)[0]["id"]).status_code == 200
    assert receiver.wait("bill")[0].body["paidAmount"] == "800"
    assert states(shop) == [("955", "paid", "800.00")]
