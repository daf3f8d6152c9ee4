import logging
from datetime import UTC, datetime

import pytest

from channels.daraja.client import (
    Accepted,
    DarajaClient,
    IdentifierType,
    OrganisationName,
    ResponseType,
    StkAccepted,
    StkState,
)
from channels.daraja.errors import DarajaRejected, DarajaTimeout, DarajaUnavailable, Reason
from channels.daraja.tokens import MemoryTokenStore

PUSH = "/mpesa/stkpush/v1/processrequest"
QUERY = "/mpesa/stkpushquery/v1/query"
BALANCE = "/mpesa/accountbalance/v1/query"
STATUS = "/mpesa/transactionstatus/v1/query"
NAME = "/sfcverify/v1/query/info"
SANDBOX_PASSKEY = "bfb279f9aa9bdbcf158e97dd71a467cd2e0c893059b10f78e6b72ada1ed2c919"
PASSWORD = (
    "MTc0Mzc5YmZiMjc5ZjlhYTliZGJjZjE1OGU5N2RkNzFhNDY3Y2QyZTBjODkzMDU5YjEwZjc4ZTZiNzJhZGExZWQyYzkxOTIwMjEwNjI4MDkyNDA4"
)
CHECKOUT_ID = "ws_CO_10072024091526171708374149"
PUSH_ACCEPTED = {
    "MerchantRequestID": "2654-4b64-97ff-b827b542881d3130",
    "CheckoutRequestID": CHECKOUT_ID,
    "ResponseCode": "0",
    "ResponseDescription": "Success. Request accepted for processing",
    "CustomerMessage": "Success. Request accepted for processing",
}
ACCEPTED = {
    "OriginatorConversationID": "5118-111210482-1",
    "ConversationID": "AG_20230420_2010759fd5662ef6d054",
    "ResponseCode": "0",
    "ResponseDescription": "Accept the service request successfully.",
}
URLS = {
    "result_url": "https://pay.tuzo.co.ke/h/abc/result",
    "timeout_url": "https://pay.tuzo.co.ke/h/abc/timeout",
}


@pytest.fixture
def client(daraja, session, credentials):
    """A client whose clock says 09:24:08 in Nairobi, the time of the published password."""
    return DarajaClient(
        daraja.base_url,
        credentials,
        session=session,
        tokens=MemoryTokenStore(),
        timeout_s=(2, 0.5),
        clock=lambda: datetime(2021, 6, 28, 6, 24, 8, tzinfo=UTC),
    )


def push(client, **changes):
    return client.stk_push(
        **{
            "shortcode": "174379",
            "passkey": SANDBOX_PASSKEY,
            "msisdn": "254708374149",
            "amount_kes": 5000,
            "account_reference": "VIP001",
            "callback_url": "https://pay.tuzo.co.ke/h/abc/stk-callback",
        }
        | changes
    )


def query(client):
    return client.stk_query(shortcode="174379", passkey=SANDBOX_PASSKEY, checkout_request_id=CHECKOUT_ID)


def register(client, **changes):
    return client.register_urls(
        **{
            "version": 2,
            "shortcode": "600984",
            "response_type": ResponseType.COMPLETED,
            "confirmation_url": "https://pay.tuzo.co.ke/h/abc/c2b-confirmation",
            "validation_url": "https://pay.tuzo.co.ke/h/abc/c2b-validation",
        }
        | changes
    )


