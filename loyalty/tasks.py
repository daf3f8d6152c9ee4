from datetime import timedelta
from uuid import UUID

from celery import shared_task
from django.utils import timezone

from tenants.queue import TenantTask


@shared_task(base=TenantTask, lease=timedelta(seconds=60))
def award_points(payment_ids: list[str]) -> None:
    """Give what these payments earned. Running it twice gives it once."""
    from loyalty import awards

    awards.award_payments(payment_ids=[UUID(payment_id) for payment_id in payment_ids], now=timezone.now())


@shared_task(base=TenantTask)
def take_back(payment_id: str) -> None:
    """Take back what a payment gave that was reversed. Running it twice takes it once."""
    from loyalty import reversals

    reversals.take_back_points(payment_id=UUID(payment_id), now=timezone.now())


@shared_task(base=TenantTask)
def forget_join_links() -> None:
    """Remove what people typed to join, once it has expired."""
    from loyalty import joining

    joining.forget_expired(now=timezone.now())
