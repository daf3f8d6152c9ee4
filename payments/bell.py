"""Tells the workers, as soon as deliveries are durable, which businesses have something to apply.

One message per business is under way at a time: a flag in Redis is set when it is sent and taken down when a worker
hears it. All of this is a hint: what it loses, `ring_pending` finds in the inbox a moment later.
"""

import logging
import threading
import time
from collections.abc import Sequence
from uuid import UUID

import redis
from django.conf import settings
from django.db import connection
from django.db.models import Min
from django.utils import timezone

from payments.tasks import drain_inbox
from tenants.models import InboundCallback
from tenants.queue import require_current_tenant, ring

logger = logging.getLogger(__name__)

_FLAG_S = 10  # a worker that never heard it is not waited for longer
_PAUSE_S = 0.01
_PAUSE_WITHOUT_REDIS_S = 1.0

_redis = redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=0.5, socket_timeout=1)


class Bell:
    """Rings from a thread of its own, so that the event loop never waits for Redis."""

    def __init__(self) -> None:
        self._due: set[UUID] = set()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, name="bell", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._is_stopping = True
        self._wake.set()
        self._thread.join(timeout=2)

    def ring(self, tenant_ids: Sequence[UUID]) -> None:
        """Called from the event loop; returns at once."""
        with self._lock:
            self._due.update(tenant_ids)
        self._wake.set()

    def _run(self) -> None:
        while not self._is_stopping:
            self._wake.wait()
            self._wake.clear()
            with self._lock:
                due, self._due = self._due, set()
            try:
                for tenant_id in due:
                    if _redis.set(_flag(tenant_id), 1, nx=True, ex=_FLAG_S):
                        ring(drain_inbox, tenant_id=tenant_id)
                time.sleep(_PAUSE_S)
            except redis.RedisError as problem:
                logger.warning("The bell can't be rung (%s); the sweep will find the deliveries.", problem)
                time.sleep(_PAUSE_WITHOUT_REDIS_S)


def heard() -> None:
    """A worker begins to apply the present tenant's deliveries: whatever comes from now on may ring again."""
    try:
        _redis.delete(_flag(require_current_tenant().pk))
    except redis.RedisError as problem:
        logger.warning("The bell's flag can't be taken down (%s); it falls by itself.", problem)


def ring_pending(*, limit: int = 500) -> int:
    """Ring for every business that has something due in the inbox, the longest waiting first; returns how many."""
    connection.set_schema_to_public()
    waiting = (
        InboundCallback.objects.filter(
            state=InboundCallback.State.PENDING, due_at__lte=timezone.now(), tenant__isnull=False
        )
        .values("tenant_id")
        .annotate(oldest=Min("due_at"))
        .order_by("oldest")[:limit]
    )
    tenant_ids = [row["tenant_id"] for row in waiting]
    for tenant_id in tenant_ids:
        ring(drain_inbox, tenant_id=tenant_id)
    return len(tenant_ids)


def _flag(tenant_id: UUID) -> str:
    return f"tuzo:bell:{tenant_id}"
