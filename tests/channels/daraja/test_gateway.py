import base64
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from channels.daraja.client import DarajaClient
from channels.daraja.errors import DarajaRejected, DarajaTimeout, DarajaUnavailable, Reason
from channels.daraja.gateway import ANSWER_MAX_BYTES
from channels.daraja.tokens import MemoryTokenStore, RedisTokenStore

TOKEN = "/oauth/v1/generate?grant_type=client_credentials"
PUSH = "/mpesa/stkpush/v1/processrequest"
NAME = "/sfcverify/v1/query/info"
FOUND = {"ResponseCode": "4000", "OrganizationName": "ACME ELECTRONICS"}
PUSH_ACCEPTED = {"MerchantRequestID": "29-1", "CheckoutRequestID": "ws_CO_1", "ResponseCode": "0"}


def ask(client):
    """A call that may be repeated."""
    return client.organisation_name(shortcode="600984")


def push(client):
    """A call that may not."""
    return client.stk_push(
        shortcode="174379",
        passkey="passkey",
        msisdn="254708374149",
        amount_kes=1,
        account_reference="VIP001",
        callback_url="https://pay.tuzo.co.ke/h/abc/stk-callback",
    )


def refusing(code, message="Invalid Access Token"):
    return {"requestId": "1", "errorCode": code, "errorMessage": message}


def client_of(base_url, session, credentials):
    return DarajaClient(base_url, credentials, session=session, tokens=MemoryTokenStore(), timeout_s=(2, 0.5))


def test_the_keys_go_out_as_basic_authorization_and_the_token_serves_many_calls(client, daraja):
    daraja.will_answer(NAME, FOUND)

    ask(client)
    ask(client)

    (token_call,) = daraja.calls(TOKEN)
    assert token_call.method == "GET"
    assert (
        token_call.headers["Authorization"]
        == "Basic " + base64.b64encode(b"canary-key-4f2a:canary-secret-9d1c").decode()
    )
    assert [call.headers["Authorization"] for call in daraja.calls(NAME)] == ["Bearer token-1", "Bearer token-1"]


@pytest.mark.parametrize("code", ["400.003.01", "401.001", "401.002.01", "404.001.03"])
def test_a_refused_token_is_renewed_once_and_the_call_sent_again(client, daraja, code):
    daraja.will_answer(PUSH, refusing(code), status=int(code[:3]))
    daraja.will_answer(PUSH, PUSH_ACCEPTED)

    assert push(client).checkout_request_id == "ws_CO_1"
    assert [call.headers["Authorization"] for call in daraja.calls(PUSH)] == ["Bearer token-1", "Bearer token-2"]
    assert daraja.token_calls == 2


def test_a_token_refused_twice_is_a_rejection(client, daraja):
    daraja.will_answer(PUSH, refusing("404.001.03"), status=404)

    with pytest.raises(DarajaRejected) as refusal:
        push(client)

    assert refusal.value.reason is Reason.INVALID_TOKEN
    assert len(daraja.calls(PUSH)) == 2
    assert daraja.token_calls == 2


def test_a_missing_product_is_not_mended_by_another_token(client, daraja):
    message = "Error Occurred - Invalid Access Token - Invalid API call as no apiproduct match found"
    daraja.will_answer(PUSH, refusing("401.003.01", message), status=401)

    with pytest.raises(DarajaRejected) as refusal:
        push(client)

    assert refusal.value.reason is Reason.PRODUCT_MISSING
    assert len(daraja.calls(PUSH)) == 1
    assert daraja.token_calls == 1


def test_wrong_keys_are_a_bad_request_without_a_body(client, daraja):
    daraja.will_answer(TOKEN, b"", status=400)

    with pytest.raises(DarajaRejected) as refusal:
        push(client)

    assert refusal.value.reason is Reason.WRONG_KEYS
    assert daraja.calls(PUSH) == []


def test_keys_are_checked_with_a_new_token_that_is_then_the_shared_one(client, daraja):
    daraja.will_answer(NAME, FOUND)
    ask(client)

    client.check_keys()
    ask(client)

    assert daraja.token_calls == 2
    assert daraja.calls(NAME)[-1].headers["Authorization"] == "Bearer token-2"


@pytest.mark.parametrize("expires_in", ["3599", 3599])
def test_a_lifetime_may_be_text_or_number(client, daraja, expires_in):
    daraja.will_answer(TOKEN, {"access_token": "abc", "expires_in": expires_in})
    daraja.will_answer(NAME, FOUND)

    ask(client)
    ask(client)

    assert daraja.token_calls == 1


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"access_token": "", "expires_in": "3599"},
        {"access_token": "two words", "expires_in": "3599"},
        {"access_token": "a\r\nX-Header: b", "expires_in": "3599"},
        {"access_token": "x" * 4097, "expires_in": "3599"},
        {"access_token": "abc", "expires_in": "soon"},
        {"access_token": "abc", "expires_in": -1},
        {"access_token": "abc"},
        b"<html></html>",
    ],
    ids=lambda answer: str(answer)[:40],
)
def test_without_a_usable_token_nothing_is_sent_and_it_is_safe_to_retry(client, daraja, answer):
    daraja.will_answer(TOKEN, answer)

    with pytest.raises(DarajaUnavailable) as nonsense:
        push(client)

    assert nonsense.value.reason is Reason.NONSENSE_ANSWER
    assert daraja.calls(PUSH) == []


