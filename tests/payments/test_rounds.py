"""What is promised for every active channel, and how lost promises are found again."""

from datetime import timedelta

import pytest
from celery import current_app
from django.db import connection
from django.utils import timezone
from django_tenants.utils import tenant_context

from channels import services
from channels.models import IdempotencyKey, MpesaChannel
from payments import rounds
from payments.models import Pull
from tenants import queue
from tenants.models import DueTask, Tenant

NOW = timezone.now()
ROUNDS = {
    "channels.tasks.examine_channel",
    "payments.tasks.pull_channel",
    "payments.tasks.listen_to_channel",
    "payments.tasks.reconcile_channel",
}


def promised():
    return {row.task: row for row in DueTask.objects.all()}


@pytest.fixture
def paybill(acme_paybill, acme):
    with tenant_context(acme):
        yield acme_paybill


def test_a_channel_that_becomes_active_has_its_rounds(acme_paybill, acme, actor):
    with tenant_context(acme):
        saved = {"consumer_key": {}, "consumer_secret": {}}
        MpesaChannel.objects.update(status="VERIFIED", verified_at=NOW, urls_registered_at=NOW, secret_notes=saved)
        services.activate_channel(channel_id=acme_paybill.pk, actor=actor(), now=NOW)

    assert promised().keys() >= ROUNDS
    assert {row.arguments["channel_id"] for row in promised().values()} == {str(acme_paybill.pk)}


def test_a_channel_that_is_proved_again_has_its_rounds_again(paybill):
    saved = {"consumer_key": {}, "consumer_secret": {}}
    MpesaChannel.objects.update(urls_registered_at=NOW, activated_at=NOW, secret_notes=saved)
    channel = MpesaChannel.objects.get()
    channel.verified_at = None  # as after other keys
    services.settle(channel)
    for work in (rounds.pull, rounds.listen, rounds.reconcile):
        work(channel_id=paybill.pk, now=NOW)
    assert (channel.status, DueTask.objects.count()) == ("CONFIGURED", 0)

    channel.verified_at = NOW
    services.settle(channel)

    assert channel.status == "ACTIVE"
    assert promised().keys() >= ROUNDS


@pytest.mark.parametrize(
    ("work", "task", "soonest", "latest"),
    [
        (rounds.pull, "payments.tasks.pull_channel", timedelta(minutes=15), timedelta(minutes=15)),
        (rounds.listen, "payments.tasks.listen_to_channel", timedelta(minutes=1), timedelta(minutes=30)),
        (rounds.reconcile, "payments.tasks.reconcile_channel", timedelta(0), timedelta(days=1)),
    ],
)
def test_each_round_promises_its_next_time_once(paybill, work, task, soonest, latest):
    work(channel_id=paybill.pk, now=NOW)
    work(channel_id=paybill.pk, now=NOW)

    (due,) = DueTask.objects.filter(task=task)
    assert NOW + soonest <= due.due_at <= NOW + latest


@pytest.mark.parametrize("work", [rounds.pull, rounds.listen, rounds.reconcile])
def test_a_round_ends_where_the_channel_or_the_business_does(paybill, acme, work):
    MpesaChannel.objects.update(status="SUSPENDED")
    work(channel_id=paybill.pk, now=NOW)
    MpesaChannel.objects.update(status="ACTIVE")
    Tenant.objects.filter(pk=acme.pk).update(status=Tenant.Status.CLOSED)
    connection.set_tenant(Tenant.objects.get(pk=acme.pk))
    work(channel_id=paybill.pk, now=NOW)
    rounds.tend(now=NOW)

    assert not DueTask.objects.exists()


def test_a_round_goes_on_as_a_task(paybill, run_due):
    MpesaChannel.objects.update(pull_registered_at=NOW, activated_at=NOW - timedelta(hours=1))
    rounds.pull(channel_id=paybill.pk, now=NOW)

    assert Pull.objects.get().status == "PENDING"
    due = promised()["payments.tasks.pull_channel"]
    DueTask.objects.exclude(pk=due.pk).delete()
    DueTask.objects.filter(pk=due.pk).update(due_at=NOW)
    Pull.objects.update(status="DONE")
    tenant = connection.tenant
    row = DueTask.objects.get(pk=due.pk)
    queue.perform(task=current_app.tasks[row.task], due_task_id=row.pk, tenant_id=row.tenant_id)
    connection.set_tenant(tenant)

    assert Pull.objects.count() == 2
    again = promised()["payments.tasks.pull_channel"]
    assert (again.pk, again.leased_until) == (due.pk, None)
    assert again.due_at > NOW + timedelta(minutes=14)


def test_at_night_lost_promises_are_made_again_and_old_keys_forgotten(paybill, acme, rival, run_due):
    IdempotencyKey.objects.create(
        environment="PRACTICE", key="old", request_hash=b"x", status=200, body={}, created_at=NOW - timedelta(days=8)
    )
    IdempotencyKey.objects.create(
        environment="PRACTICE", key="new", request_hash=b"x", status=200, body={}, created_at=NOW - timedelta(days=6)
    )
    connection.set_schema_to_public()

    rounds.tend_every_business()

    waiting = DueTask.objects.filter(task="payments.tasks.tend_channels")
    assert set(waiting.values_list("tenant_id", flat=True)) == {acme.pk, rival.pk}
    assert all(NOW <= row.due_at <= timezone.now() + timedelta(hours=1) for row in waiting)
    waiting.update(due_at=NOW)
    run_due()

    assert promised().keys() >= ROUNDS
    assert {row.tenant_id for row in promised().values()} == {acme.pk}
    with tenant_context(acme):
        assert [key.key for key in IdempotencyKey.objects.all()] == ["new"]


def test_tending_leaves_earlier_promises_alone(paybill):
    rounds.tend(now=NOW)
    soon = NOW + timedelta(seconds=90)
    DueTask.objects.filter(task="payments.tasks.pull_channel").update(due_at=soon)

    rounds.tend(now=NOW)

    assert promised()["payments.tasks.pull_channel"].due_at == soon


def test_channels_are_reconciled_at_night(paybill):
    for hours in range(0, 48, 5):
        due = rounds._next_night(paybill, now=NOW + timedelta(hours=hours)).astimezone(timezone.get_current_timezone())
        assert timedelta(0) < due - (NOW + timedelta(hours=hours)) <= timedelta(days=1)
        assert (1, 30) <= (due.hour, due.minute) < (4, 30)
