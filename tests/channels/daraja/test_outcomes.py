import pytest

from channels.daraja.client import DarajaClient
from channels.daraja.errors import DarajaRejected, DarajaTimeout, DarajaUnavailable, Reason
from channels.daraja.outcomes import NotSent, Refused, Unknown, judge, outcome_of
from channels.daraja.tokens import MemoryTokenStore
from tests.channels.daraja.conftest import TOKEN_PATH
from tests.channels.daraja.test_payouts import ACCEPTED, ACKNOWLEDGED, B2C, b2c


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr("channels.daraja.gateway.back_off_s", lambda attempt: 0.0)


def envelope(code, message=""):
    return {"requestId": "1c5b-4ba8", "errorCode": code, "errorMessage": message}


def outcome(client):
    return outcome_of(lambda: b2c(client))


def test_an_acknowledgement_is_accepted_with_its_ids(client, daraja):
    daraja.will_answer(B2C, ACKNOWLEDGED)

    assert outcome(client) == ACCEPTED


@pytest.mark.parametrize(
    ("status", "code", "message", "reason"),
    [
        (400, "400.002.02", "Bad Request - Invalid InitiatorName", Reason.INVALID_FIELD),
        (400, "400.002.05", "Invalid Request Payload", Reason.INVALID_REQUEST),
        (401, "401.003.01", "Invalid API call as no apiproduct match found", Reason.PRODUCT_MISSING),
        (404, "404.002.01", "Resource not found", Reason.INVALID_REQUEST),
        (404, "404.001.04", "Invalid Authentication Header", Reason.INVALID_REQUEST),
        (405, "405.001", "GET Method Not Allowed", Reason.INVALID_REQUEST),
        (500, "500.001.1001", "Merchant does not exist", Reason.UNKNOWN_SHORTCODE),
        (
            500,
            "500.001.1001",
            "Unable to lock subscriber, a transaction is already in process",
            Reason.SUBSCRIBER_LOCKED,
        ),
    ],
)
def test_a_documented_no_is_refused(client, daraja, status, code, message, reason):
    daraja.will_answer(B2C, envelope(code, message), status=status)

    refused = outcome(client)

    assert type(refused) is Refused
    assert (refused.reason, refused.code, refused.said, refused.request_id) == (reason, code, message, "1c5b-4ba8")
    assert len(daraja.calls(B2C)) == 1


def test_what_we_refuse_ourselves_is_refused_and_nothing_is_sent(client, daraja):
    refused = outcome_of(lambda: b2c(client, amount_kes=9))

    assert type(refused) is Refused
    assert refused.explanation.title == "Amount was not accepted"
    assert daraja.received == []


@pytest.mark.parametrize(
    ("answer", "how", "reason"),
    [
        (ACKNOWLEDGED, {"delay_s": 1}, Reason.SLOW),
        (ACKNOWLEDGED, {"cut": True}, Reason.CONNECTION_LOST),
        (ACKNOWLEDGED, {"length": 5000}, Reason.CONNECTION_LOST),
        ({}, {}, Reason.NONSENSE_ANSWER),
        (b"<html>It works!</html>", {}, Reason.NONSENSE_ANSWER),
        (b"", {"status": 400}, Reason.NONSENSE_ANSWER),
        (b"", {"status": 500}, Reason.NONSENSE_ANSWER),
        (b"<html>Bad Gateway</html>", {"status": 502}, Reason.NONSENSE_ANSWER),
        (b"<html>503</html>", {"status": 503}, Reason.BLOCKED_BY_FIREWALL),
        (b"", {"status": 504}, Reason.SLOW),
        (envelope("500.003.1001", "Internal Server Error"), {"status": 500}, Reason.SERVER_FAULT),
        (
            envelope("500.002.1001", "Duplicate OriginatorConversationID."),
            {"status": 500},
            Reason.DUPLICATE_CONVERSATION_ID,
        ),
        (envelope("15", "Duplicate detected"), {"status": 200}, Reason.DUPLICATE_CONVERSATION_ID),
        (envelope("00.002.1001", "Service is currently under maintenance"), {"status": 503}, Reason.MAINTENANCE),
        (envelope("100000000", "Request cached, waiting for resending"), {"status": 500}, Reason.SERVER_FAULT),
        (envelope("100000001", "System overloaded"), {"status": 500}, Reason.MAINTENANCE),
        (envelope("409", "Conflict"), {"status": 409}, Reason.INVOICE_PAID),
        (envelope("499.001", "Something new"), {"status": 400}, Reason.OTHER),
        ({**ACKNOWLEDGED, "ResponseCode": "1"}, {}, Reason.OTHER),
        ({"ResponseCode": "0", "ResponseDescription": "Accepted, but without an id"}, {}, Reason.NONSENSE_ANSWER),
    ],
    ids=str,
)
def test_whatever_does_not_say_for_certain_that_nothing_moved_is_unknown(client, daraja, answer, how, reason):
    daraja.will_answer(B2C, answer, **how)

    unknown = outcome(client)

    assert type(unknown) is Unknown
    assert unknown.reason is reason
    assert unknown.explanation.is_retryable is False
    assert unknown.explanation.do_now == "Find out whether it went through before you send it again."
    assert len(daraja.calls(B2C)) == 1


