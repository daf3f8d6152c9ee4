"""Verification and registration against a simulator process, as a worker does them."""

import base64
import contextlib
import threading
from datetime import timedelta

import pytest
import requests
from django.db import connection
from django.utils import timezone
from django_tenants.utils import tenant_context

from audit.models import AuditEntry
from channels import queries, runs, services, status, steps
from channels.daraja.errors import DarajaError, DarajaTimeout, Reason
from channels.daraja.payloads import QueueTimeout
from channels.models import ChannelRun, Environment, MpesaChannel
from channels.runs import Failure, RunInProgress, RunNotFound, Verification
from channels.services import ShortcodeBelongsToAnother
from channels.status import NotConfigured, NotVerified
from tenants.errors import NotPermitted
from tenants.models import DueTask, ProductionShortcode, Role, Tenant
from tests.channels.conftest import ADMIN, initiator_of, keys_of

Kind = ChannelRun.Kind
Status = MpesaChannel.Status


def states(run):
    return {entry["key"]: entry["state"] for entry in run.steps}


def step_of(run, key):
    return next(step for step in run.steps if step["key"] == key)


def request(channel, kind=Kind.VERIFY):
    return runs.request_run(channel_id=channel.pk, kind=kind, actor=ADMIN, now=timezone.now())


def again(run):
    """As the queue does when a worker was killed, or when the time to give up has come."""
    runs.carry_out(run_id=run.pk, now=timezone.now())
    run.refresh_from_db()
    return run


def nothing_was_saved(channel):
    channel.refresh_from_db()
    return (channel.status, channel.verified_at, channel.organisation_name) == (Status.CONFIGURED, None, "")


@pytest.fixture
def with_initiator(create, simulator):
    """A PayBill of acme with everything; its balance results come to the receiver."""
    organisation = simulator.open()
    return create(**keys_of(organisation), **initiator_of(organisation))


# -- Verification ---------------------------------------------------------------------------------


def test_keys_and_passkey_are_proved_without_ringing_a_phone(connected, run_of, simulator):
    channel = connected()

    run = run_of(channel, Kind.VERIFY)

    assert run.status == ChannelRun.Status.DONE
    assert states(run) == {
        "credentials": "ok",
        "access_token": "ok",
        "passkey": "ok",
        "organisation_name": "ok",
        "pull": "skipped",
        "account_balance": "skipped",
    }
    assert runs.outcome_of(run) is True
    assert runs.verification_of(run) == Verification(channel.shortcode, False, channel.verified_at)
    assert channel.status == Status.VERIFIED
    assert channel.organisation_name == "Acme Electronics"
    assert channel.first_verified_at == channel.verified_at
    shown = queries.saved_secrets(channel)
    assert shown["consumer_key"].proved_at == shown["passkey"].proved_at == channel.verified_at
    assert not DueTask.objects.exists()
    assert simulator.control("GET", f"/deliveries?shortcode={channel.shortcode}")["deliveries"] == []
    entry = AuditEntry.objects.latest("sequence")
    assert (entry.action, entry.actor_label) == ("channel.verified", ADMIN.label)
    assert (entry.before, entry.after) == (
        {"status": "CONFIGURED"},
        {"status": "VERIFIED", "shortcode": channel.shortcode},
    )


def test_each_step_says_what_was_tried_and_what_safaricom_said(connected, run_of):
    run = run_of(connected(), Kind.VERIFY)

    step = step_of(run, "passkey")
    assert set(step) == {"key", "state", "tried", "said", "meaning", "do_now", "who", "at"}
    assert step["tried"] == "Ask about a prompt that does not exist, with the passkey; no phone rings"
    assert step["said"] == "The transaction does not Exist"
    assert step["meaning"] == "The passkey belongs to this number."
    assert (step["do_now"], step["who"]) == ("", "nobody")
    assert step_of(run, "organisation_name")["said"] == "Acme Electronics"


def test_the_balance_result_ends_the_verification(with_initiator, run_of, receiver):
    run = run_of(with_initiator, Kind.VERIFY)
    assert run.status == ChannelRun.Status.PENDING
    assert states(run)["account_balance"] == "running"
    assert with_initiator.status == Status.CONFIGURED

    assert runs.apply_result(receiver.result()) is True

    run.refresh_from_db()
    with_initiator.refresh_from_db()
    assert runs.verification_of(run) == Verification(with_initiator.shortcode, True, with_initiator.verified_at)
    assert with_initiator.status == Status.VERIFIED
    assert queries.saved_secrets(with_initiator)["initiator_credential"].proved_at == with_initiator.verified_at
    path, _ = receiver.arrivals[0]
    assert path == f"/h/{with_initiator.callback_token}/result"


