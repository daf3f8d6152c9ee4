"""Secrets that are planted, used in earnest, and then looked for wherever a secret must never be."""

import base64
import re
import sqlite3
import subprocess
import threading
from contextlib import closing

import psycopg
import pytest
import redis
import requests
from django.db import connection
from django_tenants.utils import tenant_context

from channels.models import MpesaChannel
from config.launcher.services import postgres_bin
from tests.isolation.sweep import Sweep
from tests.journeys.stack import CONTROL_TOKEN, PASSWORD, Business, Stack, until

CONSUMER_KEY, CONSUMER_SECRET = "Knry7fQ2consumerKeyX9vLw3Tz", "Knry4bW8consumerSecretR5mPj6Hd"
PASSKEY, INITIATOR_PASSWORD = "Knry9zD3passkeyQ7hVn2Kf", "Knry6sJ5initiatorM8cXt4Gb"
NEW_PASSKEY = "Knry3kM7newPasskeyL5rTy8Wc"
OF_THE_CHANNEL = {
    "consumer_key": CONSUMER_KEY,
    "consumer_secret": CONSUMER_SECRET,
    "passkey": PASSKEY,
    "initiator_credential": INITIATOR_PASSWORD,
}
OF_THE_INSTALLATION = {
    "SECRET_KEY": "Knry2nF6secretKeyB4wZp9Rk-secretKeyB4wZp9Rk-secretKeyB4wZp9Rk",
    "AUDIT_KEY": "Knry8tL4auditKeyC6yHs3Vq-auditKeyC6yHs3Vq",
    "ENCRYPTION_KEYS": base64.urlsafe_b64encode(b"Knry encryption key, 32 bytes!!!").decode(),
}
SHORTCODE, PHONE = "888077", "254712345126"


@pytest.fixture
def stack(tmp_path):
    stack = Stack(tmp_path, LOG_LEVEL="DEBUG", **OF_THE_INSTALLATION)
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()


def keep_every_promise(stack):
    """Promises are rows that go away when they are kept: here a copy of each stays, for the dump."""
    with psycopg.connect(stack.postgres.url) as database:
        database.execute(
            """
            CREATE TABLE promised (row text);
            CREATE FUNCTION note_promise() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN INSERT INTO public.promised VALUES (NEW::text); RETURN NULL; END $$;
            CREATE TRIGGER note_promise AFTER INSERT OR UPDATE ON tenants_duetask
                FOR EACH ROW EXECUTE FUNCTION note_promise();
            """
        )


def overhear(stack):
    """Every command that Valkey gets from now on: all its keys and values, also those that are gone a moment later."""
    commands = []

    def listen():
        with redis.Redis.from_url(stack.valkey.url) as client, client.monitor() as monitor:
            started.set()
            try:
                for command in monitor.listen():
                    commands.append(command["command"])
            except redis.ConnectionError:
                pass  # the stack has ended

    started = threading.Event()
    threading.Thread(target=listen, daemon=True).start()
    assert started.wait(10)
    return commands


def with_decoded(text):
    """The text, and what stands in it in base64, as the bodies of Celery's messages do."""
    encoded = re.findall(r"[A-Za-z0-9+/]{24,}={0,2}", text)
    whole = [each for each in encoded if len(each) % 4 == 0]
    return "\n".join([text, *(base64.b64decode(each).decode("latin-1") for each in whole)])


def live(stack, business):
    """Plug a PayBill in, be paid on it, ask a phone; returns the secrets that this took."""
    stack.control(
        "PUT",
        f"/organisations/{SHORTCODE}",
        {
            "name": "Canary Traders",
            "kind": "paybill",
            "consumer_key": CONSUMER_KEY,
            "consumer_secret": CONSUMER_SECRET,
            "passkey": PASSKEY,
            "initiator_password": INITIATOR_PASSWORD,
        },
    )
    channel = business.plug_in(SHORTCODE, {"default": "loyalty"}, until="active")
    token = business.get(f"mpesa-channels/{channel['id']}/")["callback_urls"]["confirmation"].split("/")[-2]
    receipt = stack.pay(SHORTCODE, "CANARY", 100, PHONE, "JOHN")
    asked = business.post(
        "payment-requests/", 202, phone_number=PHONE, amount=10, account_reference="INV-1", channel=channel["id"]
    )
    stack.answer_prompt(PHONE, "pin")
    until(lambda: business.get("payments/", receipt=receipt)["results"], "the payment")
    until(lambda: business.get(f"payment-requests/{asked['id']}/")["status"] == "succeeded", "the request's end")
    business.post(f"mpesa-channels/{channel['id']}/rotate-callback-token/", 200)
    hooks = stack.api.replace("/api/v1/", f"/h/{token}")
    for method, kind in (("GET", "result"), ("POST", "result"), ("POST", "other"), ("POST", "")):
        requests.request(method, f"{hooks}/{kind}", data=b"nonsense", timeout=10)
    pair = requests.post(
        f"{stack.api}auth/token/", json={"email": business.email, "password": PASSWORD}, timeout=10
    ).json()
    requests.get(f"{stack.api}me/", headers={"Authorization": f"Bearer {pair['access']}x"}, timeout=10)
    requests.post(f"{stack.api}auth/refresh/", json={"refresh": f"{pair['refresh']}x"}, timeout=10)
    with closing(sqlite3.connect(stack.folder / "simulator" / "books.sqlite3")) as database:
        access_tokens = [token for (token,) in database.execute("SELECT token FROM tokens")]
    return {
        **OF_THE_CHANNEL,
        **OF_THE_INSTALLATION,
        "new passkey": NEW_PASSKEY,
        "password for prompts": base64.b64encode(f"{SHORTCODE}{PASSKEY}".encode()).decode()[:36],
        "keys for a token": base64.b64encode(f"{CONSUMER_KEY}:{CONSUMER_SECRET}".encode()).decode(),
        "password": PASSWORD,
        "control token": CONTROL_TOKEN,
        "callback token": token,
        "access token": pair["access"].split(".")[2],
        "refresh token": pair["refresh"].split(".")[2],
        **{f"Daraja's access token {number}": token for number, token in enumerate(access_tokens)},
    }


