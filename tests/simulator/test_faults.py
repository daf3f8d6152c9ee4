import json
import time

import pytest
import requests

from channels.simulator import faults
from channels.simulator.faults import Fault


@pytest.fixture
def confirmed(paybill):
    """A PayBill whose payments are confirmed."""
    paybill.register()
    return paybill


def test_every_fault_has_a_name_a_sentence_and_a_place_in_the_catalogue(process):
    catalogue = process.control("GET", "/faults/catalogue").json()

    assert [one["fault"] for one in catalogue["faults"]] == [str(fault) for fault in Fault]
    assert all(one["sentence"].endswith(".") and one["strikes"] for one in catalogue["faults"])
    assert "5000" not in catalogue["amounts"]
    assert "1200" not in catalogue["amounts"]


def test_documented_amounts_are_the_amounts():
    for amount, asked in faults.AMOUNT_FAULTS.items():
        assert f"{amount}  {asked.fault}" in (faults.__doc__ or "")
    for amount in faults.AMOUNT_ANSWERS:
        assert f"{amount}  STK: " in (faults.__doc__ or "")


def test_late_confirmation_comes_that_much_later(confirmed, receiver, customer):
    confirmed.is_paid(customer, fault="callback_late;seconds=0.4")
    paid_at = time.time()

    assert 0.35 <= receiver.wait("confirmation")[0].at - paid_at < 1


def test_repeated_confirmation_comes_n_times_alike(confirmed, receiver, customer):
    confirmed.is_paid(customer, fault="callback_repeated;times=3")

    arrivals = receiver.wait("confirmation", 3)
    assert len({arrival.text for arrival in arrivals}) == 1
    assert confirmed.books()["completed"]["count"] == 1


def test_lost_confirmation_never_comes_though_the_money_moved(confirmed, receiver, customer):
    paid = confirmed.is_paid(customer, 7003).json()
    time.sleep(0.2)

    assert paid["state"] == "completed"
    assert not receiver.arrivals
    assert confirmed.books()["completed"] == {"count": 1, "total": "7003.00"}
    delivery = confirmed.deliveries()[0]
    assert (delivery["state"], delivery["fault"], delivery["attempts"]) == ("lost", "callback_lost", 0)


def test_truncated_and_html_confirmations_cannot_be_parsed(confirmed, receiver, customer):
    confirmed.is_paid(customer, 7004)
    confirmed.is_paid(customer, 7005)

    truncated, html = sorted(receiver.wait("confirmation", 2), key=lambda arrival: arrival.content_type)
    assert truncated.text.startswith('{"TransactionType": "Pay Bill"')
    with pytest.raises(json.JSONDecodeError):
        json.loads(truncated.text)
    assert (html.content_type, html.text[:6]) == ("text/html", "<html>")


def test_altered_confirmation_is_another_body_under_the_same_id(confirmed, receiver, customer):
    confirmed.is_paid(customer, 7006)

    first, second = (arrival.body for arrival in receiver.wait("confirmation", 2))
    assert first["TransID"] == second["TransID"]
    assert (first["TransAmount"], second["TransAmount"]) == ("7006.00", "7007.00")
    assert confirmed.books()["completed"] == {"count": 1, "total": "7006.00"}


def test_confirmation_can_come_before_its_validation_is_answered(confirmed, receiver, customer):
    confirmed.change(validation_enabled=True)

    confirmed.is_paid(customer, 7007)

    receiver.wait("validation")
    assert [arrival.kind for arrival in receiver.arrivals] == ["confirmation", "validation"]


def test_confirmation_can_come_before_the_stk_callback(confirmed, receiver, customer):
    confirmed.change(auto_answer="pin")

    confirmed.push(customer, headers={"X_Simulator_Fault": "callback_out_of_order;seconds=0.2"})

    receiver.wait("stk")
    assert [arrival.kind for arrival in receiver.arrivals] == ["confirmation", "stk"]


def test_lost_validation_lets_the_response_type_decide(confirmed, receiver, customer):
    confirmed.change(validation_enabled=True)
    confirmed.register(response_type="Cancelled")
    confirmed.faults({"fault": "callback_lost", "on": ["c2b-validation"]})

    assert confirmed.is_paid(customer).json()["state"] == "cancelled"
    assert not receiver.arrivals


