"""The onboarding API through its HTTP door, with a worker and the simulator behind it."""

import json
import logging
from datetime import datetime

import pytest
from django.db import connection
from django_tenants.utils import tenant_context

from audit.ids import new_id, public_id
from audit.models import AuditEntry
from channels import runs
from channels.models import ChannelRun, MpesaChannel
from tenants.models import CallbackRoute, DueTask, Role, Tenant
from tests.channels.conftest import initiator_of, keys_of

URL = "/api/v1/mpesa-channels/"


@pytest.fixture
def client(api, acme, simulator):
    return api(acme)


@pytest.fixture
def worker(run_due, monkeypatch):
    """While a request waits, the worker works."""

    def work(seconds):
        tenant = connection.tenant
        run_due()
        connection.set_tenant(tenant)

    monkeypatch.setattr(runs.time, "sleep", work)


@pytest.fixture
def channel(client, simulator):
    """A configured PayBill, as the API shows it."""
    return created(client, simulator)


def created(client, simulator, **changes):
    organisation = simulator.open()
    body = {"name": "Shop", "channel_type": "paybill", "environment": "sandbox", **keys_of(organisation)} | changes
    answer = client.post(URL, body, format="json")
    assert answer.status_code == 201, answer.content
    return answer.json()


def post(client, channel, action, body=None):
    return client.post(f"{URL}{channel['id']}/{action}", body or {}, format="json")


def test_a_channel_is_plugged_in_and_shown_without_its_secrets(client, simulator, acme):
    organisation = simulator.open()
    body = {
        "name": "Moi Avenue",
        "channel_type": "paybill",
        "environment": "sandbox",
        **keys_of(organisation),
        **initiator_of(organisation),
        "account_mapping": {"default": "loyalty", "VIP*": "vip_account", "GOLD001": "gold_tier"},
    }

    answer = client.post(URL, body, format="json")

    assert answer.status_code == 201
    shown = answer.json()
    with tenant_context(acme):
        row = MpesaChannel.objects.get()
    urls = f"/h/{row.callback_token}/"
    assert shown.pop("callback_urls") == {
        "validation": f"{settings_url()}{urls}c2b-validation",
        "confirmation": f"{settings_url()}{urls}c2b-confirmation",
    }
    assert shown.pop("id") == public_id("ch", row.pk)
    assert datetime.fromisoformat(shown.pop("created_at")) == row.created_at
    assert datetime.fromisoformat(shown.pop("updated_at")) == row.updated_at
    credentials = shown.pop("credentials")
    saved_at = {credential.pop("saved_at") for credential in credentials.values()}
    assert len(saved_at) == 1
    assert credentials == {
        "consumer_key": {
            "saved": True,
            "ends_in": organisation["consumer_key"][-4:],
            "proved_at": None,
            "refused_at": None,
        },
        "consumer_secret": {
            "saved": True,
            "ends_in": organisation["consumer_secret"][-4:],
            "proved_at": None,
            "refused_at": None,
        },
        "passkey": {"saved": True, "ends_in": organisation["passkey"][-4:], "proved_at": None, "refused_at": None},
        "initiator_credential": {"saved": True, "ends_in": None, "proved_at": None, "refused_at": None},
    }
    assert shown == {
        "name": "Moi Avenue",
        "channel_type": "paybill",
        "shortcode": organisation["shortcode"],
        "store_number": "",
        "environment": "sandbox",
        "status": "configured",
        "do_now": "Verify this channel, so that Safaricom proves what is saved.",
        "is_primary": True,
        "initiator_name": "testapi",
        "account_mapping": {"default": "loyalty", "VIP*": "vip_account", "GOLD001": "gold_tier"},
        "response_type": "Completed",
        "register_version": 2,
        "minimum_amount": None,
        "maximum_amount": None,
        "accepts_unmapped": True,
        "nominated_number": "",
        "pull_registered_at": None,
        "low_float": {},
        "notes": "",
        "organisation_name": "",
        "verified_at": None,
        "urls_registered_at": None,
        "activated_at": None,
        "suspended_at": None,
    }


