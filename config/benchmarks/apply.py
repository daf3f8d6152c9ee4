"""How fast durable deliveries become payments, totals, points and queued messages, on one worker process."""

import time
from collections.abc import Sequence

from django.db import connection
from django.utils import timezone
from django_tenants.utils import tenant_context

from audit.ids import new_id
from channels.models import SmsMessage
from config.benchmarks import ingest, stage
from config.benchmarks.table import Line
from loyalty.models import PointsEntry
from payments import bell
from payments.models import Payment
from tenants.models import DueTask, InboundCallback

DELIVERIES = 30_000


def run(*, seconds: int) -> list[Line]:
    """First the rate of acknowledgements, then, with the web process gone, the time to apply what waits."""
    acknowledged = next(
        float(line.value.removesuffix("/s").replace(",", ""))
        for line in ingest.run(seconds=seconds)
        if line.measure.startswith("durable acknowledgements")
    )
    with stage.bench_database() as database_url:
        businesses = stage.make_businesses(ingest.BUSINESSES)
        _fill_inbox(businesses)
        arguments = [
            *("celery", "-A", "config", "worker", "--queues", "celery"),
            *("--without-gossip", "--without-mingle"),
        ]
        with stage.process("worker", arguments, database_url=database_url, LOG_LEVEL="WARNING"):
            took = _time_to_apply(businesses)
        check_whole(businesses)
        per_second = DELIVERIES / took
        share = per_second / acknowledged
        return [
            Line("durable acknowledgements, 32 connections", f"{acknowledged:,.0f}/s"),
            Line("payments applied whole, 1 worker process, 100 businesses", f"{per_second:,.0f}/s"),
            Line("… ÷ acknowledgements", f"{share:.2f}", "≥ 0.35", share >= 0.35),
        ]


def _fill_inbox(businesses: Sequence[stage.Business]) -> None:
    now = timezone.now()
    rows = []
    for number in range(DELIVERIES):
        business = businesses[number % len(businesses)]
        rows.append(
            InboundCallback(
                id=new_id(),
                tenant=business.tenant,
                channel_id=business.channel_id,
                kind=InboundCallback.Kind.C2B_CONFIRMATION,
                body=stage.confirmation(business, number // len(businesses))
                .replace("%%", f"UKL{number + 1:07d}")
                .encode(),
                received_at=now,
                due_at=now,
            )
        )
    InboundCallback.objects.bulk_create(rows, batch_size=2000)


def _time_to_apply(businesses: Sequence[stage.Business]) -> float:
    """From the first bell until every payment has its points and its message.

    The first business's bell is rung before the clock starts, so that the worker has imported what it needs.
    """
    bell.ring_pending(limit=1)
    while not _is_done(businesses[:1]):
        time.sleep(0.02)
    began = time.perf_counter()
    bell.ring_pending()  # as the web process does; then nothing is lost here, so nothing is swept up
    while not _is_done(businesses):
        time.sleep(0.1)
    return time.perf_counter() - began


def _is_done(businesses: Sequence[stage.Business]) -> bool:
    tenants = [business.tenant for business in businesses]
    waiting = InboundCallback.objects.filter(tenant__in=tenants, state=InboundCallback.State.PENDING).exists()
    return not waiting and not DueTask.objects.filter(tenant__in=tenants, task__contains="award").exists()


def check_whole(businesses: Sequence[stage.Business]) -> None:
    """Every payment, its points entry and its message are there: a rate without them would mean nothing."""
    for business in businesses:
        with tenant_context(business.tenant):
            expected = DELIVERIES // len(businesses)
            counts = (Payment.objects.count(), PointsEntry.objects.count(), SmsMessage.objects.count())
            if counts != (expected,) * 3:
                raise RuntimeError(f"{business.tenant}: {counts} instead of {expected} payments, entries, messages.")
    connection.set_schema_to_public()  # type: ignore[attr-defined]