def test_a_push_to_a_paybill_is_sent_in_daraja_s_spelling_and_types(client, daraja):
    daraja.will_answer(PUSH, PUSH_ACCEPTED)

    accepted = push(client, description="Order 7")

    assert accepted == StkAccepted(
        merchant_request_id="2654-4b64-97ff-b827b542881d3130",
        checkout_request_id=CHECKOUT_ID,
        description="Success. Request accepted for processing",
    )
    (call,) = daraja.calls(PUSH)
    assert call.method == "POST"
    assert call.headers["Authorization"] == "Bearer token-1"
    assert call.headers["Content-Type"] == "application/json"
    assert call.json == {
        "BusinessShortCode": "174379",
        "Password": PASSWORD,
        "Timestamp": "20210628092408",
        "TransactionType": "CustomerPayBillOnline",
        "Amount": 5000,
        "PartyA": 254708374149,
        "PartyB": "174379",
        "PhoneNumber": 254708374149,
        "CallBackURL": "https://pay.tuzo.co.ke/h/abc/stk-callback",
        "AccountReference": "VIP001",
        "TransactionDesc": "Order 7",
    }


def test_a_push_to_a_till_names_the_store_and_the_till_and_always_has_a_description(client, daraja):
    daraja.will_answer(PUSH, PUSH_ACCEPTED)

    push(client, till="555123")

    sent = daraja.calls(PUSH)[0].json
    assert sent["BusinessShortCode"] == "174379"
    assert sent["PartyB"] == "555123"
    assert sent["TransactionType"] == "CustomerBuyGoodsOnline"
    assert sent["TransactionDesc"] == "Payment"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"amount_kes": 0}, "Amount"),
        ({"amount_kes": -1}, "Amount"),
        ({"amount_kes": 250_001}, "Amount"),
        ({"msisdn": "0708374149"}, "PhoneNumber"),
        ({"msisdn": "255708374149"}, "PhoneNumber"),
        ({"account_reference": ""}, "AccountReference"),
        ({"account_reference": "A" * 13}, "AccountReference"),
        ({"account_reference": "A\x00"}, "AccountReference"),
        ({"description": " "}, "TransactionDesc"),
        ({"description": "A" * 14}, "TransactionDesc"),
    ],
    ids=str,
)
def test_what_daraja_would_refuse_is_refused_before_sending(client, daraja, changes, field):
    with pytest.raises(DarajaRejected) as refusal:
        push(client, **changes)

    assert refusal.value.reason is Reason.INVALID_FIELD
    assert refusal.value.field == field
    assert refusal.value.http_status is None
    assert daraja.received == []


@pytest.mark.parametrize(
    "changes", [{"amount_kes": 250_000}, {"account_reference": "A" * 12}, {"description": "A" * 13}], ids=str
)
def test_the_longest_and_largest_that_daraja_takes_are_sent(client, daraja, changes):
    daraja.will_answer(PUSH, PUSH_ACCEPTED)

    assert push(client, **changes).checkout_request_id == CHECKOUT_ID


def test_a_callback_address_that_daraja_would_refuse_is_not_sent(client, daraja):
    with pytest.raises(DarajaRejected) as refusal:
        push(client, callback_url="https://pay.tuzo.co.ke/mpesa/abc")

    assert refusal.value.reason is Reason.FORBIDDEN_URL
    assert refusal.value.field == "CallBackURL"
    assert refusal.value.message == "Safaricom refuses URLs that contain “mpesa”."
    assert daraja.received == []


@pytest.mark.parametrize(
    "answer",
    [
        {**PUSH_ACCEPTED, "CheckoutRequestID": ""},
        {**PUSH_ACCEPTED, "CheckoutRequestID": "w" * 129},
        {**PUSH_ACCEPTED, "MerchantRequestID": None},
        {**PUSH_ACCEPTED, "ResponseCode": "1"},
        {"ResponseCode": "0"},
        {},
        [],
        b"<html>Welcome</html>",
        b"",
    ],
    ids=str,
)
def test_a_push_whose_answer_is_not_clear_may_have_gone_through(client, daraja, answer):
    daraja.will_answer(PUSH, answer)

    with pytest.raises(DarajaTimeout):
        push(client)

    assert len(daraja.calls(PUSH)) == 1