def settings_url():
    from django.conf import settings

    return settings.TUZO_PUBLIC_URL


@pytest.mark.parametrize(
    ("channel_type", "kind"), [("paybill", "PAYBILL"), ("till", "TILL"), ("buygoods", "BUY_GOODS")]
)
def test_every_type_of_channel_has_its_word(client, acme, channel_type, kind):
    body = {"name": "Shop", "channel_type": channel_type, "environment": "sandbox", "shortcode": "555456"}

    answer = client.post(URL, body, format="json")

    assert (answer.status_code, answer.json()["channel_type"], answer.json()["status"]) == (201, channel_type, "draft")
    with tenant_context(acme):
        assert MpesaChannel.objects.get().kind == kind


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"shortcode": "12"}, {"shortcode"}),
        ({"channel_type": "buy_goods"}, {"channel_type"}),
        ({"environment": "live"}, {"environment"}),
        ({"account_mapping": ["VIP"]}, {"account_mapping"}),
        ({"account_mapping": {"VIP*": "nobody", "": "loyalty"}}, {"account_mapping"}),
        ({"register_version": 9, "response_type": "maybe"}, {"register_version", "response_type"}),
        ({"name": "\u0000"}, {"name"}),
        ({"notes": {"a": 1}}, {"notes"}),
    ],
)
def test_mistakes_are_answered_field_by_field_and_nothing_is_saved(client, acme, changes, fields):
    body = {"name": "Shop", "channel_type": "paybill", "environment": "sandbox", "shortcode": "600966"} | changes

    answer = client.post(URL, body, format="json")

    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "invalid"
    assert set(answer.json()["errors"]) == fields
    with tenant_context(acme):
        assert not MpesaChannel.objects.exists()
    assert not CallbackRoute.objects.exists()


def test_a_secret_that_was_sent_is_in_no_answer_log_or_trail(client, simulator, acme, worker, receiver, caplog):
    caplog.set_level(logging.DEBUG)
    organisation = simulator.open()
    secrets = {**keys_of(organisation), **initiator_of(organisation)}
    channel = created(client, simulator, environment="practice", **secrets)
    answers = [
        client.get(URL),
        client.get(f"{URL}{channel['id']}/"),
        client.patch(f"{URL}{channel['id']}/", {"passkey": "c4n4ry-p4ssk3y\u00fc"}, format="json"),
        post(client, channel, "verify/?wait=1"),
    ]
    with tenant_context(acme):
        runs.apply_result(receiver.result())
        trail = json.dumps(list(AuditEntry.objects.values("before", "after", "subject_label")))
        kept = json.dumps([[run.steps, run.details, run.requested_by] for run in ChannelRun.objects.all()])
    promised = json.dumps(list(DueTask.objects.values("arguments", "last_error")))
    everything = "".join([*(answer.content.decode() for answer in answers), caplog.text, trail, kept, promised])
    for name in ("consumer_key", "consumer_secret", "passkey", "initiator_credential"):
        assert secrets[name] not in everything
    assert "c4n4ry" not in everything
    assert "Daraja token" in caplog.text


def test_channels_are_listed_newest_first_without_their_secret_paths(client, simulator):
    first, second = created(client, simulator), created(client, simulator)

    listed = client.get(URL).json()

    assert [channel["id"] for channel in listed["results"]] == [second["id"], first["id"]]
    assert "callback_urls" not in listed["results"][0]
    assert (listed["next"], listed["previous"]) == (None, None)


def test_a_change_keeps_what_is_left_out(client, channel, acme):
    answer = client.patch(f"{URL}{channel['id']}/", {"notes": "by the door", "minimum_amount": 20}, format="json")

    assert answer.status_code == 200
    assert answer.json() == channel | {
        "notes": "by the door",
        "minimum_amount": 20,
        "updated_at": answer.json()["updated_at"],
    }


@pytest.mark.parametrize(
    ("body", "code"),
    [({"environment": "production"}, "environment_fixed"), ({"is_primary": False}, "needs_a_primary")],
)
def test_what_can_not_change_is_named(client, channel, body, code):
    answer = client.patch(f"{URL}{channel['id']}/", body, format="json")

    assert (answer.status_code, answer.json()["code"]) == (409, code)
    assert client.get(f"{URL}{channel['id']}/").json() == channel


