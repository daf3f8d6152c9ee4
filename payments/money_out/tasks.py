from datetime import timedelta
from uuid import UUID

from celery import shared_task
from django.utils import timezone

from tenants.queue import TenantTask


@shared_task(base=TenantTask, lease=timedelta(minutes=2))
def send_money_out(channel_id: str) -> None:
    """Hand what is due of a channel's payouts and reversals to M-PESA. Running it twice hands nothing over twice."""
    from payments.money_out import sending

    sending.send_due(channel_id=UUID(channel_id), clock=timezone.now)


@shared_task(base=TenantTask, lease=timedelta(minutes=2))
def follow_money_out(channel_id: str) -> None:
    """Ask M-PESA about what it has not told, and give up what a dead worker held. Running it twice is harmless."""
    from payments.money_out import following

    following.follow(channel_id=UUID(channel_id), clock=timezone.now)
