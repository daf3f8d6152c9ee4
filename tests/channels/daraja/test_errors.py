import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.daraja.errors import (
    DarajaError,
    DarajaRejected,
    DarajaTimeout,
    DarajaUnavailable,
    Reason,
    read_refusal,
)


def envelope(code, message):
    return json.dumps({"requestId": "1c5b-4ba8", "errorCode": code, "errorMessage": message}).encode()


DOCUMENTED_NO = [
    (400, "400.002.05", "Invalid Request Payload", Reason.INVALID_REQUEST),
    (400, "400.003.01", "Invalid Access Token", Reason.INVALID_TOKEN),
    (400, "400.003.02", "Bad Request - Kindly use your own ShortCode", Reason.OWN_SHORTCODE_ONLY),
    (400, "400.003.02", "Bad Request", Reason.INVALID_FIELD),
    (400, "400.008.01", "Bad Request - invalid credentials", Reason.WRONG_KEYS),
    (400, "400.008.02", "Invalid grant type passed", Reason.INVALID_REQUEST),
    (401, "401.001", "Invalid Access Token", Reason.INVALID_TOKEN),
    (401, "401.002.01", "Error Occurred - Invalid Access Token - abc", Reason.INVALID_TOKEN),
    (
        401,
        "401.003.01",
        "Error Occurred - Invalid Access Token - Invalid API call as no apiproduct match found",
        Reason.PRODUCT_MISSING,
    ),
    (404, "404.001.01", "Resource not found", Reason.INVALID_REQUEST),
    (404, "404.001.03", "Invalid Access Token", Reason.INVALID_TOKEN),
    (404, "404.001.04", "Invalid Authentication Header", Reason.INVALID_REQUEST),
    (405, "405.001", "GET Method Not Allowed", Reason.INVALID_REQUEST),
    (500, "500.001.1001", "Merchant does not exist", Reason.UNKNOWN_SHORTCODE),
    (500, "500.001.1001", "[MerchantValidate] - Wrong credentials", Reason.WRONG_PASSKEY),
    (
        500,
        "500.001.1001",
        "Unable to lock subscriber, a transaction is already in process for the current subscriber",
        Reason.SUBSCRIBER_LOCKED,
    ),
    (500, "500.003.1001", "Urls are already registered.", Reason.URLS_ALREADY_REGISTERED),
    (
        500,
        "500.003.1001",
        "Duplicate notification info, SP ID is 12345, correlator is 123456",
        Reason.URLS_REGISTERED_ELSEWHERE,
    ),
    (406, "406", "Not acceptable", Reason.OTHER),
]


@pytest.mark.parametrize(("status", "code", "message", "reason"), DOCUMENTED_NO)
@pytest.mark.parametrize("repeatable", [True, False])
def test_a_documented_no_is_a_no_even_for_a_push(status, code, message, reason, repeatable):
    error = read_refusal(http_status=status, body=envelope(code, message), repeatable=repeatable)

    assert type(error) is DarajaRejected
    assert error.reason is reason
    assert (error.code, error.message, error.http_status, error.request_id) == (code, message, status, "1c5b-4ba8")