def fail(stack, business):
    """Let work break down with the secrets in its hands: nonsense from Daraja, then a column that does not open."""
    stack.control(
        "PUT",
        f"/faults/{SHORTCODE}",
        {"faults": [{"fault": "nonsense_html", "on": ["stk_push"]}, {"fault": "html_503", "on": ["stk_query"]}]},
    )
    channel = next(each for each in business.get("mpesa-channels/")["results"] if each["shortcode"] == SHORTCODE)
    asked = business.post(
        "payment-requests/", 202, phone_number=PHONE, amount=11, account_reference="INV-2", channel=channel["id"]
    )
    path = f"payment-requests/{asked['id']}/"
    assert until(lambda: (found := business.get(path))["status"] != "pending" and found, "INV-2")["status"] == "unknown"
    assert business.post(f"mpesa-channels/{channel['id']}/verify/?wait=20", 200)["state"] == "failed"
    business.patch(f"mpesa-channels/{channel['id']}/", passkey=NEW_PASSKEY)
    with psycopg.connect(stack.postgres.url, autocommit=True) as database:
        (schema,) = database.execute("SELECT schema_name FROM tenants_tenant WHERE slug = 'canary-traders'").fetchone()
        database.execute(f"UPDATE {schema}.channels_mpesachannel SET consumer_key = consumer_secret")
        database.execute("UPDATE tenants_duetask SET due_at = now() WHERE task LIKE '%check_payment_request'")
        failure = "SELECT 1 FROM promised WHERE row LIKE '%UndecipherableSecret%'"
        until(lambda: database.execute(failure).fetchone(), "a task that failed")


def dump(stack):
    command = [postgres_bin() / "pg_dump", "--inserts", stack.postgres.url]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.mark.processes
def test_no_secret_is_left_anywhere(stack):
    """After a short life of a business, with logs as talkative as they get."""
    keep_every_promise(stack)
    commands = overhear(stack)
    business = Business(stack, "Canary Traders", "shop")
    secrets = live(stack, business)
    fail(stack, business)
    places = {
        "Redis": with_decoded("\n".join(commands)),
        "PostgreSQL": dump(stack),
        "the API": "\n".join(business.answers),
        **{path.name: path.read_text(errors="replace") for path in stack.folder.rglob("*.log")},
    }

    found = {(name, place) for place, text in places.items() for name, secret in secrets.items() if secret in text}
    # An administrator has to see that one: Safaricom is given the address.
    assert found == {("callback token", "the API")}
    assert_talkative(places)


def assert_talkative(places):
    """What is there can be found: else the search would prove nothing."""
    assert {"web.log", "worker.log", "beat.log", "simulator.log", "postgres.log", "up.log"} <= places.keys()
    assert " DEBUG " in places["web.log"]
    assert " DEBUG urllib3.connectionpool " in places["worker.log"]  # LOG_LEVEL holds for workers too
    assert "Traceback" in places["worker.log"]
    assert "UndecipherableSecret" in places["worker.log"]
    assert SHORTCODE in places["worker.log"]
    assert "channels.tasks.carry_out_run" in places["PostgreSQL"]
    assert "Canary Traders" in places["PostgreSQL"]
    assert "payments.tasks.drain_inbox" in places["Redis"]
    assert '"tenant_id": "' in places["Redis"]  # in the body of a message


@pytest.mark.parametrize(
    "name",
    [
        "acme's administrator on acme's host",
        "acme's clerk on the platform host",
        "acme's session on acme's host",
        "an operator on the platform host",
    ],
)
def test_no_route_shows_a_secret_of_a_channel(callers, acmes, rivals, caplog, name):
    """Acme's own people, and operators on all of their pages, about the channel that holds them."""
    caplog.set_level("ERROR", logger="django.request")
    with tenant_context(acmes.tenant):
        MpesaChannel.objects.update(callback_token="Knry5gC7callbackT", **OF_THE_CHANNEL)
        assert MpesaChannel.objects.get().passkey == PASSKEY
    connection.set_schema_to_public()
    secrets = [*OF_THE_CHANNEL.values()] + ["Knry5gC7callbackT"] * ("clerk" in name)

    sweep = Sweep(callers(name), acmes, rivals)
    sweep.body = {}
    seen = list(sweep.answers(owners=[acmes]))

    assert [str(answer) for answer in seen if any(secret in answer.text for secret in secrets)] == []
    assert len([answer for answer in seen if answer.status == 200]) > 10
