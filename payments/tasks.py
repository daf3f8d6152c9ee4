from datetime import timedelta
from uuid import UUID

from celery import shared_task
from django.utils import timezone

from tenants.queue import PlatformTask, TenantTask


@shared_task(base=TenantTask)
def drain_inbox() -> None:
    """Apply what Daraja delivered to this business. Running it twice is harmless."""
    from payments import drain

    drain.apply_pending(now=timezone.now())


@shared_task(base=PlatformTask)
def ring_rung() -> None:
    """Send a task for each business whose deliveries the web process announced."""
    from payments import bell

    bell.pass_on()


@shared_task(base=PlatformTask)
def ring_pending_inboxes() -> None:
    """Find businesses with deliveries that no bell announced."""
    from payments import bell

    bell.ring_pending()


@shared_task(base=TenantTask, lease=timedelta(seconds=90))
def send_payment_request(request_id: str) -> None:
    """Send one prompt to a customer's phone. Running it twice sends it once."""
    from payments import requests

    requests.send_request(request_id=UUID(request_id), now=timezone.now())


@shared_task(base=TenantTask, lease=timedelta(seconds=90))
def check_payment_request(request_id: str) -> None:
    """Ask Daraja about a prompt that no callback has settled."""
    from payments import requests

    requests.check_request(request_id=UUID(request_id), now=timezone.now())
