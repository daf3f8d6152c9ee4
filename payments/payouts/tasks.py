from uuid import UUID

from celery import shared_task
from django.utils import timezone

from tenants.queue import TenantTask


@shared_task(base=TenantTask)
def expire_batch(*, batch_id: str) -> None:
    """Withdraw a batch that nobody released in time."""
    from payments.payouts import batches

    batches.expire_batch(batch_id=UUID(batch_id), now=timezone.now())