def test_the_same_result_twice_is_one_verdict(with_initiator, run_of, receiver):
    run_of(with_initiator, Kind.VERIFY)

    assert runs.apply_result(receiver.result()) is True
    verified_at = MpesaChannel.objects.get().verified_at
    assert runs.apply_result(receiver.result()) is True

    assert MpesaChannel.objects.get().verified_at == verified_at
    assert AuditEntry.objects.filter(action="channel.verified").count() == 1


def test_a_result_that_overtakes_our_own_note_is_asked_for_again(with_initiator, run_of, receiver, monkeypatch):
    answers = []
    note = steps._note_query

    def note_late(run_id, accepted, **deadline):
        answers.append(runs.apply_result(receiver.result()))
        note(run_id, accepted, **deadline)
        answers.append(runs.apply_result(receiver.result()))

    monkeypatch.setattr(steps, "_note_query", note_late)
    run = run_of(with_initiator, Kind.VERIFY)

    assert answers == [False, True]
    assert run.status == ChannelRun.Status.DONE


def test_a_result_of_nobodys_is_not_ours(with_initiator, run_of, receiver, rival):
    run_of(with_initiator, Kind.VERIFY)
    result = receiver.result()

    with tenant_context(rival):
        assert runs.apply_result(result) is False
    assert ChannelRun.objects.get().status == ChannelRun.Status.PENDING


@pytest.mark.parametrize(
    ("spoil", "code", "beginning"),
    [
        ({"initiator_credential": "not the password"}, "initiator_refused", "The initiator's name, password or"),
        ({"initiator_name": "somebody"}, "initiator_refused", "The initiator's name, password or certificate"),
    ],
)
def test_a_wrong_initiator_fails_by_its_result(with_initiator, run_of, receiver, spoil, code, beginning):
    services.change_channel(channel_id=with_initiator.pk, actor=ADMIN, now=timezone.now(), **spoil)
    run = run_of(with_initiator, Kind.VERIFY)

    assert runs.apply_result(receiver.result()) is True

    run.refresh_from_db()
    failure = runs.failure_of(run)
    assert (failure.code, failure.who) == (code, "you")
    assert failure.detail.startswith(beginning)
    assert (
        failure.do_now == "Set the API operator's password on the M-PESA organisation portal and enter it here again."
    )
    assert step_of(run, "account_balance")["said"] == "The initiator information is invalid."
    assert nothing_was_saved(with_initiator)


def test_a_locked_initiator_is_named(with_initiator, run_of, receiver, simulator):
    services.change_channel(
        channel_id=with_initiator.pk, actor=ADMIN, now=timezone.now(), initiator_credential="not the password"
    )
    for _ in range(3):
        receiver.arrivals.clear()
        run = run_of(with_initiator, Kind.VERIFY)
        runs.apply_result(receiver.result())

    run.refresh_from_db()
    assert runs.failure_of(run).code == "initiator_locked"
    assert runs.failure_of(run).do_now.startswith("A Business Administrator unlocks it")


def test_an_initiator_without_the_role_is_named(with_initiator, run_of, receiver, simulator):
    simulator.faults(with_initiator.shortcode, {"fault": "initiator_refused"})
    run = run_of(with_initiator, Kind.VERIFY)
    runs.apply_result(receiver.result())

    run.refresh_from_db()
    assert runs.failure_of(run).code == "initiator_role_missing"


def lose_patience(run):
    run.details["give_up_at"] = timezone.now().isoformat()
    run.save()


def test_a_balance_that_never_comes_is_a_warning_and_no_lie(with_initiator, run_of, simulator):
    simulator.faults(with_initiator.shortcode, {"fault": "callback_lost", "on": ["result"]})
    run = run_of(with_initiator, Kind.VERIFY)
    (promise,) = DueTask.objects.all()
    assert timedelta(seconds=5) < promise.due_at - timezone.now() < timedelta(seconds=10)
    DueTask.objects.all().delete()
    assert again(run).status == ChannelRun.Status.PENDING
    assert DueTask.objects.get().due_at == promise.due_at  # whoever came too early comes back

    lose_patience(run)
    again(run)

    assert run.status == ChannelRun.Status.DONE
    step = step_of(run, "account_balance")
    assert (step["state"], step["who"]) == ("warning", "safaricom")
    assert step["meaning"].startswith("Safaricom took the question, and sent no answer within")
    assert runs.verification_of(run).account_balance_accessible is False
    with_initiator.refresh_from_db()
    assert queries.saved_secrets(with_initiator)["initiator_credential"].proved_at is None


def test_a_result_after_we_gave_up_still_proves_the_initiator(with_initiator, run_of, receiver):
    run = run_of(with_initiator, Kind.VERIFY)
    result = receiver.result()
    lose_patience(run)
    again(run)
    assert runs.verification_of(run).account_balance_accessible is False

    assert runs.apply_result(result) is True

    run.refresh_from_db()
    with_initiator.refresh_from_db()
    assert runs.verification_of(run).account_balance_accessible is True
    assert states(run)["account_balance"] == "ok"
    assert queries.saved_secrets(with_initiator)["initiator_credential"].proved_at is not None


