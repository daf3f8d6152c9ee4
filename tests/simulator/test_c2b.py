import hashlib
import re
import time

import pytest

VALIDATED = {"validation_enabled": True}


def test_registration_answers_in_each_versions_words(paybill):
    v1, v2 = paybill.register(version=1), paybill.register(version=2)

    assert v1.json()["ResponseDescription"] == "success"
    assert v2.json()["ResponseDescription"] == "Success"
    assert list(v2.json()) == ["OriginatorCoversationID", "ResponseCode", "ResponseDescription"]
    assert v2.json()["ResponseCode"] == "0"


def test_sandbox_urls_can_be_registered_again(paybill, receiver, customer):
    paybill.register(ConfirmationURL=receiver.url("old"))
    paybill.register()

    paybill.is_paid(customer)

    receiver.wait("confirmation")
    assert not receiver.of("old")


def test_production_urls_are_registered_once(paybill, process, receiver, customer):
    paybill.change(mode="production")
    assert paybill.register().status_code == 200

    again = paybill.register(ConfirmationURL=receiver.url("new"))

    assert (again.status_code, again.json()["errorCode"]) == (500, "500.003.1001")
    assert again.json()["errorMessage"] == "Urls are already registered."
    paybill.is_paid(customer)
    receiver.wait("confirmation")
    assert not receiver.of("new")
    assert process.control("DELETE", f"/organisations/{paybill.shortcode}/registration").status_code == 204
    assert paybill.register().status_code == 200


def test_rivals_shortcode_cannot_be_registered(paybill, open_business):
    rival = open_business()

    answer = paybill.register(ShortCode=rival.shortcode)

    assert (answer.status_code, answer.json()["errorCode"]) == (400, "400.003.02")
    assert answer.json()["errorMessage"] == "Bad Request - Kindly use your own ShortCode"
    shown = rival.process.control("GET", f"/organisations/{rival.shortcode}").json()
    assert shown["confirmation_url"] is None


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("https://pay.example/MPESA/confirm", "MPESA"),
        ("https://m-pesa.example/confirm", "M-PESA"),
        ("https://Safaricom.example/confirm", "SAFARICOM"),
        ("https://pay.example/execute", "EXEC"),
        ("https://pay.example/setup.exe", "EXE"),
        ("https://pay.example/?cmd=1", "CMD"),
        ("https://mysql.example/c", "SQL"),
        ("https://pay.example/c?query=1", "QUERY"),
    ],
)
def test_urls_with_forbidden_words_are_refused(paybill, url, word):
    answer = paybill.register(ValidationURL=url)

    assert (answer.status_code, answer.json()["errorCode"]) == (400, "400.003.02")
    assert answer.json()["errorMessage"] == f"Bad Request - Invalid ValidationURL - URL has the word {word}"


def test_production_wants_https_and_no_tunnels(open_business):
    production = open_business(mode="production")

    plain = production.register(ConfirmationURL="http://pay.example/c")
    tunnel = production.register(ConfirmationURL="https://abc.ngrok.io/c")

    assert plain.json()["errorMessage"] == "Bad Request - Invalid ConfirmationURL"
    assert tunnel.json()["errorMessage"] == "Bad Request - Invalid ConfirmationURL - URL has the word NGROK"


@pytest.mark.parametrize(
    ("field", "value"),
    [("ShortCode", ""), ("ResponseType", "completed"), ("ConfirmationURL", "x"), ("ValidationURL", None)],
)
def test_bad_field_of_a_registration_is_named(paybill, field, value):
    answer = paybill.register(**{field: value})

    assert answer.json()["errorMessage"] == f"Bad Request - Invalid {field}"


def test_payment_is_confirmed_in_the_documented_shape(paybill, receiver, customer):
    paybill.register()

    paid = paybill.is_paid("0712345678", 5000, " vip 001 ").json()

    body = receiver.wait("confirmation")[0].body
    assert re.fullmatch(r"\d{14}", body.pop("TransTime"))
    assert body == {
        "TransactionType": "Pay Bill",
        "TransID": paid["receipt"],
        "TransAmount": "5000.00",
        "BusinessShortCode": paybill.shortcode,
        "BillRefNumber": "vip 001",
        "InvoiceNumber": "",
        "OrgAccountBalance": "5000.00",
        "ThirdPartyTransID": "",
        "MSISDN": "2547 ***** 678",
        "FirstName": "JOHN",
        "MiddleName": "",
        "LastName": "",
    }
    assert not receiver.of("validation")