def test_verification_answers_202_and_can_be_followed(client, channel, run_due):
    answer = post(client, channel, "verify/")

    assert answer.status_code == 202
    started = answer.json()
    assert (started["state"], started["verified"], started["status"]) == ("pending", None, "configured")
    assert (started["kind"], started["registered"], started["verification_details"]) == ("verify", None, None)
    assert [step["state"] for step in started["steps"]] == ["waiting"] * 6
    followed = client.get(f"{URL}{channel['id']}/runs/{started['id']}/").json()
    assert followed == started

    run_due()

    ended = client.get(f"{URL}{channel['id']}/runs/{started['id']}/").json()
    assert (ended["state"], ended["verified"], ended["status"]) == ("done", True, "verified")
    assert ended["finished_at"] is not None


def test_who_waits_is_answered_with_the_outcome(client, simulator, worker, monkeypatch, receiver, acme):
    organisation = simulator.control("PUT", "/organisations/174379", {"name": "Acme Electronics", "kind": "paybill"})
    secrets = {**keys_of(organisation), **initiator_of(organisation)}
    channel = created(client, simulator, environment="practice", **secrets)
    work = runs.time.sleep

    def work_and_deliver(seconds):
        work(seconds)
        with tenant_context(acme):
            runs.apply_result(receiver.result())

    monkeypatch.setattr(runs.time, "sleep", work_and_deliver)
    answer = post(client, channel, "verify/?wait=30")

    assert answer.status_code == 200
    body = answer.json()
    with tenant_context(acme):
        verified_at = MpesaChannel.objects.get().verified_at
    assert datetime.fromisoformat(body["verification_details"].pop("verified_at")) == verified_at
    assert {key: body[key] for key in ("verified", "status", "verification_details", "error")} == {
        "verified": True,
        "status": "verified",
        "verification_details": {"shortcode": "174379", "account_balance_accessible": True},
        "error": None,
    }
    assert {step["key"]: step["state"] for step in body["steps"]} == {
        "credentials": "ok",
        "access_token": "ok",
        "organisation_name": "ok",
        "passkey": "ok",
        "pull": "skipped",
        "account_balance": "ok",
    }


def test_who_waits_for_what_fails_is_told_why_and_what_to_do(client, simulator, worker, acme):
    channel = created(client, simulator, consumer_secret="not the secret of this key")

    answer = post(client, channel, "verify/?wait=30")

    assert answer.status_code == 200
    body = answer.json()
    assert (body["verified"], body["status"], body["verification_details"]) == (False, "configured", None)
    assert body["error"] == {
        "code": "wrong_keys",
        "detail": "Safaricom does not accept this consumer key and secret. Sandbox keys do not work in production.",
        "do_now": "Copy both again from your app on the Daraja portal, and check the environment.",
        "who": "you",
    }
    assert [step["state"] for step in body["steps"]] == ["ok", "failed", *["skipped"] * 4]
    with tenant_context(acme):
        assert MpesaChannel.objects.get().verified_at is None


def test_one_credential_is_proved_alone(client, simulator, worker, acme):
    channel = created(client, simulator, passkey="not the passkey of this number")

    keys = post(client, channel, "prove-keys/?wait=30").json()
    passkey = post(client, channel, "prove-passkey/?wait=30").json()

    assert (keys["kind"], keys["state"], keys["proved"], keys["verified"]) == ("prove_keys", "done", True, None)
    assert [step["key"] for step in keys["steps"]] == ["access_token"]
    assert (passkey["kind"], passkey["state"], passkey["proved"]) == ("prove_passkey", "failed", False)
    assert (passkey["error"]["code"], passkey["status"]) == ("wrong_passkey", "configured")
    shown = client.get(f"{URL}{channel['id']}/").json()
    assert shown["credentials"]["consumer_key"]["refused_at"] is None
    assert shown["credentials"]["consumer_key"]["proved_at"] is not None
    assert shown["credentials"]["passkey"]["refused_at"] == passkey["finished_at"]
    refused = post(client, channel, "prove-initiator/")
    assert (refused.status_code, refused.json()["code"]) == (409, "not_configured")


