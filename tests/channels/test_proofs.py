"""One credential, saved and proved at once, against a simulator process."""

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from audit.models import AuditEntry
from channels import proofs, queries, runs, services
from channels.models import ChannelRun, Credential, MpesaChannel
from channels.setup import connection_steps, next_question
from channels.status import NotConfigured
from tenants.errors import Invalid, NotPermitted
from tenants.models import Role
from tests.channels.conftest import ADMIN, initiator_of, keys_of

Kind = ChannelRun.Kind
RunStatus = ChannelRun.Status


@pytest.fixture
def organisation(simulator):
    return simulator.open()


@pytest.fixture
def channel(create, organisation):
    """Only its number is known."""
    return create(shortcode=organisation["shortcode"])


@pytest.fixture
def save(run_due):
    """`save(channel, Credential.KEYS, consumer_key=…)` → its proof, as far as the worker takes it."""

    def save_and_prove(channel, credential, **details):
        tenant = connection.tenant
        run = proofs.save_and_prove(
            channel_id=channel.pk, credential=credential, actor=ADMIN, now=timezone.now(), **details
        )
        run_due()
        connection.set_tenant(tenant)
        channel.refresh_from_db()
        if run:
            run.refresh_from_db()
        return run

    return save_and_prove


def the_keys(organisation):
    return {name: organisation[name] for name in ("consumer_key", "consumer_secret")}


def states(run):
    return {entry["key"]: entry["state"] for entry in run.steps}


def verdicts(channel):
    """`{"passkey": "proved"}`: proved, refused or unknown, of what is saved."""
    shown = queries.saved_secrets(channel)
    return {
        name: "refused" if secret.refused_at else "proved" if secret.proved_at else "unknown"
        for name, secret in shown.items()
        if secret.saved
    }


def test_keys_are_proved_by_a_token_alone(channel, organisation, save):
    run = save(channel, Credential.KEYS, **the_keys(organisation))

    assert (run.kind, run.status, states(run)) == (Kind.PROVE_KEYS, RunStatus.DONE, {"access_token": "ok"})
    assert runs.outcome_of(run) is True
    assert verdicts(channel) == {"consumer_key": "proved", "consumer_secret": "proved"}
    assert (channel.status, channel.verified_at, channel.first_verified_at) == ("CONFIGURED", None, None)
    assert runs.verification_of(run) is None
    assert [entry.action for entry in AuditEntry.objects.order_by("sequence")] == ["channel.created", "channel.changed"]


def test_the_passkey_is_proved_without_ringing_a_phone(channel, organisation, save, simulator):
    save(channel, Credential.KEYS, **the_keys(organisation))

    run = save(channel, Credential.PASSKEY, passkey=organisation["passkey"])

    assert (run.status, states(run)) == (RunStatus.DONE, {"access_token": "ok", "passkey": "ok"})
    assert verdicts(channel)["passkey"] == "proved"
    assert simulator.control("GET", f"/deliveries?shortcode={channel.shortcode}")["deliveries"] == []


def test_the_operator_is_proved_by_the_balance(channel, organisation, save, receiver):
    save(channel, Credential.KEYS, **the_keys(organisation))
    run = save(channel, Credential.INITIATOR, **initiator_of(organisation))
    assert (run.status, states(run)["account_balance"]) == (RunStatus.PENDING, "running")
    assert runs.outcome_of(run) is None
    assert verdicts(channel)["initiator_credential"] == "unknown"

    assert runs.apply_result(receiver.result()) is True

    run.refresh_from_db()
    channel.refresh_from_db()
    assert (run.status, runs.outcome_of(run)) == (RunStatus.DONE, True)
    assert verdicts(channel)["initiator_credential"] == "proved"


