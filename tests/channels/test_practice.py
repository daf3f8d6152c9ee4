from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone
from django_tenants.utils import tenant_context

from audit.models import AuditEntry
from channels import mapping, practice_channel, queries, runs, services, status
from channels.connection import initiator_security_credential
from channels.models import ChannelRun, MpesaChannel
from channels.practice import PracticeUnavailable, open_practice_organisation
from channels.services import ShortcodeTaken
from channels.tasks import connect_practice_channel
from tenants.models import CallbackRoute, DueTask
from tests.practice import make_simulator_unreachable

Status = MpesaChannel.Status


def make():
    """As the making of a business does."""
    with transaction.atomic():
        practice_channel.make_practice_channel()
    return MpesaChannel.objects.get(environment="PRACTICE")


def work(run_due, receiver, tenant):
    """Let the worker work, and hand over the balance that the simulator sends."""
    run_due()
    with tenant_context(tenant):
        runs.apply_result(receiver.result())
    run_due()
    connection.set_tenant(tenant)


def test_a_new_business_has_a_practice_paybill_at_once(in_acme, simulator):
    channel = make()

    assert (channel.kind, channel.status, channel.is_primary) == ("PAYBILL", Status.DRAFT, True)
    assert channel.shortcode == ""
    assert status.do_now(channel) == "Nothing: your practice number is being opened, which takes a few seconds."
    assert DueTask.objects.get().task == connect_practice_channel.name
    assert CallbackRoute.objects.get().rules["shortcodes"] == []


def test_it_is_routed_to_the_program_that_the_business_has(in_acme, simulator, monkeypatch):
    monkeypatch.setattr(mapping, "_program_directory", lambda: {"loyalty"})

    assert make().account_mapping == {"default": "loyalty"}


def test_without_a_program_it_is_routed_nowhere(in_acme, simulator, monkeypatch):
    monkeypatch.setattr(mapping, "_program_directory", set)

    assert make().account_mapping == {}


def test_it_connects_itself_and_becomes_active(in_acme, simulator, receiver, run_due):
    channel = make()

    work(run_due, receiver, in_acme)

    channel.refresh_from_db()
    assert channel.status == Status.ACTIVE
    assert channel.organisation_name == "Acme"
    organisation = simulator.control("GET", f"/organisations/{channel.shortcode}")
    assert organisation["confirmation_url"] == services.callback_url(channel, "c2b-confirmation")
    assert all(secret.proved_at for secret in queries.saved_secrets(channel).values())
    assert CallbackRoute.objects.get().rules["shortcodes"] == [channel.shortcode]
    assert not DueTask.objects.filter(task=connect_practice_channel.name).exists()
    assert [entry.action for entry in AuditEntry.objects.order_by("sequence")] == [
        "channel.created",
        "channel.changed",
        "channel.verified",
        "channel.urls_registered",
        "channel.activated",
    ]
    assert set(AuditEntry.objects.values_list("actor_label", flat=True)) == {"practice"}


def test_making_and_connecting_it_again_changes_nothing(in_acme, simulator, receiver, run_due):
    make()
    work(run_due, receiver, in_acme)
    channel = make()
    before = AuditEntry.objects.count(), ChannelRun.objects.count(), channel.updated_at

    practice_channel.connect(channel_id=channel.pk, now=timezone.now())

    channel.refresh_from_db()
    assert (AuditEntry.objects.count(), ChannelRun.objects.count(), channel.updated_at) == before


def test_it_goes_on_after_a_run_that_somebody_asked_for_meanwhile(in_acme, simulator, receiver, run_due, actor):
    channel = make()
    practice_channel._give_number(channel, now=timezone.now())
    DueTask.objects.all().delete()
    runs.request_run(channel_id=channel.pk, kind=ChannelRun.Kind.VERIFY, actor=actor(), now=timezone.now())

    practice_channel.connect(channel_id=channel.pk, now=timezone.now())
    promise = DueTask.objects.get(task=connect_practice_channel.name)
    assert promise.due_at > timezone.now() + timedelta(seconds=5)
    for _time in range(2):
        DueTask.objects.update(due_at=timezone.now())
        work(run_due, receiver, in_acme)

    channel.refresh_from_db()
    assert channel.status == Status.ACTIVE


def test_while_the_simulator_is_away_it_is_tried_again(in_acme, simulator, receiver, run_due, settings):
    channel = make()
    make_simulator_unreachable(settings)
    with pytest.raises(PracticeUnavailable):
        run_due()
    connection.set_tenant(in_acme)
    promise = DueTask.objects.get()
    assert (promise.attempts, promise.leased_until) == (1, None)
    channel.refresh_from_db()
    assert (channel.status, channel.shortcode) == (Status.DRAFT, "")

    settings.SIMULATOR_URL = simulator.url
    settings.DARAJA_URLS = {**settings.DARAJA_URLS, "PRACTICE": simulator.url}
    DueTask.objects.update(due_at=timezone.now())
    work(run_due, receiver, in_acme)

    channel.refresh_from_db()
    assert channel.status == Status.ACTIVE


