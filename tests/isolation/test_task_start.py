"""What a worker does with messages that nobody of ours sent: whoever reaches the broker can write anything."""

from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from uuid import uuid4

import pytest
from celery import Celery
from django_tenants.utils import tenant_context

from config.launcher.processes import wait_until
from config.launcher.services import EmbeddedValkey
from loyalty.models import PaymentOutcome
from loyalty.tasks import award_points
from payments.models import Payment
from payments.tasks import drain_inbox
from tenants.models import DueTask, InboundCallback
from tenants.queue import enqueue
from tests.factories import make_channel
from tests.processes import ServerProcess

pytestmark = pytest.mark.processes


@pytest.fixture
def broker(tmp_path):
    valkey = EmbeddedValkey(tmp_path / "valkey")
    valkey.start()
    yield valkey
    valkey.destroy()


@pytest.fixture
def kilimo(committed):
    """A business with a payment whose points are promised and a delivery that waits; and another business."""
    tenant, other = committed("kilimo"), committed("mpinzani")
    channel = make_channel(tenant, "600966")
    now = datetime.now(UTC)
    with tenant_context(tenant):
        payment = Payment.objects.create(
            receipt="SKL1234567",
            channel=channel,
            environment=channel.environment,
            payer="2547 ***** 126",
            amount=Decimal(5000),
            source=Payment.Source.CONFIRMATION,
            paid_at=now,
            created_at=now,
        )
        enqueue(award_points, payment_ids=[str(payment.pk)])
    callback = InboundCallback.objects.create(
        tenant=tenant, channel_id=channel.pk, kind="RESULT", body=b"{}", received_at=now, due_at=now
    )
    promise = DueTask.objects.get(task=award_points.name)
    return SimpleNamespace(tenant=tenant, other=other, payment=payment, promise=promise, callback=callback)


@pytest.fixture
def send(broker):
    app = Celery(broker=broker.url.replace("unix://", "redis+socket://"))
    yield lambda task, **message: app.send_task(task.name, kwargs=message)
    app.close()


@pytest.fixture
def worker(broker, tmp_path):
    """Without beat: it hears what is sent here, and nothing else. One message after the other."""
    process = ServerProcess(
        "worker",
        ["celery", "-A", "config", "worker", "--loglevel", "INFO"],
        folder=tmp_path,
        environment={"REDIS_URL": broker.url},
    )
    process.start()
    yield process
    process.stop()


def outcomes(tenant):
    with tenant_context(tenant):
        return list(PaymentOutcome.objects.values_list("payment_id", "status"))


def test_messages_that_do_not_fit_start_nothing_and_the_right_one_still_works(kilimo, send, worker):
    promise, tenant, other = str(kilimo.promise.pk), str(kilimo.tenant.pk), str(kilimo.other.pk)
    send(drain_inbox, tenant_id=str(uuid4()))  # a business that is gone: nothing to do
    send(drain_inbox, tenant_id=other)  # right in itself: the other business has nothing to apply
    refused = [
        (award_points, {"due_task_id": promise, "tenant_id": other}),  # one's promise in the other's schema
        (award_points, {"due_task_id": promise, "tenant_id": None}),
        (award_points, {"due_task_id": promise}),
        (drain_inbox, {"due_task_id": promise, "tenant_id": tenant}),  # another task's row
        (award_points, {}),
        (drain_inbox, {}),
        (award_points, {"payment_ids": [str(kilimo.payment.pk)], "tenant_id": other}),  # arguments come from the row
    ]
    for task, message in refused:
        send(task, **message)

    assert wait_until(lambda: worker.said().count(" raised unexpected: ") == len(refused), timeout_s=30), worker.said()
    assert worker.said().count(" raised unexpected: WrongTenant(") == len(refused) - 1
    assert outcomes(kilimo.tenant) == outcomes(kilimo.other) == []
    row = DueTask.objects.get(pk=kilimo.promise.pk)
    assert (row.leased_until, row.due_at, row.attempts) == (None, kilimo.promise.due_at, 0)
    kilimo.callback.refresh_from_db()
    assert (kilimo.callback.state, kilimo.callback.attempts) == (InboundCallback.State.PENDING, 0)

    send(award_points, due_task_id=promise, tenant_id=tenant)

    assert wait_until(lambda: not DueTask.objects.filter(pk=row.pk).exists(), timeout_s=10), worker.said()
    assert outcomes(kilimo.tenant) == [(kilimo.payment.pk, "NO_PROGRAM")]
    assert outcomes(kilimo.other) == []
