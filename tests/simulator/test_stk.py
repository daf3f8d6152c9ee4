import re
import time

import pytest


def callback(arrival):
    return arrival.body["Body"]["stkCallback"]


def test_push_paid_with_the_pin_calls_back_in_the_documented_odd_shape(paybill, receiver, customer):
    ack = paybill.push(customer)

    assert ack.status_code == 200
    ids = ack.json()
    assert re.fullmatch(rf"ws_CO_\d{{14}}\d{{1,3}}{customer[-9:]}", ids["CheckoutRequestID"])
    assert re.fullmatch(r"[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\d+", ids["MerchantRequestID"])
    assert ids["ResponseCode"] == "0"
    assert ids["ResponseDescription"] == ids["CustomerMessage"] == "Success. Request accepted for processing"
    assert not receiver.arrivals

    answered = paybill.answer(ids["CheckoutRequestID"], "pin").json()
    body = callback(receiver.wait("stk")[0])

    receipt = answered["receipt"]
    assert answered == {
        "result_code": "0",
        "result_desc": "The service request is processed successfully.",
        "receipt": receipt,
    }
    assert re.fullmatch(r"[A-Z]{2}[1-9A-V][A-Z0-9]{7}", receipt)
    items = body.pop("CallbackMetadata")["Item"]
    assert body == {
        "MerchantRequestID": ids["MerchantRequestID"],
        "CheckoutRequestID": ids["CheckoutRequestID"],
        "ResultCode": 0,
        "ResultDesc": "The service request is processed successfully.",
    }
    assert items[:3] == [
        {"Name": "Amount", "Value": 1200.0},
        {"Name": "MpesaReceiptNumber", "Value": receipt},
        {"Name": "Balance"},
    ]
    assert items[3]["Name"] == "TransactionDate"
    assert len(str(items[3]["Value"])) == 14
    assert items[4] == {"Name": "PhoneNumber", "Value": int(customer)}
    assert paybill.books()["accounts"]["Utility Account"] == "1200.00"


@pytest.mark.parametrize(
    ("answer", "code", "description"),
    [
        ("cancel", 1032, "Request cancelled by user"),
        ("wrong_pin", 2001, "The initiator information is invalid."),
    ],
)
def test_push_not_paid_calls_back_with_nothing_but_ids_and_code(paybill, receiver, customer, answer, code, description):
    ids = paybill.push(customer).json()

    paybill.answer(ids["CheckoutRequestID"], answer)

    assert callback(receiver.wait("stk")[0]) == {
        "MerchantRequestID": ids["MerchantRequestID"],
        "CheckoutRequestID": ids["CheckoutRequestID"],
        "ResultCode": code,
        "ResultDesc": description,
    }
    assert paybill.books()["completed"] == {"count": 0, "total": "0.00"}


def test_customer_without_enough_money_fails_with_1(process, paybill, receiver, customer):
    process.control("PUT", f"/customers/{customer}", {"balance": 1199})
    ids = paybill.push(customer).json()

    paybill.answer(ids["CheckoutRequestID"], "pin")

    body = callback(receiver.wait("stk")[0])
    assert (body["ResultCode"], body["ResultDesc"]) == (1, "The balance is insufficient for the transaction.")
    assert paybill.books()["accounts"]["Utility Account"] == "0.00"


def test_unanswered_prompt_fails_with_1037_when_its_time_is_over(paybill, receiver, customer):
    paybill.change(timings={"prompt": 0.2})

    paybill.push(customer)

    body = callback(receiver.wait("stk")[0])
    assert (body["ResultCode"], body["ResultDesc"]) == (1037, "DS timeout user cannot be reached.")


def test_query_says_pending_then_the_result_as_a_string(paybill, customer):
    ids = paybill.push(customer).json()

    pending = paybill.query(ids["CheckoutRequestID"]).json()
    paybill.answer(ids["CheckoutRequestID"], "pin")
    final = paybill.query(ids["CheckoutRequestID"]).json()

    assert pending == {
        "ResponseCode": "0",
        "ResponseDescription": "The service request has been accepted successfully",
        "MerchantRequestID": ids["MerchantRequestID"],
        "CheckoutRequestID": ids["CheckoutRequestID"],
        "ResultCode": "4999",
        "ResultDesc": "The transaction is still under processing",
    }
    assert final["ResultCode"] == "0"
    assert final["ResultDesc"] == "The service request is processed successfully."
    assert set(final) == set(pending)