def test_a_queue_time_out_is_a_warning_that_a_late_result_corrects(with_initiator, run_of, receiver, simulator):
    simulator.faults(with_initiator.shortcode, {"fault": "queue_timeout_then_result", "seconds": 0.05})
    run = run_of(with_initiator, Kind.VERIFY)

    assert runs.apply_timeout(receiver.timeout()) is True
    run.refresh_from_db()
    assert states(run)["account_balance"] == "warning"
    assert runs.verification_of(run).account_balance_accessible is False

    assert runs.apply_result(receiver.result()) is True
    run.refresh_from_db()
    assert runs.verification_of(run).account_balance_accessible is True


def test_a_time_out_without_ids_is_not_ours(in_acme):
    assert runs.apply_timeout(QueueTimeout("", "", "", "")) is False


@pytest.mark.parametrize(
    ("details", "key", "code", "do_now"),
    [
        (
            {"consumer_secret": "not the secret of this key"},
            "access_token",
            "wrong_keys",
            "Copy both again from your app on the Daraja portal, and check the environment.",
        ),
        (
            {"passkey": "not the passkey of this number"},
            "passkey",
            "wrong_passkey",
            "Copy the passkey from Safaricom's go-live e-mail, or for the sandbox from the Daraja portal.",
        ),
        (
            {"shortcode": "123456"},
            "passkey",
            "unknown_shortcode",
            "Check the number; for a till use its store or head office number.",
        ),
        ({"initiator_name": "testapi"}, "credentials", "missing_credentials", "Save what is missing."),
        ({"initiator_credential": "password"}, "credentials", "missing_credentials", "Save what is missing."),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_saved(connected, run_of, details, key, code, do_now):
    channel = connected(**details)

    run = run_of(channel, Kind.VERIFY)

    assert run.status == ChannelRun.Status.FAILED
    failure = runs.failure_of(run)
    assert (failure.code, failure.do_now, failure.who) == (code, do_now, "you")
    assert states(run)[key] == "failed"
    after = list(states(run).values())[list(states(run)).index(key) + 1 :]
    assert set(after) == {"skipped"}
    assert runs.verification_of(run) is None
    assert nothing_was_saved(channel)
    assert not AuditEntry.objects.filter(action="channel.verified").exists()


@pytest.mark.parametrize(
    ("fault", "key", "code", "who"),
    [
        ({"fault": "product_missing", "on": ["stk_query"]}, "passkey", "product_missing", "you"),
        ({"fault": "html_503", "on": ["oauth"]}, "access_token", "daraja_blocked_by_firewall", "us"),
        ({"fault": "empty_400", "on": ["stk_query"]}, "passkey", "nonsense_answer", "safaricom"),
        ({"fault": "spike_arrest", "on": ["oauth"]}, "access_token", "daraja_spike_arrest", "nobody"),
        ({"fault": "maintenance", "on": ["stk_query"]}, "passkey", "daraja_maintenance", "safaricom"),
        ({"fault": "nonsense_html", "on": ["oauth"]}, "access_token", "daraja_nonsense_answer", "safaricom"),
        ({"fault": "nonsense_truncated", "on": ["oauth"]}, "access_token", "daraja_nonsense_answer", "safaricom"),
        ({"fault": "taken_then_resets", "on": ["oauth"]}, "access_token", "daraja_connection_lost", "safaricom"),
        ({"fault": "query_blank"}, "passkey", "daraja_server_fault", "safaricom"),
    ],
)
def test_daraja_in_trouble_is_a_failure_with_advice(connected, run_of, simulator, fault, key, code, who):
    channel = connected()
    simulator.faults(channel.shortcode, fault)

    run = run_of(channel, Kind.VERIFY)

    assert (runs.failure_of(run).code, runs.failure_of(run).who) == (code, who)
    assert runs.failure_of(run).do_now
    assert states(run)[key] == "failed"
    assert nothing_was_saved(channel)

    simulator.faults(channel.shortcode)
    assert runs.outcome_of(run_of(channel, Kind.VERIFY)) is True


def test_a_slow_daraja_is_named(connected, run_of, simulator, settings):
    settings.DARAJA_TIMEOUT_S = (1.0, 0.2)
    channel = connected()
    simulator.faults(channel.shortcode, {"fault": "slow_answer", "seconds": 1, "on": ["oauth"]})

    run = run_of(channel, Kind.VERIFY)

    assert runs.failure_of(run) == Failure(
        "daraja_slow",
        "Safaricom did not answer in the time that we wait.",
        "Try again in a few minutes.",
        "safaricom",
    )
    assert nothing_was_saved(channel)


def test_daraja_out_of_reach_is_named(connected, run_of, settings):
    channel = connected()
    settings.DARAJA_URLS = dict.fromkeys(Environment.values, "http://127.0.0.1:9")

    assert runs.failure_of(run_of(channel, Kind.VERIFY)).code == "daraja_unreachable"


@pytest.mark.parametrize("fault", ["product_missing", "maintenance"])
def test_the_name_is_only_for_show(connected, run_of, simulator, fault):
    channel = connected()
    simulator.faults(channel.shortcode, {"fault": fault, "on": ["organisation_query"]})

    run = run_of(channel, Kind.VERIFY)

    assert runs.outcome_of(run) is True
    assert states(run)["organisation_name"] == "warning"
    assert channel.organisation_name == ""


@pytest.mark.parametrize("fault", ["product_missing", "maintenance", "nonsense_html"])
def test_a_balance_that_can_not_be_asked_for_is_a_warning(with_initiator, run_of, simulator, fault):
    simulator.faults(with_initiator.shortcode, {"fault": fault, "on": ["account_balance"]})

    run = run_of(with_initiator, Kind.VERIFY)

    assert states(run)["account_balance"] == "warning"
    assert runs.verification_of(run).account_balance_accessible is False


def test_a_certificate_that_is_none_is_ours_to_mend(create, simulator, run_of, settings, tmp_path):
    organisation = simulator.open()
    channel = create(environment="SANDBOX", **keys_of(organisation), **initiator_of(organisation))
    settings.DARAJA_SANDBOX_CERTIFICATE = str(tmp_path / "missing.pem")
    assert runs.failure_of(run_of(channel, Kind.VERIFY)).code == "certificate_unusable"

    (tmp_path / "missing.pem").write_text("no certificate")
    failure = runs.failure_of(run_of(channel, Kind.VERIFY))

    assert (failure.code, failure.who) == ("certificate_unusable", "us")
    assert nothing_was_saved(channel)


def test_a_till_is_proved_by_its_store_number(create, simulator, run_of):
    organisation = simulator.open(kind="till", store_number="7654321", name="Taste Restaurants")
    channel = create(kind="TILL", **keys_of(organisation))

    run = run_of(channel, Kind.VERIFY)

    assert runs.outcome_of(run) is True
    assert channel.organisation_name == "Taste Restaurants"
    assert AuditEntry.objects.latest("sequence").after["shortcode"] == "7654321"


@pytest.fixture
def unreadable(connected, settings):
    """A channel whose secrets were sealed with a key that was lost since."""
    channel = connected()
    settings.ENCRYPTION_KEYS = [base64.urlsafe_b64encode(b"x" * 32).decode()]
    return channel


def test_a_secret_that_can_not_be_read_ends_the_run(unreadable, run_due):
    run = request(unreadable)
    run_due()

    with tenant_context(Tenant.objects.get(slug="acme")):
        run.refresh_from_db()
        assert runs.failure_of(run).code == "secrets_unreadable"
        assert queries.read_channel(channel_id=unreadable.pk, actor=ADMIN).status == Status.CONFIGURED


def test_secrets_that_can_not_be_read_can_be_entered_again(unreadable, simulator, run_due):
    organisation = simulator.control("GET", f"/organisations/{unreadable.shortcode}")
    channel = queries.read_channel(channel_id=unreadable.pk, actor=ADMIN)
    assert queries.saved_secrets(channel)["passkey"].ends_in == organisation["passkey"][-4:]
    assert queries.shown_callback_urls(channel, actor=ADMIN) is None

    services.change_channel(channel_id=channel.pk, actor=ADMIN, now=timezone.now(), **keys_of(organisation))
    services.rotate_callback_token(channel_id=channel.pk, actor=ADMIN, now=timezone.now())
    run = request(channel)
    run_due()

    with tenant_context(Tenant.objects.get(slug="acme")):
        run.refresh_from_db()
        assert step_of(run, "passkey")["state"] == "ok"


# -- The life of a run ----------------------------------------------------------------------------


def test_steps_out_of_order_are_refused_with_what_to_do(create, simulator):
    draft = create(shortcode="600966")
    with pytest.raises(NotConfigured, match="Save the consumer key"):
        request(draft)
    with pytest.raises(NotConfigured):
        request(draft, Kind.REGISTER_URLS)

    configured = services.change_channel(
        channel_id=draft.pk, actor=ADMIN, now=timezone.now(), consumer_key="k" * 20, consumer_secret="s" * 20
    )
    with pytest.raises(NotVerified, match="Verify this channel"):
        request(configured, Kind.REGISTER_URLS)
    assert not ChannelRun.objects.exists()
    assert not DueTask.objects.exists()


def test_asking_again_while_it_runs_is_the_same_run(connected):
    channel = connected()

    assert request(channel).pk == request(channel).pk
    assert ChannelRun.objects.count() == 1
    assert DueTask.objects.count() == 1


def test_the_other_kind_of_run_waits_its_turn(connected, run_of):
    channel = connected()
    run_of(channel, Kind.VERIFY)
    request(channel)

    with pytest.raises(RunInProgress):
        request(channel, Kind.REGISTER_URLS)
    assert ChannelRun.objects.filter(kind=Kind.REGISTER_URLS).count() == 0


def test_only_administrators_may_start_a_run(connected, actor):
    channel = connected()

    with pytest.raises(NotPermitted):
        runs.request_run(channel_id=channel.pk, kind=Kind.VERIFY, actor=actor(Role.MANAGER), now=timezone.now())
    assert not ChannelRun.objects.exists()


def test_rival_finds_no_run_of_acme(connected, rival):
    channel = connected()
    run = request(channel)

    with tenant_context(rival):
        with pytest.raises(services.ChannelNotFound):
            request(channel)
        with pytest.raises(services.ChannelNotFound):
            runs.read_run(channel_id=channel.pk, run_id=run.pk, actor=ADMIN)
        runs.carry_out(run_id=run.pk, now=timezone.now())
    run.refresh_from_db()
    assert set(states(run).values()) == {"waiting"}


def test_a_run_is_found_only_at_its_own_channel(connected):
    channel, other = connected(), connected()
    run = request(channel)

    with pytest.raises(RunNotFound):
        runs.read_run(channel_id=other.pk, run_id=run.pk, actor=ADMIN)


class WorkerKilled(BaseException):
    pass


def killed(*_, **__):
    raise WorkerKilled


def die_carrying_out(run):
    with pytest.raises(WorkerKilled):
        runs.carry_out(run_id=run.pk, now=timezone.now())


@pytest.mark.parametrize("key", ["credentials", "access_token", "passkey", "organisation_name"])
def test_a_worker_killed_in_a_step_is_followed_by_another_who_ends_the_run(connected, run_due, monkeypatch, key):
    channel = connected()
    run = request(channel)
    with monkeypatch.context() as patched:
        patched.setitem(runs.STEPS[Kind.VERIFY], key, steps.Step("", killed))
        die_carrying_out(run)
    run.refresh_from_db()
    assert states(run)[key] == "running"
    before = {step: at for step, at in ((step["key"], step["at"]) for step in run.steps) if at}

    again(run)

    assert run.status == ChannelRun.Status.DONE
    after = {step["key"]: step["at"] for step in run.steps}
    assert all(after[step] == at for step, at in before.items() if step != key)  # what was done is not done again


def test_a_worker_killed_between_asking_for_the_balance_and_noting_it_asks_again(
    with_initiator, run_due, receiver, monkeypatch
):
    run = request(with_initiator)
    with monkeypatch.context() as patched:
        patched.setattr(steps, "_note_query", killed)
        die_carrying_out(run)
    first = receiver.result()
    assert runs.apply_result(first) is False
    receiver.arrivals.clear()

    again(run)
    assert runs.apply_result(receiver.result()) is True

    run.refresh_from_db()
    assert run.status == ChannelRun.Status.DONE


def test_a_run_that_never_ends_is_given_up(connected):
    channel = connected()
    run = request(channel)

    runs.carry_out(run_id=run.pk, now=timezone.now() + timedelta(minutes=11))

    run.refresh_from_db()
    assert runs.failure_of(run).code == "took_too_long"
    assert request(channel).pk != run.pk


def test_a_channel_that_changes_meanwhile_is_not_verified_by_the_run(with_initiator, run_of, receiver):
    run = run_of(with_initiator, Kind.VERIFY)
    services.change_channel(
        channel_id=with_initiator.pk, actor=ADMIN, now=timezone.now(), consumer_secret="saved while it runs"
    )

    assert runs.apply_result(receiver.result()) is True

    run.refresh_from_db()
    assert runs.failure_of(run).code == "changed_meanwhile"
    assert nothing_was_saved(with_initiator)
    assert queries.saved_secrets(with_initiator)["consumer_secret"].proved_at is None


def test_a_failed_verification_leaves_an_earlier_proof_alone(connected, run_of, simulator):
    channel = connected()
    run_of(channel, Kind.VERIFY)
    verified_at = channel.verified_at
    simulator.faults(channel.shortcode, {"fault": "maintenance"})

    assert runs.outcome_of(run_of(channel, Kind.VERIFY)) is False

    assert (channel.status, channel.verified_at) == (Status.VERIFIED, verified_at)


def test_waiting_ends_with_the_run_or_with_the_time(connected, run_due, monkeypatch):
    channel = connected()
    run = request(channel)
    runs.wait_for(run, seconds=0.3)
    assert run.status == ChannelRun.Status.PENDING

    tenant = connection.tenant

    def the_worker_works(seconds):
        run_due()
        connection.set_tenant(tenant)

    monkeypatch.setattr(runs.time, "sleep", the_worker_works)
    runs.wait_for(run, seconds=30)

    assert run.status == ChannelRun.Status.DONE
    assert run.channel.status == Status.VERIFIED


def test_only_a_few_requests_wait_at_once(connected, monkeypatch):
    run = request(connected())
    monkeypatch.setattr(runs, "_waiting_requests", threading.BoundedSemaphore(1))
    runs._waiting_requests.acquire()
    slept = []
    monkeypatch.setattr(runs.time, "sleep", slept.append)

    runs.wait_for(run, seconds=30)

    assert slept == []


# -- Registration ---------------------------------------------------------------------------------


@pytest.fixture
def verified(connected, run_of):
    """`verified(environment="PRODUCTION")` → a verified PayBill of acme."""

    def make(**details):
        channel = connected(**details)
        assert runs.outcome_of(run_of(channel, Kind.VERIFY)) is True
        return channel

    return make


@pytest.fixture
def live(verified, simulator, settings):
    """A verified live PayBill; the simulator follows production's rules for it."""
    settings.TUZO_PUBLIC_URL = "https://pay.tuzo.co.ke"
    channel = verified(environment="PRODUCTION")
    simulator.change(channel.shortcode, mode="production")
    return channel


def registration(simulator, channel):
    shown = simulator.control("GET", f"/organisations/{channel.shortcode}")
    return {key: shown[key] for key in ("confirmation_url", "validation_url", "response_type", "registered_version")}


def test_safaricom_is_told_where_to_report_payments(verified, run_of, simulator):
    channel = verified(response_type="Cancelled", register_version=1)

    run = run_of(channel, Kind.REGISTER_URLS)

    assert states(run) == {"callback_urls": "ok", "registration": "ok"}
    assert registration(simulator, channel) == {
        "confirmation_url": services.callback_url(channel, "c2b-confirmation"),
        "validation_url": services.callback_url(channel, "c2b-validation"),
        "response_type": "Cancelled",
        "registered_version": 1,
    }
    assert channel.urls_registered_at is not None
    assert channel.status == Status.VERIFIED
    assert status.do_now(channel) == "Activate this channel."
    entry = AuditEntry.objects.latest("sequence")
    assert (entry.action, entry.actor_label) == ("channel.urls_registered", ADMIN.label)


def test_registering_again_after_a_rotation_tells_the_new_path(verified, run_of, simulator):
    channel = verified()
    run_of(channel, Kind.REGISTER_URLS)
    services.rotate_callback_token(channel_id=channel.pk, actor=ADMIN, now=timezone.now())

    run_of(channel, Kind.REGISTER_URLS)

    assert channel.callback_token in registration(simulator, channel)["confirmation_url"]
    assert channel.urls_registered_at is not None


def test_urls_that_somebody_else_registered_are_a_failure_with_the_way_out(live, run_of, simulator):
    organisation = simulator.control("GET", f"/organisations/{live.shortcode}")
    register_elsewhere(simulator, organisation)

    run = run_of(live, Kind.REGISTER_URLS)

    assert runs.failure_of(run) == Failure(
        "urls_already_registered",
        "This shortcode has callback addresses, and in production they can be registered only once.",
        "On the Daraja portal, open Self Services, URL Management, remove them, and register again.",
        "you",
    )
    assert step_of(run, "registration")["said"] == "Urls are already registered."
    assert (live.urls_registered_at, live.urls_asked_at) == (None, None)
    assert registration(simulator, live)["confirmation_url"] == "https://elsewhere.co.ke/c"

    simulator.control("DELETE", f"/organisations/{live.shortcode}/registration")
    assert runs.outcome_of(run_of(live, Kind.REGISTER_URLS)) is True


def register_elsewhere(simulator, organisation):
    token = requests.get(
        f"{simulator.url}/oauth/v1/generate?grant_type=client_credentials",
        auth=(organisation["consumer_key"], organisation["consumer_secret"]),
        timeout=5,
    ).json()["access_token"]
    answer = requests.post(
        f"{simulator.url}/mpesa/c2b/v2/registerurl",
        json={
            "ShortCode": organisation["shortcode"],
            "ResponseType": "Completed",
            "ConfirmationURL": "https://elsewhere.co.ke/c",
            "ValidationURL": "https://elsewhere.co.ke/v",
        },
        headers={"Authorization": f"Bearer {token}"},
        timeout=5,
    )
    assert answer.status_code == 200, answer.text


def test_urls_that_we_registered_before_are_fine(live, run_of):
    run_of(live, Kind.REGISTER_URLS)

    run = run_of(live, Kind.REGISTER_URLS)

    assert runs.outcome_of(run) is True
    assert step_of(run, "registration")["meaning"] == "They were registered by us before."


@pytest.mark.parametrize("fault", ["taken_then_resets", "nonsense_html"])
def test_a_registration_whose_answer_was_lost_is_found_again(live, run_of, simulator, fault):
    simulator.faults(live.shortcode, {"fault": fault, "on": ["c2b_register"], "count": 1})

    run = run_of(live, Kind.REGISTER_URLS)

    assert runs.outcome_of(run) is True
    step = step_of(run, "registration")
    assert (step["state"], step["said"]) == ("warning", "Urls are already registered.")
    assert step["do_now"].startswith("Make one small payment and see that it arrives here.")
    assert live.urls_registered_at is not None


def test_a_registration_whose_answers_are_all_lost_can_be_asked_again(live, run_of, monkeypatch):
    call = steps._call_register

    def answer_lost(channel):
        with contextlib.suppress(DarajaError):
            call(channel)
        raise DarajaTimeout("The connection broke.", reason=Reason.CONNECTION_LOST)

    with monkeypatch.context() as patched:
        patched.setattr(steps, "_call_register", answer_lost)
        run = run_of(live, Kind.REGISTER_URLS)
    assert runs.failure_of(run).code == "daraja_connection_lost"
    assert runs.failure_of(run).do_now == "Register again: doing it twice does no harm."
    assert live.urls_registered_at is None

    run = run_of(live, Kind.REGISTER_URLS)

    assert step_of(run, "registration")["state"] == "warning"
    assert live.urls_registered_at is not None


def test_a_worker_killed_while_registering_is_followed_by_another(live, run_due, simulator, monkeypatch):
    run = request(live, Kind.REGISTER_URLS)
    call = steps._call_register

    def killed_after_the_call(channel):
        call(channel)
        raise WorkerKilled

    with monkeypatch.context() as patched:
        patched.setattr(steps, "_call_register", killed_after_the_call)
        die_carrying_out(run)

    again(run)

    assert run.status == ChannelRun.Status.DONE
    live.refresh_from_db()
    assert live.urls_registered_at is not None
    assert AuditEntry.objects.filter(action="channel.urls_registered").count() == 1


def test_a_path_rotated_while_registering_is_not_taken_for_registered(verified, run_of, monkeypatch):
    channel = verified()
    call = steps._call_register

    def rotated_meanwhile(channel):
        said = call(channel)
        services.rotate_callback_token(channel_id=channel.pk, actor=ADMIN, now=timezone.now())
        return said

    monkeypatch.setattr(steps, "_call_register", rotated_meanwhile)
    run = run_of(channel, Kind.REGISTER_URLS)

    assert runs.failure_of(run).code == "changed_meanwhile"
    assert channel.urls_registered_at is None


@pytest.mark.parametrize("version", [1, 2])
def test_the_wrong_version_of_c2b_says_to_try_the_other(verified, run_of, simulator, version):
    channel = verified(register_version=version)
    simulator.change(channel.shortcode, products=["stk", f"c2b_v{3 - version}"])

    run = run_of(channel, Kind.REGISTER_URLS)

    assert runs.failure_of(run).code == "product_missing"
    assert runs.failure_of(run).do_now == (
        f"Your app may have C2B in the other version: change register_version to {3 - version} and register again. "
        "Otherwise add the product to the app on the Daraja portal."
    )


def test_another_apps_shortcode_can_not_be_registered(create, simulator, run_of):
    keys = keys_of(simulator.open()) | {"shortcode": simulator.open()["shortcode"], "passkey": ""}
    channel = create(**keys)
    assert runs.outcome_of(run_of(channel, Kind.VERIFY)) is True

    run = run_of(channel, Kind.REGISTER_URLS)

    assert runs.failure_of(run).code == "own_shortcode_only"
    assert channel.urls_registered_at is None


@pytest.mark.parametrize(
    ("url", "environment", "said"),
    [
        ("https://mpesa.tuzo.co.ke", "SANDBOX", "Safaricom refuses URLs that contain “mpesa”."),
        (
            "https://safaricom-query.co.ke",
            "PRACTICE",
            "contain “safaricom”. Safaricom refuses URLs that contain “query”.",
        ),
        ("http://pay.tuzo.co.ke", "PRODUCTION", "Production needs https."),
        ("https://tuzo.ngrok.app", "PRODUCTION", "Safaricom blocks tunnels and request catchers in production."),
        ("https://localhost:8000", "PRODUCTION", "Safaricom can't reach this address from the internet."),
    ],
)
def test_addresses_that_safaricom_refuses_are_not_sent(verified, run_of, settings, url, environment, said):
    channel = verified(environment=environment)
    settings.TUZO_PUBLIC_URL = url

    run = run_of(channel, Kind.REGISTER_URLS)

    assert runs.failure_of(run).code == "forbidden_url"
    assert runs.failure_of(run).who == "us"
    assert states(run) == {"callback_urls": "failed", "registration": "skipped"}
    assert step_of(run, "callback_urls")["said"].endswith(said)
    assert channel.urls_asked_at is None


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("maintenance", "daraja_maintenance"),
        ("html_503", "daraja_blocked_by_firewall"),
        ("quota", "daraja_quota"),
    ],
)
def test_trouble_while_registering_is_named(verified, run_of, simulator, fault, code):
    channel = verified()
    simulator.faults(channel.shortcode, {"fault": fault, "on": ["c2b_register"]})

    run = run_of(channel, Kind.REGISTER_URLS)

    assert runs.failure_of(run).code == code
    assert channel.urls_registered_at is None
    assert registration(simulator, channel)["confirmation_url"] is None