def test_a_definite_no_to_a_push_is_a_rejection(client, daraja):
    body = {"requestId": "29-1", "errorCode": "500.001.1001", "errorMessage": "[MerchantValidate] - Wrong credentials"}
    daraja.will_answer(PUSH, body, status=500)

    with pytest.raises(DarajaRejected) as refusal:
        push(client)

    assert refusal.value.reason is Reason.WRONG_PASSKEY
    assert len(daraja.calls(PUSH)) == 1


@pytest.mark.parametrize(
    ("status", "answer", "state"),
    [
        (
            200,
            {"ResponseCode": "0", "CheckoutRequestID": CHECKOUT_ID, "ResultCode": "0", "ResultDesc": "processed"},
            StkState(StkState.Kind.FINAL, "0", "processed"),
        ),
        (
            200,
            {"ResponseCode": "0", "ResultCode": "0", "ResultDesc": "The service request is processed successfully."},
            StkState(StkState.Kind.FINAL, "0", "The service request is processed successfully."),
        ),
        (
            200,
            {"ResponseCode": "0", "ResultCode": 1032, "ResultDesc": "Request cancelled by user"},
            StkState(StkState.Kind.FINAL, "1032", "Request cancelled by user"),
        ),
        (
            200,
            {"ResponseCode": "0", "ResultCode": "4999", "ResultDesc": "The transaction is still under processing"},
            StkState(StkState.Kind.PENDING, "4999", "The transaction is still under processing"),
        ),
        (200, {"ResponseCode": "0", "ResultCode": 4999}, StkState(StkState.Kind.PENDING, "4999", "")),
        (
            200,
            {"ResponseCode": "0", "ResultCode": "9", "ResultDesc": "Still processing"},
            StkState(StkState.Kind.PENDING, "9", "Still processing"),
        ),
        (
            500,
            {"errorCode": "500.001.1001", "errorMessage": "The transaction is being processed"},
            StkState(StkState.Kind.PENDING, "", "The transaction is being processed"),
        ),
        (
            500,
            {"errorCode": "500.001.1001", "errorMessage": "The transaction does not Exist"},
            StkState(StkState.Kind.NOT_FOUND, "", "The transaction does not Exist"),
        ),
    ],
)
def test_a_push_is_final_pending_or_not_found(client, daraja, status, answer, state):
    daraja.will_answer(QUERY, answer, status=status)

    assert query(client) == state
    assert daraja.calls(QUERY)[0].json == {
        "BusinessShortCode": "174379",
        "Password": PASSWORD,
        "Timestamp": "20210628092408",
        "CheckoutRequestID": CHECKOUT_ID,
    }


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (500, {"errorCode": "500.001.1001", "errorMessage": ""}),
        (200, {"ResponseCode": "0"}),
        (200, {"ResponseCode": "0", "ResultCode": "0", "CheckoutRequestID": "ws_CO_of_another"}),
        (503, b"<html>Busy</html>"),
    ],
)
def test_a_query_without_a_clear_answer_may_be_asked_again(client, daraja, status, answer):
    daraja.will_answer(QUERY, answer, status=status)

    with pytest.raises(DarajaUnavailable):
        query(client)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    "answer",
    [
        {"OriginatorCoversationID": "6e86-45dd", "ResponseCode": "0", "ResponseDescription": "Success"},
        {"OriginatorCoversationID": "6e86-45dd", "ConversationID": "", "ResponseDescription": "Success"},
    ],
)
def test_registering_is_accepted_with_code_zero_or_none(client, daraja, version, answer):
    path = f"/mpesa/c2b/v{version}/registerurl"
    daraja.will_answer(path, answer)

    assert register(client, version=version) == Accepted("6e86-45dd", "", "Success")
    assert daraja.calls(path)[0].json == {
        "ShortCode": "600984",
        "ResponseType": "Completed",
        "ConfirmationURL": "https://pay.tuzo.co.ke/h/abc/c2b-confirmation",
        "ValidationURL": "https://pay.tuzo.co.ke/h/abc/c2b-validation",
    }