def test_query_for_an_unknown_or_a_rivals_push_says_that_it_does_not_exist(paybill, open_business, customer):
    rival = open_business(passkey=paybill.data["passkey"])
    ids = rival.push(customer).json()

    unknown = paybill.query("ws_CO_1")
    of_rival = paybill.query(ids["CheckoutRequestID"])

    for answer in (unknown, of_rival):
        assert (answer.status_code, answer.json()["errorCode"]) == (500, "500.001.1001")
        assert answer.json()["errorMessage"] == "The transaction does not Exist"


def test_query_asked_too_early_says_that_it_does_not_exist(paybill, customer):
    paybill.change(timings={"query_hidden": 2})
    ids = paybill.push(customer).json()

    early = paybill.query(ids["CheckoutRequestID"])
    time.sleep(2.05)
    later = paybill.query(ids["CheckoutRequestID"])

    assert early.json()["errorMessage"] == "The transaction does not Exist"
    assert later.json()["ResultCode"] == "4999"


def test_second_push_to_a_busy_phone_is_refused_and_shows_nothing(process, paybill, till, customer):
    first = paybill.push(customer).json()

    second = till.push(customer)

    assert (second.status_code, second.json()["errorCode"]) == (500, "500.001.1001")
    assert second.json()["errorMessage"] == (
        "Unable to lock subscriber, a transaction is already in process for the current subscriber"
    )
    paybill.answer(first["CheckoutRequestID"], "cancel")
    assert till.push(customer).status_code == 200


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"BusinessShortCode": "999999"}, "Merchant does not exist"),
        ({"Password": "bm90IHRoZSBwYXNza2V5"}, "[MerchantValidate] - Wrong credentials"),
        ({"Timestamp": "20261121090001"}, "[MerchantValidate] - Wrong credentials"),
    ],
)
def test_password_must_be_made_of_shortcode_passkey_and_timestamp(paybill, customer, changes, message):
    answer = paybill.push(customer, **changes)

    assert (answer.status_code, answer.json()["errorCode"]) == (500, "500.001.1001")
    assert answer.json()["errorMessage"] == message


@pytest.mark.parametrize(
    ("field", "value", "blamed"),
    [
        ("BusinessShortCode", "12", "BusinessShortCode"),
        ("Password", "", "Password"),
        ("Timestamp", "2026", "Timestamp"),
        ("TransactionType", "PayBill", "TransactionType"),
        ("Amount", "10.5", "Amount"),
        ("Amount", 0, "Amount"),
        ("Amount", 250_001, "Amount"),
        ("PartyB", "till", "PartyB"),
        ("CallBackURL", "not a url", "CallBackURL"),
        ("AccountReference", "", "AccountReference"),
        ("TransactionDesc", None, "Remarks"),
    ],
)
def test_bad_field_is_named(paybill, customer, field, value, blamed):
    answer = paybill.push(customer, **{field: value})

    assert answer.status_code == 400
    assert answer.json()["errorCode"] == "400.002.02"
    assert answer.json()["errorMessage"] == f"Bad Request - Invalid {blamed}"


def test_first_of_several_bad_fields_is_named(paybill, customer):
    answer = paybill.push(customer, Amount=0, CallBackURL="")

    assert answer.json()["errorMessage"] == "Bad Request - Invalid Amount"


def test_local_phone_number_is_a_bad_field(paybill):
    body = paybill.push_body(PhoneNumber="0712345678")

    answer = paybill.call("/mpesa/stkpush/v1/processrequest", body)

    assert answer.json()["errorMessage"] == "Bad Request - Invalid PhoneNumber"