@pytest.mark.parametrize(
    ("status", "code", "message", "reason"),
    [
        (500, "500.003.02", "Error Occurred: Spike Arrest Violation", Reason.SPIKE_ARREST),
        (500, "500.003.02", "System is busy. Please try again in few minutes.", Reason.SPIKE_ARREST),
        (429, "", "Too many requests", Reason.SPIKE_ARREST),
        (500, "500.003.03", "Quota Violation", Reason.QUOTA),
    ],
)
@pytest.mark.parametrize("repeatable", [True, False])
def test_throttling_did_not_get_through_even_for_a_push(status, code, message, reason, repeatable):
    error = read_refusal(http_status=status, body=envelope(code, message), repeatable=repeatable)

    assert type(error) is DarajaUnavailable
    assert error.reason is reason


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (500, envelope("500.001.1001", "The transaction is being processed"), Reason.STILL_PROCESSING),
        (500, envelope("500.001.1001", "The transaction does not Exist"), Reason.NOT_FOUND_YET),
        (500, envelope("500.001.1001", ""), Reason.SERVER_FAULT),
        (500, envelope("500.001.1001", "Internal Server Error"), Reason.SERVER_FAULT),
        (500, envelope("500.002.1001", "service unavailable"), Reason.MAINTENANCE),
        (
            500,
            envelope("500.003.1001", "Service is currently unreachable. Please try again later."),
            Reason.MAINTENANCE,
        ),
        (
            500,
            envelope("00.002.1001", "Service is currently under maintenance. Please try again later"),
            Reason.MAINTENANCE,
        ),
        (500, envelope("500", "Service is temporarily unavailable"), Reason.MAINTENANCE),
        (500, b"", Reason.NONSENSE_ANSWER),
        (502, b"<html><title>Bad Gateway</title></html>", Reason.NONSENSE_ANSWER),
        (503, b"<html><title>Request Rejected</title></html>", Reason.BLOCKED_BY_FIREWALL),
        (504, b"", Reason.SLOW),
        (302, b"", Reason.NONSENSE_ANSWER),
        (200, b"{", Reason.NONSENSE_ANSWER),
    ],
)
def test_an_unclear_answer_is_safe_to_retry_for_a_question_and_unknown_for_a_push(status, body, reason):
    asked = read_refusal(http_status=status, body=body, repeatable=True)
    pushed = read_refusal(http_status=status, body=body, repeatable=False)

    assert (type(asked), asked.reason) == (DarajaUnavailable, reason)
    assert (type(pushed), pushed.reason) == (DarajaTimeout, reason)


def test_an_unknown_response_code_is_a_no_to_a_question_and_unknown_for_a_push():
    body = b'{"ResponseCode": "7", "ResponseDescription": "No"}'

    asked = read_refusal(http_status=200, body=body, repeatable=True)
    pushed = read_refusal(http_status=200, body=body, repeatable=False)

    assert (type(asked), asked.code, asked.message) == (DarajaRejected, "7", "No")
    assert (type(pushed), pushed.code, pushed.message) == (DarajaTimeout, "7", "No")


@pytest.mark.parametrize("repeatable", [True, False])
def test_a_duplicate_conversation_id_may_have_gone_through(repeatable):
    body = envelope("500.002.1001", "Duplicate OriginatorConversationID.")

    error = read_refusal(http_status=500, body=body, repeatable=repeatable)

    assert (type(error), error.reason) == (DarajaTimeout, Reason.DUPLICATE_CONVERSATION_ID)


@pytest.mark.parametrize(
    ("code", "message", "reason", "field"),
    [
        ("400.002.02", "Bad Request - Invalid BusinessShortCode", Reason.INVALID_FIELD, "BusinessShortCode"),
        ("400.002.02", "Bad Request - Invalid Remarks", Reason.INVALID_FIELD, "Remarks"),
        ("400.001", "Invalid ShortCode", Reason.INVALID_FIELD, "ShortCode"),
        ("400", "Bad Request - Invalid TrxCode", Reason.INVALID_FIELD, "TrxCode"),
        (
            "400.003.02",
            "Bad Request - Invalid ValidationURL - URL has the word MPESA",
            Reason.FORBIDDEN_URL,
            "ValidationURL",
        ),
    ],
)
def test_the_field_at_fault_is_named(code, message, reason, field):
    error = read_refusal(http_status=400, body=envelope(code, message), repeatable=False)

    assert (type(error), error.reason, error.field) == (DarajaRejected, reason, field)


def test_capitalised_keys_are_the_same_envelope():
    body = b'{"RequestId": "29-1", "ErrorCode": "500.001.1001", "ErrorMessage": "Merchant does not exist"}'

    error = read_refusal(http_status=500, body=body, repeatable=False)

    assert (error.reason, error.code, error.request_id) == (Reason.UNKNOWN_SHORTCODE, "500.001.1001", "29-1")


