"""The only way to start work that runs later.

`enqueue` writes a `DueTask` in the caller's commit and rings Celery after it. Whoever hears the bell leases the row,
enters the row's own tenant and runs; a sweep rings again for rows that nobody took. So the broker may lose, repeat or
invent messages: what runs, with which arguments and in which tenant, is decided by the row alone.
"""

import hashlib
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import celery
import kombu.exceptions
from celery import current_app
from django.db import connection, models, transaction
from django.db.models import F, Q
from django.db.models.functions import Coalesce, Least, Now
from django_tenants.utils import tenant_context

from audit.ids import new_id
from tenants.models import DueTask, Tenant

logger = logging.getLogger(__name__)

# While a row is leased, `due_at` waits here for the next promise, so that the earliest of those wins.
_WHEN_PROMISED_AGAIN = datetime(9000, 1, 1, tzinfo=UTC)
_RETRY_AFTER = [timedelta(seconds=seconds) for seconds in (2, 5, 15, 60, 300, 900, 3600)]


# The row that runs in this thread, and its lease.
_held: ContextVar[tuple[UUID, timedelta] | None] = ContextVar("held", default=None)


class WrongTenant(Exception):
    """Work was started without its tenant, or in another one. A defect or an attack: never retried, always reported."""


def require_current_tenant() -> Tenant:
    """The tenant whose schema is in use.

    :raises WrongTenant: in the public schema, or if only a schema name is known.
    """
    tenant = connection.tenant  # type: ignore[attr-defined]  # django-tenants' connection
    if not isinstance(tenant, Tenant):
        raise WrongTenant("This needs a business, and the present schema is none's.")
    return tenant


class TenantTask(celery.Task[..., None]):
    """A task that runs inside one business. Its body takes the row's arguments and returns nothing.

    `lease` is how long a worker may be silent before somebody else takes the row over: longer than the body ever runs,
    or than it waits before it calls `stay_alive` again.
    """

    abstract = True
    lease = timedelta(seconds=30)
    needs_tenant = True

    def __call__(self, *, due_task_id: str | None = None, tenant_id: str | None = None) -> None:
        try:
            if due_task_id is not None:
                perform(task=self, due_task_id=UUID(due_task_id), tenant_id=UUID(tenant_id) if tenant_id else None)
            elif tenant_id is not None:
                connection.set_schema_to_public()  # type: ignore[attr-defined]
                tenant = Tenant.objects.filter(pk=tenant_id).first()
                if tenant is None:
                    logger.info("%s was rung for a business that is gone.", self.name)
                    return
                with _inside(self, tenant):
                    self.run()
            else:
                raise WrongTenant(f"{self.name} was started without a tenant.")
        finally:
            connection.set_schema_to_public()  # type: ignore[attr-defined]


class PlatformTask(TenantTask):
    """A task of the platform's own, in the public schema."""

    abstract = True
    needs_tenant = False

    def __call__(self, *, due_task_id: str | None = None, tenant_id: str | None = None) -> None:
        if due_task_id is not None:
            super().__call__(due_task_id=due_task_id, tenant_id=tenant_id)
            return
        connection.set_schema_to_public()  # type: ignore[attr-defined]
        self.run()