def test_a_step_that_fails_is_tried_again_later_and_later(in_acme, simulator, receiver, run_due):
    channel = make()
    practice_channel.connect(channel_id=channel.pk, now=timezone.now())  # opens the number
    channel.refresh_from_db()
    simulator.faults(channel.shortcode, {"fault": "maintenance", "on": ["oauth"]})
    waits = []
    for _ in range(3):
        DueTask.objects.update(due_at=timezone.now())
        run_due()
        connection.set_tenant(in_acme)
        waits.append(DueTask.objects.get().due_at - timezone.now())

    assert [round(wait.total_seconds(), -1) for wait in waits] == [20, 40, 80]
    simulator.faults(channel.shortcode)
    DueTask.objects.update(due_at=timezone.now())
    work(run_due, receiver, in_acme)
    channel.refresh_from_db()
    assert channel.status == Status.ACTIVE


@pytest.mark.parametrize("step", ["opened", "verified", "registered"])
def test_a_worker_killed_anywhere_is_followed_by_another(in_acme, simulator, receiver, run_due, step):
    channel = make()
    if step != "opened":
        work(run_due, receiver, in_acme)
        channel.refresh_from_db()
        channel.activated_at = None
        if step == "verified":
            channel.urls_asked_at = channel.urls_registered_at = None
        with transaction.atomic():
            services.settle(channel)
        number = channel.shortcode
        connect = practice_channel.connect
        connect(channel_id=channel.pk, now=timezone.now())
        run_due()
        connection.set_tenant(in_acme)
        channel.refresh_from_db()
        assert channel.shortcode == number
    else:
        reopened = open_practice_organisation(name="Acme", kind="paybill", external_reference=str(channel.pk))
        work(run_due, receiver, in_acme)
        channel.refresh_from_db()
        assert channel.shortcode == reopened.shortcode

    assert channel.status == Status.ACTIVE


def test_somebody_may_add_a_practice_till_which_connects_itself_too(in_acme, simulator, receiver, run_due, create):
    make()
    work(run_due, receiver, in_acme)
    receiver.arrivals.clear()

    till = create(name="Practice till", kind="TILL")
    work(run_due, receiver, in_acme)

    till.refresh_from_db()
    assert (till.status, till.is_primary) == (Status.ACTIVE, False)
    assert simulator.control("GET", f"/organisations/{till.shortcode}")["kind"] == "till"


def test_one_practice_number_is_opened_at_a_time(in_acme, simulator, create):
    make()

    with pytest.raises(ShortcodeTaken, match="A practice number is being opened already"):
        create()
    assert MpesaChannel.objects.count() == 1


def test_a_practice_channel_with_numbers_of_its_own_is_left_to_its_maker(connected, run_due, simulator):
    channel = connected()

    assert run_due() == 0
    channel.refresh_from_db()
    assert channel.status == Status.CONFIGURED


def test_the_demonstration_opens_a_number_of_its_choice_again_and_again(simulator):
    first = open_practice_organisation(name="Acme Electronics", kind="till", shortcode="555123")
    second = open_practice_organisation(name="Acme Electronics", kind="till", shortcode="555123")

    assert first == second
    assert first.shortcode == "555123"
    assert first.consumer_secret not in repr(first)
    assert first.initiator_credential not in repr(first)


def test_a_refusal_of_the_simulator_is_named(simulator):
    with pytest.raises(PracticeUnavailable, match="The practice service answered 422"):
        open_practice_organisation(name="Acme", kind="kiosk", shortcode="555124")


def test_the_simulators_certificate_is_fetched_once(connected, simulator, settings):
    channel = connected(initiator_name="testapi", initiator_credential="Safaricom999!*!")
    first = initiator_security_credential(channel)
    make_simulator_unreachable(settings)

    assert len(initiator_security_credential(channel)) == len(first) == 344


def test_the_sandbox_and_production_have_certificates_of_their_own(connected, settings, tmp_path, simulator):
    sandbox = connected(environment="SANDBOX", initiator_name="testapi", initiator_credential="Safaricom999!*!")
    make_simulator_unreachable(settings)
    assert len(initiator_security_credential(sandbox)) == 344

    settings.DARAJA_SANDBOX_CERTIFICATE = str(tmp_path / "new.pem")
    with pytest.raises(FileNotFoundError):
        initiator_security_credential(sandbox)


def test_rival_sees_nothing_of_acmes_practice(in_acme, simulator, receiver, run_due, rival):
    channel = make()
    work(run_due, receiver, in_acme)

    with tenant_context(rival):
        assert not MpesaChannel.objects.exists()
        assert not ChannelRun.objects.exists()
        practice_channel.connect(channel_id=channel.pk, now=timezone.now() + timedelta(days=1))
        assert not MpesaChannel.objects.exists()


def test_acmes_practice_keys_are_not_rivals(in_acme, rival, simulator, receiver, run_due):
    make()
    work(run_due, receiver, in_acme)
    acmes = MpesaChannel.objects.get()
    receiver.arrivals.clear()
    with tenant_context(rival):
        make()
        work(run_due, receiver, rival)
        rivals = MpesaChannel.objects.get()

    assert rivals.status == Status.ACTIVE
    assert rivals.shortcode != acmes.shortcode
    assert rivals.consumer_key != acmes.consumer_key