# -- One live number belongs to one business ------------------------------------------------------


@pytest.fixture
def rivals_copy(rival, simulator):
    """`rivals_copy(channel)` → the same live number, saved by rival, with keys that work."""

    def make(channel, **details):
        organisation = simulator.control("GET", f"/organisations/{channel.shortcode}")
        with tenant_context(rival):
            return services.create_channel(
                **{"name": "Copy", "kind": "PAYBILL", "environment": "PRODUCTION", "actor": ADMIN}
                | {"now": timezone.now(), **keys_of(organisation)}
                | details
            )

    return make


def test_the_first_proof_claims_a_live_number(live, acme):
    claim = ProductionShortcode.objects.get()

    assert (claim.shortcode, claim.tenant_id, claim.channel_id) == (live.shortcode, acme.pk, live.pk)
    assert claim.verified_at == live.verified_at


def test_a_second_business_is_told_so_and_not_who(live, rivals_copy, rival):
    copy = rivals_copy(live)

    with tenant_context(rival), pytest.raises(ShortcodeBelongsToAnother) as refusal:
        request(copy)

    assert (refusal.value.code, refusal.value.status) == ("shortcode_belongs_to_another_business", 409)
    assert "acme" not in refusal.value.detail.lower()
    with tenant_context(rival):
        assert not ChannelRun.objects.exists()
        copy.refresh_from_db()
        assert copy.status == Status.CONFIGURED