def enqueue(task: TenantTask, *, due_at: datetime | None = None, **arguments: Any) -> None:
    """Promise to run a task in the present tenant (a PlatformTask: in none), at once or at `due_at`.

    The promise is part of the current transaction. Arguments are identifiers and plain values. Promising the same
    again, while it waits, changes nothing but an earlier `due_at`; while it runs, it will run once more, then.
    """
    tenant = require_current_tenant() if task.needs_tenant else None
    canonical = json.dumps([str(tenant.pk) if tenant else None, task.name, arguments], sort_keys=True, default=str)
    with transaction.atomic(savepoint=False), connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO public.tenants_duetask AS known
                (id, tenant_id, task, arguments, fingerprint, due_at, generation, attempts, last_error, created_at)
            VALUES (%s, %s, %s, %s::jsonb, %s, coalesce(%s, now()), 1, 0, '', now())
            ON CONFLICT (fingerprint) DO UPDATE
                SET due_at = least(known.due_at, excluded.due_at), generation = known.generation + 1
            RETURNING id
            """,
            [
                new_id(),
                tenant.pk if tenant else None,
                task.name,
                json.dumps(arguments, default=str),
                hashlib.sha256(canonical.encode()).digest(),
                due_at,
            ],
        )
        due_task_id = cursor.fetchone()[0]
    if due_at is None:
        tenant_id = tenant.pk if tenant else None
        transaction.on_commit(lambda: _ring(task.name, due_task_id=due_task_id, tenant_id=tenant_id), robust=True)


def promise_for_every_tenant(task: TenantTask, *, within: timedelta) -> int:
    """Promise to run a task in each business that is open for changes, at some moment of the time that begins now.

    One statement for all of them, which nobody has to loop over; returns how many there are. The task takes no
    arguments. A business for which the same is promised already keeps that promise.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO public.tenants_duetask
                (id, tenant_id, task, arguments, fingerprint, due_at, generation, attempts, last_error, created_at)
            SELECT gen_random_uuid(), tenant.id, %(task)s, '{}',
                   sha256(convert_to('["' || tenant.id || '", "' || %(task)s || '", {}]', 'UTF8')),
                   now() + random() * make_interval(secs => %(seconds)s), 1, 0, '', now()
              FROM public.tenants_tenant AS tenant
             WHERE tenant.status = ANY(%(open)s)
                ON CONFLICT (fingerprint) DO NOTHING
            """,
            {
                "task": task.name,
                "seconds": within.total_seconds(),
                "open": [Tenant.Status.TRIAL.value, Tenant.Status.ACTIVE.value],
            },
        )
        return int(cursor.rowcount)


def ring(task: TenantTask, *, tenant_id: UUID | None = None) -> None:
    """Wake a task that keeps its own record of what is due (the inbox). A hint: losing it loses nothing.

    A PlatformTask is woken without a business.
    """
    _ring(task.name, due_task_id=None, tenant_id=tenant_id)


def ring_after_commit(task: TenantTask, *, tenant_id: UUID) -> None:
    """`ring`, once what the present transaction changed can be seen by others."""
    transaction.on_commit(lambda: _ring(task.name, due_task_id=None, tenant_id=tenant_id), robust=True)


def _ring(task_name: str, *, due_task_id: UUID | None, tenant_id: UUID | None) -> None:
    message = {
        "due_task_id": str(due_task_id) if due_task_id else None,
        "tenant_id": str(tenant_id) if tenant_id else None,
    }
    try:
        current_app.send_task(task_name, kwargs=message, retry=False)
    except (kombu.exceptions.OperationalError, OSError) as error:
        logger.warning("The bell for %s did not ring (%s); the sweep will find the work.", task_name, error)


def perform(*, task: TenantTask, due_task_id: UUID, tenant_id: UUID | None) -> None:
    """Lease the row, run its task in its tenant, and remove the row.

    Nothing happens if another worker holds the row or it is done already. A failure is noted on the row, which falls
    due again later, and is raised. A message that does not fit its row changes nothing.

    :raises WrongTenant: if the message names another tenant than the row, or another task.
    """
    connection.set_schema_to_public()  # type: ignore[attr-defined]
    if task.needs_tenant != (tenant_id is not None):
        raise WrongTenant(f"{task.name} was rung for {tenant_id}.")
    asked_for = {"pk": due_task_id, "task": task.name, "tenant_id": tenant_id}
    lease = {"leased_until": Now() + task.lease, "due_at": _WHEN_PROMISED_AGAIN, "generation": F("generation") + 1}
    if not _due().filter(**asked_for).update(**lease):
        if DueTask.objects.filter(pk=due_task_id).exclude(**asked_for).exists():
            raise WrongTenant(f"{task.name} for {tenant_id} was rung for the row {due_task_id}, which is another's.")
        return
    row = DueTask.objects.select_related("tenant").get(pk=due_task_id)
    held = _held.set((row.pk, task.lease))
    try:
        with _inside(task, row.tenant):
            task.run(**row.arguments)
    except Exception as error:
        connection.set_schema_to_public()  # type: ignore[attr-defined]
        delay = _RETRY_AFTER[min(row.attempts, len(_RETRY_AFTER) - 1)]
        _free_unless_taken_over(row).update(
            leased_until=None,
            attempts=row.attempts + 1,
            due_at=Least(F("due_at"), Now() + delay),
            last_error=f"{type(error).__name__}: {error}"[:2000],
        )
        raise
    finally:
        _held.reset(held)
    connection.set_schema_to_public()  # type: ignore[attr-defined]
    if not _remove(row):
        # Promised again meanwhile, for the time that the promise set.
        _free_unless_taken_over(row).update(leased_until=None, attempts=0)
        if _due().filter(pk=row.pk).exists():
            _ring(task.name, due_task_id=row.pk, tenant_id=tenant_id)


def _free_unless_taken_over(row: DueTask) -> models.QuerySet[DueTask]:
    """The row, unless this worker's lease ran out and another one holds it, whose promise waits in the lease alone."""
    return DueTask.objects.filter(Q(generation=row.generation) | Q(due_at__lt=_WHEN_PROMISED_AGAIN), pk=row.pk)


def _remove(row: DueTask) -> bool:
    """Remove a row whose work is done; False if it was promised again, or another worker took it over.

    One statement, which waits for whoever promises again just now and then sees the promise. `QuerySet.delete` reads
    first and deletes by key, whatever the row says by then.
    """
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM public.tenants_duetask WHERE id = %s AND generation = %s", [row.pk, row.generation])
        return bool(cursor.rowcount)


def stay_alive() -> None:
    """Renew the lease of the task that runs here, so that it may take longer, and is missed soon after it died."""
    if held := _held.get():
        due_task_id, lease = held
        DueTask.objects.filter(pk=due_task_id).update(leased_until=Now() + lease)


def ring_due(*, limit: int = 500) -> int:
    """Ring again for what is due and nobody holds, what waits longest first; returns how many. Run every few seconds by
    beat."""
    waits_since = Coalesce("leased_until", "due_at")  # a worker that died left its lease
    rows = list(_due().order_by(waits_since)[:limit].values_list("id", "task", "tenant_id"))
    for due_task_id, task_name, tenant_id in rows:
        _ring(task_name, due_task_id=due_task_id, tenant_id=tenant_id)
    return len(rows)


def _due() -> models.QuerySet[DueTask]:
    """Rows to run now, by the database's clock: due and free, or left behind by a worker that died."""
    return DueTask.objects.filter(Q(leased_until=None, due_at__lte=Now()) | Q(leased_until__lt=Now()))


@contextmanager
def _inside(task: TenantTask, tenant: Tenant | None) -> Iterator[None]:
    if tenant is None:
        connection.set_schema_to_public()  # type: ignore[attr-defined]
        yield
        return
    with tenant_context(tenant):
        yield