def test_who_waits_in_vain_gets_the_run_to_follow(client, channel):
    answer = post(client, channel, "verify/?wait=1")

    assert (answer.status_code, answer.json()["state"]) == (202, "pending")


@pytest.mark.parametrize("wait", ["31", "-1", "1.5", "soon", "1e9", "\u0663"])
def test_a_time_to_wait_that_makes_no_sense_is_refused(client, channel, acme, wait):
    answer = post(client, channel, f"verify/?wait={wait}")

    assert (answer.status_code, set(answer.json()["errors"])) == (400, {"wait"})
    with tenant_context(acme):
        assert not ChannelRun.objects.exists()


def test_from_draft_to_active_and_off_and_on_again(client, simulator, worker):
    organisation = simulator.open()
    channel = created(client, simulator, **keys_of(organisation) | {"consumer_key": "", "consumer_secret": ""})
    refusals = [post(client, channel, action) for action in ("verify/", "register-urls/", "activate/", "deactivate/")]
    assert [(answer.status_code, answer.json()["code"]) for answer in refusals] == [
        (409, "not_configured"),
        (409, "not_configured"),
        (409, "not_configured"),
        (409, "not_active"),
    ]
    client.patch(f"{URL}{channel['id']}/", keys_of(organisation), format="json")
    refusals = [post(client, channel, action) for action in ("register-urls/", "activate/")]
    assert [answer.json()["code"] for answer in refusals] == ["not_verified", "not_verified"]
    assert post(client, channel, "verify/?wait=9").json()["verified"] is True
    refusal = post(client, channel, "activate/").json()
    assert (refusal["code"], refusal["detail"]) == (
        "urls_not_registered",
        "Register this channel's URLs, so that Safaricom reports its payments here.",
    )

    registration = post(client, channel, "register-urls/?wait=9")
    assert (registration.status_code, registration.json()["registered"], registration.json()["verified"]) == (
        200,
        True,
        None,
    )
    activated = post(client, channel, "activate/")
    assert (activated.status_code, activated.json()["status"], activated.json()["do_now"]) == (200, "active", "")
    assert post(client, channel, "activate/").json()["code"] == "already_active"
    off = post(client, channel, "deactivate/", {"reason": "stocktaking"})
    assert (off.json()["status"], off.json()["do_now"]) == ("suspended", "Activate this channel.")
    assert post(client, channel, "activate/").json()["status"] == "active"


def test_a_rotation_shows_the_new_urls_and_until_when_the_old_ones_work(client, channel):
    answer = post(client, channel, "rotate-callback-token/")

    assert answer.status_code == 200
    body = answer.json()
    assert body["channel"]["callback_urls"] != channel["callback_urls"]
    assert body["channel"]["id"] == channel["id"]
    assert body["do_now"].startswith("Register this channel's URLs again")
    assert datetime.fromisoformat(body["old_path_ends_at"]) > datetime.fromisoformat(channel["created_at"])


def test_a_reference_can_be_tried(client, simulator):
    channel = created(client, simulator, account_mapping={"default": "loyalty", "VIP*": "vip_account"})

    assert post(client, channel, "try-mapping/", {"account_reference": " vip-1"}).json() == {
        "program": "vip_account",
        "rule": "VIP*",
        "kind": "wildcard",
        "considered": [
            {"rule": "VIP*", "program": "vip_account", "kind": "wildcard", "fits": True},
            {"rule": "default", "program": "loyalty", "kind": "default", "fits": True},
        ],
    }
    draft = {"account_reference": "", "account_mapping": {"VIP*": "gold_tier"}}
    assert post(client, channel, "try-mapping/", draft).json() == {
        "program": None,
        "rule": None,
        "kind": None,
        "considered": [{"rule": "VIP*", "program": "gold_tier", "kind": "wildcard", "fits": False}],
    }
    refusal = post(client, channel, "try-mapping/", {"account_reference": "x", "account_mapping": {"V": "nobody"}})
    assert refusal.json()["errors"] == {"account_mapping": ["Rule “V”: there is no program “nobody”."]}


