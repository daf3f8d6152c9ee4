import pytest

from audit.redaction import is_secret, mask_phone_numbers, without_secrets

CANARY = "canary4f2aCANARY4f2acanary"
TOKEN = "bdfghjkmnprtvwxz2456789bdfghj"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"POST /h/{TOKEN}/c2b-confirmation 200", "POST /h/(token)/c2b-confirmation 200"),
        ("POST /h/not-one-of-ours/result 404", "POST /h/(token)/result 404"),
        ("GET /join/dGhpcyBpcyBhIHRva2Vu_w/ 200", "GET /join/(token)/ 200"),
        (
            "your page is https://acme.tuzo.example/m/IjAxYTFm:1xUq7J:n4mP/ Keep",
            "your page is https://acme.tuzo.example/m/(token)/ Keep",
        ),
        ("GET /join/sent/ 200", "GET /join/sent/ 200"),
        (f"GET /link/{CANARY}-_4f2a/progress/ 200", "GET /link/(token)/progress/ 200"),
        (f"route of {TOKEN} changed", "route of (token) changed"),
        (f"Authorization: Bearer {CANARY}", "Authorization: Bearer (hidden)"),
        (f"{{'Authorization': 'Basic {CANARY}=='}}", "{'Authorization': 'Basic (hidden)'}"),
        (f"rejected {JWT}.", "rejected (token)."),
        (f'{{"consumer_secret": "{CANARY}", "name": "Till"}}', '{"consumer_secret": "(hidden)", "name": "Till"}'),
        (f"Password={CANARY}&Amount=5", "Password=(hidden)&Amount=5"),
        (f'"SecurityCredential":"{CANARY}=="', '"SecurityCredential":"(hidden)"'),
        (f"apiKey: {CANARY}", "apiKey: (hidden)"),
        (f"postgresql://tuzo:{CANARY}@db.example/tuzo", "postgresql://tuzo:(hidden)@db.example/tuzo"),
        (f"redis://:{CANARY}@redis.example/0", "redis://:(hidden)@redis.example/0"),
        ("to 254712345678 and +254112345678", "to 2547****678 and +2541****678"),
        ("typed 0712345678 or 712345678", "typed 07****678 or 7****678"),
        ("ws_CO_170820261404032708712345678 is paid", "ws_CO_1708202614040327087****678 is paid"),
    ],
)
def test_secrets_and_phone_numbers_are_taken_out(text, shown):
    assert mask_phone_numbers(without_secrets(text)) == shown


@pytest.mark.parametrize(
    "text",
    [
        "receipt RKTQDM7W6S, KES 5,000.00, account VIP001",
        "ch_01k9dzy3m8e6r9v0q2t4w6y8za is active",
        "request 7f3c2b1a9d8e4f5a8b7c6d5e4f3a2b1c at 2026-11-21T09:13:07+00:00",
        "http://localhost:8000/health/ answered 200",
        "shortcode 174379, TransTime 20261121091307, OrgAccountBalance 123456789.00",
    ],
)
def test_what_is_no_secret_stays(text):
    assert mask_phone_numbers(without_secrets(text)) == text


@pytest.mark.parametrize(
    "name", ["consumer_key", "Consumer-Secret", "passkey", "initiator_credential", "Authorization"]
)
def test_names_of_secrets_are_known(name):
    assert is_secret(name)


@pytest.mark.parametrize("name", ["shortcode", "dedup_key", "account_mapping", "reason", "shipping"])
def test_other_names_are_not(name):
    assert not is_secret(name)
