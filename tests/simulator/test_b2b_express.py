import re
import uuid

import pytest
import requests


@pytest.fixture
def payer(open_business, customer):
    """A till with money, answered for by the customer's phone."""
    return open_business(kind="till", name="Taste Restaurants", opening_balance=1000, nominated_number=customer)


def push(vendor, payer, *, headers=None, **changes):
    body = {
        "primaryShortCode": payer if isinstance(payer, str) else payer.shortcode,
        "receiverShortCode": vendor.shortcode,
        "amount": "71",
        "paymentRef": "MAndbubry3hi",
        "callbackUrl": vendor.receiver.url("express"),
        "partnerName": "Vendor",
        "RequestRefID": str(uuid.uuid4()),
        **changes,
    }
    return body["RequestRefID"], vendor.call("/v1/ussdpush/get-msisdn", body, **(headers or {}))


def asked(process, phone):
    url = f"{process.url}/phone/requests?phone_number={phone}"
    return requests.get(url, timeout=5).json()["till_requests"]


def answer(process, phone, given):
    (waiting,) = asked(process, phone)
    return requests.post(f"{process.url}/phone/till-requests/{waiting['id']}", json={"answer": given}, timeout=5)


def held(business, account):
    return business.books()["accounts"][account]


def test_agreed_request_moves_the_money_and_is_called_back_flat_and_in_text(
    process, paybill, payer, receiver, customer
):
    request_id, ack = push(paybill, payer)
    assert not receiver.of("express")
    settled = answer(process, customer, "pin").json()

    assert (ack.status_code, ack.json()) == (200, {"code": "0", "status": "USSD Initiated Successfully"})
    told = receiver.wait("express")[0].body
    assert re.fullmatch(r"AG_\d{8}_0100[0-9a-z]{16}", told.pop("conversationID"))
    assert told == {
        "resultCode": "0",
        "resultDesc": "The service request is processed successfully.",
        "amount": "71.0",
        "requestId": request_id,
        "resultType": "0",
        "transactionId": settled["receipt"],
        "status": "SUCCESS",
    }
    assert held(payer, "Merchant Account") == "929.00"
    assert held(paybill, "Utility Account") == "71.00"
    assert process.control("GET", "/books").json()["sum"] == "0.00"


def test_declined_request_moves_nothing_and_alone_names_the_reference(process, paybill, payer, receiver, customer):
    request_id, _ = push(paybill, payer)
    answer(process, customer, "cancel")

    assert receiver.wait("express")[0].body == {
        "resultCode": "4001",
        "resultDesc": "User cancelled transaction",
        "requestId": request_id,
        "amount": "71.0",
        "paymentReference": "MAndbubry3hi",
    }
    assert held(payer, "Merchant Account") == "1000.00"
    assert held(paybill, "Utility Account") == "0.00"


def test_till_without_enough_money_pays_nothing(process, paybill, payer, receiver, customer):
    push(paybill, payer, amount=1001)
    answer(process, customer, "pin")

    assert receiver.wait("express")[0].body["resultCode"] == "1"
    assert held(payer, "Merchant Account") == "1000.00"


def test_till_without_a_nominated_number_is_4104(paybill, payer, receiver):
    payer.change(nominated_number="")

    push(paybill, payer)

    told = receiver.wait("express")[0].body
    assert (told["resultCode"], told["resultDesc"]) == ("4104", "Missing Nominated Number")


def test_payer_that_is_no_till_is_4102(paybill, open_business, receiver):
    push(paybill, "999997")
    push(paybill, open_business(opening_balance=1000))

    codes = [arrival.body["resultCode"] for arrival in receiver.wait("express", 2)]
    assert codes == ["4102", "4102"]


@pytest.mark.parametrize(("wanted", "code"), [("push_fails", "4201"), ("no_answer", "4203"), ("cancel", "4001")])
def test_simulator_can_answer_by_itself(paybill, payer, receiver, wanted, code):
    push(paybill, payer, headers={"X_Simulator_Answer": wanted})

    assert receiver.wait("express")[0].body["resultCode"] == code