def test_registering_twice_in_production_is_named(client, daraja):
    body = {"requestId": "1", "errorCode": "500.003.1001", "errorMessage": "Urls are already registered."}
    daraja.will_answer("/mpesa/c2b/v2/registerurl", body, status=500)

    with pytest.raises(DarajaRejected) as refusal:
        register(client)

    assert refusal.value.reason is Reason.URLS_ALREADY_REGISTERED


@pytest.mark.parametrize("field", ["ConfirmationURL", "ValidationURL"])
def test_addresses_that_daraja_would_refuse_are_not_registered(client, daraja, field):
    argument = {"ConfirmationURL": "confirmation_url", "ValidationURL": "validation_url"}[field]

    with pytest.raises(DarajaRejected) as refusal:
        register(client, **{argument: "https://sql.tuzo.co.ke/h"})

    assert (refusal.value.reason, refusal.value.field) == (Reason.FORBIDDEN_URL, field)
    assert daraja.received == []


def test_production_takes_only_public_https_addresses_and_no_simulation(credentials):
    """Without a session there is nothing to send with: the rules are looked at first."""
    client = DarajaClient("https://api.safaricom.co.ke", credentials, session=None, tokens=MemoryTokenStore())

    with pytest.raises(DarajaRejected) as refusal:
        register(client, confirmation_url="http://localhost:8000/h/abc/c2b-confirmation")
    assert refusal.value.reason is Reason.FORBIDDEN_URL

    with pytest.raises(DarajaRejected) as refusal:
        client.simulate_c2b(
            version=1, shortcode="600984", msisdn="254708374149", amount_kes=1, account_reference="VIP001"
        )
    assert refusal.value.reason is Reason.INVALID_REQUEST


@pytest.mark.parametrize("version", [1, 2])
def test_a_simulated_payment_to_a_paybill_carries_the_reference(client, daraja, version):
    path = f"/mpesa/c2b/v{version}/simulate"
    daraja.will_answer(path, {"OriginatorCoversationID": "53e3", "ResponseCode": "0", "ResponseDescription": "Accept"})

    accepted = client.simulate_c2b(
        version=version, shortcode="600984", msisdn="254708374149", amount_kes=1, account_reference="VIP001"
    )

    assert accepted == Accepted("53e3", "", "Accept")
    assert daraja.calls(path)[0].json == {
        "ShortCode": "600984",
        "CommandID": "CustomerPayBillOnline",
        "Amount": 1,
        "Msisdn": 254708374149,
        "BillRefNumber": "VIP001",
    }


def test_a_simulated_payment_to_a_till_carries_none(client, daraja):
    daraja.will_answer("/mpesa/c2b/v1/simulate", {"OriginatorCoversationID": "53e3", "ResponseCode": "0"})

    client.simulate_c2b(version=1, shortcode="555123", msisdn="254708374149", amount_kes=1, account_reference=None)

    sent = daraja.calls("/mpesa/c2b/v1/simulate")[0].json
    assert sent["CommandID"] == "CustomerBuyGoodsOnline"
    assert "BillRefNumber" not in sent


def test_a_balance_is_asked_for_in_daraja_s_spelling(client, daraja):
    daraja.will_answer(BALANCE, ACCEPTED)

    accepted = client.account_balance(initiator="testapi", security_credential="c3Q=", shortcode="600984", **URLS)

    assert accepted == Accepted(
        "5118-111210482-1", "AG_20230420_2010759fd5662ef6d054", "Accept the service request successfully."
    )
    assert daraja.calls(BALANCE)[0].json == {
        "Initiator": "testapi",
        "SecurityCredential": "c3Q=",
        "CommandID": "AccountBalance",
        "PartyA": "600984",
        "IdentifierType": "4",
        "Remarks": "Balance",
        "QueueTimeOutURL": URLS["timeout_url"],
        "ResultURL": URLS["result_url"],
    }


