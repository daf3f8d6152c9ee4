from datetime import timedelta
from uuid import UUID

from celery import shared_task
from django.utils import timezone

from tenants.queue import TenantTask


@shared_task(base=TenantTask, lease=timedelta(minutes=5))
def carry_out_run(run_id: str) -> None:
    """Take a channel's run as far as it goes now. Running it twice is harmless."""
    from channels import runs

    runs.carry_out(run_id=UUID(run_id), now=timezone.now())


@shared_task(base=TenantTask, lease=timedelta(minutes=1))
def make_draft(draft_id: str) -> None:
    """Make of a draft what its maker asked for. Running it twice makes it once."""
    from channels import kept_drafts

    kept_drafts.make_asked(draft_id=UUID(draft_id), now=timezone.now())


@shared_task(base=TenantTask)
def connect_practice_channel(channel_id: str) -> None:
    """Take a practice channel one step further towards its first payment. Running it twice is harmless."""
    from channels import practice_channel

    practice_channel.connect(channel_id=UUID(channel_id), now=timezone.now())


@shared_task(base=TenantTask)
def examine_channel(channel_id: str) -> None:
    """Have the connection doctor look at a channel tonight, and promise tomorrow's visit."""
    from channels import runs

    runs.examine_nightly(channel_id=UUID(channel_id), now=timezone.now())
