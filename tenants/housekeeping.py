"""Rows that are only of use for a while."""

from datetime import datetime, timedelta

from django.contrib.sessions.models import Session
from rest_framework_simplejwt.token_blacklist.models import OutstandingToken

from tenants.models import AttemptCount, HandOver, PreparedFile


def forget_expired(*, now: datetime) -> None:
    """Remove what expired before `now`. Run once a day by beat."""
    OutstandingToken.objects.filter(expires_at__lt=now).delete()  # and with it the note that it was spent
    HandOver.objects.filter(expires_at__lt=now).delete()
    Session.objects.filter(expire_date__lt=now).delete()
    PreparedFile.objects.filter(expires_at__lt=now).delete()  # also what could not be made in a week
    AttemptCount.objects.filter(hour__lt=now - timedelta(days=1)).delete()