def test_a_connection_that_was_never_made_is_not_sent(session, credentials):
    client = DarajaClient("http://127.0.0.1:1", credentials, session=session, tokens=MemoryTokenStore())

    assert type(outcome(client)) is NotSent


def test_a_host_without_a_name_server_entry_is_not_sent(session, credentials):
    client = DarajaClient("http://nobody.invalid", credentials, session=session, tokens=MemoryTokenStore())

    assert type(outcome(client)) is NotSent


def test_a_server_that_went_away_after_the_token_is_not_sent(client, daraja):
    client.check_keys()
    daraja.stop()

    assert type(outcome(client)) is NotSent


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (500, envelope("500.003.02", "Error Occurred: Spike Arrest Violation"), Reason.SPIKE_ARREST),
        (429, envelope("500.003.02", "Error Occurred: Spike Arrest Violation"), Reason.SPIKE_ARREST),
        (429, b"", Reason.SPIKE_ARREST),
        (500, envelope("500.003.03", "Quota Violation"), Reason.QUOTA),
    ],
)
def test_what_was_throttled_is_not_sent_even_after_three_attempts(client, daraja, status, body, reason):
    daraja.will_answer(B2C, body, status=status)

    not_sent = outcome(client)

    assert (type(not_sent), not_sent.reason) == (NotSent, reason)
    assert not_sent.explanation.is_retryable is True
    assert len(daraja.calls(B2C)) == 3


def test_what_was_throttled_once_goes_through_under_the_same_id(client, daraja):
    daraja.will_answer(B2C, envelope("500.003.02", "Spike Arrest Violation"), status=500)
    daraja.will_answer(B2C, ACKNOWLEDGED)

    assert outcome(client) == ACCEPTED
    first, second = daraja.calls(B2C)
    assert first.json == second.json


def test_what_was_throttled_and_then_not_answered_is_unknown(client, daraja):
    daraja.will_answer(B2C, envelope("500.003.02", "Spike Arrest Violation"), status=500)
    daraja.will_answer(B2C, ACKNOWLEDGED, cut=True)

    assert type(outcome(client)) is Unknown
    assert len(daraja.calls(B2C)) == 2


def test_a_refused_token_is_renewed_once_and_refused_again_is_refused(client, daraja):
    daraja.will_answer(B2C, envelope("401.002.01", "Invalid Access Token"), status=401)

    refused = outcome(client)

    assert (type(refused), refused.reason) == (Refused, Reason.INVALID_TOKEN)
    assert len(daraja.calls(B2C)) == daraja.token_calls == 2


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, b"", Refused),  # wrong keys
        (403, envelope("403.001", "Something new"), Refused),
        (500, b"", NotSent),
        (200, b"<html></html>", NotSent),
        (503, b"<html></html>", NotSent),
    ],
)
def test_without_a_token_nothing_can_have_moved(client, daraja, status, body, kind):
    daraja.will_answer(TOKEN_PATH, body, status=status)

    assert type(outcome(client)) is kind
    assert daraja.calls(B2C) == []


@pytest.mark.parametrize("reason", Reason)
def test_every_error_has_one_outcome_and_an_open_one_is_never_a_refusal(reason):
    for kind, expected in ((DarajaUnavailable, NotSent), (DarajaTimeout, Unknown)):
        error = kind("words", reason=reason, code="1", http_status=500)
        error.call = "b2c_v3"
        assert type(judge(error)) is expected
    rejected = DarajaRejected("words", reason=reason, code="1", http_status=400)
    rejected.call = "b2c_v3"
    undocumented = {
        *(Reason.OTHER, Reason.NONSENSE_ANSWER, Reason.SLOW, Reason.CONNECTION_LOST, Reason.UNREACHABLE),
        *(Reason.DUPLICATE_CONVERSATION_ID, Reason.NOT_FOUND_YET, Reason.STILL_PROCESSING, Reason.SERVER_FAULT),
        *(Reason.SPIKE_ARREST, Reason.QUOTA, Reason.MAINTENANCE, Reason.BLOCKED_BY_FIREWALL, Reason.HELD_BACK),
        *(Reason.NOTHING_TO_PULL, Reason.INVOICE_PAID),
        *(Reason.URLS_ALREADY_REGISTERED, Reason.URLS_REGISTERED_ELSEWHERE),
    }
    assert type(judge(rejected)) is (Unknown if reason in undocumented else Refused)