@pytest.mark.parametrize(
    ("credential", "spoilt", "code", "refused"),
    [
        (Credential.KEYS, {"consumer_secret": "not the secret"}, "wrong_keys", {"consumer_key", "consumer_secret"}),
        (Credential.PASSKEY, {"passkey": "not the passkey"}, "wrong_passkey", {"passkey"}),
    ],
)
def test_what_m_pesa_refuses_is_not_kept_as_good(channel, organisation, save, credential, spoilt, code, refused):
    good = the_keys(organisation) | {"passkey": organisation["passkey"]}
    save(channel, Credential.KEYS, **the_keys(organisation))

    run = save(channel, credential, **spoilt)

    assert (run.status, run.error_code, runs.outcome_of(run)) == (RunStatus.FAILED, code, False)
    assert {name for name, verdict in verdicts(channel).items() if verdict == "refused"} == refused
    step = next(step for step in connection_steps(channel) if step.key == credential.lower())
    assert (step.state, step.is_refused) == ("now", True)

    save(channel, credential, **{name: good[name] for name in refused})
    assert set(verdicts(channel).values()) == {"proved"}
    assert not any(step.is_refused for step in connection_steps(channel))


def test_a_refused_operator_is_named(channel, organisation, save, receiver):
    save(channel, Credential.KEYS, **the_keys(organisation))
    wrong = initiator_of(organisation) | {"initiator_credential": "not the password"}
    run = save(channel, Credential.INITIATOR, **wrong)

    runs.apply_result(receiver.result())

    run.refresh_from_db()
    channel.refresh_from_db()
    assert (run.status, run.error_code) == (RunStatus.FAILED, "initiator_refused")
    assert verdicts(channel)["initiator_credential"] == "refused"


def test_another_name_for_the_operator_takes_the_verdict_back(channel, organisation, save, receiver):
    save(channel, Credential.KEYS, **the_keys(organisation))
    save(channel, Credential.INITIATOR, **initiator_of(organisation) | {"initiator_name": "somebody"})
    runs.apply_result(receiver.result())
    channel.refresh_from_db()
    assert verdicts(channel)["initiator_credential"] == "refused"

    services.change_channel(channel_id=channel.pk, actor=ADMIN, now=timezone.now(), initiator_name="another")

    channel.refresh_from_db()
    assert verdicts(channel)["initiator_credential"] == "unknown"


@pytest.mark.parametrize("fault", ["html_503", "maintenance", "spike_arrest"])
def test_bad_weather_is_no_refusal(channel, organisation, save, simulator, fault):
    simulator.faults(channel.shortcode, {"fault": fault, "on": ["oauth"]})

    run = save(channel, Credential.KEYS, **the_keys(organisation))

    assert (run.status, run.error_code.startswith("daraja_")) == (RunStatus.FAILED, True)
    assert verdicts(channel) == {"consumer_key": "unknown", "consumer_secret": "unknown"}


def test_a_wrong_number_is_not_the_passkeys_fault(channel, organisation, save):
    save(channel, Credential.KEYS, **the_keys(organisation))
    services.change_channel(channel_id=channel.pk, actor=ADMIN, now=timezone.now(), shortcode="123456")

    run = save(channel, Credential.PASSKEY, passkey=organisation["passkey"])

    assert run.error_code == "unknown_shortcode"
    assert verdicts(channel)["passkey"] == "unknown"


def test_a_balance_that_never_comes_proves_nothing_and_may_still_come(channel, organisation, save, receiver):
    save(channel, Credential.KEYS, **the_keys(organisation))
    run = save(channel, Credential.INITIATOR, **initiator_of(organisation))
    result = receiver.result()
    run.details["give_up_at"] = timezone.now().isoformat()
    run.save()
    runs.carry_out(run_id=run.pk, now=timezone.now())

    run.refresh_from_db()
    channel.refresh_from_db()
    assert (run.status, runs.outcome_of(run)) == (RunStatus.DONE, False)
    assert verdicts(channel)["initiator_credential"] == "unknown"

    assert runs.apply_result(result) is True
    run.refresh_from_db()
    channel.refresh_from_db()
    assert runs.outcome_of(run) is True
    assert verdicts(channel)["initiator_credential"] == "proved"


def test_a_proof_of_what_was_replaced_meanwhile_says_nothing(channel, organisation, save, run_due, receiver):
    save(channel, Credential.KEYS, **the_keys(organisation))
    old = save(channel, Credential.INITIATOR, **initiator_of(organisation))
    result = receiver.result()

    new = proofs.save_and_prove(
        channel_id=channel.pk,
        credential=Credential.INITIATOR,
        actor=ADMIN,
        now=timezone.now(),
        initiator_credential="another password",
    )
    assert new.pk != old.pk
    runs.apply_result(result)

    old.refresh_from_db()
    channel.refresh_from_db()
    assert (old.status, old.error_code) == (RunStatus.FAILED, "changed_meanwhile")
    assert verdicts(channel)["initiator_credential"] == "unknown"


