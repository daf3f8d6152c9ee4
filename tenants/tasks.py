from datetime import timedelta

from celery import shared_task
from django.utils import timezone

from tenants.queue import PlatformTask, TenantTask


@shared_task(base=PlatformTask)
def ring_due_tasks() -> None:
    """Find work that is due and that no bell reached."""
    from tenants import queue

    queue.ring_due()


@shared_task(base=TenantTask, lease=timedelta(minutes=2))
def provision_tenant() -> None:
    """Make what a new business needs. Running it again goes on where it stopped."""
    from tenants import provisioning

    provisioning.provision()


@shared_task(base=PlatformTask)
def discard_hopeless_sign_ups() -> None:
    """Take back businesses that could not be made, so that their owners can sign up afresh."""
    from tenants import provisioning

    provisioning.discard_hopeless()


@shared_task(base=TenantTask, lease=timedelta(minutes=2))
def send_invitation(invitation_id: str) -> None:
    """Mail an invitation, if it is still open. Running it twice sends it twice."""
    from tenants import people

    people.send_invitation(invitation_id=invitation_id, now=timezone.now())


@shared_task(base=PlatformTask)
def forget_expired() -> None:
    """Remove what no longer opens anything: spent tokens, steps between hosts, sessions, counts of attempts."""
    from tenants import housekeeping

    housekeeping.forget_expired(now=timezone.now())


@shared_task(base=TenantTask, lease=timedelta(minutes=3))
def make_file(file_id: str) -> None:
    """Make a file that somebody asked for. Running it again begins anew, unless it is ready."""
    from tenants import files

    files.make_file(file_id=file_id)


@shared_task(base=PlatformTask, lease=timedelta(minutes=2))
def send_password_reset(user_id: str, language: str) -> None:
    """Mail the link to a new password. Running it twice sends it twice."""
    from tenants import own_sign_in

    own_sign_in.send_password_reset(user_id=user_id, language=language)