def test_a_practice_channel_without_a_number_is_opened_by_itself(client, worker):
    answer = client.post(URL, {"name": "Try", "channel_type": "till", "environment": "practice"}, format="json")

    assert (answer.status_code, answer.json()["status"], answer.json()["shortcode"]) == (201, "draft", "")


# -- Who sees and may what ------------------------------------------------------------------------


def every_request(client, channel, run_id):
    """Each operation on one channel, with a body that would do it."""
    one = f"{URL}{channel['id']}/"
    return {
        "read": client.get(one),
        "change": client.patch(one, {"notes": "rival was here"}, format="json"),
        "verify": client.post(f"{one}verify/", {}, format="json"),
        "register": client.post(f"{one}register-urls/", {}, format="json"),
        "activate": client.post(f"{one}activate/", {}, format="json"),
        "deactivate": client.post(f"{one}deactivate/", {}, format="json"),
        "rotate": client.post(f"{one}rotate-callback-token/", {}, format="json"),
        "try": client.post(f"{one}try-mapping/", {"account_reference": "x"}, format="json"),
        "run": client.get(f"{one}runs/{run_id}/"),
    }


def row_of(tenant):
    with tenant_context(tenant):
        return MpesaChannel.objects.values().get(), ChannelRun.objects.values().get()


def test_rival_gets_404_on_every_route(client, channel, api, rival, acme):
    run_id = post(client, channel, "verify/").json()["id"]
    before = row_of(acme)

    answers = every_request(api(rival), channel, run_id)

    assert {name: answer.status_code for name, answer in answers.items()} == dict.fromkeys(answers, 404)
    assert api(rival).get(URL).json()["results"] == []
    assert row_of(acme) == before


def test_on_rivals_host_acmes_token_finds_nothing(channel, api, acme, rival):
    assert api(acme, host="rival.localhost").get(URL).status_code == 404
    assert api(acme, host="acme.localhost").get(URL).json()["results"][0]["id"] == channel["id"]


@pytest.mark.parametrize("role", [Role.MANAGER, Role.USER])
def test_others_than_administrators_look_and_do_not_touch(client, channel, api, acme, role):
    run_id = post(client, channel, "verify/").json()["id"]
    before = row_of(acme)

    answers = every_request(api(acme, role), channel, run_id)

    allowed = {"read", "try", "run"}
    assert {name: answer.status_code for name, answer in answers.items()} == {
        name: 200 if name in allowed else 403 for name in answers
    }
    assert answers["read"].json()["callback_urls"] is None
    assert row_of(acme) == before


def test_a_suspended_business_reads_and_changes_nothing(client, channel, acme, api):
    run_id = post(client, channel, "verify/").json()["id"]
    Tenant.objects.filter(pk=acme.pk).update(status=Tenant.Status.SUSPENDED)
    before = row_of(acme)

    answers = every_request(client, channel, run_id)

    assert {name for name, answer in answers.items() if answer.status_code == 200} == {"read", "try", "run"}
    assert {answer.json()["code"] for answer in answers.values() if answer.status_code != 200} == {"business_not_open"}
    assert row_of(acme) == before


@pytest.mark.parametrize("channel_id", ["ch_nonsense", "1", "pay_01k9", "%00", "ch_" + "z" * 26])
def test_an_identifier_that_is_none_is_404(client, channel_id):
    assert client.get(f"{URL}{channel_id}/").status_code == 404
    assert client.post(f"{URL}{channel_id}/verify/").status_code == 404


def test_a_run_is_not_found_by_another_kind_of_identifier(client, channel):
    for run_id in (channel["id"], public_id("run", new_id()), "x"):
        assert client.get(f"{URL}{channel['id']}/runs/{run_id}/").status_code == 404


def test_without_a_token_there_is_nothing(client, channel):
    client.credentials()

    answers = every_request(client, channel, "run_x")

    assert {answer.status_code for answer in answers.values()} == {401}