def test_repeated_validation_is_asked_twice_and_pays_once(confirmed, receiver, customer):
    confirmed.change(validation_enabled=True)
    confirmed.faults({"fault": "callback_repeated", "on": ["c2b-validation"]})

    assert confirmed.is_paid(customer).json()["state"] == "completed"
    receiver.wait("validation", 2)
    receiver.wait("confirmation", 1)
    assert confirmed.books()["completed"]["count"] == 1


def test_callback_can_come_before_the_acknowledgement(paybill, receiver, customer):
    ids = paybill.push(customer, Amount=7008).json()

    assert len(receiver.of("stk")) == 1
    callback = receiver.of("stk")[0].body["Body"]["stkCallback"]
    assert (callback["CheckoutRequestID"], callback["ResultCode"]) == (ids["CheckoutRequestID"], 0)


def test_result_can_come_before_the_acknowledgement(paybill, receiver):
    ids = paybill.balance(headers={"X-Simulator-Fault": "callback_before_ack"}).json()

    assert receiver.of("result")[0].body["Result"]["ConversationID"] == ids["ConversationID"]


def test_push_taken_then_hanging_is_paid_all_the_same(paybill, receiver, customer):
    paybill.change(auto_answer="pin")

    with pytest.raises(requests.ReadTimeout):
        paybill.push(customer, Amount=7009, timeout=0.5)

    assert receiver.wait("stk")[0].body["Body"]["stkCallback"]["ResultCode"] == 0
    assert paybill.books()["completed"] == {"count": 1, "total": "7009.00"}


def test_push_taken_then_reset_is_paid_all_the_same(paybill, receiver, customer):
    paybill.change(auto_answer="pin")

    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        paybill.push(customer, Amount=7010)

    assert receiver.wait("stk")[0].body["Body"]["stkCallback"]["ResultCode"] == 0


@pytest.mark.parametrize(
    ("amount", "status", "code"),
    [
        (7013, 500, "500.003.02"),
        (7014, 429, "500.003.02"),
        (7015, 500, "500.003.03"),
        (7016, 503, "00.002.1001"),
        (7020, 404, "404.001.03"),
        (7021, 401, "401.003.01"),
    ],
)
def test_push_refused_by_the_gateway_asks_nobody(process, paybill, customer, amount, status, code):
    answer = paybill.push(customer, Amount=amount)

    assert (answer.status_code, answer.json()["errorCode"]) == (status, code)
    prompts = requests.get(f"{process.url}/phone/prompts?phone_number={customer}", timeout=5).json()
    assert prompts == {"prompts": []}


def test_firewall_page_and_empty_400_have_no_envelope(paybill, customer):
    html, empty = paybill.push(customer, Amount=7011), paybill.push(customer, Amount=7012)

    assert (html.status_code, html.headers["content-type"]) == (503, "text/html; charset=utf-8")
    assert (empty.status_code, empty.content) == (400, b"")


@pytest.mark.parametrize("amount", [7018, 7019])
def test_nonsense_with_status_200_hides_a_push_that_was_taken(process, paybill, customer, amount):
    answer = paybill.push(customer, Amount=amount)

    assert answer.status_code == 200
    with pytest.raises(requests.exceptions.JSONDecodeError):
        answer.json()
    prompts = requests.get(f"{process.url}/phone/prompts?phone_number={customer}", timeout=5).json()["prompts"]
    assert [prompt["amount"] for prompt in prompts] == [f"{amount}.00"]


def test_slow_answer_takes_its_time(paybill):
    began = time.monotonic()

    answer = paybill.call("/sfcverify/v1/query/info", {}, X_Simulator_Fault="slow_answer;seconds=0.4")

    assert answer.status_code == 400
    assert time.monotonic() - began >= 0.4


def test_killed_token_is_dead_and_a_fresh_one_works(paybill):
    paybill.fetch_token()
    paybill.faults({"fault": "token_killed", "count": 1})

    assert paybill.register().json()["errorCode"] == "400.003.01"
    assert paybill.register().json()["errorCode"] == "400.003.01"
    paybill.token = ""
    assert paybill.register().status_code == 200


def test_queue_time_out_comes_instead_of_the_result(paybill, receiver):
    paybill.faults({"fault": "queue_timeout"})

    ids = paybill.balance().json()

    body = receiver.wait("timeout")[0].body["Result"]
    assert body["ConversationID"] == ids["ConversationID"]
    assert (body["ResultCode"], "ResultParameters" in body) == (1, False)
    assert [one["kind"] for one in paybill.deliveries()] == ["timeout"]


