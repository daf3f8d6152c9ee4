import re
from datetime import datetime, timedelta, timezone

import pytest
import requests

PATH = "/standingorder/v1/createStandingOrderExternal"
EAT = timezone(timedelta(hours=3))


def day(later):
    return datetime.now(EAT).date() + timedelta(days=later)


def body(business, phone, **changes):
    return {
        "StandingOrderName": "Rent",
        "StartDate": f"{day(1):%Y%m%d}",
        "EndDate": f"{day(400):%Y%m%d}",
        "BusinessShortCode": business.shortcode,
        "TransactionType": "Standing Order Customer Pay Bill",
        "ReceiverPartyIdentifierType": "4",
        "Amount": "4500",
        "PartyA": phone,
        "CallBackURL": business.receiver.url("ratiba"),
        "AccountReference": "HOUSE7",
        "TransactionDesc": "Rent",
        "Frequency": "2",
        **changes,
    }


def create(business, phone, *, headers=None, **changes):
    return business.call(PATH, body(business, phone, **changes), **(headers or {}))


def reference(answer):
    assert answer.status_code == 200, answer.text
    return answer.json()["ResponseHeader"]["responseRefID"]


def answered(business, order, answer):
    url = f"{business.process.url}/phone/standing-orders/{order}"
    return requests.post(url, json={"answer": answer}, timeout=10)


def agreed(business, phone, **changes):
    order = reference(create(business, phone, **changes))
    assert answered(business, order, "pin").json()["state"] == "active"
    return order


def run(business, when):
    wanted = {"day": str(when), "shortcode": business.shortcode}
    answer = business.process.control("POST", "/standing-orders/run", wanted)
    assert answer.status_code == 200, answer.text
    return answer.json()["payments"]


def orders(business):
    path = f"/standing-orders?shortcode={business.shortcode}"
    return business.process.control("GET", path).json()["standing_orders"]


def test_request_is_acknowledged_and_the_customers_consent_called_back(paybill, receiver, customer):
    ack = create(paybill, customer)
    assert not receiver.of("ratiba")
    answered(paybill, reference(ack), "pin")

    told = receiver.wait("ratiba")[0].body
    header = ack.json()["ResponseHeader"]
    assert header == {
        "responseRefID": header["responseRefID"],
        "responseCode": "200",
        "responseDescription": "Request accepted for processing",
        "ResultDesc": "The service request is processed successfully.",
    }
    assert ack.json()["ResponseBody"] == {
        "responseDescription": "Request accepted for processing",
        "responseCode": "200",
    }
    assert told["responseHeader"] == {
        "responseRefID": header["responseRefID"],
        "requestRefID": header["responseRefID"],
        "responseCode": "0",
        "responseDescription": "The service request is processed successfully",
    }
    data = told["responseBody"]["responseData"]
    values = {pair["name"]: pair["value"] for pair in data}
    assert [pair["name"] for pair in data] == ["TransactionID", "responseCode", "Status", "Msisdn"]
    assert re.fullmatch(r"[A-Z0-9]{10}", values.pop("TransactionID"))
    assert values == {"responseCode": "0", "Status": "OKAY", "Msisdn": f"254******{customer[-3:]}"}


@pytest.mark.parametrize(("answer", "code"), [("cancel", "1032"), ("wrong_pin", "2001")])
def test_refusal_is_called_back_with_other_capitals_and_nothing_is_ever_paid(paybill, receiver, customer, answer, code):
    order = reference(create(paybill, customer))
    answered(paybill, order, answer)

    told = receiver.wait("ratiba")[0].body
    assert told["ResponseHeader"] == {
        "responseRefID": order,
        "requestRefID": order,
        "responseCode": code,
        "responseDescription": "Error",
    }
    assert told["ResponseBody"]["ResponseData"] == [
        {"Name": "TransactionID", "Value": "0000000000"},
        {"Name": "responseCode", "Value": code},
        {"Name": "Status", "Value": "ERROR"},
        {"Name": "Msisdn", "Value": f"*********{customer[-3:]}"},
    ]
    run(paybill, day(1))
    assert paybill.books()["completed"]["count"] == 0
    assert answered(paybill, order, "pin").status_code == 409


def test_phone_that_nobody_answers_is_1037(paybill, receiver, customer):
    paybill.change(timings={"prompt": 0.1})

    create(paybill, customer)

    assert receiver.wait("ratiba")[0].body["ResponseHeader"]["responseCode"] == "1037"


@pytest.mark.parametrize(("wanted", "code"), [("push_fails", "1025"), ("expired", "1032"), ("no_answer", "1037")])
def test_simulator_can_answer_by_itself(paybill, receiver, customer, wanted, code):
    create(paybill, customer, headers={"X_Simulator_Answer": wanted})

    assert receiver.wait("ratiba")[0].body["ResponseHeader"]["responseCode"] == code