def test_sandbox_and_practice_numbers_are_anybodys(verified, rivals_copy):
    channel = verified()
    rivals_copy(channel, environment="PRACTICE")

    assert not ProductionShortcode.objects.exists()


def test_keys_alone_claim_nothing_but_a_registration_does(connected, run_of, settings):
    settings.TUZO_PUBLIC_URL = "https://pay.tuzo.co.ke"
    channel = connected(environment="PRODUCTION", passkey="")
    run_of(channel, Kind.VERIFY)
    assert channel.status == Status.VERIFIED
    assert not ProductionShortcode.objects.exists()

    run_of(channel, Kind.REGISTER_URLS)

    assert ProductionShortcode.objects.get().shortcode == channel.shortcode


def test_a_till_claims_the_store_number_that_was_proved(create, simulator, run_of):
    organisation = simulator.open(kind="till", store_number="7654322")
    channel = create(kind="TILL", environment="PRODUCTION", **keys_of(organisation))

    run_of(channel, Kind.VERIFY)

    assert ProductionShortcode.objects.get().shortcode == "7654322"


def test_of_two_businesses_that_prove_a_number_at_once_one_has_it(committed, in_threads, settings, monkeypatch):
    settings.DARAJA_URLS = dict.fromkeys(Environment.values, "https://daraja.example")
    tenants = [committed("kilimo"), committed("maziwa")]
    start = threading.Barrier(2)
    claim = runs.claim_shortcode

    def claim_at_the_same_moment(channel, *, now):
        start.wait(timeout=10)
        claim(channel, now=now)

    monkeypatch.setattr(runs, "claim_shortcode", claim_at_the_same_moment)

    def prove(tenant):
        def run():
            with tenant_context(tenant):
                channel = services.create_channel(
                    name="Shop",
                    kind="PAYBILL",
                    environment="PRODUCTION",
                    shortcode="600966",
                    consumer_key="k" * 20,
                    consumer_secret="s" * 20,
                    actor=ADMIN,
                    now=timezone.now(),
                )
                asked = request(channel)
                runs._write(asked.pk, "passkey", steps.Finding("ok", proves=("passkey", "shortcode")))
                runs._end(asked.pk)
                asked.refresh_from_db()
                channel.refresh_from_db()
                return asked.status, asked.error_code, channel.status

        return run

    outcomes = in_threads(*[prove(tenant) for tenant in tenants])

    assert sorted(outcomes) == [
        ("DONE", "", "VERIFIED"),
        ("FAILED", "shortcode_belongs_to_another_business", "CONFIGURED"),
    ]
    winner = tenants[[outcome[0] for outcome in outcomes].index("DONE")]
    assert ProductionShortcode.objects.get().tenant_id == winner.pk