def test_till_payment_has_another_type_and_no_account(till, receiver, customer):
    till.register()

    till.is_paid(customer, 1200, "DELIVERY")

    body = receiver.wait("confirmation")[0].body
    assert body["TransactionType"] == "Customer Merchant Payment"
    assert body["BillRefNumber"] == ""
    assert body["OrgAccountBalance"] == "1200.00"
    assert till.books()["accounts"]["Merchant Account"] == "1200.00"


def test_payment_without_registered_urls_completes_silently(paybill, receiver, customer):
    paid = paybill.is_paid(customer)

    assert paid.json()["state"] == "completed"
    assert paybill.books()["completed"] == {"count": 1, "total": "5000.00"}
    assert paybill.deliveries() == []


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        ("plain", "254712345678"),
        ("masked", "2547 ***** 678"),
        ("masked_compact", "25471****678"),
        ("hashed", hashlib.sha256(b"254712345678").hexdigest()),
    ],
)
def test_number_is_shown_in_the_style_set(paybill, receiver, style, expected):
    paybill.register()
    paybill.change(msisdn_style=style)

    paybill.is_paid("254712345678")

    assert receiver.wait("confirmation")[0].body["MSISDN"] == expected


def test_starred_hash_hides_the_middle_of_the_hash(paybill, receiver):
    paybill.register()
    paybill.change(msisdn_style="starred_hash")

    paybill.is_paid("254712345678")

    digest = hashlib.sha256(b"254712345678").hexdigest()
    assert receiver.wait("confirmation")[0].body["MSISDN"] == f"{digest[:30]} ***** {digest[34:]}"


def test_version_1_hashes_the_number_and_version_2_masks_it(paybill, receiver):
    paybill.register(version=1)
    paybill.is_paid("254712345678")
    assert receiver.wait("confirmation")[0].body["MSISDN"] == hashlib.sha256(b"254712345678").hexdigest()

    paybill.register(version=2)
    paybill.is_paid("254712345678")
    assert receiver.wait("confirmation", 2)[1].body["MSISDN"] == "2547 ***** 678"


@pytest.mark.parametrize(
    ("style", "names"),
    [
        ("first_name", {"FirstName": "MARY", "MiddleName": "", "LastName": ""}),
        ("first_name_only", {"FirstName": "MARY"}),
        ("full", {"FirstName": "MARY", "MiddleName": "WANJIKU", "LastName": "NJOROGE"}),
        ("absent", {}),
    ],
)
def test_names_come_in_the_style_set(paybill, receiver, style, names):
    paybill.register()
    paybill.change(names_style=style)

    paybill.is_paid("254722000111")

    body = receiver.wait("confirmation")[0].body
    assert {key: value for key, value in body.items() if key.endswith("Name")} == names


def test_accepted_validation_completes_and_echoes_its_id(paybill, receiver, customer):
    paybill.change(**VALIDATED)
    paybill.register()
    receiver.answers["validation"] = (200, '{"ResultCode": "0", "ResultDesc": "Accepted", "ThirdPartyTransID": "T-9"}')

    paid = paybill.is_paid(customer).json()

    validation, confirmation = receiver.wait("validation")[0].body, receiver.wait("confirmation")[0].body
    assert paid["state"] == "completed"
    assert validation["TransID"] == confirmation["TransID"] == paid["receipt"]
    assert (validation["OrgAccountBalance"], confirmation["OrgAccountBalance"]) == ("", "5000.00")
    assert (validation["ThirdPartyTransID"], confirmation["ThirdPartyTransID"]) == ("", "T-9")


def test_rejected_validation_cancels_moves_no_money_and_confirms_nothing(process, paybill, receiver, customer):
    paybill.change(**VALIDATED)
    paybill.register()
    receiver.answers["validation"] = (200, '{"ResultCode": "C2B00012", "ResultDesc": "Rejected"}')

    paid = paybill.is_paid(customer).json()

    assert paid["state"] == "cancelled"
    assert paid["message"] == (
        "Failed. KES 5,000.00 to Acme Electronics for account VIP001 was not paid: Invalid Account Number."
    )
    assert paybill.books()["accounts"]["Utility Account"] == "0.00"
    assert paybill.books()["cancelled"] == {"count": 1, "total": "5000.00"}
    assert [one["kind"] for one in paybill.deliveries()] == ["c2b-validation"]
    assert process.control("PUT", f"/customers/{customer}", {}).json()["balance"] == "200000.00"