def test_second_order_of_the_same_name_is_1050_and_the_first_stays(paybill, receiver, customer):
    agreed(paybill, customer)

    create(paybill, customer)

    assert receiver.wait("ratiba", 2)[1].body["ResponseHeader"]["responseCode"] == "1050"
    assert [order["state"] for order in orders(paybill)] == ["active", "refused"]


def test_second_order_while_one_waits_is_1001(paybill, receiver, customer):
    create(paybill, customer)

    create(paybill, customer, StandingOrderName="Water")

    assert receiver.wait("ratiba")[0].body["ResponseHeader"]["responseCode"] == "1001"


@pytest.mark.parametrize(
    "changes",
    [
        {"EndDate": "20200101"},
        {"StartDate": "20200101"},
        {"TransactionType": "Standing Order Customer Pay Marchant"},
        {"ReceiverPartyIdentifierType": "2"},
    ],
)
def test_fields_that_contradict_each_other_are_1051_afterwards(paybill, receiver, customer, changes):
    create(paybill, customer, **changes)

    assert receiver.wait("ratiba")[0].body["ResponseHeader"]["responseCode"] == "1051"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("StandingOrderName", ""),
        ("StartDate", "2026-11-21"),
        ("EndDate", "20261332"),
        ("BusinessShortCode", "999998"),
        ("TransactionType", "CustomerPayBillOnline"),
        ("ReceiverPartyIdentifierType", "1"),
        ("Amount", "10.50"),
        ("PartyA", "0712345678"),
        ("CallBackURL", "nowhere"),
        ("AccountReference", "THIRTEENCHARS"),
        ("TransactionDesc", ""),
        ("Frequency", "9"),
    ],
)
def test_field_that_cannot_be_read_is_named_and_nobody_is_asked(paybill, customer, field, value):
    answer = create(paybill, customer, **{field: value})

    assert (answer.status_code, answer.json()["errorCode"]) == (400, "400.002.02")
    assert answer.json()["errorMessage"] == f"Bad Request - Invalid {field}"
    assert orders(paybill) == []


def test_rivals_shortcode_is_refused(paybill, open_business, customer):
    rival = open_business()

    answer = create(paybill, customer, BusinessShortCode=rival.shortcode)

    assert answer.json()["errorMessage"] == "Bad Request - Invalid BusinessShortCode"
    assert orders(rival) == []


def test_order_pays_on_its_days_as_any_customer_does_and_once(paybill, receiver, customer):
    paybill.register()
    agreed(paybill, customer)

    first = run(paybill, day(2))
    again = run(paybill, day(2))

    assert [payment["date"] for payment in first] == [str(day(1)), str(day(2))]
    assert again == []
    told = [arrival.body for arrival in receiver.wait("confirmation", 2)]
    assert {one["TransID"] for one in told} == {payment["receipt"] for payment in first}
    assert {(one["TransAmount"], one["BillRefNumber"], one["TransactionType"]) for one in told} == {
        ("4500.00", "HOUSE7", "Pay Bill")
    }
    assert paybill.books()["completed"] == {"count": 2, "total": "9000.00"}
    assert orders(paybill)[0]["next_date"] == str(day(3))


def test_order_to_a_till_pays_the_till(till, customer):
    agreed(
        till,
        customer,
        TransactionType="Standing Order Customer Pay Marchant",
        ReceiverPartyIdentifierType="2",
        Frequency="1",
    )

    run(till, day(30))

    assert till.books()["completed"] == {"count": 1, "total": "4500.00"}
    assert orders(till)[0]["state"] == "over"


@pytest.mark.parametrize(
    ("frequency", "dates"),
    [
        ("1", ["2031-01-31"]),
        ("2", ["2031-01-31", "2031-02-01", "2031-02-02"]),
        ("3", ["2031-01-31", "2031-02-07", "2031-02-14"]),
        ("4", ["2031-01-31", "2031-02-28", "2031-03-31"]),
        ("5", ["2031-01-31", "2031-03-31", "2031-05-31"]),
        ("6", ["2031-01-31", "2031-04-30", "2031-07-31"]),
        ("7", ["2031-01-31", "2031-07-31", "2032-01-31"]),
        ("8", ["2031-01-31", "2032-01-31"]),
    ],
)
def test_each_frequency_has_its_dates_until_the_end(paybill, customer, frequency, dates):
    agreed(paybill, customer, StartDate="20310131", EndDate="20320131", Frequency=frequency, Amount="1")

    paid = run(paybill, "2032-12-31")

    assert [payment["date"] for payment in paid][:3] == dates
    assert max(payment["date"] for payment in paid) <= "2032-01-31"
    assert orders(paybill)[0]["state"] == "over"


