from datetime import timedelta

from celery import shared_task
from django.utils import timezone

from tenants.queue import PlatformTask, TenantTask


@shared_task(base=PlatformTask, lease=timedelta(minutes=3))
def make_demo_shop() -> None:
    """Make what is missing of the demo shop. Running it again goes on where it stopped."""
    from config import demo_shop

    demo_shop.carry_on(now=timezone.now())


@shared_task(base=TenantTask, lease=timedelta(minutes=1))
def let_a_customer_pay() -> None:
    """A customer of the demo shop pays. Running it twice makes two pay."""
    from config import demo_shop

    demo_shop.let_a_customer_pay(now=timezone.now())