@pytest.mark.parametrize(("response_type", "state"), [("Completed", "completed"), ("Cancelled", "cancelled")])
def test_response_type_decides_when_validation_is_late(paybill, receiver, customer, response_type, state):
    paybill.change(**VALIDATED)
    paybill.register(response_type=response_type)
    receiver.pauses["validation"] = 1.0
    receiver.answers["validation"] = (200, '{"ResultCode": "C2B00016"}')

    began = time.monotonic()
    paid = paybill.is_paid(customer).json()

    assert paid["state"] == state
    assert 0.4 <= time.monotonic() - began < 0.9


@pytest.mark.parametrize(("response_type", "state"), [("Completed", "completed"), ("Cancelled", "cancelled")])
@pytest.mark.parametrize("answer", [(500, "{}"), (200, "<html>")])
def test_response_type_decides_when_validation_talks_nonsense(
    paybill, receiver, customer, response_type, state, answer
):
    paybill.change(**VALIDATED)
    paybill.register(response_type=response_type)
    receiver.answers["validation"] = answer

    assert paybill.is_paid(customer).json()["state"] == state


def test_response_type_does_not_matter_to_an_answer_in_time(paybill, receiver, customer):
    paybill.change(**VALIDATED)
    paybill.register(response_type="Completed")
    receiver.answers["validation"] = (200, '{"ResultCode": 1}')

    assert paybill.is_paid(customer).json()["state"] == "cancelled"


def test_confirmation_that_is_refused_is_not_sent_again(paybill, receiver, customer):
    paybill.register()
    receiver.answers["confirmation"] = (503, "")

    paybill.is_paid(customer)
    delivery = paybill.delivery("failed")
    time.sleep(0.3)

    assert len(receiver.of("confirmation")) == 1
    assert (delivery["status"], delivery["attempts"]) == (503, 1)
    assert paybill.books()["completed"]["count"] == 1


def simulation(business, **changes):
    return {
        "ShortCode": business.shortcode,
        "CommandID": "CustomerPayBillOnline",
        "Amount": 10,
        "Msisdn": 254708374149,
        "BillRefNumber": "INV-1",
        **changes,
    }


def test_simulated_payment_is_accepted_then_confirmed(paybill, receiver):
    paybill.register()

    ack = paybill.call("/mpesa/c2b/v2/simulate", simulation(paybill)).json()

    body = receiver.wait("confirmation")[0].body
    assert ack["ResponseDescription"] == "Accept the service request successfully."
    assert list(ack) == ["OriginatorCoversationID", "ResponseCode", "ResponseDescription"]
    assert (body["TransAmount"], body["BillRefNumber"], body["MSISDN"]) == ("10.00", "INV-1", "2547 ***** 149")


def test_simulated_payment_of_another_number_is_accepted_and_comes_to_nothing(paybill, receiver):
    paybill.register()

    ack = paybill.call("/mpesa/c2b/v2/simulate", simulation(paybill, Msisdn=254712345678))
    time.sleep(0.2)

    assert ack.json()["ResponseCode"] == "0"
    assert paybill.deliveries() == []
    assert paybill.books()["completed"]["count"] == 0


def test_simulated_till_payment_takes_no_account(till, receiver):
    till.register()
    command = {"CommandID": "CustomerBuyGoodsOnline"}

    refused = till.call("/mpesa/c2b/v2/simulate", simulation(till, **command))
    accepted = till.call("/mpesa/c2b/v2/simulate", simulation(till, **command, BillRefNumber=None))

    assert refused.json()["errorMessage"] == "Bad Request - Invalid BillRefNumber"
    assert accepted.status_code == 200
    assert receiver.wait("confirmation")[0].body["TransactionType"] == "Customer Merchant Payment"


def test_production_has_no_simulated_payments(open_business):
    production = open_business(mode="production")

    answer = production.call("/mpesa/c2b/v2/simulate", simulation(production))

    assert (answer.status_code, answer.json()["errorCode"]) == (404, "404.003.01")