def test_a_slow_answer_is_unavailable_to_a_question_and_unknown_for_a_push(client, daraja):
    daraja.will_answer(NAME, FOUND, delay_s=1)
    daraja.will_answer(PUSH, PUSH_ACCEPTED, delay_s=1)

    with pytest.raises(DarajaUnavailable) as asked:
        ask(client)
    with pytest.raises(DarajaTimeout) as pushed:
        push(client)

    assert asked.value.reason is pushed.value.reason is Reason.SLOW
    assert len(daraja.calls(PUSH)) == 1


@pytest.mark.parametrize("how", [{"cut": True}, {"length": 500}], ids=str)
def test_a_broken_connection_is_unavailable_to_a_question_and_unknown_for_a_push(client, daraja, how):
    daraja.will_answer(NAME, FOUND, **how)
    daraja.will_answer(PUSH, PUSH_ACCEPTED, **how)

    with pytest.raises(DarajaUnavailable) as asked:
        ask(client)
    with pytest.raises(DarajaTimeout) as pushed:
        push(client)

    assert asked.value.reason is pushed.value.reason is Reason.CONNECTION_LOST
    assert len(daraja.calls(PUSH)) == 1


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.mark.parametrize(
    "base_url", ["http://127.0.0.1:1", "http://nobody.invalid", "not-configured", "ftp://127.0.0.1"]
)
def test_what_could_not_be_sent_is_safe_to_retry_even_for_a_push(session, credentials, base_url):
    client = client_of(base_url, session, credentials)

    with pytest.raises(DarajaUnavailable) as unreachable:
        push(client)

    assert unreachable.value.reason is Reason.UNREACHABLE


def test_a_push_to_a_server_that_went_away_after_the_token_is_safe_to_retry(client, daraja):
    client.check_keys()
    daraja.stop()

    with pytest.raises(DarajaUnavailable) as unreachable:
        push(client)

    assert unreachable.value.reason is Reason.UNREACHABLE


def test_a_redirect_is_not_followed(client, daraja):
    daraja.will_answer(PUSH, b"", status=307, headers={"Location": f"{daraja.base_url}{NAME}"})

    with pytest.raises(DarajaTimeout) as pushed:
        push(client)

    assert pushed.value.reason is Reason.NONSENSE_ANSWER
    assert daraja.calls(NAME) == []


def test_an_endless_answer_is_cut_off(client, daraja):
    daraja.will_answer(NAME, b" " * (ANSWER_MAX_BYTES + 1))

    with pytest.raises(DarajaUnavailable) as nonsense:
        ask(client)

    assert nonsense.value.reason is Reason.NONSENSE_ANSWER
    assert nonsense.value.message == "the answer is longer than 1000000 bytes"


def test_an_error_envelope_is_an_error_whatever_the_http_status(client, daraja):
    daraja.will_answer(PUSH, refusing("500.001.1001", "Merchant does not exist"), status=200)

    with pytest.raises(DarajaRejected) as refusal:
        push(client)

    assert refusal.value.reason is Reason.UNKNOWN_SHORTCODE


def test_nothing_of_the_environment_changes_a_call(client, daraja, monkeypatch, tmp_path):
    """A .netrc would put its own password in the place of our token; a proxy would read everything."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    daraja.will_answer(NAME, FOUND)

    ask(client)

    assert daraja.calls(NAME)[0].headers["Authorization"] == "Bearer token-1"


def test_a_server_with_an_untrusted_certificate_is_sent_nothing(session, credentials, tmp_path):
    server = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.handle_request)
    thread.start()

    with pytest.raises(DarajaUnavailable) as unreachable:
        push(client_of(f"https://127.0.0.1:{server.server_port}", session, credentials))

    thread.join()
    server.server_close()
    assert unreachable.value.reason is Reason.UNREACHABLE


def self_signed(folder):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = folder / "server.pem"
    pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return pem


def test_sixteen_clients_at_once_ask_for_one_token(valkey, daraja, session, credentials):
    daraja.token_delay_s = 0.2
    daraja.will_answer(NAME, FOUND)
    names = []

    def work():
        tokens = RedisTokenStore(valkey, encryption_key=b"key")
        client = DarajaClient(daraja.base_url, credentials, session=session, tokens=tokens, timeout_s=(2, 2))
        names.append(ask(client).name)

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert names == ["ACME ELECTRONICS"] * 16
    assert daraja.token_calls == 1
