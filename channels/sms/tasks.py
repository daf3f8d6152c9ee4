from datetime import timedelta

from celery import shared_task
from django.utils import timezone

from tenants.queue import TenantTask


@shared_task(base=TenantTask, lease=timedelta(seconds=60))
def send_queued_sms() -> None:
    """Send the messages of this business that are due. Running it twice sends none twice."""
    from channels.sms import outbox

    outbox.send_queued(clock=timezone.now)
