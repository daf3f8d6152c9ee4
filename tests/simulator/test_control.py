import uuid

import pytest
import requests

DOORS = [
    ("POST", "/organisations"),
    ("PUT", "/organisations/174379"),
    ("GET", "/organisations/174379"),
    ("DELETE", "/organisations/174379/registration"),
    ("PUT", "/customers/0712345678"),
    ("POST", "/organisations/174379/deposits"),
    ("GET", "/books"),
    ("GET", "/ledger"),
    ("GET", "/payments"),
    ("GET", "/deliveries"),
    ("POST", "/deliveries/1/resend"),
    ("GET", "/faults/catalogue"),
    ("GET", "/faults"),
    ("POST", "/faults"),
    ("PUT", "/faults/174379"),
    ("DELETE", "/faults"),
    ("DELETE", "/faults/174379"),
    ("POST", "/reset"),
]


@pytest.mark.parametrize(("method", "path"), DOORS)
@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer practice-control"}, {"Authorization": "test-control"}]
)
def test_every_control_door_wants_the_token(process, method, path, headers):
    answer = requests.request(method, f"{process.url}/control{path}", json={}, headers=headers, timeout=5)

    assert answer.status_code == 401
    assert answer.json() == {"error": "Send Authorization: Bearer with the simulator's control token."}


def test_certificate_is_for_everybody(process):
    answer = requests.get(f"{process.url}/control/certificate.pem", timeout=5)

    assert answer.text.startswith("-----BEGIN CERTIFICATE-----")


def test_same_reference_gets_the_same_shortcode_and_credentials(process):
    body = {"external_reference": str(uuid.uuid4()), "name": "Acme", "kind": "paybill"}

    first = process.control("POST", "/organisations", body).json()
    second = process.control("POST", "/organisations", body).json()
    other = process.control("POST", "/organisations", {**body, "external_reference": str(uuid.uuid4())}).json()

    assert first == second
    assert first["shortcode"].startswith("9")
    assert len(first["shortcode"]) == 6
    assert other["shortcode"] != first["shortcode"]
    assert other["consumer_key"] != first["consumer_key"]
    for name in ("consumer_key", "consumer_secret", "passkey", "initiator_name", "initiator_password"):
        assert first[name]


def test_organisation_put_twice_is_changed_not_doubled(process):
    wanted = {"name": "Acme", "kind": "paybill", "opening_balance": 100, "consumer_key": "k" * 12, "passkey": "p"}

    first = process.control("PUT", "/organisations/714714", wanted).json()
    second = process.control("PUT", "/organisations/714714", {"name": "Acme Ltd", "opening_balance": 100}).json()

    assert first["accounts"]["Utility Account"] == "100.00"
    assert second == {**first, "name": "Acme Ltd"}
    assert process.control("GET", "/organisations/714714").json() == second


def test_sandboxs_shortcode_gets_the_published_passkey(process):
    shown = process.control("PUT", "/organisations/174379", {"name": "Acme", "kind": "paybill"}).json()

    assert shown["passkey"] == "bfb279f9aa9bdbcf158e97dd71a467cd2e0c893059b10f78e6b72ada1ed2c919"


@pytest.mark.parametrize(
    ("shortcode", "body", "sentence"),
    [
        ("12", {}, "A shortcode has 5 to 7 digits."),
        ("655655", {"kind": "till"}, "name is required, as text."),
        ("655655", {"name": "A"}, "kind must be one of: paybill, till, buygoods."),
        ("655655", {"name": "A", "kind": "till", "mode": "live"}, "mode must be one of: sandbox, production."),
        ("655655", {"name": "A", "kind": "till", "validation": True}, "validation: not a field here."),
        ("655655", {"name": "A", "kind": "till", "timings": {"promt": 1}}, "promt: not a field here."),
        (
            "655655",
            {"name": "A", "kind": "till", "opening_balance": "x"},
            "opening_balance must be an amount in shillings.",
        ),
    ],
)
def test_wrong_organisation_is_refused_and_not_made(process, shortcode, body, sentence):
    answer = process.control("PUT", f"/organisations/{shortcode}", body)

    assert (answer.status_code, answer.json()) == (422, {"error": sentence})
    assert process.control("GET", "/organisations/655655").status_code == 404


def test_books_agree_with_the_payments(process, paybill, till, customer):
    receipts = [paybill.is_paid(customer, 5000).json()["receipt"], paybill.is_paid(customer, 1).json()["receipt"]]
    till.is_paid(customer, 1200)

    assert paybill.books() == {
        "shortcode": paybill.shortcode,
        "name": "Acme Electronics",
        "kind": "paybill",
        "accounts": {
            "Working Account": "0.00",
            "Float Account": "0.00",
            "Utility Account": "5001.00",
            "Charges Paid Account": "0.00",
            "Organization Settlement Account": "0.00",
        },
        "completed": {"count": 2, "total": "5001.00"},
        "cancelled": {"count": 0, "total": "0.00"},
        "reversed": {"count": 0, "total": "0.00"},
    }
    payments = process.control("GET", f"/payments?shortcode={paybill.shortcode}").json()["payments"]
    assert [(one["receipt"], one["amount"], one["source"], one["state"]) for one in payments] == [
        (receipts[0], "5000.00", "phone", "completed"),
        (receipts[1], "1.00", "phone", "completed"),
    ]
    after = process.control("GET", f"/payments?shortcode={paybill.shortcode}&after={payments[0]['id']}").json()
    assert [one["receipt"] for one in after["payments"]] == [receipts[1]]


def test_delivery_tells_what_was_answered_and_can_be_sent_again(process, paybill, receiver, customer):
    paybill.register()
    receiver.answers["confirmation"] = (500, "out of order")
    receipt = paybill.is_paid(customer).json()["receipt"]
    delivery = paybill.delivery("failed")

    assert process.control("GET", f"/deliveries?reference={receipt}").json()["deliveries"] == [delivery]
    receiver.answers["confirmation"] = (200, '{"ResultCode": 0}')
    resent = process.control("POST", f"/deliveries/{delivery['id']}/resend")

    assert resent.status_code == 202
    first, second = receiver.wait("confirmation", 2)
    assert first.text == second.text == delivery["body"]
    assert process.control("POST", "/deliveries/999999/resend").status_code == 404


def test_delivery_that_is_on_its_way_is_not_sent_a_second_time(process, paybill, receiver, customer):
    paybill.register()
    receiver.pauses["confirmation"] = 1
    paybill.is_paid(customer)

    resent = process.control("POST", f"/deliveries/{paybill.delivery('sending')['id']}/resend")

    assert resent.status_code == 409
    assert paybill.delivery("answered")["attempts"] == len(receiver.of("confirmation")) == 1


def test_delivery_to_nobody_fails_with_the_reason(process, paybill, customer):
    paybill.register(ConfirmationURL="http://127.0.0.1:1/c")

    paybill.is_paid(customer)

    delivery = paybill.delivery("failed")
    assert (delivery["status"], delivery["attempts"]) == (None, 1)
    assert "refused" in delivery["answer"]


def test_customer_can_be_named_and_given_money(process):
    answer = process.control("PUT", "/customers/0799000001", {"first_name": "ASHA", "balance": "12.00"})

    assert answer.json()["phone_number"] == "254799000001"
    assert (answer.json()["first_name"], answer.json()["balance"]) == ("ASHA", "12.00")
