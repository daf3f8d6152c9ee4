import socket

import pytest
import requests

from channels.sms.africastalking import AfricasTalking
from channels.sms.client import Sent
from channels.sms.errors import SmsRejected, SmsTimeout, SmsUnavailable
from tests.channels.sms.conftest import recipient

KEY = "atsk_not_a_real_key"


@pytest.fixture
def provider(gateway):
    with requests.Session() as session:
        yield AfricasTalking(
            url=gateway.url, username="tuzo", api_key=KEY, sender_id="TUZO", session=session, timeout_s=(1, 0.5)
        )


def test_a_message_is_posted_as_documented(provider, gateway):
    sent = provider.send("254712345126", "Hi John! Zawadi & ☕")

    assert sent == Sent("ATXid_fabd5d394a3ca5c081d451d2bea93665")
    (asked,) = gateway.asked
    assert asked["path"] == "/version1/messaging"
    assert asked["fields"] == {
        "username": "tuzo",
        "to": "+254712345126",
        "message": "Hi John! Zawadi & ☕",
        "enqueue": "1",
        "from": "TUZO",
    }
    assert (asked["headers"]["apiKey"], asked["headers"]["Accept"]) == (KEY, "application/json")
    assert asked["headers"]["Content-Type"] == "application/x-www-form-urlencoded"


def test_without_a_sender_name_none_is_claimed(gateway):
    with requests.Session() as session:
        AfricasTalking(url=gateway.url, username="tuzo", api_key=KEY, sender_id="", session=session).send(
            "254712345126", "Hi!"
        )

    assert "from" not in gateway.asked[0]["fields"]


@pytest.mark.parametrize(("code", "word"), [(100, "Processed"), (101, "Success"), (102, "Queued")])
def test_these_mean_that_the_message_was_taken(provider, gateway, code, word):
    gateway.answer = recipient(code, word)

    assert provider.send("254712345126", "Hi!").provider_message_id.startswith("ATXid_")


@pytest.mark.parametrize(
    ("code", "word", "error"),
    [
        (401, "RiskHold", SmsRejected),
        (402, "InvalidSenderId", SmsRejected),
        (403, "InvalidPhoneNumber", SmsRejected),
        (404, "UnsupportedNumberType", SmsRejected),
        (405, "InsufficientBalance", SmsUnavailable),
        (406, "UserInBlacklist", SmsRejected),
        (407, "CouldNotRoute", SmsRejected),
        (409, "DoNotDisturbRejection", SmsRejected),
        (500, "InternalServerError", SmsTimeout),
        (501, "GatewayError", SmsTimeout),
        (502, "RejectedByGateway", SmsRejected),
        (999, "SomethingNew", SmsTimeout),
    ],
)
def test_a_status_of_the_recipient_is_one_of_three_errors(provider, gateway, code, word, error):
    gateway.answer = recipient(code, word)

    with pytest.raises(error, match=f"{word} \\({code}\\)"):
        provider.send("254712345126", "Hi!")
    assert len(gateway.asked) == 1


def test_no_recipient_at_all_is_a_no_with_its_reason(provider, gateway):
    gateway.answer = 201, b'{"SMSMessageData":{"Message":"InvalidSenderId","Recipients":[]}}'

    with pytest.raises(SmsRejected, match="InvalidSenderId"):
        provider.send("254712345126", "Hi!")


@pytest.mark.parametrize(
    ("http_status", "error"),
    [
        (400, SmsRejected),
        (401, SmsUnavailable),
        (403, SmsUnavailable),
        (302, SmsRejected),
        (404, SmsRejected),
        (429, SmsUnavailable),
        (500, SmsTimeout),
        (502, SmsTimeout),
        (503, SmsTimeout),
    ],
)
def test_another_http_status_is_one_of_three_errors(provider, gateway, http_status, error):
    gateway.answer = http_status, b"The supplied authentication is invalid"

    with pytest.raises(error) as refusal:
        provider.send("254712345126", "Hi!")
    assert KEY not in str(refusal.value)
    assert len(gateway.asked) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"{}",
        b"[]",
        b"null",
        b'{"SMSMessageData": null}',
        b'{"SMSMessageData": {"Recipients": 7}}',
        b'{"SMSMessageData": {"Recipients": ["+254712345126"]}}',
        b'{"SMSMessageData": {"Recipients": [{"status": "Success"}]}}',
        b'{"SMSMessageData": {"Recipients": [{"statusCode": "soon"}]}}',
        b'{"SMSMessageData": "' + b"x" * 100_000 + b'"}',
    ],
)
def test_an_answer_that_can_not_be_read_may_have_sent_it(provider, gateway, body):
    gateway.answer = 201, body

    with pytest.raises(SmsTimeout):
        provider.send("254712345126", "Hi!")
    assert len(gateway.asked) == 1


def test_a_connection_that_breaks_may_have_sent_it(provider, gateway):
    gateway.answer = None

    with pytest.raises(SmsTimeout):
        provider.send("254712345126", "Hi!")
    assert len(gateway.asked) == 1


def test_a_provider_that_is_silent_may_have_sent_it(provider, gateway):
    gateway.is_slow = True

    with pytest.raises(SmsTimeout):
        provider.send("254712345126", "Hi!")
    assert len(gateway.asked) == 1


def test_a_provider_that_nobody_answers_for_has_sent_nothing():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        with requests.Session() as session, pytest.raises(SmsUnavailable):
            AfricasTalking(url=url, username="tuzo", api_key=KEY, sender_id="", session=session).send(
                "254712345126", "Hi!"
            )


@pytest.mark.parametrize("url", ["", "ftp://sms.example", "http://"])
def test_an_address_that_is_none_has_sent_nothing(url):
    with requests.Session() as session, pytest.raises(SmsUnavailable):
        AfricasTalking(url=url, username="tuzo", api_key=KEY, sender_id="", session=session).send("254712345126", "Hi!")