def test_result_can_follow_a_queue_time_out(paybill, receiver):
    paybill.faults({"fault": "queue_timeout_then_result", "seconds": 0.1})

    paybill.balance()

    assert receiver.wait("result")[0].body["Result"]["ResultCode"] == 0
    assert [arrival.kind for arrival in receiver.arrivals] == ["timeout", "result"]


def test_result_can_stay_away_for_ever(paybill):
    paybill.faults({"fault": "callback_lost", "on": ["result"]})

    assert paybill.balance().json()["ResponseCode"] == "0"

    assert [(one["kind"], one["state"]) for one in paybill.deliveries()] == [("result", "lost")]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("query_unknown", "The transaction does not Exist"),
        ("query_blank", ""),
        ("query_processing_500", "The transaction is being processed"),
    ],
)
def test_query_can_fail_in_daraja_s_ways(paybill, customer, fault, message):
    ids = paybill.push(customer).json()
    paybill.faults({"fault": fault})

    answer = paybill.query(ids["CheckoutRequestID"])

    assert (answer.status_code, answer.json()["errorCode"]) == (500, "500.001.1001")
    assert answer.json()["errorMessage"] == message


def test_query_can_deny_a_payment_that_was_made(paybill, customer):
    ids = paybill.push(customer).json()
    paybill.answer(ids["CheckoutRequestID"], "pin")
    paybill.faults({"fault": "query_denies"})

    assert paybill.query(ids["CheckoutRequestID"]).json()["ResultCode"] == "1032"
    assert paybill.books()["completed"]["count"] == 1


def test_fault_of_one_business_leaves_its_rival_alone(confirmed, open_business, receiver, customer):
    rival = open_business()
    rival.register()
    confirmed.faults({"fault": "callback_lost"})

    confirmed.is_paid(customer, 10)
    rival.is_paid(customer, 20)

    assert receiver.wait("confirmation")[0].body["BusinessShortCode"] == rival.shortcode
    assert len(receiver.arrivals) == 1


def test_fault_with_a_count_is_used_up_only_where_it_strikes(paybill, receiver, customer):
    paybill.faults({"fault": "callback_lost", "count": 1})
    paybill.register()

    paybill.is_paid(customer, 10)
    paybill.is_paid(customer, 20)

    assert receiver.wait("confirmation")[0].body["TransAmount"] == "20.00"


def test_faults_can_be_set_for_all_listed_and_taken_away(process, paybill):
    try:
        process.control("POST", "/faults", {"fault": "quota", "on": ["organisation_query"]})
        answer = paybill.call("/sfcverify/v1/query/info", {"IdentifierType": 4, "Identifier": paybill.shortcode})
        listed = process.control("GET", "/faults").json()["faults"]
    finally:
        assert process.control("DELETE", "/faults").status_code == 204

    assert answer.json()["errorCode"] == "500.003.03"
    assert listed[-1] == {
        "shortcode": None,
        "fault": "quota",
        "seconds": None,
        "times": 2,
        "on": ["organisation_query"],
        "count": None,
    }
    assert process.control("GET", "/faults").json() == {"faults": []}


def test_token_calls_fail_only_when_a_fault_names_them(paybill):
    paybill.faults({"fault": "html_503"})
    assert paybill.fetch_token().status_code == 200

    paybill.faults({"fault": "html_503", "on": ["oauth"]})
    assert paybill.fetch_token().status_code == 503


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"fault": "gremlins"}, "fault must be one of: callback_late, "),
        ({"fault": "query_blank", "on": ["oauth"]}, "query_blank cannot strike oauth, only stk_query."),
        ({"fault": "callback_late", "second": 3}, "second: not a field here."),
        ({"fault": "callback_late", "seconds": -1}, "seconds must be a number of seconds from 0 to 3600."),
    ],
)
def test_wrong_fault_is_refused_in_a_sentence(process, body, sentence):
    answer = process.control("POST", "/faults", body)

    assert answer.status_code == 422
    assert answer.json()["error"].startswith(sentence)
    assert not [one for one in process.control("GET", "/faults").json()["faults"] if one["shortcode"] is None]
