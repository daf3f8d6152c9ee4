"""Tells the workers, as soon as deliveries are durable, which businesses have something to apply.

The web process notes them in a set in Redis and sends one message for all; the worker that hears it takes the set and
sends a task for each business. While that message is under way nothing more is sent, so a slow worker finds a longer
list, not a longer queue. All of this is a hint: what it loses, `ring_pending` finds in the inbox a moment later.
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

from payments.tasks import drain_inbox, ring_rung
from tenants.models import InboundCallback
from tenants.queue import ring

logger = logging.getLogger(__name__)

_RUNG = "tuzo:bell:rung"  # the businesses to be told, as text
_UNDER_WAY = "tuzo:bell:under-way"
_UNDER_WAY_S = 5  # a message that was lost is not waited for longer
_PAUSE_S = 0.05  # between rounds: under load, one round serves many deliveries
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
            if not due:
                continue
            try:
                _announce(due)
                time.sleep(_PAUSE_S)
            except redis.RedisError as problem:
                logger.warning("The bell can't be rung (%s); the sweep will find the deliveries.", problem)
                time.sleep(_PAUSE_WITHOUT_REDIS_S)


def _announce(tenant_ids: set[UUID]) -> None:
    with _redis.pipeline() as commands:
        commands.sadd(_RUNG, *map(str, tenant_ids))
        commands.set(_UNDER_WAY, 1, nx=True, ex=_UNDER_WAY_S)
        _, is_first = commands.execute()
    if is_first:
        ring(ring_rung)


def pass_on() -> int:
    """In the worker: send a task for each business that was announced; returns for how many."""
    with _redis.pipeline() as commands:
        commands.delete(_UNDER_WAY)  # first: whoever is announced from now on sends the next message
        commands.smembers(_RUNG)
        commands.delete(_RUNG)
        _, rung, _ = commands.execute()
    for tenant_id in rung:
        ring(drain_inbox, tenant_id=UUID(tenant_id.decode()))
    return len(rung)


def ring_pending(*, limit: int = 500) -> int:
    """Ring for every business that has something due in the inbox, the longest waiting first; returns for how many."""
    connection.set_schema_to_public()  # type: ignore[attr-defined]
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