@pytest.mark.parametrize(
    ("sought", "sent"),
    [
        ({"receipt": "NEF61H8J60"}, {"TransactionID": "NEF61H8J60"}),
        ({"original_conversation_id": "7071-4170"}, {"OriginalConversationID": "7071-4170"}),
        (
            {"receipt": "NEF61H8J60", "original_conversation_id": "7071-4170"},
            {"TransactionID": "NEF61H8J60", "OriginalConversationID": "7071-4170"},
        ),
    ],
)
def test_a_status_is_asked_for_by_receipt_or_conversation_id(client, daraja, sought, sent):
    daraja.will_answer(STATUS, ACCEPTED)

    client.transaction_status(
        initiator="testapi",
        security_credential="c3Q=",
        shortcode="600984",
        identifier_type=IdentifierType.TILL,
        **sought,
        **URLS,
    )

    assert daraja.calls(STATUS)[0].json == {
        "Initiator": "testapi",
        "SecurityCredential": "c3Q=",
        "CommandID": "TransactionStatusQuery",
        "PartyA": "600984",
        "IdentifierType": "2",
        "ResultURL": URLS["result_url"],
        "QueueTimeOutURL": URLS["timeout_url"],
        "Remarks": "Status",
        **sent,
    }


def test_a_status_of_nothing_is_not_asked_for(client, daraja):
    with pytest.raises(DarajaRejected) as refusal:
        client.transaction_status(initiator="testapi", security_credential="c3Q=", shortcode="600984", **URLS)

    assert refusal.value.field == "TransactionID"
    assert daraja.received == []


def test_a_result_that_could_not_be_found_again_is_no_acceptance(client, daraja):
    daraja.will_answer(BALANCE, {"ResponseCode": "0", "ResponseDescription": "Accept"})

    with pytest.raises(DarajaUnavailable) as unclear:
        client.account_balance(initiator="testapi", security_credential="c3Q=", shortcode="600984", **URLS)

    assert unclear.value.reason is Reason.NONSENSE_ANSWER


def test_the_name_behind_a_till_is_looked_up(client, daraja):
    daraja.will_answer(NAME, {"ResponseCode": "4000", "ResponseMessage": "OK", "OrganizationName": "ACME ELECTRONICS"})

    found = client.organisation_name(shortcode="555123", identifier_type=IdentifierType.TILL)

    assert found == OrganisationName("555123", "ACME ELECTRONICS")
    assert daraja.calls(NAME)[0].json == {"IdentifierType": 2, "Identifier": "555123"}


def test_a_name_that_is_not_found_is_a_rejection_in_safaricom_s_words(client, daraja):
    daraja.will_answer(NAME, {"ResponseCode": "4001", "ResponseMessage": "Organization not found"})

    with pytest.raises(DarajaRejected) as refusal:
        client.organisation_name(shortcode="000000")

    assert (refusal.value.code, refusal.value.message) == ("4001", "Organization not found")


def test_the_log_has_the_request_id_but_no_credential_and_no_whole_number(client, daraja, caplog):
    daraja.will_answer(PUSH, PUSH_ACCEPTED)
    daraja.will_answer(QUERY, {"requestId": "29-1", "errorCode": "500.001.1001", "errorMessage": "x"}, status=500)

    with caplog.at_level(logging.DEBUG):
        push(client)
        with pytest.raises(DarajaUnavailable):
            query(client)

    ours = [record.getMessage() for record in caplog.records if record.name.startswith("channels.daraja")]
    assert ours == [
        "Daraja token, 127.0.0.1: answered, without an id",
        "Daraja stk_push, 2547****149: answered, 2654-4b64-97ff-b827b542881d3130",
        "Daraja stk_query, ws_CO_10072024091526: server_fault: x (500.001.1001, HTTP 500, 29-1)",
    ]
    for secret in ("canary", "token-1", SANDBOX_PASSKEY, PASSWORD, "708374149"):
        assert secret not in caplog.text