def test_proofs_and_a_verification_keep_out_of_each_others_way(channel, organisation, save, run_of, receiver):
    save(channel, Credential.KEYS, **the_keys(organisation))
    operator = save(channel, Credential.INITIATOR, **initiator_of(organisation))
    passkey = save(channel, Credential.PASSKEY, passkey=organisation["passkey"])
    assert (operator.status, passkey.status) == (RunStatus.PENDING, RunStatus.DONE)

    result = receiver.result()
    runs.apply_result(result)
    operator.refresh_from_db()
    assert runs.outcome_of(operator) is True  # another credential was saved since: not this one's matter

    receiver.arrivals.clear()
    verification = run_of(channel, Kind.VERIFY)
    assert runs.request_run(channel_id=channel.pk, kind=Kind.PROVE_KEYS, actor=ADMIN, now=timezone.now())
    runs.apply_result(receiver.result())
    verification.refresh_from_db()
    channel.refresh_from_db()
    assert (verification.status, channel.status) == (RunStatus.DONE, MpesaChannel.Status.VERIFIED)


def test_asking_twice_for_the_same_proof_is_one_run(channel, organisation):
    def prove():
        return proofs.save_and_prove(
            channel_id=channel.pk,
            credential=Credential.KEYS,
            actor=ADMIN,
            now=timezone.now(),
            **the_keys(organisation),
        )

    assert prove().pk == prove().pk
    assert ChannelRun.objects.count() == 1


def test_the_passkey_waits_for_the_keys(channel, organisation, save):
    assert save(channel, Credential.PASSKEY, passkey=organisation["passkey"]) is None

    assert verdicts(channel) == {"passkey": "unknown"}
    assert not ChannelRun.objects.exists()


def test_nothing_is_proved_where_nothing_is_saved(channel, organisation, save):
    save(channel, Credential.KEYS, **the_keys(organisation))

    with pytest.raises(NotConfigured):
        save(channel, Credential.PASSKEY)
    with pytest.raises(NotConfigured):
        save(channel, Credential.INITIATOR, initiator_name="apiop")

    channel.refresh_from_db()
    assert channel.initiator_name == ""  # saved and proved is one commit
    assert ChannelRun.objects.count() == 1


def test_what_can_not_be_used_is_neither_saved_nor_proved(channel, organisation, save):
    with pytest.raises(Invalid) as refusal:
        save(channel, Credential.KEYS, consumer_key="short", consumer_secret=organisation["consumer_secret"])

    assert set(refusal.value.errors) == {"consumer_key"}
    channel.refresh_from_db()
    assert (channel.secret_notes, ChannelRun.objects.count()) == ({}, 0)


def test_a_manager_proves_nothing(channel, organisation, save, actor):
    save(channel, Credential.KEYS, **the_keys(organisation))

    with pytest.raises(NotPermitted):
        runs.request_run(channel_id=channel.pk, kind=Kind.PROVE_KEYS, actor=actor(Role.MANAGER), now=timezone.now())
    assert ChannelRun.objects.count() == 1


def test_a_verification_says_which_credential_was_refused(create, organisation, run_of):
    channel = create(**keys_of(organisation) | {"passkey": "not the passkey of this number"})

    run_of(channel, Kind.VERIFY)

    assert verdicts(channel) == {"consumer_key": "proved", "consumer_secret": "proved", "passkey": "refused"}


def test_the_next_question_is_the_first_that_lacks_its_answer(channel, organisation, save):
    save(channel, Credential.KEYS, **the_keys(organisation))
    assert next_question(channel, after=Credential.KEYS) == Credential.PASSKEY
    save(channel, Credential.PASSKEY, passkey=organisation["passkey"])
    assert next_question(channel, after=Credential.KEYS) == Credential.INITIATOR
    assert next_question(channel, after=Credential.INITIATOR) is None

    channel.first_verified_at = timezone.now() - timedelta(days=1)
    assert next_question(channel, after=Credential.KEYS) is None