def test_numbers_may_be_strings(paybill, customer):
    body = paybill.push_body(PartyA=customer, PhoneNumber=customer, Amount="10", PartyB=paybill.shortcode)

    assert paybill.call("/mpesa/stkpush/v1/processrequest", body).json()["ResponseCode"] == "0"


def test_till_under_a_store_is_asked_for_by_its_store_number(open_business, receiver, customer):
    till = open_business(kind="till", store_number="4400123")

    ids = till.push(customer).json()
    till.answer(ids["CheckoutRequestID"], "pin")

    assert callback(receiver.wait("stk")[0])["ResultCode"] == 0
    assert till.books()["accounts"] == {
        "Working Account": "0.00",
        "Merchant Account": "1200.00",
        "Charges Paid Account": "0.00",
    }


def test_till_mixed_up_with_its_store_fails_with_a_code_that_is_a_string(open_business, receiver, customer):
    till = open_business(kind="till", store_number="4400124")

    till.push(customer, BusinessShortCode=till.shortcode)

    body = callback(receiver.wait("stk")[0])
    assert (body["ResultCode"], body["ResultDesc"]) == ("SFC_IC0003", "The operator does not exist.")


def test_wrong_kind_of_push_fails_as_the_mode_has_it(open_business, till, receiver, customer):
    sandbox = open_business()
    production = open_business(mode="production")

    refused = sandbox.push(customer, TransactionType="CustomerBuyGoodsOnline")
    production.push(customer, TransactionType="CustomerBuyGoodsOnline")

    assert refused.json()["errorMessage"] == "Bad Request - Invalid TransactionType"
    assert callback(receiver.wait("stk")[0])["ResultCode"] == 2028
    till.push(customer, TransactionType="CustomerPayBillOnline")
    assert callback(receiver.wait("stk", 2)[1])["ResultCode"] == 2028


def test_prompt_that_is_too_long_cannot_be_pushed(open_business, receiver, customer):
    talkative = open_business(name="A" * 150)

    talkative.push(customer)

    assert callback(receiver.wait("stk")[0])["ResultCode"] == 1025


@pytest.mark.parametrize(
    ("amount", "code"), [(1019, 1019), (1025, 1025), (1032, 1032), (1037, 1037), (2001, 2001), (9001, 1)]
)
def test_documented_amounts_decide_how_a_push_fails(paybill, receiver, customer, amount, code):
    paybill.push(customer, Amount=amount)

    assert callback(receiver.wait("stk")[0])["ResultCode"] == code
    assert paybill.books()["completed"]["count"] == 0


def test_simulator_answers_by_itself_when_asked_to(paybill, receiver, customer):
    paybill.change(auto_answer="pin")
    paybill.push(customer)
    assert callback(receiver.wait("stk")[0])["ResultCode"] == 0

    paybill.push(customer, headers={"X_Simulator_Answer": "cancel"})
    assert callback(receiver.wait("stk", 2)[1])["ResultCode"] == 1032


def test_sandbox_test_number_never_answers(paybill):
    paybill.change(auto_answer="pin", timings={"prompt": 5})
    ids = paybill.push("254708374149").json()

    refused = paybill.answer(ids["CheckoutRequestID"], "pin")

    assert refused.status_code == 409
    assert paybill.query(ids["CheckoutRequestID"]).json()["ResultCode"] == "4999"


def test_stk_money_is_confirmed_as_c2b_too_with_the_same_receipt(paybill, receiver, customer):
    paybill.register()
    ids = paybill.push(customer).json()

    receipt = paybill.answer(ids["CheckoutRequestID"], "pin").json()["receipt"]

    confirmation = receiver.wait("confirmation")[0].body
    assert confirmation["TransID"] == receipt
    assert confirmation["TransAmount"] == "1200.00"
    assert confirmation["BillRefNumber"] == "INV7"
    assert not receiver.of("validation")


def test_stk_confirmation_can_be_switched_off(paybill, receiver, customer):
    paybill.register()
    paybill.change(stk_confirmation=False)
    ids = paybill.push(customer).json()

    paybill.answer(ids["CheckoutRequestID"], "pin")

    receiver.wait("stk")
    assert [one["kind"] for one in paybill.deliveries()] == ["stk-callback"]
