import threading
from contextlib import nullcontext
from datetime import timedelta
from uuid import uuid4

import pytest
from celery import shared_task
from django.db import connection, transaction
from django.utils import timezone
from django_tenants.utils import tenant_context

from config.launcher.processes import wait_until
from tenants import queue
from tenants.models import DueTask
from tenants.queue import PlatformTask, TenantTask, WrongTenant, enqueue, perform
from tests.locks import wait_until_somebody_waits_for_a_lock

ran = []
may_end = threading.Event()


@shared_task(base=TenantTask, name="tests.note_tenant")
def note_tenant(word=""):
    ran.append((connection.tenant.slug, word))


@shared_task(base=TenantTask, name="tests.promise_again")
def promise_again(seconds):
    ran.append(("again", seconds))
    if len(ran) == 1:
        enqueue(promise_again, due_at=timezone.now() + timedelta(seconds=seconds), seconds=seconds)


@shared_task(base=TenantTask, name="tests.wait_for_leave")
def wait_for_leave():
    ran.append("began")
    assert may_end.wait(10)


@shared_task(base=TenantTask, name="tests.fail")
def fail():
    raise RuntimeError("it broke")


@shared_task(base=PlatformTask, name="tests.platform")
def platform():
    ran.append((connection.schema_name, ""))


@pytest.fixture(autouse=True)
def _nothing_ran_yet():
    ran.clear()
    may_end.clear()


def test_work_runs_in_the_tenant_that_promised_it(acme, run_due):
    with tenant_context(acme):
        enqueue(note_tenant, word="hello")

    assert run_due() == 1
    assert ran == [("acme", "hello")]
    assert not DueTask.objects.exists()
    assert connection.schema_name == "public"


def test_the_same_promise_twice_is_done_once(acme, run_due):
    with tenant_context(acme):
        enqueue(note_tenant, word="once")
        enqueue(note_tenant, word="once")

    run_due()
    assert ran == [("acme", "once")]


def test_work_without_a_tenant_is_refused(db):
    with pytest.raises(WrongTenant):
        enqueue(note_tenant)
    with pytest.raises(WrongTenant):
        note_tenant()

    assert not DueTask.objects.exists()
    assert ran == []


def test_work_started_for_another_tenant_is_refused(acme, rival):
    with tenant_context(acme):
        enqueue(note_tenant, word="acme's")
    row = DueTask.objects.get()

    with pytest.raises(WrongTenant):
        perform(task=note_tenant, due_task_id=row.pk, tenant_id=rival.pk)

    assert ran == []
    assert DueTask.objects.filter(pk=row.pk, leased_until=None, due_at=row.due_at).exists()


def test_a_row_of_one_task_does_not_start_another(acme):
    with tenant_context(acme):
        enqueue(note_tenant, word="x")
    row = DueTask.objects.get()

    with pytest.raises(WrongTenant):
        perform(task=fail, due_task_id=row.pk, tenant_id=acme.pk)

    assert ran == []


def test_a_message_for_work_that_is_done_does_nothing(acme):
    perform(task=note_tenant, due_task_id=uuid4(), tenant_id=acme.pk)

    assert ran == []


def test_failed_work_falls_due_again_later_with_its_error(acme):
    with tenant_context(acme):
        enqueue(fail)
    row = DueTask.objects.get()

    with pytest.raises(RuntimeError, match="it broke"):
        perform(task=fail, due_task_id=row.pk, tenant_id=acme.pk)

    row.refresh_from_db()
    assert row.attempts == 1
    assert row.last_error == "RuntimeError: it broke"
    assert row.leased_until is None
    assert connection.schema_name == "public"


def test_work_held_by_a_living_worker_is_not_taken_twice(acme):
    with tenant_context(acme):
        enqueue(note_tenant)
    DueTask.objects.update(leased_until=timezone.now() + timedelta(seconds=5))

    perform(task=note_tenant, due_task_id=DueTask.objects.get().pk, tenant_id=acme.pk)

    assert ran == []


def test_work_of_a_worker_that_died_is_found(acme, run_due):
    with tenant_context(acme):
        enqueue(note_tenant)
    DueTask.objects.update(leased_until=timezone.now() - timedelta(seconds=1), due_at=queue._WHEN_PROMISED_AGAIN)

    assert run_due() == 1
    assert ran == [("acme", "")]