def test_an_apigee_fault_is_read():
    body = json.dumps(
        {
            "fault": {
                "faultstring": "Spike arrest violation. Allowed rate : MessageRate{capacity=50}",
                "detail": {"errorcode": "policies.ratelimit.SpikeArrestViolation"},
            }
        }
    ).encode()

    error = read_refusal(http_status=500, body=body, repeatable=False)

    assert (type(error), error.reason) == (DarajaUnavailable, Reason.SPIKE_ARREST)
    assert error.code == "policies.ratelimit.SpikeArrestViolation"


def test_a_soap_fault_turned_into_json_is_read():
    fault = {
        "faultcode": "soap:Server",
        "faultstring": "Execution of ServiceCallout failed. Reason: ResponseCode 409 is treated as error",
        "faultactor": {},
        "detail": {"source": {"errorcode": "steps.servicecallout.ExecutionFailed"}},
    }

    error = read_refusal(
        http_status=500, body=json.dumps({"Envelope": {"Body": {"Fault": fault}}}).encode(), repeatable=False
    )

    assert (type(error), error.reason) == (DarajaTimeout, Reason.SERVER_FAULT)
    assert error.code == "steps.servicecallout.ExecutionFailed"
    assert error.message == fault["faultstring"]


def test_a_page_of_the_firewall_did_not_get_through():
    body = b"<html><head><title>\nRequest Rejected\n</title></head><body>Support ID: 1</body></html>"

    error = read_refusal(http_status=403, body=body, repeatable=False)

    assert (type(error), error.reason) == (DarajaUnavailable, Reason.BLOCKED_BY_FIREWALL)
    assert error.message == "Request Rejected"


def test_a_token_that_daraja_echoes_is_hidden():
    message = "Error Occurred - Invalid Access Token - c9SQxWWhmdVRlyh0zh8gZDTkubVF"

    error = read_refusal(http_status=401, body=envelope("401.002.01", message), repeatable=True)

    assert error.message == "Error Occurred - Invalid Access Token - [hidden]"
    assert "c9SQ" not in str(error)


def test_control_characters_in_daraja_s_words_do_not_reach_the_log():
    error = read_refusal(http_status=500, body=envelope("500", "one\r\ntwo\x1b[31m"), repeatable=True)

    assert error.message == "one two [31m"


def test_an_error_says_all_it_knows_in_one_line():
    error = read_refusal(http_status=500, body=envelope("500.001.1001", "Merchant does not exist"), repeatable=False)

    assert str(error) == "unknown_shortcode: Merchant does not exist (500.001.1001, HTTP 500, 1c5b-4ba8)"
    assert str(DarajaUnavailable(reason=Reason.SLOW)) == "slow: no words"


def test_an_error_survives_pickling():
    error = DarajaRejected("No", reason=Reason.WRONG_KEYS, code="400", http_status=400, request_id="1", field="F")

    copy = pickle.loads(pickle.dumps(error))  # noqa: S301

    assert type(copy) is DarajaRejected
    assert vars(copy) == vars(error)


@given(
    status=st.integers(100, 599),
    body=st.binary(max_size=100)
    | st.dictionaries(
        st.sampled_from(["errorCode", "ErrorMessage", "fault", "requestId", "x"]),
        st.recursive(
            st.none() | st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
        ),
    ).map(lambda data: json.dumps(data).encode()),
    repeatable=st.booleans(),
)
def test_any_answer_is_one_of_the_three_errors(status, body, repeatable):
    error = read_refusal(http_status=status, body=body, repeatable=repeatable)

    assert type(error) in (DarajaRejected, DarajaUnavailable, DarajaTimeout)
    assert isinstance(error, DarajaError)
    assert "\x00" not in error.message + error.code + error.request_id
    assert len(error.message) <= 500