def test_stopped_order_pays_no_more_and_its_name_is_free_again(paybill, customer):
    order = agreed(paybill, customer)
    run(paybill, day(1))

    assert answered(paybill, order, "stop").json()["state"] == "over"
    run(paybill, day(9))

    assert paybill.books()["completed"]["count"] == 1
    agreed(paybill, customer)


def test_customer_without_money_misses_a_date_and_the_order_goes_on(process, paybill, customer):
    agreed(paybill, customer)
    process.control("PUT", f"/customers/{customer}", {"balance": 5000})

    missed = run(paybill, day(2))

    assert [bool(payment["receipt"]) for payment in missed] == [True, False]
    assert missed[1]["reason"] == "There is not enough money in the M-PESA account"
    assert orders(paybill)[0]["last_outcome"] == f"{day(2)}: There is not enough money in the M-PESA account"
    assert orders(paybill)[0]["state"] == "active"


def test_validation_may_refuse_an_orders_payment(paybill, receiver, customer):
    paybill.change(validation_enabled=True)
    paybill.register()
    receiver.answers["validation"] = (200, '{"ResultCode": "C2B00012"}')
    agreed(paybill, customer)

    refused = run(paybill, day(1))

    assert refused == [
        {"reference": refused[0]["reference"], "date": str(day(1)), "receipt": None, "reason": "Invalid Account Number"}
    ]
    assert paybill.books()["completed"]["count"] == 0


def test_order_that_starts_today_pays_by_itself(paybill, receiver, customer):
    paybill.register()
    agreed(paybill, customer, StartDate=f"{day(0):%Y%m%d}")

    assert receiver.wait("confirmation")[0].body["TransAmount"] == "4500.00"
    assert paybill.books()["completed"] == {"count": 1, "total": "4500.00"}


def test_faults_strike_call_and_callback(paybill, receiver, customer):
    create(paybill, customer, headers={"X_Simulator_Fault": "callback_before_ack, callback_repeated;times=3"})
    assert len(receiver.of("ratiba")) == 3
    paybill.faults({"fault": "callback_lost", "on": ["standing-order-callback"]})
    agreed(paybill, customer, StandingOrderName="Water")
    paybill.faults({"fault": "taken_then_resets", "on": ["standing_order"]})
    with pytest.raises(requests.RequestException):
        create(paybill, customer, StandingOrderName="Power")

    assert len(receiver.of("ratiba")) == 3
    lost = [one for one in paybill.deliveries() if one["state"] == "lost"]
    assert [one["kind"] for one in lost] == ["standing-order-callback"]
    assert [order["state"] for order in orders(paybill)] == ["active", "active", "waiting"]


def test_phone_page_asks_and_stops(process, paybill, customer):
    order = reference(create(paybill, customer))
    page = f"{process.url}/phone?phone_number={customer}"
    asked = requests.get(page, timeout=5).text
    form = {"phone_number": customer, "kind": "standing-order", "id": order}

    requests.post(f"{process.url}/phone/requests", data={**form, "answer": "pin"}, timeout=5)
    active = requests.get(page, timeout=5).text
    requests.post(f"{process.url}/phone/requests", data={**form, "answer": "stop"}, timeout=5)
    again = requests.post(f"{process.url}/phone/requests", data={**form, "answer": "stop"}, timeout=5)

    assert f"Do you want to pay Ksh.4,500 to Acme Electronics account no. HOUSE7 every day from {day(1)}" in asked
    assert "Stop this standing order" in active
    assert (again.status_code, "That standing order is not active." in again.text) == (409, True)
    assert orders(paybill)[0]["state"] == "over"


def test_orders_outlive_a_kill(own, shop, receiver, customer):
    waiting = reference(create(shop, customer))
    agreed(shop, customer[:-1] + str(9 - int(customer[-1])))

    own.kill()
    own.start()

    assert answered(shop, waiting, "pin").json()["state"] == "active"
    assert len(run(shop, day(1))) == 2
    assert shop.books()["completed"] == {"count": 2, "total": "9000.00"}


@pytest.mark.parametrize("when", ["tomorrow", "", "2026-02-30"])
def test_day_that_is_none_is_refused(process, when):
    assert process.control("POST", "/standing-orders/run", {"day": when}).status_code == 422


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/standing-orders"),
        ("POST", "/standing-orders/run"),
        ("GET", "/invoices"),
        ("GET", "/till-requests"),
    ],
)
def test_control_doors_want_the_token(process, method, path):
    answer = requests.request(method, f"{process.url}/control{path}", json={"day": "2099-01-01"}, timeout=5)

    assert answer.status_code == 401