def test_the_sweep_rings_first_for_what_waits_longest(acme, monkeypatch):
    rung, now = [], timezone.now()
    monkeypatch.setattr(queue, "_ring", lambda _name, *, due_task_id, tenant_id: rung.append(due_task_id))
    with tenant_context(acme):
        for minutes in (3, 1, 2):
            enqueue(note_tenant, word=str(minutes), due_at=now - timedelta(minutes=minutes))
        enqueue(note_tenant, word="later", due_at=now + timedelta(minutes=1))
        enqueue(note_tenant, word="held")
        enqueue(note_tenant, word="left")
    rows = {row.arguments["word"]: row.pk for row in DueTask.objects.all()}
    held = DueTask.objects.filter(pk__in=(rows["held"], rows["left"]))
    held.update(due_at=queue._WHEN_PROMISED_AGAIN, leased_until=now + timedelta(minutes=1))
    held.filter(pk=rows["left"]).update(leased_until=now - timedelta(seconds=150))

    assert queue.ring_due(limit=3) == 3
    assert rung == [rows["3"], rows["left"], rows["2"]]
    assert queue.ring_due() == 4


def test_work_promised_again_while_it_runs_is_done_again_at_that_time(acme, run_due):
    with tenant_context(acme):
        enqueue(promise_again, seconds=600)

    assert run_due() == 1
    row = DueTask.objects.get()
    assert row.leased_until is None
    assert timedelta(seconds=590) < row.due_at - timezone.now() < timedelta(seconds=610)


def test_work_promised_in_a_commit_that_ends_after_the_work_is_done_again(committed, in_threads):
    kilimo = committed("kilimo")
    with tenant_context(kilimo):
        enqueue(wait_for_leave)
    row = DueTask.objects.get()

    def work():
        perform(task=wait_for_leave, due_task_id=row.pk, tenant_id=kilimo.pk)

    def promise():
        assert wait_until(lambda: ran, timeout_s=10)
        with tenant_context(kilimo), transaction.atomic():
            enqueue(wait_for_leave)
            may_end.set()
            wait_until_somebody_waits_for_a_lock()

    assert in_threads(work, promise) == [None, None]
    again = DueTask.objects.get()
    assert (again.pk, again.leased_until) == (row.pk, None)
    assert again.due_at <= timezone.now()


@pytest.mark.parametrize("is_promised_again", [True, False])
@pytest.mark.parametrize("fails", [True, False])
def test_a_worker_that_lost_its_lease_leaves_the_row_to_who_took_it_over(acme, monkeypatch, is_promised_again, fails):
    with tenant_context(acme):
        enqueue(note_tenant)
    row = DueTask.objects.get()

    def be_slow():
        if is_promised_again:
            with tenant_context(acme):
                enqueue(note_tenant)
        DueTask.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
        monkeypatch.setattr(note_tenant, "run", die)
        with pytest.raises(KeyboardInterrupt):
            perform(task=note_tenant, due_task_id=row.pk, tenant_id=acme.pk)
        if fails:
            raise RuntimeError("it broke")

    def die():
        raise KeyboardInterrupt  # as a killed worker: no word, and the lease stays

    monkeypatch.setattr(note_tenant, "run", be_slow)
    with pytest.raises(RuntimeError) if fails else nullcontext():
        perform(task=note_tenant, due_task_id=row.pk, tenant_id=acme.pk)

    left = DueTask.objects.get()
    assert left.leased_until > timezone.now()  # and when it ends, somebody takes it up
    assert (left.due_at, left.last_error) == (queue._WHEN_PROMISED_AGAIN, "")


def test_a_later_promise_does_not_delay_an_earlier_one(acme):
    soon = timezone.now() + timedelta(minutes=1)
    with tenant_context(acme):
        enqueue(note_tenant, due_at=soon)
        enqueue(note_tenant, due_at=soon + timedelta(hours=1))

    assert DueTask.objects.get().due_at == soon


def test_the_platforms_own_work_runs_in_public(acme, run_due):
    with tenant_context(acme):
        enqueue(platform)

    run_due()
    assert ran == [("public", "")]