def test_request_that_nobody_answers_ends(process, paybill, payer, receiver, customer):
    paybill.change(timings={"prompt": 0.1})

    push(paybill, payer)

    assert receiver.wait("express")[0].body["resultCode"] == "4203"
    assert asked(process, customer) == []


def test_request_is_answered_once(process, paybill, payer, receiver, customer):
    push(paybill, payer)
    (waiting,) = asked(process, customer)
    url = f"{process.url}/phone/till-requests/{waiting['id']}"

    statuses = [requests.post(url, json={"answer": "pin"}, timeout=5).status_code for _ in range(2)]

    assert statuses == [200, 409]
    assert held(payer, "Merchant Account") == "929.00"


def test_same_reference_twice_is_two_requests(process, paybill, payer, customer):
    request_id, _ = push(paybill, payer)
    push(paybill, payer, RequestRefID=request_id)

    assert [one["request_id"] for one in asked(process, customer)] == [request_id, request_id]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("primaryShortCode", "acme"),
        ("receiverShortCode", "999998"),
        ("amount", "71.50"),
        ("paymentRef", ""),
        ("callbackUrl", "x"),
        ("partnerName", ""),
        ("RequestRefID", ""),
    ],
)
def test_bad_field_is_named_and_nobody_is_asked(process, paybill, payer, customer, field, value):
    _, refused = push(paybill, payer, **{field: value})

    assert (refused.status_code, refused.json()["errorCode"]) == (400, "400.002.02")
    assert refused.json()["errorMessage"] == f"Bad Request - Invalid {field}"
    assert asked(process, customer) == []


def test_rival_cannot_ask_in_anothers_name(paybill, open_business, payer):
    rival = open_business()

    _, refused = push(rival, payer, receiverShortCode=paybill.shortcode)

    assert refused.json()["errorMessage"] == "Bad Request - Invalid receiverShortCode"


def test_faults_strike_call_and_callback(process, paybill, payer, receiver):
    push(paybill, payer, headers={"X_Simulator_Fault": "callback_before_ack"})
    assert len(receiver.of("express")) == 1
    paybill.faults({"fault": "callback_lost", "on": ["b2b-express-callback"]})
    push(paybill, payer, headers={"X_Simulator_Answer": "pin", "X_Simulator_Fault": "taken_then_html_503"})

    for _ in range(100):
        requested = process.control("GET", f"/till-requests?shortcode={paybill.shortcode}").json()["till_requests"]
        if requested[1]["result_code"]:
            break
    assert [one["result_code"] for one in requested] == ["0", "0"]
    assert len(receiver.of("express")) == 1
    assert held(paybill, "Utility Account") == "142.00"


def test_phone_page_asks_who_answers_for_the_till(process, paybill, payer, receiver, customer):
    push(paybill, payer)
    page = requests.get(f"{process.url}/phone?phone_number={customer}", timeout=5).text
    (waiting,) = asked(process, customer)

    form = {"phone_number": customer, "kind": "till-request", "id": waiting["id"], "answer": "pin"}
    requests.post(f"{process.url}/phone/requests", data=form, timeout=5)

    assert f"Do you want to pay Ksh.71 from Taste Restaurants ({payer.shortcode}) to Vendor" in page
    assert receiver.wait("express")[0].body["resultCode"] == "0"


def test_request_outlives_a_kill(own, shop, receiver):
    own.control("PUT", "/organisations/655655", {"name": "Taste", "kind": "till", "opening_balance": 100})
    push(shop, "655655")

    own.kill()
    own.start()

    assert answer(own, "0712345678", "pin").json()["result_code"] == "0"
    assert receiver.wait("express")[0].body["amount"] == "71.0"
    assert held(shop, "Utility Account") == "71.00"
